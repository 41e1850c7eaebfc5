#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/barrier.hpp"
#include "mgdl/convex/group_lasso/dual_system.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/bounded_quadratic.hpp"

namespace mgdl::detail {

/// Improves a point of the gated problem by Newton's method, from its coefficients, until `control`
/// ends it.
template <class Real>
Termination solve_group_lasso(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                              std::type_identity_t<Real> lambda, const SolveControl& control,
                              GroupLassoPoint<Real>& point, Index& iterations);

/// Newton's method for the gated problem in one number per group.
///
/// Because ||U|| = min over eta > 0 of ||U||^2 / (2 eta) + eta / 2 (up to the unit of eta), the
/// problem is the minimisation over eta >= 0 (P numbers) of the smooth convex function
///
///     f(eta) = 1/2 <Y, K^-1 Y> + lambda^2 / 2 sum_j eta_j,   K(eta) = I + sum_j eta_j A_j A_j',
///
/// with U_j = eta_j A_j'N, N = K^-1 Y, and df/deta_j = (lambda^2 - ||A_j'N||^2) / 2. Solving
/// ||A_j'N|| = lambda for the groups that are not zero is almost linear in eta. With u_j the
/// direction of A_j'N and phi_j = A_j u_j, a step solves
///
///     min_d  1/2 d'H d - sum_j (||A_j'N|| - lambda) d_j,   d >= -lambda eta,   H = Phi'K^-1 Phi,
///
/// and moves eta by d / lambda, halved until f falls. That is Newton's method on the group lasso
/// itself in which the groups that leave and enter are found by the bounds. A working set holds the
/// groups with eta > 0 and those that violate ||A_j'N|| <= lambda most; it grows as long as the
/// duality gap over all groups is too large.
///
/// Where the gap is no longer halved, BarrierMethod goes on: near an optimum at which groups with
/// eta = 0 meet their bound, or with A_j that are nearly dependent, H is singular, and steps along
/// it lower f by rounding only.
template <class Real>
class GroupLassoNewton {
 public:
  GroupLassoNewton(ThreadPool& pool, const GroupLassoProblem<Real>& problem, Real lambda)
      : m_pool(pool), m_problem(problem), m_lambda(lambda), m_kernel(problem) {}

  /// Improves `point`, whose coefficients are the start, until `control` ends it.
  Termination run(const SolveControl& control, GroupLassoPoint<Real>& point, Index& iterations) {
    const Termination termination = newton(control, point, iterations);
    if (m_best.norms.size() > 0 && m_best.relative_gap() < point.relative_gap()) point = m_best;
    const bool stuck =
        termination == Termination::NoProgress || termination == Termination::NumericalFailure;
    return stuck && !m_hopeless ? by_barrier(control, point, iterations) : termination;
  }

 private:
  Termination newton(const SolveControl& control, GroupLassoPoint<Real>& point, Index& iterations) {
    m_eta = Vector<Real>::Zero(m_problem.gates());
    for (Index k = 0; k < std::ssize(point.coefficients.gates); ++k) {
      m_eta[point.coefficients.gates[static_cast<std::size_t>(k)]] =
          point.coefficients.values.row(k).norm() / m_lambda;
    }
    m_dual = m_problem.targets();
    if (!move_to(m_eta, 1e-2, point)) return Termination::NumericalFailure;
    Real value = value_of(point);
    m_best_gap = point.relative_gap();
    m_hopeless = m_eta.isZero(0) && point.norms.maxCoeff() <= m_problem.rounding();
    Real last_gap = std::numeric_limits<Real>::infinity();
    StallWatch watch(m_best_gap);
    while (true) {
      const Real gap = point.relative_gap();
      const Termination termination = control.check(++iterations, gap);
      if (termination != Termination::NotRun) return termination;
      if (gap <= m_best_gap) m_best = point;
      if (m_hopeless || watch.stalled(m_best_gap)) return Termination::NoProgress;
      // Steps with the matrix of an earlier eta make the gap fall by a factor each: a new one pays
      // unless the next step will be the last.
      const bool last = gap * (gap / last_gap) <= control.relative_tolerance();
      if (!last && !is_factored(m_eta) && !factor(point.coefficients.gates, m_eta)) {
        return Termination::NumericalFailure;
      }
      last_gap = gap;
      const std::vector<Index> working = working_set(m_eta, point.norms, m_lambda);
      const Vector<Real> norms = point.norms(working);
      const Vector<Real> bounds = -m_eta(working);
      const Matrix<Real> H = hessian(working, norms, point);
      // Rounding can make H indefinite by about its precision.
      const Real ridge = m_kernel.is_single() ? 1e-7 : 1e-13;
      // The next gap will be about the square of this one; N need not be better than that.
      const Real accuracy =
          std::clamp(0.1 * gap * gap, std::max(0.01 * control.relative_tolerance(), 1e-11), 1e-3);
      const auto move = [&](const Vector<Real>& step, Real shortest) {
        return line_search(working, step, shortest, accuracy, value, point);
      };
      if (move(secular_step<Real>(H, norms, bounds, m_lambda, ridge), 1e-3)) continue;
      if (move(descent_step<Real>(H, norms, bounds, m_lambda, ridge), 1e-9)) continue;
      // The matrix of the step may have been that of an earlier eta.
      if (!is_factored(m_eta)) {
        m_factored.resize(0);
        if (!move_to(m_eta, accuracy, point)) return Termination::NumericalFailure;
        value = value_of(point);
      } else if (!m_refine) {
        m_refine = true;
        refine(point);
      } else {
        return Termination::NoProgress;
      }
    }
  }

