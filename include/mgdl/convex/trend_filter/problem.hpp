#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>
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

/// Which side of its kink a hinge is active on: (x - tau)_+ or (tau - x)_+.
enum class HingeSide { Right, Left };

/// A local maximum of |sum_i N_i h(x_i)| over hinges h of norm one.
template <class Real>
struct HingePeak {
  Real kink = 0;
  Real value = 0;       ///< > 0
  Real sign = 1;        ///< of the sum
  Index place = 0;      ///< of the kink: a sample, or the one before the gap that it is in
  bool inside = false;  ///< whether it is in a gap
};

/// A dual point N seen by every neuron there is: the correlations sum_i N_i max(0, a x_i + b).
///
/// The kink of a neuron lies before, in or behind one of the gaps between samples. As the kink
/// moves through a gap, z(tau) = sum_i N_i h(x_i) is linear for hinges h of slope one, so that the
/// largest |z(tau)| / |(1, tau)| of a gap is at one of its ends or where the derivative z' (1 +
/// tau^2) - z tau, which is linear too, changes its sign. Neurons that are active on all samples
/// have the correlation M . (a, b), M = sum_i N_i (x_i, 1), whose maximum is |M| if M itself is
/// such a neuron.
template <class Real>
class DualFunction {
 public:
  /// \param samples  kept by reference
  /// \param N        one value a sample
  DualFunction(const TrendSamples<Real>& samples, const Vector<Real>& N) : m_samples(&samples) {
    const Index m = samples.size();
    for (Profile* profile : {&m_right, &m_left}) {
      profile->value.resize(m);
      profile->slope.resize(m - 1);
    }
    const auto sweep = [&](Profile& profile, Index first, Index step) {
      Sum slope;
      Sum value;
      profile.value[first] = 0;
      for (Index i = first, k = 1; k < m; ++k, i += step) {
        slope.add(N[i]);
        value.add(std::abs(samples.x[i + step] - samples.x[i]) * slope.value());
        profile.slope[std::min(i, i + step)] = static_cast<Real>(step) * slope.value();
        profile.value[i + step] = value.value();
      }
      slope.add(N[first + step * (m - 1)]);
      return slope.value();
    };
    sweep(m_left, 0, 1);
    m_constant = sweep(m_right, m - 1, -1);
    m_linear = m_right.value[0] + samples.x[0] * m_constant;
  }

  /// Largest |sum_i N_i max(0, a x_i + b)| over all |(a, b)| = 1. N is feasible where this is at
  /// most lambda.
  Real norm() const {
    Real largest = affine_peak().value;
    const auto raise = [&](HingeSide side) {
      const Profile& z = profile(side);
      largest = std::max(largest, (z.value.array().abs() / m_samples->norm.array()).maxCoeff());
      for (Index gap = 0; gap + 1 < m_samples->size(); ++gap) {
        HingePeak<Real> peak;
        if (inner_peak(z, gap, peak)) largest = std::max(largest, peak.value);
      }
    };
    raise(HingeSide::Right);
    raise(HingeSide::Left);
    return largest;
  }

  /// Calls visit(peak) for every local maximum above `threshold`, kinks strictly between the first
  /// and the last sample.
  template <class Visit>
  void for_each_peak(HingeSide side, Real threshold, const Visit& visit) const {
    const Profile& z = profile(side);
    const Index m = m_samples->size();
    const auto at = [&](Index i) { return std::abs(z.value[i]) / m_samples->norm[i]; };
    Real before = -1;  // of the piece (sample or inside of a gap) to the left
    bool rising = false;
    HingePeak<Real> last;
    const auto next = [&](const HingePeak<Real>& peak) {
      if (peak.value > before) {
        rising = true;
      } else {
        if (rising && before > threshold) visit(last);
        rising = false;
      }
      before = peak.value;
      last = peak;
    };
    for (Index i = 0; i < m; ++i) {
      if (i > 0 && i + 1 < m) next({m_samples->x[i], at(i), std::copysign(1.0, z.value[i]), i});
      HingePeak<Real> peak;
      if (i + 1 < m && inner_peak(z, i, peak)) next(peak);
    }
    next({0, -1});
  }

