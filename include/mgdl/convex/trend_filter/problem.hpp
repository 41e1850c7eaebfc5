#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// What the samples of a problem with one input come down to: ascending distinct inputs, each with
/// the total weight and the weighted mean of the targets that were given for it.
///
/// Samples without weight do not count. Targets are divided by a power of two near the largest, so
/// that no square under- or overflows; nothing is rounded by that.
template <class Real>
struct TrendSamples {
  Vector<Real> x;            ///< m distinct inputs, ascending
  Vector<Real> y;            ///< their targets divided by `unit`
  Vector<Real> w;            ///< their weights, > 0
  Vector<Real> norm;         ///< |(x, 1)|
  Real unit = 1;             ///< unit of the targets, a power of two
  Real scatter = 0;          ///< loss of the means, 1/2 sum_i w_i (y_i - mean)^2, in `unit`^2
  std::vector<Index> group;  ///< n: for every given sample its place in x; -1 without weight

  Index size() const noexcept { return x.size(); }

  /// Weighted mean of one value a sample; of equal values exactly that.
  Real mean(const Vector<Real>& values) const {
    return values[0] + w.dot((values.array() - values[0]).matrix()) / w.sum();
  }
};

/// |(x, 1)|: what a hinge with its kink at x costs for a slope of one.
template <class Real>
Real hinge_norm(Real x) noexcept {
  return std::hypot(x, 1.0);
}

/// \param x  n inputs, \param y  n targets, \param w  n weights >= 0, one of them positive
template <class Real>
TrendSamples<Real> merge_trend_samples(const Vector<Real>& x, const Vector<Real>& y,
                                       const Vector<Real>& w) {
  std::vector<Index> order;
  Real largest = 0;
  for (Index i = 0; i < x.size(); ++i) {
    if (!(w[i] > 0)) continue;
    order.push_back(i);
    largest = std::max(largest, std::abs(y[i]));
  }
  std::sort(order.begin(), order.end(),
            [&](Index a, Index b) { return x[a] < x[b] || (x[a] == x[b] && a < b); });

  TrendSamples<Real> samples;
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
    const Real target = y[i] / samples.unit;
    const Real error = target - samples.y[last];
    samples.w[last] += w[i];
    const Real share = w[i] / samples.w[last];
    samples.scatter += 0.5 * (samples.w[last] - w[i]) * share * error * error;
    samples.y[last] = share == 1 ? target : samples.y[last] + share * error;
  }
  for (auto* v : {&samples.x, &samples.y, &samples.w}) v->conservativeResize(last + 1);
  samples.norm = samples.x.unaryExpr(&hinge_norm<Real>);
  return samples;
}

/// The problem restricted to 2 K + A neurons: a right and a left hinge of slope one at each of K
/// knots between the first and the last sample, and A neurons that are active on all samples.
///
/// Its functions are straight between neighbouring knots, so that all that counts of the samples
/// there is the straight line fitted to them: what follows costs O(K), however many samples there
/// are.
template <class Real>
struct KnotProblem {
  /// The samples from one knot up to the next, and of the last segment the last one: their loss is
  /// 1/2 weight (f(centre) - value)^2 + 1/2 spread (f' - slope)^2 and a constant.
  struct Segment {
    Real weight = 0;
    Real spread = 0;  ///< sum_i w_i (x_i - centre)^2
    Real before = 0;  ///< from the left knot (or the first sample) to the centre
    Real after = 0;   ///< from the centre to the right knot (or the last sample)
    Real value = 0;
    Real slope = 0;
  };
  /// A neuron max(0, a x + b) of norm one that is active on all samples.
  struct Affine {
    Real a = 0;
    Real b = 0;
  };

  Real lambda = 0;
  bool output_bias = false;
  Vector<Real> knots;             ///< K, ascending
  std::vector<Affine> affine;     ///< A
  std::vector<Segment> segments;  ///< K + 1
  Real rest = 0;                  ///< loss that no function on the knots can lower
  /// Penalties of right hinges, left hinges and affine neurons, one after the other: 2 K + A.
  Vector<Real> cost;
  /// Their mean at the first and the last sample, and their difference, last - first: 2 x (2 K +
  /// A).
  Eigen::Matrix<Real, 2, Eigen::Dynamic> ends;
};