  Termination by_barrier(const SolveControl& control, GroupLassoPoint<Real>& point,
                         Index& iterations) {
    if (point.norms.size() == 0 || !std::isfinite(point.primal)) {  // the first step has failed
      point.coefficients.gates.clear();
      point.coefficients.values.resize(0, m_problem.products().dimension() * m_problem.outputs());
      evaluate(m_pool, m_problem, m_lambda, point);
    }
    const RowMatrix<Real>& Y = m_problem.targets();
    return solve_by_barriers<Real>(
        Eigen::Map<const Vector<Real>>(Y.data(), Y.size()), m_lambda, control, iterations,
        [&](const std::vector<Index>& groups) {
          Vector<Real> in_use = Vector<Real>::Zero(m_problem.gates());
          for (const Index j : groups) in_use[j] = 1;
          for (const Index j : point.coefficients.gates) in_use[j] = 1;
          return working_set(in_use, point.norms, m_lambda);
        },
        [&](const std::vector<Index>& groups) { return barrier_groups(groups); },
        [&] { return point.relative_gap(); },
        [&](const std::vector<Index>& groups, const std::vector<Vector<Real>>& values) {
          GroupLassoPoint<Real> trial;
          trial.coefficients.gates = groups;
          trial.coefficients.values.resize(std::ssize(groups), point.coefficients.values.cols());
          for (std::size_t k = 0; k < groups.size(); ++k) {
            trial.coefficients.values.row(static_cast<Index>(k)) = values[k].transpose();
          }
          evaluate(m_pool, m_problem, m_lambda, trial);
          if (trial.relative_gap() < point.relative_gap()) point = std::move(trial);
        });
  }

  /// A_j for every output: unknown r c + o is input r of output o, row i c + o its sample i.
  BarrierGroups<Real> barrier_groups(const std::vector<Index>& groups) const {
    const Index n = m_problem.products().size();
    const Index p = m_problem.products().dimension();
    const Index c = m_problem.outputs();
    BarrierGroups<Real> result{groups, std::vector<BarrierBlock<Real>>(groups.size())};
    RowMatrix<Real> columns(n, p);
    for (std::size_t k = 0; k < groups.size(); ++k) {
      m_problem.products().unpack_columns(&groups[k], 1, 0, n, columns);
      m_problem.project(columns);
      BarrierBlock<Real>& block = result.blocks[k];
      block.A = Matrix<Real>::Zero(n * c, p * c);
      for (Index o = 0; o < c; ++o) {
        block.A(Eigen::seqN(o, n, c), Eigen::seqN(o, p, c)) = columns;
      }
      block.B.resize(0, p * c);
      block.start = Vector<Real>::Zero(p * c);
    }
    return result;
  }

