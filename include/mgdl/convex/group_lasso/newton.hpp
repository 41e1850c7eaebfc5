#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/barrier.hpp"
#include "mgdl/convex/group_lasso/newton_space.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/bounded_quadratic.hpp"

namespace mgdl::detail {

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
/// Neither K nor U depends on lambda but by eta: for the next penalty of a path the last point is
/// the start as it is, and H of an earlier eta serves as long as its steps lead on.
///
/// Where the gap is no longer halved, BarrierMethod goes on: near an optimum at which groups with
/// eta = 0 meet their bound, or with A_j that are nearly dependent, H is singular, and steps along
/// it lower f by rounding only.
template <class Real>
class GroupLassoNewton {
 public:
  /// \param space  of the problem
  /// \param path   whether other penalties will follow
  GroupLassoNewton(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                   std::unique_ptr<NewtonSpace<Real>> space, bool path)
      : m_pool(pool), m_problem(problem), m_space(std::move(space)), m_path(path) {}

  /// Factorisations in all runs.
  Index factorisations() const noexcept { return m_space->factorisations(); }

  /// Improves `point` until `control` ends it; its coefficients are the start, or, if it is the
  /// point of an earlier run, all of it.
  Termination run(Real lambda, const SolveControl& control, GroupLassoPoint<Real>& point,
                  Index& iterations);

 private:
  Termination newton(const SolveControl& control, GroupLassoPoint<Real>& point, Index& iterations) {
    if (point.eta.size() > 0) {
      point.complete(m_lambda);
    } else {
      point.eta = Vector<Real>::Zero(m_problem.gates());
      for (Index k = 0; k < std::ssize(point.coefficients.gates); ++k) {
        point.eta[point.coefficients.gates[static_cast<std::size_t>(k)]] =
            point.coefficients.values.row(k).norm() / m_lambda;
      }
      if (!move_to(1e-2, point.primal, point)) return Termination::NumericalFailure;
    }
    Real value = value_of(point);
    m_best_gap = point.relative_gap();
    m_hopeless = point.eta.isZero(0) && point.norms.maxCoeff() <= m_problem.rounding();
    Real last_gap = std::numeric_limits<Real>::infinity();
    StallWatch watch(m_best_gap);
    while (true) {
      const Real gap = point.relative_gap();
      const Termination termination = control.check(++iterations, gap);
      if (termination != Termination::NotRun) return termination;
      if (gap <= m_best_gap) m_best = point;
      if (m_hopeless || watch.stalled(m_best_gap)) return Termination::NoProgress;
      const std::vector<Index> working = working_set(point.eta, point.norms, m_lambda);
      const bool fresh = !m_model.holds(working);
      if (fresh) {
        // Steps with the matrix of an earlier eta make the gap fall by a factor each: a new one
        // pays unless the next step will be the last.
        const bool last = gap * (gap / last_gap) <= control.relative_tolerance();
        if (!last && !m_space->factor(point.eta)) return Termination::NumericalFailure;
        renew_model(working, point);
      }
      last_gap = gap;
      const Vector<Real> norms = point.norms(working);
      const Vector<Real> bounds = -point.eta(working);
      const Matrix<Real> H = m_model.block(working);
      const Real ridge = m_space->ridge();
      // The next gap will be about the square of this one; N need not be better than that.
      const Real accuracy =
          std::clamp(0.1 * gap * gap, std::max(0.01 * control.relative_tolerance(), 1e-11), 1e-3);
      const auto move = [&](const Vector<Real>& step, Real shortest) {
        return line_search(working, step, shortest, accuracy, value, point);
      };
      const bool moved = move(secular_step<Real>(H, norms, bounds, m_lambda, ridge), 1e-3) ||
                         move(descent_step<Real>(H, norms, bounds, m_lambda, ridge), 1e-9);
      m_model.worn = !m_path || point.relative_gap() > kModelPays * gap;
      if (moved) m_space->relax();
      if (moved || !fresh || m_space->stiffen()) continue;
      // The matrix of the step may have been that of an earlier eta.
      if (!m_space->is_factored(point.eta)) {
        m_space->forget();
        if (!move_to(accuracy, point.primal, point)) return Termination::NumericalFailure;
        value = value_of(point);
      } else if (!m_refine) {
        m_refine = true;
        m_space->refine(m_lambda, point);
      } else {
        return Termination::NoProgress;
      }
    }
  }

