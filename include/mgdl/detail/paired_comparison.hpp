#pragma once

#include "mgdl/core/types.hpp"
#include "mgdl/detail/standard_error.hpp"

namespace mgdl::detail {

/// How the errors of one model compare with those of another on the same samples.
struct PairedComparison {
  /// What the samples say.
  enum class Verdict { Better, Flat, Worse };

  double gain = 0;        ///< mean of |before_i|^2 - |after_i|^2
  double gain_error = 0;  ///< its standard error over the choice of samples
  Verdict verdict = Verdict::Flat;
};

/// Compares errors |y_i - model(x_i)| sample by sample, so that what both models find hard cancels
/// out. The mean square decides if its difference is above its standard error. If not, the mean of
/// the errors themselves does, which a few large ones do not drown; and if that is not above its
/// own standard error either, nothing does: the models are equally good as far as one can tell.
///
/// \param before, after  errors of n samples, >= 0
/// \param weights        n, sum 1
inline PairedComparison compare_errors(const Vector<double>& before, const Vector<double>& after,
                                       const Vector<double>& weights) {
  using Verdict = PairedComparison::Verdict;
  PairedComparison result;
  const Vector<double> squares = before.cwiseAbs2() - after.cwiseAbs2();
  result.gain = weights.dot(squares);
  result.gain_error = standard_error(squares, weights);
  const auto judge = [](double gain, double error) {
    // Written so that with a single sample, which has no standard error, any gain counts.
    if (gain > 0 && !(gain <= error)) return Verdict::Better;
    return gain < 0 && !(-gain <= error) ? Verdict::Worse : Verdict::Flat;
  };
  result.verdict = judge(result.gain, result.gain_error);
  if (result.verdict == Verdict::Flat) {
    const Vector<double> gains = before - after;
    result.verdict = judge(weights.dot(gains), standard_error(gains, weights));
  }
  return result;
}

}  // namespace mgdl::detail
