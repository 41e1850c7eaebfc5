#pragma once

#include <filesystem>
#include <optional>
#include <ostream>
#include <string>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

enum class IntervalWidth;
template <class Scalar>
class PredictionIntervals;

/// How exported C code stores weights and computes.
enum class CNumber {
  Float32,  ///< float
  Float64,  ///< double
  Int16,    ///< weights of 16 bits, values of 16, sums of 64
  Int8      ///< weights of 8 bits, values of 16, sums of 32
};

/// The enumerator's name.
constexpr const char* to_string(CNumber number) noexcept {
  switch (number) {
    case CNumber::Float32: return "Float32";
    case CNumber::Float64: return "Float64";
    case CNumber::Int16: return "Int16";
    default: return "Int8";
  }
}

/// How write_c_header writes a model that is computed in Scalar.
template <class Scalar = double>
struct CHeaderOptions {
  std::string name = "model";         ///< prefix of all names, a C identifier
  CNumber number = CNumber::Float32;  ///< what the code computes in
  /// n x d; the error is measured at these inputs, the training samples say, and fixed point
  /// chooses its ranges by them. May have no rows.
  Matrix<Scalar> samples{};
  /// The box of inputs, d values each, for which the error of fixed point is bounded, and to which
  /// its inputs are suited. Empty: that of the samples, without these four scales around the mean.
  /// \{
  Vector<Scalar> lower{};
  Vector<Scalar> upper{};
  /// \}
  /// Lines for the first comment, e.g. what the inputs are; characters that could end it, and
  /// others than printable ASCII, are escaped.
  std::vector<std::string> notes{};
  /// Of the model, to be exported with it; not in fixed point. Null: none.
  const PredictionIntervals<Scalar>* intervals = nullptr;
  double level = 0.9;        ///< theirs, see PredictionIntervals::predict()
  IntervalWidth width = {};  ///< theirs: Constant if nothing is said

  /// \throws InvalidArgument for values that cannot be used with a model of d inputs
  void validate(Index inputs) const;
};

/// What exported code takes and how far it is from the model. Errors are the largest absolute ones,
/// in the unit of the targets.
struct CHeaderReport {
  Index flash_bytes = 0;    ///< of the constants
  Index stack_bytes = 0;    ///< of the local arrays
  Index multiply_adds = 0;  ///< for one sample; float and double skip those of values that are zero
  double self_test_error = 0;            ///< at the vectors of the self-test
  std::optional<double> samples_error;   ///< at the given samples
  std::optional<double> proven_error;    ///< fixed point: a bound for all inputs in the box
  std::optional<double> interval_error;  ///< of ends of intervals, at all of these inputs
};

/// Writes a model as one C99 header without dependencies, which is C++ as well:
///
///     void NAME_predict(const float x[d], float y[c]);              // all grades
///     void NAME_predict_grades(const float x[d], int k, float y[c]);  // the first k of them
///     int NAME_self_test(void);                                     // 0 if all is well
///
///     // with intervals
///     void NAME_predict_interval(const float x[d], float lower[c], float upper[c]);
///
/// (double instead of float with CNumber::Float64), `static inline`. It allocates nothing, and all
/// weights are `static const`. Comments state sizes and errors. The self-test compares with outputs
/// of the model at up to 16 inputs: of the samples, or drawn. Intervals of a model of folds need
/// its members, each as large as a fold's share of the model, and the largest residuals; scaled
/// ones need exp() of <math.h>.
///
/// Fixed point has integers between the first and the last line of a prediction, and the same
/// result on every machine. Its bound is proven for all inputs in the box, which the comment names:
/// the errors of rounding are followed through all layers, as intervals and as norms. It grows with
/// depth, as all such bounds do, and is of use for small models; the measured error is there
/// beside it.
///
/// \throws InvalidArgument for options that cannot be used, and in fixed point for models that may
///         overflow on the box
template <class Scalar>
CHeaderReport write_c_header(std::ostream& out, const MultigradeModel<Scalar>& model,
                             const CHeaderOptions<Scalar>& options = {});

/// The same into a file, all of it or nothing.
/// \throws InvalidArgument as above, and if `path` cannot be written
template <class Scalar>
CHeaderReport write_c_header(const std::filesystem::path& path,
                             const MultigradeModel<Scalar>& model,
                             const CHeaderOptions<Scalar>& options = {});

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template void CHeaderOptions<float>::validate(Index) const;
extern template void CHeaderOptions<double>::validate(Index) const;
extern template CHeaderReport write_c_header(std::ostream&, const MultigradeModel<float>&,
                                             const CHeaderOptions<float>&);
extern template CHeaderReport write_c_header(std::ostream&, const MultigradeModel<double>&,
                                             const CHeaderOptions<double>&);
extern template CHeaderReport write_c_header(const std::filesystem::path&,
                                             const MultigradeModel<float>&,
                                             const CHeaderOptions<float>&);
extern template CHeaderReport write_c_header(const std::filesystem::path&,
                                             const MultigradeModel<double>&,
                                             const CHeaderOptions<double>&);
}  // namespace mgdl
#else
#include "mgdl/io/c_header_impl.hpp"  // IWYU pragma: export
#endif
