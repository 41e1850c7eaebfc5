#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// What the samples of a problem with one input come down to: ascending distinct inputs, each with
/// the total weight and the weighted mean of the targets that were given for it.
///
/// Samples without weight do not count. Targets are divided by a power of two near the largest, so
/// that no square under- or overflows; nothing is rounded by that.
struct TrendSamples {
  Vector<double> x;          ///< m distinct inputs, ascending
  Vector<double> y;          ///< their targets divided by `unit`
  Vector<double> w;          ///< their weights, > 0
  Vector<double> norm;       ///< |(x, 1)|
  double unit = 1;           ///< unit of the targets, a power of two
  double scatter = 0;        ///< loss of the means, 1/2 sum_i w_i (y_i - mean)^2, in `unit`^2
  std::vector<Index> group;  ///< n: for every given sample its place in x; -1 without weight

  Index size() const noexcept { return x.size(); }

  /// Weighted mean of one value a sample; of equal values exactly that.
  double mean(const Vector<double>& values) const {
    return values[0] + w.dot((values.array() - values[0]).matrix()) / w.sum();
  }
};

/// |(x, 1)|: what a hinge with its kink at x costs for a slope of one.
inline double hinge_norm(double x) noexcept { return std::hypot(x, 1.0); }

/// \param x  n inputs, \param y  n targets, \param w  n weights >= 0, one of them positive
inline TrendSamples merge_trend_samples(const Vector<double>& x, const Vector<double>& y,
                                        const Vector<double>& w) {
  std::vector<Index> order;
  double largest = 0;
  for (Index i = 0; i < x.size(); ++i) {
    if (!(w[i] > 0)) continue;
    order.push_back(i);
    largest = std::max(largest, std::abs(y[i]));
  }
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return x[a] < x[b] || (x[a] == x[b] && a < b); });

  TrendSamples samples;
  if (largest > 0) samples.unit = std::ldexp(1.0, std::ilogb(largest));
  samples.group.assign(static_cast<std::size_t>(x.size()), -1);
  for (auto* v : {&samples.x, &samples.y, &samples.w}) {
    v->setZero(static_cast<Index>(order.size()));
  }
  Index last = -1;
  for (const Index i : order) {
    if (last < 0 || x[i] > samples.x[last]) samples.x[++last] = x[i];
    samples.group[static_cast<std::size_t>(i)] = last;
    // The mean is updated, not summed, so that a sample of its own keeps its target to the last
    // bit.
    const double target = y[i] / samples.unit;
    const double error = target - samples.y[last];
    samples.w[last] += w[i];
    const double share = w[i] / samples.w[last];
    samples.scatter += 0.5 * (samples.w[last] - w[i]) * share * error * error;
    samples.y[last] = share == 1 ? target : samples.y[last] + share * error;
  }
  for (auto* v : {&samples.x, &samples.y, &samples.w}) v->conservativeResize(last + 1);
  samples.norm = samples.x.unaryExpr(&hinge_norm);
  return samples;
}

}  // namespace mgdl::detail