/// Adds a sample at distance `offset` from the left knot to the line of a segment, and what this
/// adds to the loss of that line to `rest`. By updates, so that lines through two samples are
/// exact.
template <class Real>
void add_sample(typename KnotProblem<Real>::Segment& s, Real& rest, Real offset, Real y, Real w) {
  const Real weight = s.weight + w;
  const Real share = w / weight;
  const Real reduced = s.weight * share;
  const Real step = offset - s.before;
  const Real error = y - s.value - s.slope * step;
  const Real spread = s.spread + reduced * step * step;
  s.before += share * step;
  s.value += share * (error + s.slope * step);
  if (spread > 0) {
    rest += 0.5 * reduced * error * error * (s.spread / spread);
    s.slope += reduced * step * error / spread;
  }
  s.weight = weight;
  s.spread = spread;
}

/// Directions (a, b) of neurons that are active on all samples: from the one with its kink at the
/// first sample to the one with its kink at the last, in equal angles.
template <class Real>
std::vector<typename KnotProblem<Real>::Affine> affine_start(const TrendSamples<Real>& samples) {
  constexpr int kSteps = 8;
  const Real first = samples.x[0];
  const Real last = samples.x[samples.size() - 1];
  const Real from = std::atan2(-first, 1.0);
  const Real to = std::atan2(last, -1.0);
  const Real turn = (to > from ? to : to + 2 * std::numbers::pi) - from;
  std::vector<typename KnotProblem<Real>::Affine> start;
  start.push_back({1 / hinge_norm(first), -first / hinge_norm(first)});
  for (int k = 1; k < kSteps; ++k) {
    const Real angle = from + turn * k / kSteps;
    start.push_back({std::cos(angle), std::sin(angle)});
  }
  start.push_back({-1 / hinge_norm(last), last / hinge_norm(last)});
  return start;
}

/// \param knots  ascending, strictly between the first and the last sample
template <class Real>
KnotProblem<Real> restrict_to_knots(const TrendSamples<Real>& samples,
                                    const std::vector<Real>& knots,
                                    const std::vector<typename KnotProblem<Real>::Affine>& affine,
                                    Real lambda, bool output_bias) {
  const Index m = samples.size();
  const auto K = static_cast<Index>(knots.size());
  const auto A = static_cast<Index>(affine.size());
  const auto& x = samples.x;
  const Real first = x[0];
  const Real last = x[m - 1];
  KnotProblem<Real> problem;
  problem.lambda = lambda;
  problem.output_bias = output_bias;
  problem.knots = Vector<Real>::Map(knots.data(), K);
  problem.affine = affine;
  problem.rest = samples.scatter;
  problem.cost.resize(2 * K + A);
  problem.ends.resize(2, 2 * K + A);
  for (Index k = 0; k < K; ++k) {
    const Real at_last = last - problem.knots[k];    // of the right hinge
    const Real at_first = problem.knots[k] - first;  // of the left hinge
    problem.cost[k] = problem.cost[K + k] = lambda * hinge_norm(problem.knots[k]);
    problem.ends.col(k) << 0.5 * at_last, at_last;
    problem.ends.col(K + k) << 0.5 * at_first, -at_first;
  }
  for (Index j = 0; j < A; ++j) {
    const auto [a, b] = affine[static_cast<std::size_t>(j)];
    problem.cost[2 * K + j] = lambda;
    problem.ends.col(2 * K + j) << 0.5 * ((a * first + b) + (a * last + b)), a * (last - first);
  }
  problem.segments.reserve(knots.size() + 1);
  Index i = 0;
  for (Index k = 0; k <= K; ++k) {
    const Real left = k > 0 ? problem.knots[k - 1] : first;
    const Real right = k < K ? problem.knots[k] : last;
    typename KnotProblem<Real>::Segment segment;
    for (; i < m && (k == K || x[i] < right); ++i) {
      add_sample(segment, problem.rest, x[i] - left, samples.y[i], samples.w[i]);
    }
    segment.after = std::max(0.0, right - left - segment.before);
    problem.segments.push_back(segment);
  }
  return problem;
}

}  // namespace mgdl::detail
