#pragma once

#include <algorithm>
#include <cmath>

#include "mgdl/convex/loss.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// A loss L_m(r) = max over s in [lower, upper] of s r - m s^2 / 2: r^2 / (2 m) where r / m is
/// between the bounds, and straight beyond. Huber's loss has m = 1 and the bounds +-delta. The loss
/// of a quantile is that for m -> 0 with the bounds level - 1 and level, and exceeds L_m by at most
/// m / 2 max(level, 1 - level)^2.
struct ClippedLoss {
  double curvature = 1;  ///< m
  double lower = 0;
  double upper = 0;

  /// \param unit  of the residuals
  ClippedLoss(const Loss& loss, double unit) {
    const double bound = loss.in_unit(unit).parameter;
    const bool quantile = loss.kind == LossKind::Quantile;
    lower = quantile ? bound - 1 : -bound;
    upper = bound;
  }

  double slope(double r) const noexcept { return std::clamp(r / curvature, lower, upper); }
  double operator()(double r) const noexcept {
    const double s = slope(r);
    return s * r - curvature * s * s / 2;
  }

  /// Shifts slopes N along the bias, sqrt(w), and clips them again, until they are orthogonal to
  /// it.
  template <class Real>
  void centre(const Vector<Real>& root_weights, Vector<Real>& N) const {
    if (std::abs(root_weights.dot(N)) <= 1e-16 * root_weights.dot(N.cwiseAbs())) return;
    const Vector<Real> before = N;
    const auto shifted = [&](Real shift) {
      for (Index i = 0; i < N.size(); ++i) {
        N[i] = std::clamp(before[i] - shift * root_weights[i], lower * root_weights[i],
                          upper * root_weights[i]);
      }
      return root_weights.dot(N);
    };
    const Real reach = upper - lower;
    Real low = -reach, high = reach;
    for (int step = 0; step < 100; ++step) {
      const Real middle = 0.5 * (low + high);
      if (middle == low || middle == high) break;
      (shifted(middle) > 0 ? low : high) = middle;
    }
  }
};

}  // namespace mgdl::detail
