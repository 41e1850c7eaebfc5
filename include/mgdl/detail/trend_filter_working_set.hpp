#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_interior_point.hpp"
#include "mgdl/detail/trend_filter_knots.hpp"
#include "mgdl/detail/trend_filter_network.hpp"
#include "mgdl/detail/trend_filter_polish.hpp"
#include "mgdl/detail/trend_filter_recovery.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// Solves the problem over all neurons by a growing set of knots.
///
/// Every round solves the KnotProblem of the present set, then adds a knot wherever a dual
/// constraint is violated most: at every local maximum over all kinks, between samples too. That is
/// an exchange as in Remez' algorithm, and like it needs few rounds. For measures see Bredies &
/// Pikkarainen, "Inverse problems in spaces of measures" (ESAIM: COCV 19, 2013). Knots are never
/// dropped on the way, so that both bounds only get better; in the end the network is thinned out
/// and polished, until its own residuals prove that it is optimal.
class TrendWorkingSet {
 public:
  /// \param samples  kept by reference; at least two
  TrendWorkingSet(const TrendSamples& samples, double lambda, bool output_bias, double tolerance,
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
    std::vector<double> knots = first_knots();
    add_violations(raise_dual(start_force()), knots);
    int idle = 0;
    while (true) {
      const double gap = m_network.primal - m_dual;
      const double bound = m_dual - m_samples.scatter;
      Round round = solve(knots, proceed);
      if (round.network.primal < m_network.primal) m_network = std::move(round.network);
      consider(m_network, residual_bound(m_samples, m_network, m_lambda, m_output_bias));
      const double best_gap = m_polished_gap;
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
  const TrendNetwork& network() const noexcept {
    constexpr double kTelling = 1e-3;
    return m_best_gap <= std::max(m_tolerance, kTelling) ? m_best
           : m_thin.neurons.empty()                      ? m_network
                                                         : m_thin;
  }
  /// The best lower bound and the dual point that proves it, one value a (merged) sample.
  double dual() const noexcept { return m_dual; }
  const Vector<double>& dual_point() const noexcept { return m_dual_point; }

  double relative_gap() const { return relative_gap(m_network); }

 private:
  struct Round {
    TrendOutcome outcome;
    TrendNetwork network;
    std::vector<double> knots;
    DualFunction z;
  };

  double relative_gap(const TrendNetwork& network) const {
    return network.primal > 0 ? (network.primal - m_dual) / network.primal : 0;
  }

  /// Whether to go on; once interrupted, never again.
  template <class Proceed>
  bool ask(const Proceed& proceed, double gap) {
    m_interrupted = m_interrupted || !proceed(gap);
    return !m_interrupted;
  }

  /// All samples, or a subset where they are many.
  std::vector<double> first_knots() const {
    constexpr Index kKnots = 1024;
    const Index m = m_samples.size();
    const Index stride = (m + kKnots - 1) / kKnots;
    std::vector<double> knots;
    for (Index i = stride; i + 1 < m; i += stride) knots.push_back(m_samples.x[i]);
    return knots;
  }

  /// One round, with the given knots in any order.
  template <class Proceed>
  Round solve(std::vector<double> knots, const Proceed& proceed) {
    constexpr double kDeepest = 1e-13;
    std::sort(knots.begin(), knots.end());
    knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
    const KnotProblem problem =
        restrict_to_knots(m_samples, knots, m_affine, m_lambda, m_output_bias);
    TrendInteriorPoint point(problem, m_start);
    const auto go_on = [&] { return ask(proceed, relative_gap()); };
    double tolerance = std::max(0.1 * m_depth * m_tolerance, kDeepest);
    TrendOutcome outcome = point.run(tolerance, go_on);
    TrendRecovery found = recover_network(problem, point);
    // Where the fit nearly interpolates, the loss is sensitive to the little that recovery leaves
    // out. Closer to the optimum there is less of it.
    for (int trial = 0; trial < 2 && outcome == TrendOutcome::Converged; ++trial) {
      if (good(found.network, point)) break;
      raise_dual(residual_force(problem, point));  // deeper, rounding may spoil it
      tolerance *= 1e-3;
      outcome = point.run(tolerance, go_on);
      TrendRecovery deeper = recover_network(problem, point);
      if (deeper.network.primal < found.network.primal) found = std::move(deeper);
    }
    m_affine.insert(m_affine.end(), found.affine.begin(), found.affine.end());
    return {outcome, std::move(found.network), std::move(found.knots),
            raise_dual(residual_force(problem, point))};
  }

  /// Whether the network is about as good as the point that it was made from.
  bool good(const TrendNetwork& network, const TrendInteriorPoint& point) const {
    return network.primal <= point.objective() * (1 + 0.1 * m_tolerance);
  }

  /// The network of a point, with its objective; with a line added where that helps.
  TrendRecovery recover_network(const KnotProblem& problem, const TrendInteriorPoint& point) const {
    TrendRecovery found = recover(m_samples, problem, point, m_fewest_neurons);
    assess(found.network, m_samples, m_lambda, m_output_bias);
    if (good(found.network, point)) return found;
    TrendNetwork corrected = found.network;
    const Index K = problem.knots.size();
    const auto& last = problem.segments.back();
    add_line(corrected, m_samples, point.value(0, 0), point.value(K, last.before + last.after),
             m_output_bias);
    assess(corrected, m_samples, m_lambda, m_output_bias);
    if (corrected.primal < found.network.primal) found.network = std::move(corrected);
    return found;
  }

  /// N of the network without neurons.
  Vector<double> start_force() const {
    return m_samples.w.cwiseProduct((m_samples.y.array() - m_start).matrix());
  }

  /// N = w (y - f) at all samples.
  Vector<double> residual_force(const KnotProblem& problem, const TrendInteriorPoint& point) const {
    Vector<double> N(m_samples.size());
    for (Index i = 0, k = 0; i < m_samples.size(); ++i) {
      while (k < problem.knots.size() && m_samples.x[i] >= problem.knots[k]) ++k;
      const double left = k > 0 ? problem.knots[k - 1] : m_samples.x[0];
      N[i] = m_samples.w[i] * (m_samples.y[i] - point.value(k, m_samples.x[i] - left));
    }
    return N;
  }

  /// Scales N to where the dual objective is largest under all constraints and keeps it if it is
  /// the best.
  DualFunction raise_dual(Vector<double> N) {
    TrendBound bound = bound_by(m_samples, std::move(N), m_lambda, m_output_bias);
    raise_dual(bound);
    return std::move(bound.z);
  }

  void raise_dual(const TrendBound& bound) {
    if (!(bound.value > m_dual)) return;
    m_dual = bound.value;
    m_dual_point = bound.scale * bound.N;
  }

  /// Keeps a network if it is the best by its own residuals.
  void consider(const TrendNetwork& network, const TrendBound& bound) {
    raise_dual(bound);
    if (!(bound.gap < m_best_gap)) return;
    m_best = network;
    m_best_gap = bound.gap;
  }

  /// Adds the neurons whose constraint z violates.
  void add_violations(const DualFunction& z, std::vector<double>& knots) {
    const double limit = m_lambda * (1 + std::max(0.1 * m_depth * m_tolerance, 1e-14));
    const auto add = [&](const HingePeak& peak) { knots.push_back(peak.kink); };
    z.for_each_peak(HingeSide::Right, limit, add);
    z.for_each_peak(HingeSide::Left, limit, add);
    const auto peak = z.affine_peak();
    if (peak.value > limit) m_affine.push_back({peak.a, peak.b});
  }

  /// Polishes the best network by its objective, thinned out if few neurons are wanted.
  template <class Proceed>
  void finish(const DualFunction& z, const Proceed& proceed) {
    if (!m_fewest_neurons) {
      polish(m_network, 0.3 * m_tolerance, proceed);
    } else {
      TrendNetwork thin = thin_out(z, proceed);
      // Whatever was best before has more neurons.
      if (!m_thin_tried) m_best_gap = std::numeric_limits<double>::infinity();
      m_thin_tried = true;
      consider(thin, residual_bound(m_samples, thin, m_lambda, m_output_bias));
      polish(thin, 0, proceed);
      const bool fewer = thin.neurons.size() < m_thin.neurons.size();
      if (m_thin.neurons.empty() || fewer) m_thin = std::move(thin);
    }
    if (!(m_best_gap <= m_tolerance)) polish(m_network, 0, proceed);
  }

  static bool polishable(const TrendNetwork& network) {
    constexpr std::size_t kMost = 820;  // beyond, dense linear algebra takes too long
    return network.neurons.size() <= kMost;
  }

  template <class Proceed>
  void polish(const TrendNetwork& network, double slack, const Proceed& proceed) {
    if (!polishable(network) || m_interrupted) return;
    constexpr std::size_t kFew = 150;
    constexpr double kExact = 4e-12;  // more than the bounds are rounded
    const double target =
        network.neurons.size() <= kFew ? std::min(m_tolerance, kExact) : m_tolerance;
    TrendPolish method(m_samples, m_lambda, m_output_bias, slack, network);
    method.run(m_tolerance, target, m_work, [&] { return ask(proceed, method.bound().gap); });
    consider(method.network(), method.bound());
    m_polished_gap = std::min(m_polished_gap, method.bound().gap);
  }

  /// The best network, or one with fewer neurons within the tolerance.
  template <class Proceed>
  TrendNetwork thin_out(DualFunction z, const Proceed& proceed) {
    constexpr int kTrials = 3;
    TrendNetwork network = m_network;
    for (int trial = 0; trial < kTrials; ++trial) {
      Round round = solve(joined_kinks(m_samples, network, z, m_lambda, 10 * m_tolerance), proceed);
      if (m_interrupted || !(relative_gap(round.network) <= m_tolerance)) break;
      if (round.network.neurons.size() >= network.neurons.size()) break;
      network = std::move(round.network);
      z = std::move(round.z);
    }
    return network;
  }

  const TrendSamples& m_samples;
  double m_lambda;
  bool m_output_bias;
  double m_tolerance;
  bool m_fewest_neurons;
  double m_start;
  std::vector<KnotProblem::Affine> m_affine;
  TrendNetwork m_network;  // the best by its objective
  TrendNetwork m_thin;     // with few neurons within the tolerance; empty if there is none
  TrendNetwork m_best;     // by its own residuals
  double m_best_gap = 1;
  bool m_thin_tried = false;
  bool m_interrupted = false;
  double m_polished_gap = std::numeric_limits<double>::infinity();
  double m_depth = 1;    // part of the tolerance that rounds work to
  double m_work = 2e10;  // left for polishing
  double m_dual = -std::numeric_limits<double>::infinity();
  Vector<double> m_dual_point;
};

}  // namespace mgdl::detail
