#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/trend_filter/interior_point.hpp"
#include "mgdl/convex/trend_filter/polish.hpp"
#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// What an interior point comes down to.
template <class Real>
struct TrendRecovery {
  TrendNetwork<Real> network;  ///< the neurons in use, without their objective
  std::vector<Real> knots;     ///< where hinges were joined
  std::vector<typename KnotProblem<Real>::Affine> affine;  ///< directions of joined affine neurons
};

/// Change of slope at a knot, by a right and a left hinge.
template <class Real>
struct TrendKink {
  Real at = 0;
  Real right = 0;
  Real left = 0;

  Real slope() const noexcept { return right + left; }
  bool opposed() const noexcept { return right * left < 0; }
};

/// How much a neuron matters to the penalty, relative to what its slack does to its constraint.
/// Near the optimum one of the two vanishes: neurons with more than 1 are in use.
template <class Real>
Real evidence(const typename TrendInteriorPoint<Real>::Use& use, Real penalty) {
  return std::abs(use.factor) * use.cost / (use.slack * penalty);
}

/// The hinges in use. What the others contribute goes to the neighbours in use, so that f changes
/// only between these, and by a straight line.
template <class Real>
std::vector<TrendKink<Real>> kinks_in_use(const KnotProblem<Real>& problem,
                                          const TrendInteriorPoint<Real>& point) {
  std::vector<TrendKink<Real>> kinks;
  std::vector<TrendKink<Real>> spare;  // since the last kink in use
  const auto give = [](TrendKink<Real>& kink, Real slope) {
    (kink.right != 0 ? kink.right : kink.left) += slope;
  };
  const Real penalty = point.penalty();
  const Index K = problem.knots.size();
  for (Index k = 0; k < K; ++k) {
    TrendKink<Real> kink{problem.knots[k], 0, 0};
    TrendKink<Real> rest{problem.knots[k], 0, 0};
    const auto sort = [&](const typename TrendInteriorPoint<Real>::Use& use, Real& used,
                          Real& unused) {
      (evidence(use, penalty) > 1 ? used : unused) = use.factor;
    };
    sort(point.use(k), kink.right, rest.right);
    sort(point.use(K + k), kink.left, rest.left);
    spare.push_back(rest);
    if (kink.right == 0 && kink.left == 0) continue;
    for (const TrendKink<Real>& unused : spare) {
      const Real share =
          kinks.empty() ? 1 : (unused.at - kinks.back().at) / (kink.at - kinks.back().at);
      give(kink, share * unused.slope());
      if (!kinks.empty()) give(kinks.back(), (1 - share) * unused.slope());
    }
    spare.clear();
    kinks.push_back(kink);
  }
  if (!kinks.empty()) {
    for (const TrendKink<Real>& unused : spare) give(kinks.back(), unused.slope());
  }
  return kinks;
}

/// Joins kinks of one sign in one gap between samples: on the samples they act like their sum,
/// which costs no more than they do. `at_samples`: also kinks at the samples that bound the gap.
/// Returns where kinks were joined.
template <class Real>
std::vector<Real> join_kinks(const TrendSamples<Real>& samples, bool at_samples,
                             std::vector<TrendKink<Real>>& kinks) {
  std::vector<Real> places;
  const Real* const begin = samples.x.data();
  const Real* const end = begin + samples.size();
  std::size_t groups = 0;
  for (std::size_t k = 0; k < kinks.size();) {
    TrendKink<Real> group = kinks[k];
    const Real* const next = std::upper_bound(begin, end, group.at);
    const bool alone = group.opposed() || (!at_samples && *(next - 1) == group.at);
    Real moment = group.at * group.slope();
    const std::size_t first = k++;
    for (; !alone && k < kinks.size(); ++k) {
      const TrendKink<Real>& kink = kinks[k];
      if (at_samples ? kink.at > *next : kink.at >= *next) break;
      const bool shared =
          (kink.right != 0 && group.right != 0) || (kink.left != 0 && group.left != 0);
      if (!shared || kink.opposed() || !(kink.slope() * group.slope() > 0)) break;
      group.right += kink.right;
      group.left += kink.left;
      moment += kink.at * kink.slope();
    }
    if (k > first + 1) {
      group.at = moment / group.slope();
      places.push_back(group.at);
    }
    kinks[groups++] = group;
  }
  kinks.resize(groups);
  return places;
}