  Matrix<Real> hessian(const std::vector<Index>& working, const Vector<Real>& norms,
                       const GroupLassoPoint<Real>& point) {
    RowMatrix<Real> directions = point.correlation(working, kAll);
    directions.array().colwise() /= norms.array().max(std::numeric_limits<Real>::min());
    return m_kernel.hessian(m_pool, working, directions);
  }

  bool line_search(const std::vector<Index>& working, const Vector<Real>& step, Real shortest,
                   Real accuracy, Real& value, GroupLassoPoint<Real>& point) {
    for (Real length = 1; length > shortest; length /= 4) {
      Vector<Real> eta = m_eta;
      eta(working) = (eta(working) + length * step).cwiseMax(0);
      GroupLassoPoint<Real> trial;
      trial.primal = point.primal;
      const RowMatrix<Real> dual = m_dual;
      if (move_to(eta, accuracy, trial)) {
        const Real trial_value = value_of(trial);
        // The gap may rise while f falls: only a new record counts, or steps could cycle.
        if (trial_value < value || trial.relative_gap() < 0.5 * m_best_gap) {
          m_best_gap = std::min(m_best_gap, trial.relative_gap());
          point = std::move(trial);
          m_eta = std::move(eta);
          value = trial_value;
          return true;
        }
      }
      m_dual = dual;
    }
    return false;
  }

  /// f(eta) of the last move as 1/2 ||R||^2 + sum_j (||U_j||^2 / eta_j + lambda^2 eta_j) / 2: an
  /// upper bound whatever the error of U, and of second order in it.
  Real value_of(const GroupLassoPoint<Real>& point) const {
    Real value = point.residual.squaredNorm();
    for (Index k = 0; k < std::ssize(point.coefficients.gates); ++k) {
      const Real eta = m_trial[point.coefficients.gates[static_cast<std::size_t>(k)]];
      value += point.coefficients.values.row(k).squaredNorm() / eta + m_lambda * m_lambda * eta;
    }
    return 0.5 * value;
  }

  /// Solves K(eta) N = Y by preconditioned conjugate gradients from the last N, and fills `point`
  /// with U_j = eta_j A_j'N. An earlier factorisation serves while eta has hardly changed.
  ///
  /// \param accuracy  wanted relative accuracy of the ||A_j'N||
  bool move_to(const Vector<Real>& eta, Real accuracy, GroupLassoPoint<Real>& point) {
    constexpr Real kNear = 0.05;
    m_trial = eta;
    GroupCoefficients<Real>& U = point.coefficients;
    U.gates.clear();
    for (Index j = 0; j < eta.size(); ++j) {
      if (eta[j] > 0) U.gates.push_back(j);
    }
    if (m_factored.size() == 0 ||
        (eta - m_factored).template lpNorm<1>() > kNear * eta.template lpNorm<1>()) {
      if (!factor(U.gates, eta)) return false;
    }
    while (!solve_dual(U.gates, eta(U.gates), accuracy, point.primal)) {
      if (is_factored(eta) && !m_kernel.use_double()) break;  // as good as it gets
      if (!factor(U.gates, eta)) return false;
    }
    m_problem.products().correlate(m_pool, U.gates, m_dual, U.values);
    U.values.array().colwise() *= eta(U.gates).array();
    evaluate(m_pool, m_problem, m_lambda, point);
    if (m_refine) refine(point);
    return std::isfinite(point.primal);
  }

  /// Where eta ||A||^2 is huge, U_j = eta_j A_j'N magnifies the rounding of N. What U leaves of
  /// A_j'R = U_j / eta_j, with the residual R of U itself, shows how to mend that: for an error g,
  /// (1 / eta + A'A)^-1 g = eta g - eta A'K^-1 A eta g.
  void refine(GroupLassoPoint<Real>& point) {
    GroupCoefficients<Real>& U = point.coefficients;
    RowMatrix<Real> image, share;
    for (int pass = 0; pass < 3; ++pass) {
      const Vector<Real> eta = m_trial(U.gates);
      RowMatrix<Real> step = point.correlation(U.gates, kAll);
      step.array().colwise() *= eta.array();
      step -= U.values;
      m_problem.products().apply(m_pool, U.gates, step, m_problem.outputs(), image);
      m_problem.project(image);
      m_problem.products().correlate(m_pool, U.gates, m_kernel.solve(m_pool, image), share);
      share.array().colwise() *= eta.array();
      U.values += step - share;
      evaluate(m_pool, m_problem, m_lambda, point);
    }
  }

