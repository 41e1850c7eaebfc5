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
};

/// Writes a model in ONNX (operator set 17, IR version 8), which onnxruntime, OpenCV and others
/// evaluate: input `input` (batch x d), in the unit of the inputs, output `output` (batch x c), in
/// that of the targets. Standardisation is a part of the graph. Results agree with `predict` up to
/// rounding in the type of the tensors. Source: github.com/onnx/onnx, onnx.proto and Operators.md.
///
/// \throws InvalidArgument for models of 2 GB and more, which the format cannot hold
template <class Scalar>
void write_onnx(std::ostream& out, const MultigradeModel<Scalar>& model,
                const OnnxOptions& options = {});

/// The same into a file, all of it or nothing.
/// \throws InvalidArgument as above, and if `path` cannot be written
template <class Scalar>
void write_onnx(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                const OnnxOptions& options = {});

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template void write_onnx(std::ostream&, const MultigradeModel<float>&, const OnnxOptions&);
extern template void write_onnx(std::ostream&, const MultigradeModel<double>&, const OnnxOptions&);
extern template void write_onnx(const std::filesystem::path&, const MultigradeModel<float>&,
                                const OnnxOptions&);
extern template void write_onnx(const std::filesystem::path&, const MultigradeModel<double>&,
                                const OnnxOptions&);
}  // namespace mgdl
#else
#include "mgdl/io/onnx_impl.hpp"  // IWYU pragma: export
#endif