/// Where a kink's right and left hinge have the same sign, slope can be moved from one to the other
/// at the same cost. Moved at three kinks at a time, so that the lines x - kink that this adds
/// cancel, until at most two kinks have both hinges.
template <class Real>
void part_sides(std::vector<TrendKink<Real>>& kinks) {
  std::vector<TrendKink<Real>*> both;
  for (TrendKink<Real>& kink : kinks) {
    if (!(kink.right * kink.left > 0)) continue;
    both.push_back(&kink);
    if (both.size() < 3) continue;
    const Real rate[3] = {both[2]->at - both[1]->at, both[0]->at - both[2]->at,
                          both[1]->at - both[0]->at};  // from right to left
    const auto source = [&](std::size_t i) -> Real& {
      return rate[i] * both[i]->right > 0 ? both[i]->right : both[i]->left;
    };
    const auto reach = [&](std::size_t i) { return std::abs(source(i) / rate[i]); };
    std::size_t emptied = 0;
    for (std::size_t i = 1; i < 3; ++i) {
      if (reach(i) < reach(emptied)) emptied = i;
    }
    const Real step = reach(emptied);
    Real& gone = source(emptied);
    for (std::size_t i = 0; i < 3; ++i) {
      both[i]->left += step * rate[i];
      both[i]->right -= step * rate[i];
    }
    gone = 0;
    both.erase(both.begin() + static_cast<std::ptrdiff_t>(emptied));
  }
}

/// The network of an interior point, with as few neurons as represent it; without `join_at_samples`
/// kinks at samples stay where they are.
template <class Real>
TrendRecovery<Real> recover(const TrendSamples<Real>& samples, const KnotProblem<Real>& problem,
                            const TrendInteriorPoint<Real>& point, bool join_at_samples) {
  TrendRecovery<Real> result;
  const Real penalty = point.penalty();
  std::vector<TrendKink<Real>> kinks = kinks_in_use(problem, point);
  result.knots = join_kinks(samples, join_at_samples, kinks);
  part_sides(kinks);
  auto& neurons = result.network.neurons;
  const auto add = [&](Real at, Real slope, Real direction) {
    const Real a = direction * std::abs(slope);
    if (a != 0) neurons.push_back({a, -a * at, slope > 0 ? 1.0 : -1.0});
  };
  for (const TrendKink<Real>& kink : kinks) {
    add(kink.at, kink.right, 1);
    add(kink.at, kink.left, -1);
  }
  // Neurons that are active on all samples add up to one of each sign.
  for (const Real sign : {1.0, -1.0}) {
    typename TrendNetwork<Real>::Neuron sum{0, 0, sign};
    int joined = 0;
    for (Index j = 0; j < static_cast<Index>(problem.affine.size()); ++j) {
      const auto use = point.use(2 * problem.knots.size() + j);
      if (!(use.factor * sign > 0 && evidence(use, penalty) > 1)) continue;
      sum.a += std::abs(use.factor) * problem.affine.data()[j].a;
      sum.b += std::abs(use.factor) * problem.affine.data()[j].b;
      ++joined;
    }
    if (joined == 0) continue;
    neurons.push_back(sum);
    const Real norm = std::hypot(sum.a, sum.b);
    if (joined > 1) result.affine.push_back({sum.a / norm, sum.b / norm});
  }
  return result;
}

