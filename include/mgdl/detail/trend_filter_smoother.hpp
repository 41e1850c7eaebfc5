#pragma once

#include <Eigen/Core>
#include <cmath>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_knots.hpp"

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
class KnotSmoother {
 public:
  /// One lane a right-hand side: that of N and eta, the parts of g_1 and of g_2, and padding.
  using Columns = Eigen::Array4d;

  /// \param problem  kept by reference
  explicit KnotSmoother(const KnotProblem& problem)
      : m_problem(problem), m_steps(problem.segments.size()), m_gaps(4, problem.knots.size()) {}

  /// Prepares solutions for the given E (K values).
  void factor(const Vector<double>& E) {
    State state;
    const Index K = E.size();
    for (Index k = 0; k <= K; ++k) {
      const KnotProblem::Segment& segment = m_problem.segments.data()[k];
      Step& step = m_steps.data()[k];
      step.through.setIdentity();
      state.advance(segment.before, step.through);
      state.observe(segment, step.through);
      step.from_centre << 0, 1, 1, state.gamma;
      Eigen::Matrix2d after = Eigen::Matrix2d::Identity();
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
  Eigen::Matrix4d forward(const Eigen::Matrix<double, 2, Eigen::Dynamic>& forces,
                          const Eigen::Array<double, 4, Eigen::Dynamic>& eta) {
    Eigen::Matrix4d gram = Eigen::Matrix4d::Zero();
    Columns u = Columns::Zero();
    Columns v(0, -0.5, 1, 0);
    const Index K = m_gaps.cols();
    for (Index k = 0; k <= K; ++k) {
      const Step& step = m_steps.data()[k];
      const Columns moved = step.through(0, 0) * u + step.through(0, 1) * v;
      v = step.through(1, 0) * u + step.through(1, 1) * v;
      u = moved;
      const Eigen::Vector2d pushed = step.from_centre * forces.col(k);
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
  void backward(const Columns& weights, Vector<double>& centre, Vector<double>& slope,
                Vector<double>& force) const {
    double d = (m_v * weights).sum() / m_last.q;
    double s = (m_u * weights).sum() / m_last.p + m_last.gamma * d;
    for (Index k = m_gaps.cols(); k >= 0; --k) {
      const KnotProblem::Segment& segment = m_problem.segments.data()[k];
      slope[k] = s;
      centre[k] = d - segment.after * s;
      d -= (segment.after + segment.before) * s;
      if (k == 0) break;
      const Step& step = m_steps.data()[k - 1];
      const double gap = (m_gaps.col(k - 1) * weights).sum();
      const double drive = step.p * (s - step.gamma * d) - gap;
      force[k - 1] = step.damping * drive;
      s -= step.freedom * drive;
    }
  }

 private:
  struct State {
    double p = 0;
    double q = 0;
    double gamma = 0;

    /// d -> d + h s. `linear` is the map that (u, v) have been through.
    void advance(double h, Eigen::Matrix2d& linear) {
      if (!(h > 0)) return;
      const double stretch = 1 + gamma * h;
      const double sum = p * stretch * stretch + q * h * h;
      double s_part = 1;  // as long as nothing is known
      double d_part = 0;
      if (sum > 0) {
        s_part = p * stretch / sum;
        d_part = q * h / sum;
        gamma = s_part * gamma + d_part;
        q *= p / sum;
        p = sum;
      }
      linear = Eigen::Matrix2d{{stretch, -h}, {d_part, s_part}} * linear;
    }

    /// Adds 1/2 weight d^2 + 1/2 spread s^2.
    void observe(const KnotProblem::Segment& segment, Eigen::Matrix2d& linear) {
      q += segment.weight;
      if (!(segment.spread > 0)) return;
      const double total = p + segment.spread;
      const double share = segment.spread / total;
      q += gamma * gamma * p * share;
      linear.row(1) -= gamma * share * linear.row(0);
      gamma *= p / total;
      p = total;
    }
  };

  struct Step {
    Eigen::Matrix2d through;      // (u, v) behind the segment from those before it,
    Eigen::Matrix2d from_centre;  // and from the forces at its centre
    double p = 0;                 // at the right end of the segment, before the knot
    double gamma = 0;
    double damping = 0;  // 1 / (1 + E p)
    double freedom = 0;  // E / (1 + E p)
  };

  const KnotProblem& m_problem;
  std::vector<Step> m_steps;
  Eigen::Array<double, 4, Eigen::Dynamic> m_gaps;  // u - eta at the knots
  State m_last;                                    // at the last sample
  Columns m_u = Columns::Zero();
  Columns m_v = Columns::Zero();
};

}  // namespace mgdl::detail