  /// Direction (a, b) of norm one and correlation, in absolute value, of the best neuron that is
  /// active on all samples and has no kink at the first or last of them; value 0 if there is none.
  struct AffinePeak {
    Real a = 0;
    Real b = 0;
    Real value = 0;
    Real sign = 1;  ///< of the correlation
  };
  AffinePeak affine_peak() const {
    const Real first = m_linear * m_samples->x[0] + m_constant;
    const Real last = m_linear * m_samples->x[m_samples->size() - 1] + m_constant;
    if (!((first > 0 && last > 0) || (first < 0 && last < 0))) return {};
    const Real value = std::hypot(m_linear, m_constant);
    const Real sign = first > 0 ? 1 : -1;
    return {sign * m_linear / value, sign * m_constant / value, value, sign};
  }

  /// The correlation of a hinge of slope one with its kink at sample i.
  Real at(HingeSide side, Index i) const { return profile(side).value[i]; }
  /// Its largest absolute value where the kink is at sample i, for a norm of one.
  Real relative(HingeSide side, Index i) const {
    return std::abs(at(side, i)) / m_samples->norm[i];
  }
  /// sum_i N_i over the samples on that side of a gap.
  Real sum_beside(HingeSide side, Index gap) const {
    return side == HingeSide::Right ? -m_right.slope[gap] : m_left.slope[gap];
  }
  /// The maximum strictly inside a gap, if there is one.
  bool peak_inside(HingeSide side, Index gap, HingePeak<Real>& peak) const {
    return inner_peak(profile(side), gap, peak);
  }

  /// Smallest sign z(tau) / |(1, tau)| over the samples strictly between two kinks; infinity if
  /// there are none.
  Real smallest_between(HingeSide side, Real sign, Real from, Real to) const {
    const auto& x = m_samples->x;
    const Real* begin = std::upper_bound(x.data(), x.data() + x.size(), from);
    Real smallest = std::numeric_limits<Real>::infinity();
    for (Index i = begin - x.data(); i < x.size() && x[i] < to; ++i) {
      smallest = std::min(smallest, sign * profile(side).value[i] / m_samples->norm[i]);
    }
    return smallest;
  }

 private:
  struct Profile {
    Vector<Real> value;  // z at the samples
    Vector<Real> slope;  // z' in the gaps
  };

  /// A sum that carries its rounding errors along (Neumaier).
  class Sum {
   public:
    void add(Real v) {
      const Real sum = m_sum + v;
      m_error += std::abs(m_sum) >= std::abs(v) ? (m_sum - sum) + v : (v - sum) + m_sum;
      m_sum = sum;
    }
    Real value() const { return m_sum + m_error; }

   private:
    Real m_sum = 0;
    Real m_error = 0;
  };

  const Profile& profile(HingeSide side) const {
    return side == HingeSide::Right ? m_right : m_left;
  }

  /// Whether a gap has its largest value inside, and where.
  bool inner_peak(const Profile& z, Index gap, HingePeak<Real>& peak) const {
    const auto derivative = [&](Index i) {
      return z.slope[gap] * m_samples->norm[i] * m_samples->norm[i] - z.value[i] * m_samples->x[i];
    };
    const Real left = derivative(gap);
    const Real right = derivative(gap + 1);
    if (!((left > 0 && right < 0) || (left < 0 && right > 0))) return false;
    const Real width = m_samples->x[gap + 1] - m_samples->x[gap];
    const Real step = width * (left / (left - right));
    peak.kink = m_samples->x[gap] + step;
    const Real value = (z.value[gap] + z.slope[gap] * step) / hinge_norm(peak.kink);
    peak.value = left > 0 ? value : -value;
    peak.sign = left > 0 ? 1 : -1;
    peak.place = gap;
    peak.inside = true;
    return peak.kink > m_samples->x[gap] && peak.kink < m_samples->x[gap + 1];
  }