/// Makes up for the straight line that the network lacks to the values `first` and `last` at the
/// outermost samples; with a bias, for its slope. At a kink t, (x - t)_+ and -(t - x)_+ make the
/// line x - t, and cost nothing where they take from one hinge what they give to the other: two
/// kinks are enough.
template <class Real>
void add_line(TrendNetwork<Real>& network, const TrendSamples<Real>& samples, Real first, Real last,
              bool output_bias) {
  const Real begin = samples.x[0];
  const Real end = samples.x[samples.size() - 1];
  std::vector<Index> hinges;
  const auto size = static_cast<Index>(network.neurons.size());
  for (Index k = 0; k < size; ++k) {
    const Real kink = network.neurons.data()[k].kink();
    if (kink > begin && kink < end) hinges.push_back(k);
  }
  const auto kink = [&](Index k) { return network.neurons.data()[k].kink(); };
  std::sort(hinges.begin(), hinges.end(), [&](Index k, Index l) { return kink(k) < kink(l); });
  if (hinges.empty()) return;
  const Index one = hinges.front();
  const Index two = hinges.back();
  const Vector<Real> values = evaluate(network.neurons, Vector<Real>{{begin, end}});
  const Real slope = ((last - values[1]) - (first - values[0])) / (end - begin);
  const auto add = [&](Index k, Real line) {
    typename TrendNetwork<Real>::Neuron& neuron = network.neurons.data()[k];
    const Real t = neuron.kink();
    const Real direction = neuron.side() == HingeSide::Right ? 1 : -1;
    const Real a = std::abs(neuron.a) + direction * neuron.sign * line;
    if (!(a > 0)) return;
    neuron.a = direction * a;
    neuron.b = -neuron.a * t;
    const Real partner = -direction * line;  // slope of the hinge on the other side
    const Real b = -direction * std::abs(partner);
    network.neurons.push_back({b, -b * t, partner > 0 ? 1.0 : -1.0});
  };
  if (output_bias) {
    add(one, slope);
  } else if (kink(two) > kink(one)) {
    // slope_one (x - t_one) + slope_two (x - t_two)
    const Real at_one = (first - values[0]) + slope * (kink(one) - begin);
    const Real for_two = -at_one / (kink(two) - kink(one));
    add(one, slope - for_two);
    add(two, for_two);
  }
}

/// The kinks of a network, those that seem to be one kink of the optimum joined at their centre:
/// between them z, the dual constraint, stays within the part `margin` of its bound lambda.
template <class Real>
std::vector<Real> joined_kinks(const TrendSamples<Real>& samples, const TrendNetwork<Real>& network,
                               const DualFunction<Real>& z, Real lambda, Real margin) {
  const Real first = samples.x[0];
  const Real last = samples.x[samples.size() - 1];
  std::vector<Real> kinks;
  for (const HingeSide side : {HingeSide::Right, HingeSide::Left}) {
    for (const Real sign : {1.0, -1.0}) {
      std::vector<typename TrendNetwork<Real>::Neuron> hinges;
      for (const auto& neuron : network.neurons) {
        if (neuron.side() != side || neuron.sign != sign) continue;
        if (neuron.kink() > first && neuron.kink() < last) hinges.push_back(neuron);
      }
      std::sort(hinges.begin(), hinges.end(),
                [](const auto& k, const auto& l) { return k.kink() < l.kink(); });
      for (std::size_t k = 0; k < hinges.size();) {
        Real a = hinges[k].a;
        Real moment = a * hinges[k].kink();
        std::size_t next = k + 1;
        for (; next < hinges.size(); ++next) {
          const Real lowest =
              z.smallest_between(side, sign, hinges[next - 1].kink(), hinges[next].kink());
          if (!(lowest >= lambda * (1 - margin))) break;
          a += hinges[next].a;
          moment += hinges[next].a * hinges[next].kink();
        }
        kinks.push_back(moment / a);
        k = next;
      }
    }
  }
  return kinks;
}

/// Solves the problem over all neurons by a growing set of knots.
///
/// Every round solves the KnotProblem of the present set, then adds a knot wherever a dual
/// constraint is violated most: at every local maximum over all kinks, between samples too. That is
/// an exchange as in Remez' algorithm, and like it needs few rounds. For measures see Bredies &
/// Pikkarainen, "Inverse problems in spaces of measures" (ESAIM: COCV 19, 2013). Knots are never
/// dropped on the way, so that both bounds only get better; in the end the network is thinned out
/// and polished, until its own residuals prove that it is optimal.
template <class Real>
class TrendWorkingSet {
 public:
  /// \param samples  kept by reference; at least two
  TrendWorkingSet(const TrendSamples<Real>& samples, Real lambda, bool output_bias, Real tolerance,
                  bool fewest_neurons)
      : m_samples(samples),
        m_lambda(lambda),
        m_output_bias(output_bias),
        m_tolerance(tolerance),
        m_fewest_neurons(fewest_neurons),
        m_start(output_bias ? samples.mean(samples.y) : 0),
        m_affine(affine_start(samples)) {
    assess(m_network, samples, lambda, output_bias);
    m_best = m_network;
    m_best_gap = residual_bound(samples, m_network, lambda, output_bias).gap;
  }

