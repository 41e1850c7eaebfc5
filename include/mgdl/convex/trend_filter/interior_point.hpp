#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Least squares for functions d that are straight between knots,
///
///     min_d  sum_i [1/2 w_i d(x_i)^2 - N_i d(x_i)] + sum_k [c_k^2 / (2 E_k) - eta_k c_k]
///            + g_1 [d(x_first) + d(x_last)] / 2 + g_2 [d(x_last) - d(x_first)],
///
/// with c_k the change of slope at knot k and E_k > 0, in O(K) and without conditioning trouble.
///
/// Normal equations in the values at the knots or in the multipliers of c have condition numbers
/// that grow with the fourth power of the number of knots and with inverse powers of their
/// distances. This is dynamic programming instead (an information filter): the cost of all that is
/// to the left of a point, as a function of d and its slope s there, is
///
///     1/2 p (s - gamma d)^2 + 1/2 q d^2 - u (s - gamma d) - v d,
///
/// and every step makes new p, q, gamma >= 0 from old ones by sums, products and quotients of
/// values that are not negative: they are accurate to a few units in the last place whatever the
/// distances, the weights and the E_k are. Three right-hand sides (N and eta; g_1; g_2) run side by
/// side.
template <class Real>
class KnotSmoother {
 public:
  /// One lane a right-hand side: that of N and eta, the parts of g_1 and of g_2, and padding.
  using Columns = Eigen::Array4<Real>;

  /// \param problem  kept by reference
  explicit KnotSmoother(const KnotProblem<Real>& problem)
      : m_problem(problem), m_steps(problem.segments.size()), m_gaps(4, problem.knots.size()) {}

  /// Prepares solutions for the given E (K values).
  void factor(const Vector<Real>& E) {
    State state;
    const Index K = E.size();
    for (Index k = 0; k <= K; ++k) {
      const typename KnotProblem<Real>::Segment& segment = m_problem.segments.data()[k];
      Step& step = m_steps.data()[k];
      step.through.setIdentity();
      state.advance(segment.before, step.through);
      state.observe(segment, step.through);
      step.from_centre << 0, 1, 1, state.gamma;
      Eigen::Matrix2<Real> after = Eigen::Matrix2<Real>::Identity();
      state.advance(segment.after, after);
      step.through = after * step.through;
      step.from_centre = after * step.from_centre;
      step.p = state.p;
      step.gamma = state.gamma;
      if (k == K) break;
      step.damping = 1 / (1 + E[k] * state.p);
      step.freedom = E[k] * step.damping;
      state.p *= step.damping;
    }
    m_last = state;
  }

  /// Runs the right-hand sides through the factors.
  ///
  /// \param forces  2 x (K + 1): for every segment sum_i N_i and sum_i N_i (x_i - centre)
  /// \param eta     4 x K: one lane for each right-hand side
  /// Returns their Gram matrix Q: with weights c = (1, g_1, g_2) the minimum is -1/2 c' Q c.
  Eigen::Matrix4<Real> forward(const Eigen::Matrix<Real, 2, Eigen::Dynamic>& forces,
                               const Eigen::Array<Real, 4, Eigen::Dynamic>& eta) {
    Eigen::Matrix4<Real> gram = Eigen::Matrix4<Real>::Zero();
    Columns u = Columns::Zero();
    Columns v(0, -0.5, 1, 0);
    const Index K = m_gaps.cols();
    for (Index k = 0; k <= K; ++k) {
      const Step& step = m_steps.data()[k];
      const Columns moved = step.through(0, 0) * u + step.through(0, 1) * v;
      v = step.through(1, 0) * u + step.through(1, 1) * v;
      u = moved;
      const Eigen::Vector2<Real> pushed = step.from_centre * forces.col(k);
      u[0] += pushed[0];
      v[0] += pushed[1];
      if (k == K) break;
      const Columns gap = u - eta.col(k);
      m_gaps.col(k) = gap;
      // Not eta + damping * gap: a small u would drown in eta where there is no freedom.
      u = step.damping * u + (step.freedom * step.p) * eta.col(k);
      gram.noalias() += (step.freedom * gap.matrix()) * gap.matrix().transpose();
    }
    v += Columns(0, -0.5, -1, 0);
    gram += u.matrix() * u.matrix().transpose() / m_last.p;
    gram += v.matrix() * v.matrix().transpose() / m_last.q;
    m_u = u;
    m_v = v;
    return gram;
  }

