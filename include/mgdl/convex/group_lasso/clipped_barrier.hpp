#pragma once

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/barrier.hpp"
#include "mgdl/convex/group_lasso/clipped_loss.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The interior point method for losses whose slope is bounded.

namespace mgdl::detail {

/// The largest s <N, Y> - s^2 / 2 squares with 0 <= s <= longest and s <= 1; squares may be 0.
template <class Real>
Real scaled_clipped_dual(Real inner, Real squares, Real longest) noexcept {
  Real s = inner > 0 ? std::min(Real(1), longest) : Real(0);
  if (squares > 0) s = std::min(s, std::max(Real(0), inner / squares));
  return s * inner - Real(0.5) * s * s * squares;
}

/// A ClippedLoss as BarrierMethod sees it: sum_i L(r_i) with
///
///     L(r) = max over s of s r - m s^2 / 2 + mu log(1 - t^2),   s = (upper + lower) / 2 + h t,
///
/// h = (upper - lower) / 2, both times sqrt(w_i). For mu -> 0 it is the loss itself; at mu the
/// slopes s are a point of the dual that is at most 2 mu a sample from being the best for r.
template <class Real>
class ClippedBarrierLoss {
 public:
  static constexpr bool kSquared = false;

  /// \param outputs  c; entry i c + o of vectors is sample i of output o
  ClippedBarrierLoss(const ClippedLoss& loss, const Vector<Real>& root_weights, Index outputs,
                     bool biased)
      : m_root(root_weights), m_loss(loss), m_outputs(outputs), m_biased(biased) {}

  Real operator()(const Vector<Real>& r) const {
    Real sum = 0;
    for (Index k = 0; k < r.size(); ++k) {
      const Real root = m_root[k / m_outputs];
      sum += m_loss.curvature > 0
                 ? clipped_value(r[k], root)
                 : std::max(m_loss.lower * root * r[k], m_loss.upper * root * r[k]);
    }
    return sum;
  }

  Real smoothed(const Vector<Real>& r, Real mu) const {
    Real sum = 0;
    for (Index k = 0; k < r.size(); ++k) {
      const Slope at = slope(r[k], m_root[k / m_outputs], mu);
      // log(1 - t^2) = log(2 / (1 + q))
      sum += at.s * r[k] - 0.5 * m_loss.curvature * at.s * at.s - mu * std::log(0.5 * (1 + at.q));
    }
    return sum;
  }

  /// \param slopes     s
  /// \param curvature  ds / dr
  void differentiate(const Vector<Real>& r, Real mu, Vector<Real>& slopes,
                     Vector<Real>& curvature) const {
    slopes.resize(r.size());
    curvature.resize(r.size());
    for (Index k = 0; k < r.size(); ++k) {
      const Slope at = slope(r[k], m_root[k / m_outputs], mu);
      slopes[k] = at.s;
      curvature[k] = 1 / (m_loss.curvature + mu * at.q * (1 + at.q) / (at.h * at.h));
    }
  }

  /// Brings a point between its bounds, and shifts it along the bias until it is orthogonal to
  /// that.
  void admit(Vector<Real>& point) const {
    for (Index k = 0; k < point.size(); ++k) {
      const Real root = m_root[k / m_outputs];
      point[k] = std::clamp(point[k], m_loss.lower * root, m_loss.upper * root);
    }
    for (Index o = 0; m_biased && o < m_outputs; ++o) {
      auto part = point(Eigen::seqN(o, m_root.size(), m_outputs));
      Vector<Real> values = part;
      m_loss.centre(m_root, values);
      part = values;
    }
  }

  /// The largest <s N, y> - m s^2 / 2 ||N||^2 with 0 <= s <= longest and s <= 1.
  Real dual(const Vector<Real>& point, const Vector<Real>& y, Real longest) const {
    return scaled_clipped_dual(point.dot(y), m_loss.curvature * point.squaredNorm(), longest);
  }

 private:
  struct Slope {
    Real s, h, q;  // q: 1 - t^2 = 2 / (1 + q)
  };

  Real clipped_value(Real r, Real root) const {
    const Real s = std::clamp(r / m_loss.curvature, m_loss.lower * root, m_loss.upper * root);
    return s * (r - 0.5 * m_loss.curvature * s);
  }