  /// Works until the relative gap over all neurons is at most the tolerance, with the lower bound
  /// that the residuals of the network prove: less is not worth much to those who have only the
  /// network. `proceed(gap)` is called before every step of the interior point method and of
  /// polishing; false interrupts.
  template <class Proceed>
  TrendOutcome run(const Proceed& proceed) {
    constexpr int kPatience = 3;  // rounds without progress
    std::vector<Real> knots = first_knots();
    add_violations(raise_dual(start_force()), knots);
    int idle = 0;
    while (true) {
      const Real gap = m_network.primal - m_dual;
      const Real bound = m_dual - m_samples.scatter;
      Round round = solve(knots, proceed);
      if (round.network.primal < m_network.primal) m_network = std::move(round.network);
      consider(m_network, residual_bound(m_samples, m_network, m_lambda, m_output_bias));
      const Real best_gap = m_polished_gap;
      if (relative_gap() <= m_tolerance && round.outcome != TrendOutcome::Interrupted) {
        finish(round.z, proceed);
        if (m_interrupted) return TrendOutcome::Interrupted;
        if (m_best_gap <= m_tolerance) return TrendOutcome::Converged;
        if (!polishable(m_network)) return TrendOutcome::Stalled;
        m_depth *= 1e-2;
      }
      if (round.outcome == TrendOutcome::Interrupted) return round.outcome;
      // Rounding noise makes small progress for very long.
      const bool progress = m_network.primal - m_dual < 0.5 * gap ||
                            m_dual - m_samples.scatter > 1.1 * bound ||
                            m_polished_gap < 0.5 * best_gap;
      idle = progress ? 0 : idle + 1;
      if (idle > kPatience) return TrendOutcome::Stalled;
      knots.insert(knots.end(), round.knots.begin(), round.knots.end());
      add_violations(round.z, knots);
    }
  }

  /// The best network by its own residuals, if they prove something, or else by its objective.
  const TrendNetwork<Real>& network() const noexcept {
    constexpr Real kTelling = 1e-3;
    return m_best_gap <= std::max(m_tolerance, kTelling) ? m_best
           : m_thin.neurons.empty()                      ? m_network
                                                         : m_thin;
  }
  /// The best lower bound and the dual point that proves it, one value a (merged) sample.
  Real dual() const noexcept { return m_dual; }
  const Vector<Real>& dual_point() const noexcept { return m_dual_point; }

  Real relative_gap() const { return relative_gap(m_network); }

 private:
  struct Round {
    TrendOutcome outcome;
    TrendNetwork<Real> network;
    std::vector<Real> knots;
    DualFunction<Real> z;
  };

  Real relative_gap(const TrendNetwork<Real>& network) const {
    return network.primal > 0 ? (network.primal - m_dual) / network.primal : 0;
  }

  /// Whether to go on; once interrupted, never again.
  template <class Proceed>
  bool ask(const Proceed& proceed, Real gap) {
    m_interrupted = m_interrupted || !proceed(gap);
    return !m_interrupted;
  }

  /// All samples, or a subset where they are many.
  std::vector<Real> first_knots() const {
    constexpr Index kKnots = 1024;
    const Index m = m_samples.size();
    const Index stride = (m + kKnots - 1) / kKnots;
    std::vector<Real> knots;
    for (Index i = stride; i + 1 < m; i += stride) knots.push_back(m_samples.x[i]);
    return knots;
  }