  Termination by_barrier(const SolveControl& control, GroupLassoPoint<Real>& point,
                         Index& iterations) {
    point.eta.resize(0);
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
        [&](const std::vector<Index>& groups, const std::vector<Vector<Real>>& values,
            const Vector<Real>&) {
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

  /// H of some groups at some eta.
  struct Model {
    std::vector<Index> slots;  // of all groups, -1: none
    Matrix<Real> H;            // lower triangle
    bool worn = true;          // its last step has not led far

    bool holds(const std::vector<Index>& groups) const {
      return !worn && std::all_of(groups.begin(), groups.end(),
                                  [&](Index j) { return slots[static_cast<std::size_t>(j)] >= 0; });
    }

    Matrix<Real> block(const std::vector<Index>& groups) const {
      const auto count = static_cast<Index>(groups.size());
      Matrix<Real> result(count, count);
      for (Index k = 0; k < count; ++k) {
        const Index col = slots[static_cast<std::size_t>(groups[static_cast<std::size_t>(k)])];
        for (Index i = k; i < count; ++i) {
          result(i, k) =
              H(slots[static_cast<std::size_t>(groups[static_cast<std::size_t>(i)])], col);
        }
      }
      return result;
    }
  };

  /// Of the gap that a step with a model has to leave at most, for another step with the model.
  static constexpr Real kModelPays = 0.2;

  /// H of the working set; on a path, also of groups that come near to their bound.
  void renew_model(std::vector<Index> groups, const GroupLassoPoint<Real>& point) {
    if (m_path) add_candidates(point, groups);
    RowMatrix<Real> directions = point.correlation(groups, kAll);
    directions.array().colwise() /=
        point.norms(groups).array().max(std::numeric_limits<Real>::min());
    m_model.H = m_space->hessian(groups, directions);
    m_model.slots.assign(static_cast<std::size_t>(m_problem.gates()), -1);
    for (Index k = 0; k < std::ssize(groups); ++k) {
      m_model.slots[static_cast<std::size_t>(groups[static_cast<std::size_t>(k)])] = k;
    }
    m_model.worn = false;
  }

  void add_candidates(const GroupLassoPoint<Real>& point, std::vector<Index>& groups) const {
    constexpr Real kNear = 0.8;
    std::vector<bool> inside(static_cast<std::size_t>(m_problem.gates()));
    for (const Index j : groups) inside[static_cast<std::size_t>(j)] = true;
    std::vector<Index> near;
    for (Index j = 0; j < m_problem.gates(); ++j) {
      if (!inside[static_cast<std::size_t>(j)] && point.norms[j] > kNear * m_lambda) {
        near.push_back(j);
      }
    }
    keep_largest(near, point.norms, std::max<Index>(16, std::ssize(groups) / 2));
    groups.insert(groups.end(), near.begin(), near.end());
    std::sort(groups.begin(), groups.end());
  }

  bool line_search(const std::vector<Index>& working, const Vector<Real>& step, Real shortest,
                   Real accuracy, Real& value, GroupLassoPoint<Real>& point) {
    constexpr Real kLeft = 1e-12;  // a group of which rounding is left has left
    m_space->keep();
    for (Real length = 1; length > shortest; length /= 4) {
      GroupLassoPoint<Real> trial;
      trial.eta = point.eta;
      for (std::size_t k = 0; k < working.size(); ++k) {
        Real& eta = trial.eta[working[k]];
        const Real moved = eta + length * step[static_cast<Index>(k)];
        eta = moved > kLeft * eta ? moved : 0;
      }
      if (move_to(accuracy, point.primal, trial)) {
        const Real trial_value = value_of(trial);
        // The gap may rise while f falls: only a new record counts, or steps could cycle.
        if (trial_value < value || trial.relative_gap() < 0.5 * m_best_gap) {
          m_best_gap = std::min(m_best_gap, trial.relative_gap());
          point = std::move(trial);
          value = trial_value;
          return true;
        }
      }
      m_space->revert();
    }
    return false;
  }

  /// f(eta) as the loss, 1/2 ||R||^2, + sum_j (||U_j||^2 / eta_j + lambda^2 eta_j) / 2: an upper
  /// bound whatever the error of U, and of second order in it.
  Real value_of(const GroupLassoPoint<Real>& point) const {
    Real value = 2 * point.loss;
    for (Index k = 0; k < std::ssize(point.coefficients.gates); ++k) {
      const Real eta = point.eta[point.coefficients.gates[static_cast<std::size_t>(k)]];
      value += point.coefficients.values.row(k).squaredNorm() / eta + m_lambda * m_lambda * eta;
    }
    return 0.5 * value;
  }

  /// Makes the point of point.eta.
  bool move_to(Real accuracy, Real near, GroupLassoPoint<Real>& point) {
    if (!m_space->move_to(accuracy, m_lambda, near, point)) return false;
    if (m_refine) m_space->refine(m_lambda, point);
    return std::isfinite(point.primal);
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  std::unique_ptr<NewtonSpace<Real>> m_space;
  bool m_path;
  Real m_lambda = 0;
  Model m_model;
  Real m_best_gap = 0;           // of all points accepted so far
  GroupLassoPoint<Real> m_best;  // of these
  bool m_hopeless = false;       // targets that the gates explain to no more than rounding
  bool m_refine = false;
};

template <class Real>
Termination GroupLassoNewton<Real>::run(Real lambda, const SolveControl& control,
                                        GroupLassoPoint<Real>& point, Index& iterations) {
  m_lambda = lambda;
  m_best = {};
  m_refine = false;
  const Termination termination = newton(control, point, iterations);
  if (m_best.norms.size() > 0 && m_best.relative_gap() < point.relative_gap()) point = m_best;
  const bool stuck =
      termination == Termination::NoProgress || termination == Termination::NumericalFailure;
  return stuck && !m_hopeless && m_space->is_squared() ? by_barrier(control, point, iterations)
                                                       : termination;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class GroupLassoNewton<double>;
}  // namespace mgdl::detail
#endif