  /// The minimiser for the right-hand sides of the last forward(), weighted by (1, g_1, g_2).
  ///
  /// \param centre  K + 1, d at the centres of the segments
  /// \param slope   K + 1, slopes of the segments
  /// \param force   K, c_k / E_k
  void backward(const Columns& weights, Vector<Real>& centre, Vector<Real>& slope,
                Vector<Real>& force) const {
    Real d = (m_v * weights).sum() / m_last.q;
    Real s = (m_u * weights).sum() / m_last.p + m_last.gamma * d;
    for (Index k = m_gaps.cols(); k >= 0; --k) {
      const typename KnotProblem<Real>::Segment& segment = m_problem.segments.data()[k];
      slope[k] = s;
      centre[k] = d - segment.after * s;
      d -= (segment.after + segment.before) * s;
      if (k == 0) break;
      const Step& step = m_steps.data()[k - 1];
      const Real gap = (m_gaps.col(k - 1) * weights).sum();
      const Real drive = step.p * (s - step.gamma * d) - gap;
      force[k - 1] = step.damping * drive;
      s -= step.freedom * drive;
    }
  }

 private:
  struct State {
    Real p = 0;
    Real q = 0;
    Real gamma = 0;

    /// d -> d + h s. `linear` is the map that (u, v) have been through.
    void advance(Real h, Eigen::Matrix2<Real>& linear) {
      if (!(h > 0)) return;
      const Real stretch = 1 + gamma * h;
      const Real sum = p * stretch * stretch + q * h * h;
      Real s_part = 1;  // as long as nothing is known
      Real d_part = 0;
      if (sum > 0) {
        s_part = p * stretch / sum;
        d_part = q * h / sum;
        gamma = s_part * gamma + d_part;
        q *= p / sum;
        p = sum;
      }
      linear = Eigen::Matrix2<Real>{{stretch, -h}, {d_part, s_part}} * linear;
    }

    /// Adds 1/2 weight d^2 + 1/2 spread s^2.
    void observe(const typename KnotProblem<Real>::Segment& segment, Eigen::Matrix2<Real>& linear) {
      q += segment.weight;
      if (!(segment.spread > 0)) return;
      const Real total = p + segment.spread;
      const Real share = segment.spread / total;
      q += gamma * gamma * p * share;
      linear.row(1) -= gamma * share * linear.row(0);
      gamma *= p / total;
      p = total;
    }
  };

  struct Step {
    Eigen::Matrix2<Real> through;      // (u, v) behind the segment from those before it,
    Eigen::Matrix2<Real> from_centre;  // and from the forces at its centre
    Real p = 0;                        // at the right end of the segment, before the knot
    Real gamma = 0;
    Real damping = 0;  // 1 / (1 + E p)
    Real freedom = 0;  // E / (1 + E p)
  };

  const KnotProblem<Real>& m_problem;
  std::vector<Step> m_steps;
  Eigen::Array<Real, 4, Eigen::Dynamic> m_gaps;  // u - eta at the knots
  State m_last;                                  // at the last sample
  Columns m_u = Columns::Zero();
  Columns m_v = Columns::Zero();
};

/// How an iteration ended.
enum class TrendOutcome { Converged, Stalled, Interrupted };