  /// One round, with the given knots in any order.
  template <class Proceed>
  Round solve(std::vector<Real> knots, const Proceed& proceed) {
    constexpr Real kDeepest = 1e-13;
    std::sort(knots.begin(), knots.end());
    knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
    const KnotProblem<Real> problem =
        restrict_to_knots(m_samples, knots, m_affine, m_lambda, m_output_bias);
    TrendInteriorPoint<Real> point(problem, m_start);
    const auto go_on = [&] { return ask(proceed, relative_gap()); };
    Real tolerance = std::max(0.1 * m_depth * m_tolerance, kDeepest);
    TrendOutcome outcome = point.run(tolerance, go_on);
    TrendRecovery<Real> found = recover_network(problem, point);
    // Where the fit nearly interpolates, the loss is sensitive to the little that recovery leaves
    // out. Closer to the optimum there is less of it.
    for (int trial = 0; trial < 2 && outcome == TrendOutcome::Converged; ++trial) {
      if (good(found.network, point)) break;
      raise_dual(residual_force(problem, point));  // deeper, rounding may spoil it
      tolerance *= 1e-3;
      outcome = point.run(tolerance, go_on);
      TrendRecovery<Real> deeper = recover_network(problem, point);
      if (deeper.network.primal < found.network.primal) found = std::move(deeper);
    }
    m_affine.insert(m_affine.end(), found.affine.begin(), found.affine.end());
    return {outcome, std::move(found.network), std::move(found.knots),
            raise_dual(residual_force(problem, point))};
  }

  /// Whether the network is about as good as the point that it was made from.
  bool good(const TrendNetwork<Real>& network, const TrendInteriorPoint<Real>& point) const {
    return network.primal <= point.objective() * (1 + 0.1 * m_tolerance);
  }

  /// The network of a point, with its objective; with a line added where that helps.
  TrendRecovery<Real> recover_network(const KnotProblem<Real>& problem,
                                      const TrendInteriorPoint<Real>& point) const {
    TrendRecovery<Real> found = recover(m_samples, problem, point, m_fewest_neurons);
    assess(found.network, m_samples, m_lambda, m_output_bias);
    if (good(found.network, point)) return found;
    TrendNetwork<Real> corrected = found.network;
    const Index K = problem.knots.size();
    const auto& last = problem.segments.back();
    add_line(corrected, m_samples, point.value(0, 0), point.value(K, last.before + last.after),
             m_output_bias);
    assess(corrected, m_samples, m_lambda, m_output_bias);
    if (corrected.primal < found.network.primal) found.network = std::move(corrected);
    return found;
  }

  /// N of the network without neurons.
  Vector<Real> start_force() const {
    return m_samples.w.cwiseProduct((m_samples.y.array() - m_start).matrix());
  }

  /// N = w (y - f) at all samples.
  Vector<Real> residual_force(const KnotProblem<Real>& problem,
                              const TrendInteriorPoint<Real>& point) const {
    Vector<Real> N(m_samples.size());
    for (Index i = 0, k = 0; i < m_samples.size(); ++i) {
      while (k < problem.knots.size() && m_samples.x[i] >= problem.knots[k]) ++k;
      const Real left = k > 0 ? problem.knots[k - 1] : m_samples.x[0];
      N[i] = m_samples.w[i] * (m_samples.y[i] - point.value(k, m_samples.x[i] - left));
    }
    return N;
  }

  /// Scales N to where the dual objective is largest under all constraints and keeps it if it is
  /// the best.
  DualFunction<Real> raise_dual(Vector<Real> N) {
    TrendBound<Real> bound = bound_by(m_samples, std::move(N), m_lambda, m_output_bias);
    raise_dual(bound);
    return std::move(bound.z);
  }

  void raise_dual(const TrendBound<Real>& bound) {
    if (!(bound.value > m_dual)) return;
    m_dual = bound.value;
    m_dual_point = bound.scale * bound.N;
  }

  /// Keeps a network if it is the best by its own residuals.
  void consider(const TrendNetwork<Real>& network, const TrendBound<Real>& bound) {
    raise_dual(bound);
    if (!(bound.gap < m_best_gap)) return;
    m_best = network;
    m_best_gap = bound.gap;
  }

