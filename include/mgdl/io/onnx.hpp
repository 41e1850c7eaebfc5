#pragma once

#include <filesystem>
#include <ostream>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// How write_onnx writes a model.
struct OnnxOptions {
  bool double_precision = false;  ///< tensors of double; few consumers know more than float
  bool prefixes = false;  ///< further outputs `output_1`, ..., `output_{K-1}`: first k grades
  /// Inputs at which the error is measured (n x d), of which up to 256 are taken; without rows, 256
  /// are drawn, as far from the mean as the training samples.
  Matrix<double> samples{};
  /// Largest error that tensors of float may have, in units of the scale of each output (its
  /// standard deviation over the training samples, mostly), >= 0; infinity: any.
  double tolerance = 1e-3;

  /// \throws InvalidArgument for values that cannot be used with a model of d inputs
  void validate(Index inputs) const;
};

/// How far what write_onnx has written is from the model: largest absolute errors over all outputs
/// (and prefixes) that are written, with inputs and each operation rounded to the type of the
/// tensors. Runtimes that sum in another order differ by as much again.
struct OnnxReport {
  double error = 0;           ///< in the unit of the targets
  double relative_error = 0;  ///< in units of the scale of each output
};

/// Writes a model in ONNX (operator set 17, IR version 8), which onnxruntime, OpenCV and others
/// evaluate: input `input` (batch x d), in the unit of the inputs, output `output` (batch x c), in
/// that of the targets. Standardisation is a part of the graph. Results agree with `predict` up to
/// rounding in the type of the tensors, which may be more than it sounds: time stamps of seconds
/// differ by less than float can tell. The error is measured, returned and, in float, held against
/// `tolerance`. Source: github.com/onnx/onnx, onnx.proto and Operators.md.
///
/// \throws InvalidArgument, before anything is written, for models of 2 GB and more, which the
///         format cannot hold, for options that cannot be used, and if tensors of float have a
///         larger error than `tolerance`
template <class Scalar>
OnnxReport write_onnx(std::ostream& out, const MultigradeModel<Scalar>& model,
                      const OnnxOptions& options = {});

/// The same into a file, all of it or nothing.
/// \throws InvalidArgument as above, and if `path` cannot be written
template <class Scalar>
OnnxReport write_onnx(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                      const OnnxOptions& options = {});

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template OnnxReport write_onnx(std::ostream&, const MultigradeModel<float>&,
                                      const OnnxOptions&);
extern template OnnxReport write_onnx(std::ostream&, const MultigradeModel<double>&,
                                      const OnnxOptions&);
extern template OnnxReport write_onnx(const std::filesystem::path&, const MultigradeModel<float>&,
                                      const OnnxOptions&);
extern template OnnxReport write_onnx(const std::filesystem::path&, const MultigradeModel<double>&,
                                      const OnnxOptions&);
}  // namespace mgdl
#else
#include "mgdl/io/onnx_impl.hpp"  // IWYU pragma: export
#endif