  bool factor(const std::vector<Index>& gates, const Vector<Real>& eta) {
    const bool done = m_kernel.factor(m_pool, gates, eta(gates));
    m_factored = done ? eta : Vector<Real>();
    return done;
  }

  bool is_factored(const Vector<Real>& eta) const {
    return m_factored.size() == eta.size() && m_factored == eta;
  }

  /// \returns false if the accuracy was not reached in the steps that a good preconditioner needs
  bool solve_dual(const std::vector<Index>& gates, const Vector<Real>& eta, Real accuracy,
                  Real primal) {
    constexpr int kMaxSteps = 40;
    const Index c = m_problem.outputs();
    RowMatrix<Real> work;
    const auto multiply = [&](const RowMatrix<Real>& V, RowMatrix<Real>& KV) {
      m_problem.products().correlate(m_pool, gates, V, work);
      work.array().colwise() *= eta.array();
      m_problem.products().apply(m_pool, gates, work, c, KV);
      m_problem.project(KV);
      KV += V;
    };
    const auto inner = [](const RowMatrix<Real>& a, const RowMatrix<Real>& b) {
      return RowVector<Real>((a.array() * b.array()).colwise().sum());
    };
    RowMatrix<Real> KV;
    multiply(m_dual, KV);
    RowMatrix<Real> r = m_problem.targets() - KV;
    RowMatrix<Real> z = m_kernel.solve(m_pool, r);
    RowMatrix<Real> direction = z;
    RowVector<Real> energy = inner(r, z);
    // An error e of N changes ||A_j'N|| by at most sqrt(<e, K e> min(1 / eta_j, ||A_j||^2)), and
    // lambda^2 eta_j is about the share of group j in the objective.
    const Real loose =
        primal * accuracy * accuracy / static_cast<Real>(std::max<Index>(1, eta.size()));
    const Real strict = std::pow(accuracy * m_lambda, 2) / m_problem.squared_norm();
    const Real limit = std::min(loose, strict);
    bool reached = energy.sum() <= limit;
    for (int step = 0; step < kMaxSteps && !reached; ++step) {
      multiply(direction, KV);
      RowVector<Real> length = energy.array() / inner(direction, KV).array();
      for (Real& value : length) {
        if (!std::isfinite(value)) value = 0;  // this output is solved
      }
      m_dual.noalias() += direction * length.asDiagonal();
      r.noalias() -= KV * length.asDiagonal();
      z = m_kernel.solve(m_pool, r);
      const RowVector<Real> next = inner(r, z);
      RowVector<Real> ratio = next.array() / energy.array();
      for (Real& value : ratio) {
        if (!std::isfinite(value)) value = 0;
      }
      direction = z + direction * ratio.asDiagonal();
      const bool stalled = next.sum() > 0.25 * energy.sum();
      energy = next;
      reached = energy.sum() <= limit || (stalled && energy.sum() <= loose);
    }
    return reached;
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  Real m_lambda;
  DualSystem<Real> m_kernel;
  Vector<Real> m_factored;  // eta of the factorisation; empty: none
  Vector<Real> m_eta;
  Vector<Real> m_trial;          // eta of the last move
  Real m_best_gap = 0;           // of all points accepted so far
  GroupLassoPoint<Real> m_best;  // of these
  bool m_hopeless = false;       // targets that the gates explain to no more than rounding
  bool m_refine = false;
  RowMatrix<Real> m_dual;  // N
};

template <class Real>
Termination solve_group_lasso(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                              std::type_identity_t<Real> lambda, const SolveControl& control,
                              GroupLassoPoint<Real>& point, Index& iterations) {
  return GroupLassoNewton<Real>(pool, problem, lambda).run(control, point, iterations);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Termination solve_group_lasso(ThreadPool&, const GroupLassoProblem<double>&, double,
                                              const SolveControl&, GroupLassoPoint<double>&,
                                              Index&);
}  // namespace mgdl::detail
#endif
