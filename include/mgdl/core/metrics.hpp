#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// How far predictions P (n x c) are from targets Y (n x c), sample i weighted by w_i >= 0 with
/// sum 1. Errors e_i are rows of P - Y.
struct Metrics {
  double rse =
      0;  ///< relative squared error: sum_i w_i |e_i|^2 / sum_i w_i |y_i|^2 (dimensionless)
  double rmse = 0;  ///< sqrt(sum_i w_i |e_i|^2 / c), in the unit of Y
  double mae = 0;   ///< sum_i w_i |e_i|_1 / c, in the unit of Y
  double max = 0;   ///< largest |e_ij| over samples with w_i > 0, in the unit of Y
  double psnr = 0;  ///< peak signal-to-noise ratio, 20 log10(peak / rmse), in dB; +inf for rmse = 0
};

namespace detail {

/// squared_error / squared_target, with 0 / 0 = 0: nothing was to be fitted and nothing is wrong.
inline double relative_squared_error(double squared_error, double squared_target) noexcept {
  return squared_error == 0 ? 0.0 : squared_error / squared_target;
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
/// \throws InvalidArgument for unequal shapes
template <class Prediction, class Target>
Metrics compute_metrics(const Eigen::MatrixBase<Prediction>& prediction,
                        const Eigen::MatrixBase<Target>& target,
                        const Vector<typename Target::Scalar>& weights = {}, double peak = 1) {
  const Index n = target.rows();
  const Index c = target.cols();
  detail::require_rows("prediction", n, prediction.rows());
  detail::require_cols("prediction", c, prediction.cols());
  if (weights.size() != 0) detail::require_rows("weights", n, weights.rows());
  if (n == 0 || c == 0) {
    throw InvalidArgument("target", "at least one value", detail::shape_text(n, c));
  }
  double weight_sum = 0;
  double squared_error = 0;
  double squared_target = 0;
  double absolute_error = 0;
  Metrics metrics;
  for (Index i = 0; i < n; ++i) {
    const double w = weights.size() == 0 ? 1.0 : static_cast<double>(weights[i]);
    if (w == 0) continue;
    weight_sum += w;
    for (Index j = 0; j < c; ++j) {
      const double y = static_cast<double>(target(i, j));
      const double e = static_cast<double>(prediction(i, j)) - y;
      squared_error += w * e * e;
      squared_target += w * y * y;
      absolute_error += w * std::abs(e);
      // Written so that a NaN is kept instead of compared away.
      if (!(std::abs(e) <= metrics.max)) metrics.max = std::abs(e);
    }
  }
  const double values = weight_sum * static_cast<double>(c);
  metrics.rse = detail::relative_squared_error(squared_error, squared_target);
  metrics.rmse = std::sqrt(squared_error / values);
  metrics.mae = absolute_error / values;
  metrics.psnr = mgdl::psnr(metrics.rmse, peak);
  return metrics;
}

}  // namespace mgdl