  /// Adds the neurons whose constraint z violates.
  void add_violations(const DualFunction<Real>& z, std::vector<Real>& knots) {
    const Real limit = m_lambda * (1 + std::max(0.1 * m_depth * m_tolerance, 1e-14));
    const auto add = [&](const HingePeak<Real>& peak) { knots.push_back(peak.kink); };
    z.for_each_peak(HingeSide::Right, limit, add);
    z.for_each_peak(HingeSide::Left, limit, add);
    const auto peak = z.affine_peak();
    if (peak.value > limit) m_affine.push_back({peak.a, peak.b});
  }

  /// Polishes the best network by its objective, thinned out if few neurons are wanted.
  template <class Proceed>
  void finish(const DualFunction<Real>& z, const Proceed& proceed) {
    if (!m_fewest_neurons) {
      polish(m_network, 0.3 * m_tolerance, proceed);
    } else {
      TrendNetwork<Real> thin = thin_out(z, proceed);
      // Whatever was best before has more neurons.
      if (!m_thin_tried) m_best_gap = std::numeric_limits<Real>::infinity();
      m_thin_tried = true;
      consider(thin, residual_bound(m_samples, thin, m_lambda, m_output_bias));
      polish(thin, 0, proceed);
      const bool fewer = thin.neurons.size() < m_thin.neurons.size();
      if (m_thin.neurons.empty() || fewer) m_thin = std::move(thin);
    }
    if (!(m_best_gap <= m_tolerance)) polish(m_network, 0, proceed);
  }

  static bool polishable(const TrendNetwork<Real>& network) {
    constexpr std::size_t kMost = 820;  // beyond, dense linear algebra takes too long
    return network.neurons.size() <= kMost;
  }

  template <class Proceed>
  void polish(const TrendNetwork<Real>& network, Real slack, const Proceed& proceed) {
    if (!polishable(network) || m_interrupted) return;
    constexpr std::size_t kFew = 150;
    constexpr Real kExact = 4e-12;  // more than the bounds are rounded
    const Real target =
        network.neurons.size() <= kFew ? std::min(m_tolerance, kExact) : m_tolerance;
    const auto [polished, bound] =
        polish_network<Real>(m_samples, m_lambda, m_output_bias, slack, network, m_tolerance,
                             target, m_work, [&](Real gap) { return ask(proceed, gap); });
    consider(polished, bound);
    m_polished_gap = std::min(m_polished_gap, bound.gap);
  }

  /// The best network, or one with fewer neurons within the tolerance.
  template <class Proceed>
  TrendNetwork<Real> thin_out(DualFunction<Real> z, const Proceed& proceed) {
    constexpr int kTrials = 3;
    TrendNetwork<Real> network = m_network;
    for (int trial = 0; trial < kTrials; ++trial) {
      Round round = solve(joined_kinks(m_samples, network, z, m_lambda, 10 * m_tolerance), proceed);
      if (m_interrupted || !(relative_gap(round.network) <= m_tolerance)) break;
      if (round.network.neurons.size() >= network.neurons.size()) break;
      network = std::move(round.network);
      z = std::move(round.z);
    }
    return network;
  }

  const TrendSamples<Real>& m_samples;
  Real m_lambda;
  bool m_output_bias;
  Real m_tolerance;
  bool m_fewest_neurons;
  Real m_start;
  std::vector<typename KnotProblem<Real>::Affine> m_affine;
  TrendNetwork<Real> m_network;  // the best by its objective
  TrendNetwork<Real> m_thin;     // with few neurons within the tolerance; empty if there is none
  TrendNetwork<Real> m_best;     // by its own residuals
  Real m_best_gap = 1;
  bool m_thin_tried = false;
  bool m_interrupted = false;
  Real m_polished_gap = std::numeric_limits<Real>::infinity();
  Real m_depth = 1;    // part of the tolerance that rounds work to
  Real m_work = 2e10;  // left for polishing
  Real m_dual = -std::numeric_limits<Real>::infinity();
  Vector<Real> m_dual_point;
};

}  // namespace mgdl::detail