/// Primal-dual interior point method for a KnotProblem,
///
///     min_{beta >= 0}  1/2 sum_i w_i (y_i - f(x_i))^2 + cost' beta,
///
/// where f is the sum of +beta_v h_v and -beta_v h_v over all neurons h, and a bias if the problem
/// has one: every neuron has a variable for each sign of its output. The slacks of the dual
/// constraints are s = cost - z, with z_v = +- sum_i w_i (y_i - f(x_i)) h_v(x_i). A Newton step
/// towards beta s = target is
///
///     d_beta = E (d_z + eta),   E = beta / s,   eta = target / beta - s,   d_s = -d_z.
///
/// The hinges at knot k share the multiplier zeta_k of "the change of slope of f is the sum of
/// theirs", and all neurons the multipliers g of "the mean of f at the first and the last sample,
/// and its difference, are the sums of theirs": d_z_v = zeta_k + g . ends_v, and KnotSmoother finds
/// f and zeta for given g.
///
/// Predictor and corrector are Mehrotra's (SIAM J. Optim. 2, 1992). Kim, Koh, Boyd & Gorinevsky
/// ("l1 trend filtering", SIAM Review 51, 2009) use such a method for a fixed knot at every sample.
template <class Real>
class TrendInteriorPoint {
 public:
  /// \param problem  kept by reference
  /// \param start    f to begin with: a bias if the problem has one, else 0
  TrendInteriorPoint(const KnotProblem<Real>& problem, Real start)
      : m_problem(problem), m_smoother(problem) {
    const Index K = knots();
    for (Pairs* pairs : {&m_beta, &m_slack, &m_beta_step, &m_slack_step, &m_E, &m_eta}) {
      pairs->setZero(2, problem.cost.size());
    }
    for (auto* v : {&m_flexibility, &m_drive}) v->setZero(problem.cost.size());
    for (auto* v : {&m_zeta, &m_stiffness}) v->setZero(K);
    m_centre.setConstant(K + 1, start);
    for (auto* v : {&m_slope, &m_centre_step, &m_slope_step}) v->setZero(K + 1);
    m_columns.setZero(4, K);
    m_forces.resize(2, K + 1);
    for (Index k = 0; k <= K; ++k) {
      const auto& segment = problem.segments.data()[k];
      m_forces.col(k) << segment.weight * (segment.value - start), segment.spread * segment.slope;
    }
    centre();
    m_forces.setZero();  // from here on s accounts for them
  }

  /// Iterates until the duality gap is at most `tolerance` relative to the objective, and so small
  /// that it shows which neurons are in use. `proceed()` is called before every step; false
  /// interrupts.
  template <class Proceed>
  TrendOutcome run(Real tolerance, const Proceed& proceed) {
    while (true) {
      const Real gap = (m_beta * m_slack).sum();
      const Real sharp = std::max(1e-9 * penalty(), 1e-16 * objective());
      if (gap <= std::min(tolerance * objective(), sharp)) return TrendOutcome::Converged;
      if (!proceed()) return TrendOutcome::Interrupted;
      if (!step(gap)) return TrendOutcome::Stalled;
    }
  }

  Index knots() const noexcept { return m_problem.knots.size(); }

  /// What a neuron contributes, and how far its dual constraint is from being active.
  struct Use {
    Real factor = 0;  ///< beta of the positive minus beta of the negative output
    Real slack = 0;   ///< s / cost for the sign it has
    Real cost = 0;
  };
  /// \param v  number of the neuron: right hinges, left hinges, affine ones
  Use use(Index v) const {
    const Real factor = m_beta(0, v) - m_beta(1, v);
    return {factor, m_slack(factor > 0 ? 0 : 1, v) / m_problem.cost[v], m_problem.cost[v]};
  }

  /// Sum of cost |factor|.
  Real penalty() const {
    return (m_problem.cost.array() * (m_beta.row(0) - m_beta.row(1)).abs().transpose()).sum();
  }
  Real objective() const { return loss() + penalty(); }

  /// f at a distance from the left knot of segment k.
  Real value(Index k, Real offset) const {
    return m_centre[k] + m_slope[k] * (offset - m_problem.segments.data()[k].before);
  }

 private:
  using Pairs = Eigen::Array<Real, 2, Eigen::Dynamic>;  // one column a neuron: output +, -

  static constexpr Real kBoundaryFraction = 0.995;

