#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// How MultigradeTrainer measures the error that it compares with the tolerance.
enum class ErrorMeasure {
  Rse,      ///< sum of squared errors over sum of squared targets, weighted (dimensionless)
  Rmse,     ///< root of the mean squared error, in the unit of the targets
  MaxError  ///< largest absolute error of any output at any sample, in the unit of the targets
};

/// The enumerator's name.
constexpr const char* to_string(ErrorMeasure measure) noexcept {
  switch (measure) {
    case ErrorMeasure::Rse: return "Rse";
    case ErrorMeasure::Rmse: return "Rmse";
    case ErrorMeasure::MaxError: return "MaxError";
  }
  return "unknown";
}

/// How far predictions P (n x c) are from targets Y (n x c), sample i weighted by w_i >= 0 with
/// sum 1. Errors e_i are rows of P - Y.
struct Metrics {
  /// Relative squared error: sum_ij w_i (e_ij / s_j)^2 / sum_ij w_i (y_ij / s_j)^2 (dimensionless),
  /// s_j the scale of output j.
  double rse = 0;
  /// Coefficient of determination, the mean over the outputs of
  /// 1 - sum_i w_i e_ij^2 / sum_i w_i (y_ij - mean_j)^2 (dimensionless, at most 1): 0 for the best
  /// constant, whatever the targets' offset. Outputs whose targets are constant are left out; NaN
  /// if all are.
  double r2 = 0;
  double rmse = 0;  ///< sqrt(sum_i w_i |e_i|^2 / c), in the unit of Y
  double mae = 0;   ///< sum_i w_i |e_i|_1 / c, in the unit of Y
  double max = 0;   ///< largest |e_ij| over samples with w_i > 0, in the unit of Y
  double psnr = 0;  ///< peak signal-to-noise ratio, 20 log10(peak / rmse), in dB; +inf for rmse = 0
  /// Of each output j, sqrt(sum_i w_i e_ij^2), in its own unit.
  std::vector<double> output_rmse = {};
};

namespace detail {

/// squared_error / squared_target, with 0 / 0 = 0: nothing was to be fitted and nothing is wrong.
inline double relative_squared_error(double squared_error, double squared_target) noexcept {
  return squared_error == 0 ? 0.0 : squared_error / squared_target;
}

/// The mean of 1 - squares / variances over those that are > 0; NaN if there are none.
template <class Squares, class Variances>
double mean_r2(const Squares& squares, const Variances& variances) {
  double sum = 0;
  Index count = 0;
  for (Index j = 0; j < squares.size(); ++j) {
    if (!(variances[j] > 0)) continue;
    sum += 1 - squares[j] / variances[j];
    ++count;
  }
  return sum / static_cast<double>(count);
}

}  // namespace detail

/// Peak signal-to-noise ratio 20 log10(peak / rmse) in dB.
inline double psnr(double rmse, double peak = 1) noexcept {
  return rmse == 0 ? std::numeric_limits<double>::infinity() : 20 * std::log10(peak / rmse);
}

/// All metrics of `prediction` (n x c) against `target` (n x c); sums are kept in double.
///
/// \param weights  n weights >= 0, normalised here; an empty vector weights all samples alike
/// \param peak     the peak of the PSNR, in the unit of the target
/// \param scale    c scales > 0 of the outputs for the RSE; an empty vector: 1. With that of a
///                 model's output_standardizer() the RSE is what its training reports
/// \throws InvalidArgument for unequal shapes and for negative, non-finite or all-zero weights.
///         Predictions and targets may be NaN or infinite: that shows in the metrics
template <class Prediction, class Target>
Metrics compute_metrics(const Eigen::MatrixBase<Prediction>& prediction,
                        const Eigen::MatrixBase<Target>& target,
                        const Vector<typename Target::Scalar>& weights = {}, double peak = 1,
                        const RowVector<typename Target::Scalar>& scale = {}) {
  const Index n = target.rows();
  const Index c = target.cols();
  if (n == 0 || c == 0) {
    throw InvalidArgument("target", "at least one value", detail::shape_text(n, c));
  }
  detail::require_rows("prediction", n, prediction.rows());
  detail::require_cols("prediction", c, prediction.cols());
  if (weights.size() != 0) {
    detail::require_rows("weights", n, weights.rows());
    detail::require_weights(weights);
  }
  if (scale.size() != 0) detail::require_cols("scale", c, scale.cols());
  const auto weight = [&](Index i) {
    return weights.size() == 0 ? 1.0 : static_cast<double>(weights[i]);
  };
  // Relative to a power of two near the largest value no square overflows or vanishes.
  double largest = std::numeric_limits<double>::min();
  for (Index i = 0; i < n; ++i) {
    if (weight(i) == 0) continue;
    for (Index j = 0; j < c; ++j) {
      for (const double value :
           {static_cast<double>(prediction(i, j)), static_cast<double>(target(i, j))}) {
        if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
      }
    }
  }
  const double unit = std::exp2(std::ilogb(largest));
  double weight_sum = 0;
  RowVector<double> squared_error = RowVector<double>::Zero(c);
  RowVector<double> squared_target = RowVector<double>::Zero(c);
  RowVector<double> mean = RowVector<double>::Zero(c);
  double absolute_error = 0;
  double max = 0;
  for (Index i = 0; i < n; ++i) {
    const double w = weight(i);
    if (w == 0) continue;
    weight_sum += w;
    for (Index j = 0; j < c; ++j) {
      const double y = static_cast<double>(target(i, j)) / unit;
      const double e = std::abs(static_cast<double>(prediction(i, j)) / unit - y);
      squared_error[j] += w * e * e;
      squared_target[j] += w * y * y;
      mean[j] += w * y;
      absolute_error += w * e;
      // A NaN is taken, and then kept: no comparison with it is true.
      if (e > max || std::isnan(e)) max = e;
    }
  }
  mean /= weight_sum;
  // Around the mean, in a second pass: a large mean costs no accuracy.
  RowVector<double> variance = RowVector<double>::Zero(c);
  for (Index i = 0; i < n; ++i) {
    if (weight(i) == 0) continue;
    for (Index j = 0; j < c; ++j) {
      const double y = static_cast<double>(target(i, j)) / unit - mean[j];
      variance[j] += weight(i) * y * y;
    }
  }
  const double values = weight_sum * static_cast<double>(c);
  Metrics metrics;
  if (scale.size() == 0) {
    metrics.rse = detail::relative_squared_error(squared_error.sum(), squared_target.sum());
  } else {
    // Relative to one of them: with a single output they do not matter at all.
    const RowVector<double> share = (scale.template cast<double>() / scale[0]).cwiseAbs2();
    metrics.rse = detail::relative_squared_error(squared_error.cwiseQuotient(share).sum(),
                                                 squared_target.cwiseQuotient(share).sum());
  }
  metrics.r2 = detail::mean_r2(squared_error, variance);
  metrics.rmse = std::sqrt(squared_error.sum() / values) * unit;
  metrics.mae = absolute_error / values * unit;
  metrics.max = max * unit;
  for (const double square : squared_error) {
    metrics.output_rmse.push_back(std::sqrt(square / weight_sum) * unit);
  }
  metrics.psnr = mgdl::psnr(metrics.rmse, peak);
  return metrics;
}

}  // namespace mgdl