  const TrendSamples<Real>* m_samples;
  Profile m_right;
  Profile m_left;
  Real m_constant = 0;  // sum_i N_i
  Real m_linear = 0;    // sum_i N_i x_i
};

/// A network f(x) = sum_k sign_k max(0, a_k x + b_k) + bias of one input.
template <class Real>
struct TrendNetwork {
  struct Neuron {
    Real a = 0;
    Real b = 0;
    Real sign = 1;

    HingeSide side() const noexcept { return a < 0 ? HingeSide::Left : HingeSide::Right; }
    Real kink() const noexcept { return -b / a; }
  };

  std::vector<Neuron> neurons;
  Real bias = 0;
  Real primal = 0;  ///< objective
};

/// A sum to about twice the precision of double (two-sum, Knuth).
template <class Real>
struct WideSum {
  Real high = 0;
  Real low = 0;

  void add(Real v) noexcept {
    const Real sum = high + v;
    const Real part = sum - high;
    low += (high - (sum - part)) + (v - part);
    high = sum;
  }
  Real value() const noexcept { return high + low; }
};

/// Values of sum_k sign_k max(0, a_k x + b_k) at ascending inputs, in O(n + m log m).
///
/// Where many neurons are active, their sum is far smaller than its terms. It is kept to twice the
/// precision of double, so that the values are those of the network and not of an order of
/// summation.
template <class Real>
Vector<Real> evaluate(const std::vector<typename TrendNetwork<Real>::Neuron>& neurons,
                      const Vector<Real>& x) {
  const Index n = x.size();
  std::vector<WideSum<Real>> values(static_cast<std::size_t>(n));
  struct Start {
    Real at = 0;  // in the direction of the sweep
    Real a = 0;
    Real b = 0;
  };
  const auto sweep = [&](HingeSide side) {
    const Real direction = side == HingeSide::Right ? 1 : -1;
    std::vector<Start> order;
    for (const auto& neuron : neurons) {
      if (neuron.side() != side || (neuron.a == 0 && !(neuron.b > 0))) continue;
      const Real at =
          neuron.a == 0 ? -std::numeric_limits<Real>::infinity() : direction * neuron.kink();
      order.push_back({at, neuron.sign * neuron.a, neuron.sign * neuron.b});
    }
    std::sort(order.begin(), order.end(),
              [](const Start& k, const Start& l) { return k.at < l.at; });
    WideSum<Real> a;
    WideSum<Real> b;
    auto next = order.begin();
    for (Index step = 0; step < n; ++step) {
      const Index i = side == HingeSide::Right ? step : n - 1 - step;
      for (; next != order.end() && next->at < direction * x[i]; ++next) {
        a.add(next->a);
        b.add(next->b);
      }
      const Real product = a.high * x[i];
      WideSum<Real>& value = values.data()[i];
      value.add(product);
      value.add(b.high);
      value.low += std::fma(a.high, x[i], -product) + (a.low * x[i] + b.low);
    }
  };
  sweep(HingeSide::Right);
  sweep(HingeSide::Left);
  Vector<Real> result(n);
  for (Index i = 0; i < n; ++i) result[i] = values.data()[i].value();
  return result;
}

/// Sets the objective, and the bias: the best one with `output_bias`, else 0.
template <class Real>
void assess(TrendNetwork<Real>& network, const TrendSamples<Real>& samples, Real lambda,
            bool output_bias) {
  Vector<Real> residual = samples.y - evaluate(network.neurons, samples.x);
  network.bias = output_bias ? samples.mean(residual) : 0;
  residual.array() -= network.bias;
  network.primal = samples.scatter + 0.5 * samples.w.dot(residual.cwiseAbs2());
  for (const auto& neuron : network.neurons) {
    network.primal += lambda * std::hypot(neuron.a, neuron.b);
  }
}