  /// r = m s + z, where z = 2 mu t / (h (1 - t^2)) is what the barrier bears: with x = h z / mu and
  /// q = sqrt(1 + x^2), t = x / (1 + q). Newton's method for z, which is concave above its start.
  Slope slope(Real r, Real root, Real mu) const {
    constexpr int kMaxSteps = 100;
    const Real m = m_loss.curvature;
    const Real h = 0.5 * (m_loss.upper - m_loss.lower) * root;
    const Real middle = 0.5 * (m_loss.upper + m_loss.lower) * root;
    const Real target = std::abs(r - m * middle);
    const Real sign = r < m * middle ? -1 : 1;
    Real z = std::max(Real(0), target - m * h);
    Real q = std::hypot(Real(1), h * z / mu);
    Real t = h * z / mu / (1 + q);
    for (int step = 0; m > 0 && step < kMaxSteps; ++step) {
      const Real next = z + (target - z - m * h * t) / (1 + m * h * h / (mu * q * (1 + q)));
      if (!(next > z)) break;
      z = next;
      q = std::hypot(Real(1), h * z / mu);
      t = h * z / mu / (1 + q);
    }
    return {middle + sign * h * t, h, q};
  }

  Vector<Real> m_root;
  ClippedLoss m_loss;
  Index m_outputs;
  bool m_biased;
};

/// Goes on where Newton's method has stalled, as GroupLassoNewton does for the squared loss.
template <class Real>
class ClippedBarrierSolver {
 public:
  /// \param loss  with the curvature of the problem: 0 for a quantile
  ClippedBarrierSolver(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                       const ClippedLoss& loss, Real lambda)
      : m_pool(pool), m_problem(problem), m_loss(loss), m_lambda(lambda) {}

  /// A point of the dual, n x c.
  const RowMatrix<Real>& dual() const noexcept { return m_dual; }

  /// Improves `point`, of which the coefficients count.
  ///
  /// \param start  the bias, in units of sqrt(w)
  /// \param dual   N, between its bounds and orthogonal to the bias; zero: not known
  Termination run(const SolveControl& control, const RowVector<Real>& start,
                  const RowMatrix<Real>& dual, GroupLassoPoint<Real>& point, Index& iterations) {
    const Index c = m_problem.outputs();
    const Vector<Real>& root = m_problem.root_weights();
    const bool biased = m_problem.bias().size() > 0;
    const RowVector<Real> bias =
        start.allFinite() ? start : RowVector<Real>(RowVector<Real>::Zero(c));
    RowMatrix<Real> y = m_problem.targets();
    if (biased) y -= root * bias;
    if (!point.coefficients.values.allFinite()) {  // the first step has failed
      point.coefficients.gates.clear();
      point.coefficients.values.resize(0, m_problem.products().dimension() * c);
    }
    m_dual = dual;
    if (!dual.allFinite() || dual.isZero(0)) m_dual = slopes(y);
    evaluate(bias, m_dual, point);
    return solve_by_barriers<Real>(
        Eigen::Map<const Vector<Real>>(y.data(), y.size()), m_lambda, control, iterations,
        [&](const std::vector<Index>& groups) { return next_groups(groups, point); },
        [&](const std::vector<Index>& groups) { return this->groups(groups, biased); },
        [&] { return point.relative_gap(); },
        [&](const std::vector<Index>& groups, const std::vector<Vector<Real>>& values,
            const Vector<Real>& slopes) {
          RowVector<Real> moved = bias;
          GroupLassoPoint<Real> trial;
          const Index blocks = std::ssize(groups) - (biased ? c : 0);
          trial.coefficients.gates.assign(groups.begin(), groups.begin() + blocks);
          trial.coefficients.values.resize(blocks, m_problem.products().dimension() * c);
          for (Index k = 0; k < std::ssize(groups); ++k) {
            const Vector<Real>& value = values[static_cast<std::size_t>(k)];
            if (k < blocks) {
              trial.coefficients.values.row(k) = value.transpose();
            } else {
              moved[k - blocks] += value[0];
            }
          }
          const RowMatrix<Real> N =
              Eigen::Map<const RowMatrix<Real>>(slopes.data(), root.size(), c);
          evaluate(moved, N, trial);
          if (!(trial.relative_gap() < point.relative_gap())) return;
          point = std::move(trial);
          m_dual = N;
        },
        ClippedBarrierLoss<Real>(m_loss, root, c, biased));
  }