  Real loss() const {
    Real value = m_problem.rest;
    for (Index k = 0; k <= knots(); ++k) {
      const auto& segment = m_problem.segments.data()[k];
      const Real error = segment.value - m_centre[k];
      const Real turn = segment.slope - m_slope[k];
      value += 0.5 * (segment.weight * error * error + segment.spread * turn * turn);
    }
    return value;
  }

  /// A feasible point near the central path. With beta = target / cost, s = cost and N as forces a
  /// full Newton step leads to beta = target / cost (1 + u) and s = cost (1 - u), so to products
  /// target (1 - u^2), where u = z / cost is that of a ridge regression: the larger the target, the
  /// smaller it is.
  void centre() {
    constexpr Real kLargest = 0.5;
    constexpr int kTrials = 200;
    const Real excess = loss() - m_problem.rest;
    Real target = excess > 0 ? excess / static_cast<Real>(m_beta.size()) : 1;
    Real decline = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      m_slack.rowwise() = m_problem.cost.transpose().array();
      m_beta = target / m_slack;
      m_eta.setZero();
      factor();
      solve();
      decline = fastest_decline();
      if (decline <= kLargest) break;
      target *= std::clamp(decline / kLargest, 2.0, 10.0);
    }
    move(std::min(1.0, kBoundaryFraction / decline));
  }

  /// One predictor-corrector step; false if there was none to take.
  bool step(Real gap) {
    factor();
    m_eta = -m_slack;
    solve();
    const Real reach = std::min(1.0, 1 / fastest_decline());
    const Real predicted =
        ((m_beta + reach * m_beta_step) * (m_slack + reach * m_slack_step)).sum();
    const Real ratio = predicted / gap;
    const Real target = ratio * ratio * ratio * gap / static_cast<Real>(m_beta.size());
    // The second-order term of the part of the predictor that can be taken. With all of it, where
    // the predictor points far outside, iterates can cycle.
    m_eta = (target - reach * reach * m_beta_step * m_slack_step) / m_beta - m_slack;
    solve();
    const Real size = std::min(1.0, kBoundaryFraction / fastest_decline());
    if (!(size > 1e-10) || !std::isfinite(m_zeta.sum() + m_end.sum())) return false;
    move(size);
    return true;
  }

  void move(Real size) {
    m_beta += size * m_beta_step;
    m_slack += size * m_slack_step;
    m_centre += size * m_centre_step;
    m_slope += size * m_slope_step;
  }

  /// Largest relative decline of a variable in a full step: above 1, a full step is too long.
  Real fastest_decline() const {
    return std::max(
        {0.0, (-m_beta_step / m_beta).maxCoeff(), (-m_slack_step / m_slack).maxCoeff()});
  }

  /// Prepares Newton steps from the present point.
  void factor() {
    const Index K = knots();
    m_E = m_beta / m_slack;
    m_flexibility = m_E.colwise().sum();
    m_stiffness = m_flexibility.head(K) + m_flexibility.segment(K, K);
    // A neuron in use makes the coupling huge in its own direction. In a basis that is sheared
    // along it, the other direction does not drown in rounding errors.
    Real mean = 0;
    Real mixed = 0;
    for_each_coupling([&](Real E, Real, const Eigen::Vector2<Real>& ends) {
      mean += E * ends[0] * ends[0];
      mixed += E * ends[0] * ends[1];
    });
    m_shear = m_problem.output_bias ? 0 : mixed / mean;
    m_smoother.factor(m_stiffness);
  }

  /// Calls visit(E, eta, ends) for what couples the multipliers g: affine neurons, and at every
  /// knot what the hinges' slopes can do without changing their sum, which flexes by E_right E_left
  /// / E.
  template <class Visit>
  void for_each_coupling(const Visit& visit) const {
    const Index K = knots();
    for (Index k = 0; k < K; ++k) {
      visit(m_flexibility[k] * (m_flexibility[K + k] / m_stiffness[k]), m_drive[k] - m_drive[K + k],
            m_problem.ends.col(k) - m_problem.ends.col(K + k));
    }
    for (Index v = 2 * K; v < m_flexibility.size(); ++v) {
      visit(m_flexibility[v], m_drive[v], m_problem.ends.col(v));
    }
  }

  /// Newton step for the present eta.
  void solve() {
    const Index K = knots();
    m_drive = (m_E.row(0) * m_eta.row(0) - m_E.row(1) * m_eta.row(1)).transpose().matrix();
    m_drive.array() /= m_flexibility.array();
    for (Index k = 0; k < K; ++k) {
      const Real right = m_flexibility[k] / m_stiffness[k];
      const Real left = m_flexibility[K + k] / m_stiffness[k];
      m_columns.col(k) << right * m_drive[k] + left * m_drive[K + k],
          right * m_problem.ends.col(k) + left * m_problem.ends.col(K + k), 0;
    }
    const Eigen::Vector2<Real> g = couple(m_smoother.forward(m_forces, m_columns));
    m_smoother.backward({1, g[0], g[1], 0}, m_centre_step, m_slope_step, m_zeta);
    for (Index k = 0; k < K; ++k) {
      m_zeta[k] -= m_columns(0, k) + g[0] * m_columns(1, k) + g[1] * m_columns(2, k);
    }
    for (Index v = 0; v < m_problem.cost.size(); ++v) {
      const Real zeta = v < K ? m_zeta[v] : v < 2 * K ? m_zeta[v - K] : 0;
      const Real z = zeta + m_end.dot(sheared(m_problem.ends.col(v)));
      m_slack_step.col(v) << -z, z;
    }
    m_beta_step = m_E * (m_eta - m_slack_step);
  }

  /// g . ends is m_end . sheared(ends).
  Eigen::Vector2<Real> sheared(const Eigen::Vector2<Real>& ends) const {
    return {ends[0], ends[1] - m_shear * ends[0]};
  }

  /// The multipliers g, which maximise
  ///
  ///     -1/2 (1, g)' gram (1, g) - 1/2 sum E (eta + g . ends)^2   over the couplings.
  ///
  /// With a bias, the first is sum_i N_i, which stays zero.
  Eigen::Vector2<Real> couple(const Eigen::Matrix4<Real>& gram) {
    const Eigen::Matrix2<Real> shear{{1, -m_shear}, {0, 1}};
    Eigen::Matrix2<Real> S = shear.transpose() * gram.template block<2, 2>(1, 1) * shear;
    Eigen::Vector2<Real> pull = shear.transpose() * gram.template block<2, 1>(1, 0);
    for_each_coupling([&](Real E, Real eta, const Eigen::Vector2<Real>& ends) {
      const Eigen::Vector2<Real> e = sheared(ends);
      S += E * e * e.transpose();
      pull += E * eta * e;
    });
    if (m_problem.output_bias) {
      m_end = {0, -pull[1] / S(1, 1)};
    } else {
      const Real tilt = S(0, 1) / S(0, 0);
      m_end[1] = (tilt * pull[0] - pull[1]) / (S(1, 1) - tilt * S(0, 1));
      m_end[0] = -pull[0] / S(0, 0) - tilt * m_end[1];
    }
    return shear * m_end;
  }

  const KnotProblem<Real>& m_problem;
  KnotSmoother<Real> m_smoother;
  Pairs m_beta, m_slack, m_beta_step, m_slack_step;
  Vector<Real> m_centre, m_slope, m_centre_step, m_slope_step;  // f by segments

  Pairs m_E, m_eta;
  Vector<Real> m_flexibility;                       // E of neurons, both signs together
  Vector<Real> m_drive;                             // their eta
  Vector<Real> m_stiffness;                         // E of knots, both hinges together
  Eigen::Matrix<Real, 2, Eigen::Dynamic> m_forces;  // right-hand sides of the smoother
  Eigen::Array<Real, 4, Eigen::Dynamic> m_columns;
  Vector<Real> m_zeta;
  Real m_shear = 0;
  Eigen::Vector2<Real> m_end{0, 0};  // g in the sheared basis
};

}  // namespace mgdl::detail