namespace mgdl::detail {

/// Root of the sum of squares, relative to the largest value, so that none overflows or vanishes.
/// In blocks, as Eigen's stableNorm, of which it has the bits.
template <class Real>
Real stable_norm(const RowVector<Real>& values) {
  constexpr Index kBlock = 4096;
  if (values.size() == 1) return std::abs(values[0]);
  Real scale = 0;
  Real inverse = 1;
  Real sum = 0;
  RowVector<Real> scaled;
  for (Index first = 0; first < values.size(); first += kBlock) {
    scaled.resize(std::min(kBlock, values.size() - first));
    Real largest = 0;
    for (Index i = 0; i < scaled.size(); ++i) {
      largest = std::max(largest, std::abs(values[first + i]));
    }
    if (largest > scale) {
      sum *= (scale / largest) * (scale / largest);
      const bool tiny = 1 / largest > std::numeric_limits<Real>::max();
      inverse = tiny ? std::numeric_limits<Real>::max() : 1 / largest;
      scale = tiny ? 1 / inverse : largest;
    }
    if (!(scale > 0)) continue;
    for (Index i = 0; i < scaled.size(); ++i) scaled[i] = values[first + i] * inverse;
    sum += scaled.squaredNorm();
  }
  return scale * std::sqrt(sum);
}

/// A mean over samples, and how far it may be off.
struct WeightedMean {
  double value = 0;
  /// Standard error over the choice of samples, sqrt(sum_i w_i^2 (v_i - mean)^2 / (1 - sum_i
  /// w_i^2)): for equal weights the standard deviation over sqrt(n). NaN for a single sample.
  double error = 0;
};

/// sum_i w_i v_i.
/// \param values, weights  of the share's rows on this rank; the weights' sum over all is 1
template <class Weights>
WeightedMean weighted_mean(const Vector<double>& values, const Eigen::MatrixBase<Weights>& weights,
                           const RowShare& share) {
  const Vector<double> all_weights = weights.template cast<double>();
  const auto sum = [&](const auto& term) {
    return share.sum(0.0, [&](Index first, Index count) {
      return term(all_weights.segment(first - share.first(), count),
                  values.segment(first - share.first(), count));
    });
  };
  WeightedMean mean;
  mean.value = sum([](const auto& w, const auto& v) { return w.dot(v); });
  const double squares = sum([&](const auto& w, const auto& v) {
    return (w.array() * (v.array() - mean.value)).matrix().squaredNorm();
  });
  const double weight = sum([](const auto& w, const auto&) { return w.squaredNorm(); });
  mean.error = std::sqrt(squares / (1 - weight));
  return mean;
}

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
/// \param before, after  errors of samples, >= 0: the share's rows on this rank
/// \param weights        of these; sum 1 over all
template <class Real = double>
PairedComparison compare_errors(const Vector<double>& before, const Vector<double>& after,
                                const Vector<double>& weights, const RowShare& share) {
  using Verdict = PairedComparison::Verdict;
  PairedComparison result;
  const Vector<Real> squares = before.cwiseAbs2() - after.cwiseAbs2();
  const WeightedMean mean_square = weighted_mean(squares, weights, share);
  result.gain = mean_square.value;
  result.gain_error = mean_square.error;
  const auto judge = [](double gain, double error) {
    // Written so that with a single sample, which has no standard error, any gain counts.
    if (gain > 0 && !(gain <= error)) return Verdict::Better;
    return gain < 0 && !(-gain <= error) ? Verdict::Worse : Verdict::Flat;
  };
  result.verdict = judge(result.gain, result.gain_error);
  if (result.verdict == Verdict::Flat) {
    const Vector<Real> gains = before - after;
    const WeightedMean mean = weighted_mean(gains, weights, share);
    result.verdict = judge(mean.value, mean.error);
  }
  return result;
}

/// The same of all samples.
template <class Real = double>
PairedComparison compare_errors(const Vector<double>& before, const Vector<double>& after,
                                const Vector<double>& weights) {
  return compare_errors<Real>(before, after, weights, RowShare(weights.size()));
}

}  // namespace mgdl::detail