/// A network that is straight between samples and equals their targets: the solution for lambda =
/// 0, not the cheapest one. Hinges open away from the middle sample, which keeps their sums small.
template <class Real>
TrendNetwork<Real> interpolate(const TrendSamples<Real>& samples, bool output_bias) {
  const Index m = samples.size();
  const auto& x = samples.x;
  const auto& y = samples.y;
  TrendNetwork<Real> network;
  const auto add = [&](Real a, Real b, Real sign) {
    if (a != 0 || b != 0) network.neurons.push_back({a, b, sign});
  };
  if (m == 1) {  // the cheapest neuron is along (x, 1)
    const Real size = std::abs(y[0]) / (samples.norm[0] * samples.norm[0]);
    if (!output_bias) add(size * x[0], size, y[0] < 0 ? -1 : 1);
    assess<Real>(network, samples, 0, output_bias);
    return network;
  }
  const auto slope = [&](Index gap) { return (y[gap + 1] - y[gap]) / (x[gap + 1] - x[gap]); };
  const Index middle = (m - 1) / 2;  // the gap whose line goes on without a kink
  for (Index k = 1; k + 1 < m; ++k) {
    const Real turn = slope(k) - slope(k - 1);
    const Real a = k > middle ? std::abs(turn) : -std::abs(turn);
    add(a, -a * x[k], turn < 0 ? -1 : 1);
  }
  // The line is a difference of two that are not negative on the samples.
  const Real first = y[middle] + slope(middle) * (x[0] - x[middle]);
  const Real last = y[middle] + slope(middle) * (x[m - 1] - x[middle]);
  for (const Real sign : {1.0, -1.0}) {
    const Real from = std::max(0.0, sign * first);
    const Real to = std::max(0.0, sign * last);
    const Real a = (to - from) / (x[m - 1] - x[0]);
    // From its larger end, where rounding of the product does not matter.
    add(a, from > to ? from - a * x[0] : to - a * x[m - 1], sign);
  }
  assess<Real>(network, samples, 0, output_bias);
  return network;
}

/// A dual point scaled to where the dual objective is largest under all constraints.
template <class Real>
struct TrendBound {
  DualFunction<Real> z;  ///< of the point before it was scaled
  Vector<Real> N;        ///< before it was scaled; of sum zero with a bias
  Real scale = 0;        ///< scale N is feasible
  Real value = 0;        ///< lower bound of the optimum
  Real gap = 1;          ///< of the network that it was made from, relative to its objective
};

template <class Real>
TrendBound<Real> bound_by(const TrendSamples<Real>& samples, Vector<Real> N, Real lambda,
                          bool output_bias) {
  constexpr Real kRounding = 1e-12;  // more than the norm is off by
  if (output_bias) N -= samples.w * (N.sum() / samples.w.sum());
  TrendBound<Real> bound{DualFunction(samples, N), std::move(N)};
  const Real linear = bound.N.dot(samples.y);
  const Real square = bound.N.cwiseAbs2().cwiseQuotient(samples.w).sum();
  if (square > 0) {
    bound.scale =
        std::max(0.0, std::min(lambda / (bound.z.norm() * (1 + kRounding)), linear / square));
  }
  bound.value = samples.scatter + bound.scale * (linear - 0.5 * bound.scale * square);
  return bound;
}

/// The bound that a network's own residuals prove. That is what can be certified from the network
/// alone.
template <class Real>
TrendBound<Real> residual_bound(const TrendSamples<Real>& samples,
                                const TrendNetwork<Real>& network, Real lambda, bool output_bias) {
  Vector<Real> residual = samples.y - evaluate(network.neurons, samples.x);
  residual.array() -= network.bias;
  TrendBound<Real> bound =
      bound_by<Real>(samples, samples.w.cwiseProduct(residual), lambda, output_bias);
  bound.gap = network.primal > 0 ? (network.primal - bound.value) / network.primal : 0;
  return bound;
}

}  // namespace mgdl::detail