 private:
  /// Those in use, and of the others as many, or at least 20, with the largest ||A_j'N||: below
  /// their bound too, as a dual that is feasible need not be the best one.
  std::vector<Index> next_groups(std::vector<Index> groups,
                                 const GroupLassoPoint<Real>& point) const {
    constexpr Index kFirst = 20;
    groups.insert(groups.end(), point.coefficients.gates.begin(), point.coefficients.gates.end());
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    std::vector<Index> others;
    std::set_difference(m_problem.all_gates().begin(), m_problem.all_gates().end(), groups.begin(),
                        groups.end(), std::back_inserter(others));
    keep_largest(others, point.norms, std::max<Index>(kFirst, std::ssize(groups)));
    groups.insert(groups.end(), others.begin(), others.end());
    std::sort(groups.begin(), groups.end());
    return groups;
  }

  /// A point of the dual for residuals.
  RowMatrix<Real> slopes(const RowMatrix<Real>& residual) const {
    const bool biased = m_problem.bias().size() > 0;
    const ClippedBarrierLoss<Real> loss(m_loss, m_problem.root_weights(), residual.cols(), biased);
    const Vector<Real> r = Eigen::Map<const Vector<Real>>(residual.data(), residual.size());
    const Real mu = std::max(loss(r), std::numeric_limits<Real>::min());
    Vector<Real> result, curvature;
    loss.differentiate(r, mu / static_cast<Real>(2 * r.size()), result, curvature);
    loss.admit(result);
    return Eigen::Map<const RowMatrix<Real>>(result.data(), residual.rows(), residual.cols());
  }

  void evaluate(const RowVector<Real>& bias, const RowMatrix<Real>& N,
                GroupLassoPoint<Real>& point) const {
    const Index c = m_problem.outputs();
    RowMatrix<Real> r = RowMatrix<Real>::Zero(N.rows(), c);
    if (!point.coefficients.gates.empty()) {
      m_problem.products().apply(m_pool, point.coefficients.gates, point.coefficients.values, c, r);
    }
    r = m_problem.targets() - r;
    if (m_problem.bias().size() > 0) r -= m_problem.root_weights() * bias;
    const ClippedBarrierLoss<Real> loss(m_loss, m_problem.root_weights(), c, false);
    point.eta.resize(0);
    point.loss = loss(Eigen::Map<const Vector<Real>>(r.data(), r.size()));
    m_problem.products().correlate(m_pool, m_problem.all_gates(), N, point.correlation);
    point.squares = m_loss.curvature * N.squaredNorm();
    point.inner = (N.array() * m_problem.targets().array()).sum();
    point.longest = 1;
    point.residual = std::move(r);
    point.complete(m_lambda);
    const Real largest = point.norms.maxCoeff();
    point.dual =
        scaled_clipped_dual(point.inner, point.squares, largest > 0 ? m_lambda / largest : Real(1));
  }

  /// Blocks of the groups, and one free column for the bias of every output.
  BarrierGroups<Real> groups(const std::vector<Index>& groups, bool biased) const {
    const Index n = m_problem.products().size();
    const Index p = m_problem.products().dimension();
    const Index c = m_problem.outputs();
    BarrierGroups<Real> result;
    RowMatrix<Real> columns(n, p);
    for (const Index j : groups) {
      m_problem.products().unpack_columns(&j, 1, 0, n, columns);
      BarrierBlock<Real> block;
      block.A = Matrix<Real>::Zero(n * c, p * c);
      for (Index o = 0; o < c; ++o) {
        block.A(Eigen::seqN(o, n, c), Eigen::seqN(o, p, c)) = columns;
      }
      block.B.resize(0, p * c);
      result.blocks.push_back(std::move(block));
      result.groups.push_back(j);
    }
    for (Index o = 0; biased && o < c; ++o) {
      BarrierBlock<Real> block;
      block.A = Matrix<Real>::Zero(n * c, 1);
      block.A(Eigen::seqN(o, n, c), 0) = m_problem.root_weights();
      block.B.resize(0, 1);
      block.free = true;
      result.blocks.push_back(std::move(block));
      result.groups.push_back(kFreeGroup);
    }
    return result;
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  ClippedLoss m_loss;
  Real m_lambda;
  RowMatrix<Real> m_dual;
};

}  // namespace mgdl::detail
