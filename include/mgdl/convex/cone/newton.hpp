#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/barrier.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/bounded_quadratic.hpp"
#include "mgdl/linalg/tiled_cholesky.hpp"

namespace mgdl::detail {

/// A neuron of the ReLU problem: sign * max(0, x~.v), v in the cone of its gate.
template <class Real>
struct ConeNeuron {
  Index gate;
  Real sign;
  Vector<Real> v;
};

/// The smallest penalty for which the ReLU problem of one output has the solution zero: the largest
/// ||Proj(s A_j'Y)||.
///
/// \param output  the column of the targets
template <class Real>
Real cone_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                     const ConeProjector<Real>& projector, Index output);

/// Solves the ReLU problem of one output until `control` ends it, and appends the neurons.
///
/// \param output  the column of the targets
template <class Real>
Termination solve_cone_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                               const ConeProjector<Real>& projector, Index output, Real lambda,
                               const SolveControl& control, std::vector<ConeNeuron<Real>>& neurons,
                               Index& iterations);

/// The ReLU problem of one output by the method of GroupLassoNewton, with projections.
///
/// Every gate has two groups, one for each sign s. The function of one number per group is now
///
///     f(eta) = max_N <N, Y> - 1/2 ||N||^2 - sum_g eta_g / 2 ||Proj_g(s A_j'N)||^2
///              + lambda^2 / 2 sum_g eta_g,
///
/// with v_g = eta_g Proj_g(s A_j'N) in its cone by construction. The maximum over N is found by
/// semismooth Newton steps: on the face where a projection lies it is linear, so that
/// K = I + sum_g eta_g A_j F_g F_g'A_j', F_g an orthonormal basis of the face.
template <class Real>
class ConeNewton {
 public:
  /// \param output  the column of the targets
  ConeNewton(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
             const ConeProjector<Real>& projector, Index output)
      : m_pool(pool),
        m_problem(problem),
        m_projector(projector),
        m_targets(problem.targets().col(output)),
        m_groups(static_cast<std::size_t>(2 * problem.gates())) {}

  /// The largest ||Proj_g(s A_j'Y)||: the smallest penalty whose solution is zero.
  Real lambda_max() {
    m_dual = m_targets;
    project_all(0);
    return m_norms.maxCoeff();
  }

  Termination run(Real lambda, const SolveControl& control, std::vector<ConeNeuron<Real>>& neurons,
                  Index& iterations) {
    m_lambda = lambda;
    Network best;
    Termination termination = newton(control, best, iterations);
    const bool stuck =
        termination == Termination::NoProgress || termination == Termination::NumericalFailure;
    if (stuck && !m_hopeless) termination = by_barrier(control, best, iterations);
    neurons.insert(neurons.end(), best.neurons.begin(), best.neurons.end());
    return termination;
  }

 private:
  struct Group {
    typename ConeProjector<Real>::Face face;
    Vector<Real> projection;  // Proj(s A_j'N)
    Matrix<Real> basis;       // of the face in the last factorisation, p x its dimension
    Vector<Real> v;           // the neuron is s max(0, x~.v)
  };

  /// Neurons, and what is proven of them.
  struct Network {
    std::vector<ConeNeuron<Real>> neurons;
    Real gap = std::numeric_limits<Real>::infinity();
  };

  Termination newton(const SolveControl& control, Network& best, Index& iterations) {
    m_eta = Vector<Real>::Zero(std::ssize(m_groups));
    m_dual = m_targets;
    solve_dual(m_eta, 1e-2);
    Real value = evaluate(m_eta);
    m_best_gap = relative_gap();
    m_hopeless = m_norms.maxCoeff() <= m_problem.rounding();
    StallWatch watch(m_best_gap);
    while (true) {
      const Real gap = relative_gap();
      const Termination termination = control.check(++iterations, gap);
      if (gap <= best.gap) best = {collected(), gap};
      if (termination != Termination::NotRun) return termination;
      if (m_hopeless || watch.stalled(m_best_gap)) return Termination::NoProgress;
      const std::vector<Index> working = working_set(m_eta, m_norms, m_lambda);
      const Vector<Real> norms = m_norms(working);
      const Matrix<Real> H = hessian(working);
      const Vector<Real> bounds = -m_eta(working);
      const Real accuracy =
          std::clamp(0.1 * gap * gap, std::max(0.01 * control.relative_tolerance(), 1e-12), 1e-3);
      if (move(working, secular_step<Real>(H, norms, bounds, m_lambda), 1e-3, accuracy, value))
        continue;
      // Where the faces change, f bends; and cones that share a face make H singular. Shorter
      // steps, nearer to the gradient, then succeed.
      bool moved = false;
      for (Real ridge = 1e-9; ridge < 1e3 && !moved; ridge *= 1e3) {
        moved = move(working, descent_step<Real>(H, norms, bounds, m_lambda, ridge), 1e-2, accuracy,
                     value);
      }
      if (!moved) return Termination::NoProgress;
    }
  }

  Termination by_barrier(const SolveControl& control, Network& best, Index& iterations) {
    m_eta.setZero();  // of use here as the list of groups in use
    for (const auto& neuron : best.neurons) m_eta[group_of(neuron)] = 1;
    assess(best.neurons);
    return solve_by_barriers<Real>(
        m_targets, m_lambda, control, iterations,
        [&](const std::vector<Index>& groups) {
          for (const Index g : groups) m_eta[g] = 1;
          return working_set(m_eta, m_norms, m_lambda);
        },
        [&](const std::vector<Index>& groups) { return barrier_groups(groups); },
        [&] { return best.gap; },
        [&](const std::vector<Index>& groups, const std::vector<Vector<Real>>& values,
            const Vector<Real>&) {
          Network trial;
          for (std::size_t k = 0; k < groups.size(); ++k) {
            trial.neurons.push_back({gate_of(groups[k]), sign_of(groups[k]), values[k]});
          }
          assess(trial.neurons);
          trial.gap = relative_gap();
          if (trial.gap < best.gap) best = std::move(trial);
        });
  }

  /// Of the groups whose cones have an inside, as far as is seen.
  BarrierGroups<Real> barrier_groups(const std::vector<Index>& groups) const {
    BarrierGroups<Real> result;
    for (const Index g : groups) {
      BarrierBlock<Real> block;
      block.B = m_projector.rows(gate_of(g));
      if (!m_projector.inside(gate_of(g), block.B, block.start)) continue;
      block.A.resize(m_targets.size(), m_projector.dimension());
      const Matrix<Real> basis =
          sign_of(g) * Matrix<Real>::Identity(m_projector.dimension(), m_projector.dimension());
      masked(gate_of(g), basis, block.A);
      m_problem.project(block.A);
      result.blocks.push_back(std::move(block));
      result.groups.push_back(g);
    }
    return result;
  }

  /// Objective, bound and norms of all groups, of neurons that may not be those of the state.
  void assess(const std::vector<ConeNeuron<Real>>& neurons) {
    m_dual = m_targets;
    Real penalty = 0;
    Vector<Real> column(m_targets.size());
    for (const auto& neuron : neurons) {
      masked(neuron.gate, neuron.v, column);
      m_problem.project(column);
      m_dual -= neuron.sign * column;
      penalty += neuron.v.norm();
    }
    project_all(m_lambda);
    bound(penalty);
  }

  static Index gate_of(Index group) noexcept { return group / 2; }
  static Index group_of(const ConeNeuron<Real>& neuron) noexcept {
    return 2 * neuron.gate + (neuron.sign > 0 ? 0 : 1);
  }
  static Real sign_of(Index group) noexcept { return group % 2 == 0 ? 1 : -1; }
  Group& group(Index g) { return m_groups[static_cast<std::size_t>(g)]; }
  const Group& group(Index g) const { return m_groups[static_cast<std::size_t>(g)]; }

  /// Projections and norms of all groups at N. A group whose ||A_j'N|| does not exceed `floor` and
  /// that is not in use keeps that norm, which is an upper bound.
  void project_all(Real floor) {
    RowMatrix<Real> correlation;
    m_problem.products().correlate(m_pool, m_problem.all_gates(), RowMatrix<Real>(m_dual),
                                   correlation);
    m_norms.resize(std::ssize(m_groups));
    m_pool.parallel_for(m_problem.gates(), [&](Index j, int) {
      const Vector<Real> c = correlation.row(j);
      const Real norm = c.norm();
      for (Index g = 2 * j; g < 2 * j + 2; ++g) {
        const bool in_use = m_eta.size() > 0 && m_eta[g] > 0;
        if (norm <= floor && !in_use) {
          m_norms[g] = norm;
          continue;
        }
        group(g).projection = m_projector.project(j, sign_of(g) * c, group(g).face);
        m_norms[g] = group(g).projection.norm();
      }
    });
  }

  /// sum_g eta_g s A_j Proj_g: what the network gives on the (scaled) samples.
  Vector<Real> output(const Vector<Real>& eta, const std::vector<Index>& groups) const {
    std::vector<Index> gates;
    RowMatrix<Real> U(std::ssize(groups), m_problem.products().dimension());
    for (Index k = 0; k < std::ssize(groups); ++k) {
      const Index g = groups[static_cast<std::size_t>(k)];
      gates.push_back(gate_of(g));
      U.row(k) = eta[g] * sign_of(g) * group(g).projection;
    }
    RowMatrix<Real> result;
    m_problem.products().apply(m_pool, gates, U, 1, result);
    m_problem.project(result);
    return result.col(0);
  }

  /// Projections of the groups in use at `dual`.
  void project_used(const Vector<Real>& dual, const std::vector<Index>& groups) {
    std::vector<Index> gates;
    for (const Index g : groups) gates.push_back(gate_of(g));
    RowMatrix<Real> correlation;
    m_problem.products().correlate(m_pool, gates, RowMatrix<Real>(dual), correlation);
    m_pool.parallel_for(std::ssize(groups), [&](Index k, int) {
      const Index g = groups[static_cast<std::size_t>(k)];
      group(g).projection = m_projector.project(
          gate_of(g), sign_of(g) * Vector<Real>(correlation.row(k)), group(g).face);
    });
  }

  /// Goes along the step until f falls; returns to where it was if it does not.
  bool move(const std::vector<Index>& working, const Vector<Real>& step, Real shortest,
            Real accuracy, Real& value) {
    const ConeNewton<Real> before = *this;
    for (Real length = 1; length > shortest; length /= 4) {
      Vector<Real> eta = before.m_eta;
      eta(working) = (eta(working) + length * step).cwiseMax(0);
      if (solve_dual(eta, accuracy)) {
        const Real trial = evaluate(eta);
        // The gap may rise while f falls: only a new record counts, or steps could cycle.
        if (trial < value || relative_gap() < 0.5 * m_best_gap) {
          value = trial;
          m_best_gap = std::min(m_best_gap, relative_gap());
          return true;
        }
      }
      restore(before);
    }
    return false;
  }

  /// Maximises over N for fixed eta.
  /// \returns false if that failed
  bool solve_dual(const Vector<Real>& eta, Real accuracy) {
    m_used.clear();
    for (Index g = 0; g < eta.size(); ++g) {
      if (eta[g] > 0) m_used.push_back(g);
    }
    const auto objective = [&](const Vector<Real>& dual) {
      Real value = 0.5 * dual.squaredNorm() - dual.dot(m_targets);
      for (const Index g : m_used) value += 0.5 * eta[g] * group(g).projection.squaredNorm();
      return value;
    };
    project_used(m_dual, m_used);
    Real value = objective(m_dual);
    for (int iteration = 0; iteration < 100; ++iteration) {
      if (!factor(eta)) return false;
      const Vector<Real> residual = m_targets - m_dual - output(eta, m_used);
      const Vector<Real> step = solve(residual);
      const Real decrease = residual.dot(step);
      // As in GroupLassoNewton: the share of a group in the objective is about lambda^2 eta.
      const Real scale = 0.5 * m_dual.squaredNorm() + m_lambda * m_lambda * eta.sum();
      if (!std::isfinite(decrease)) return false;
      if (decrease <= scale * accuracy * accuracy /
                          static_cast<Real>(std::max<std::size_t>(1, m_used.size()))) {
        return true;
      }
      const Vector<Real> start = m_dual;
      Real length = 1;
      bool moved = false;
      for (; length > 1e-6 && !moved; length /= 2) {
        m_dual = start + length * step;
        project_used(m_dual, m_used);
        const Real trial = objective(m_dual);
        moved = trial <= value - 1e-4 * length * decrease + 1e-15 * std::abs(value);
        if (moved) value = trial;
      }
      if (!moved) {
        constexpr Real kRounding = 1e-13;
        m_dual = start;
        project_used(m_dual, m_used);
        return decrease <= kRounding * scale;
      }
    }
    return false;
  }

  /// Completes the state at (eta, N): the network, its residual, all norms, objective and bound.
  /// Returns f(eta).
  ///
  /// On the faces of the projections the network is M q, with v_g = s sqrt(eta_g) F_g q_g, and q is
  /// the ridge regression q = M'(Y - M q). Written so, and refined, it is much more accurate than
  /// eta_g Proj_g, and its residual may take the place of N: the bound is what a certificate finds.
  Real evaluate(const Vector<Real>& eta) {
    m_eta = eta;
    Vector<Real> q = m_columns.transpose() * m_dual;
    m_dual = m_targets - m_columns * q;
    for (int pass = 0; pass < 3; ++pass) {
      q += solve_columns(m_columns.transpose() * m_dual - q);
      m_dual = m_targets - m_columns * q;
    }
    Real penalty = 0;
    Index first = 0;
    for (const Index g : m_used) {
      const Index size = group(g).basis.cols();
      group(g).v = sign_of(g) * std::sqrt(eta[g]) * (group(g).basis * q.segment(first, size));
      penalty += group(g).v.norm();
      first += size;
    }
    project_all(m_lambda);
    bound(penalty);
    return 0.5 * m_dual.squaredNorm() + 0.5 * q.squaredNorm() +
           0.5 * m_lambda * m_lambda * eta.sum();
  }

  /// Objective and bound, once the residual and all norms are known.
  void bound(Real penalty) {
    m_primal = 0.5 * m_dual.squaredNorm() + m_lambda * penalty;
    const Real largest = m_norms.maxCoeff();
    m_bound = scaled_dual<Real>(m_dual.dot(m_targets), m_dual.squaredNorm(), largest, m_lambda);
  }

  Real relative_gap() const noexcept { return m_primal > 0 ? (m_primal - m_bound) / m_primal : 0; }

  /// Columns sqrt(eta_g) A_j F_g of the faces in use (n x a), and I + M'M or I + M M'.
  bool factor(const Vector<Real>& eta) {
    const Index n = m_targets.size();
    const Index p = m_problem.products().dimension();
    Index columns = 0;
    for (const Index g : m_used) {
      if (group(g).projection.squaredNorm() == 0) {
        group(g).basis.resize(p, 0);
      } else {
        group(g).basis = group(g).face.normals.complement();
      }
      columns += group(g).basis.cols();
    }
    m_columns.resize(n, columns);
    Index first = 0;
    for (const Index g : m_used) {
      const Index size = group(g).basis.cols();
      masked(gate_of(g), std::sqrt(eta[g]) * group(g).basis, m_columns.middleCols(first, size));
      first += size;
    }
    m_problem.project(m_columns);
    m_by_columns = columns < n;
    Matrix<Real> gram;
    if (m_by_columns) {
      gram.noalias() = m_columns.transpose() * m_columns;
    } else {
      gram.noalias() = m_columns * m_columns.transpose();
    }
    gram.diagonal().array() += 1;
    RowMatrix<Real> storage = TiledCholesky<Real>::storage(gram.rows());
    storage.leftCols(gram.cols()) = gram;
    return m_factor.compute(m_pool, std::move(storage));
  }

  /// K^-1 r.
  Vector<Real> solve(const Vector<Real>& r) const {
    return m_by_columns ? Vector<Real>(r - m_columns * factor_solve(m_columns.transpose() * r))
                        : factor_solve(r);
  }

  /// (I + M'M)^-1 b.
  Vector<Real> solve_columns(const Vector<Real>& b) const {
    return m_by_columns ? factor_solve(b)
                        : Vector<Real>(b - m_columns.transpose() * factor_solve(m_columns * b));
  }

  Vector<Real> factor_solve(const Vector<Real>& b) const {
    PanelMatrix<Real> z(b);
    m_factor.solve(m_pool, z);
    Vector<Real> solution(z.rows());
    for (Index i = 0; i < z.rows(); ++i) solution[i] = z(i, 0);
    return solution;
  }

  Matrix<Real> hessian(const std::vector<Index>& working) const {
    const Index n = m_targets.size();
    const auto count = static_cast<Index>(std::ssize(working));
    Matrix<Real> phi(n, count);
    for (Index k = 0; k < count; ++k) {
      const Index g = working[static_cast<std::size_t>(k)];
      const Real norm = m_norms[g];
      const Vector<Real> direction = norm > 0
                                         ? Vector<Real>(sign_of(g) / norm * group(g).projection)
                                         : Vector<Real>::Zero(m_problem.products().dimension());
      masked(gate_of(g), direction, phi.col(k));
    }
    m_problem.project(phi);
    Matrix<Real> H = Matrix<Real>::Zero(count, count);
    PanelMatrix<Real> images(phi);
    if (m_by_columns) {
      images.add_gram(m_pool, H, 1);
      images = PanelMatrix<Real>(Matrix<Real>(m_columns.transpose() * phi));
    }
    m_factor.solve_lower(m_pool, images);
    images.add_gram(m_pool, H, m_by_columns ? -1 : 1);
    return H;
  }

  /// result = D_j X B.
  template <class Basis, class Result>
  void masked(Index gate, const Basis& basis, Result&& result) const {
    const std::uint64_t* bits = m_problem.products().bits().pattern(gate);
    result.noalias() = m_problem.products().samples() * basis;
    for (Index i = 0; i < result.rows(); ++i) {
      if ((bits[i / 64] >> (i % 64) & 1u) == 0) result.row(i).setZero();
    }
  }

  /// The neurons of the state.
  std::vector<ConeNeuron<Real>> collected() const {
    std::vector<ConeNeuron<Real>> neurons;
    for (const Index g : m_used) {
      if (group(g).v.squaredNorm() == 0) continue;
      // v is on the face up to rounding, and in the cone unless the last step failed.
      typename ConeProjector<Real>::Face face;
      const Vector<Real> v = m_projector.project(gate_of(g), group(g).v, face);
      if (v.squaredNorm() > 0) neurons.push_back({gate_of(g), sign_of(g), v});
    }
    return neurons;
  }

  void restore(const ConeNewton<Real>& before) {
    m_groups = before.m_groups;
    m_used = before.m_used;
    m_columns = before.m_columns;
    m_by_columns = before.m_by_columns;
    m_factor = before.m_factor;
    m_eta = before.m_eta;
    m_dual = before.m_dual;
    m_norms = before.m_norms;
    m_primal = before.m_primal;
    m_bound = before.m_bound;
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  const ConeProjector<Real>& m_projector;
  Vector<Real> m_targets;
  Real m_lambda = 0;
  std::vector<Group> m_groups;  // 2 j and 2 j + 1 belong to gate j
  std::vector<Index> m_used;    // groups with eta > 0
  Vector<Real> m_eta;
  Vector<Real> m_dual;   // N; after evaluate() the residual of the network
  Vector<Real> m_norms;  // ||Proj_g||
  Matrix<Real> m_columns;
  bool m_by_columns = true;
  TiledCholesky<Real> m_factor;
  Real m_primal = 0;
  Real m_bound = 0;
  Real m_best_gap = 0;      // of all points accepted so far
  bool m_hopeless = false;  // targets that the gates explain to no more than rounding
};

template <class Real>
Real cone_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                     const ConeProjector<Real>& projector, Index output) {
  return ConeNewton<Real>(pool, problem, projector, output).lambda_max();
}

template <class Real>
Termination solve_cone_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                               const ConeProjector<Real>& projector, Index output, Real lambda,
                               const SolveControl& control, std::vector<ConeNeuron<Real>>& neurons,
                               Index& iterations) {
  return ConeNewton<Real>(pool, problem, projector, output)
      .run(lambda, control, neurons, iterations);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template double cone_lambda_max(ThreadPool&, const GroupLassoProblem<double>&,
                                       const ConeProjector<double>&, Index);
extern template Termination solve_cone_problem(ThreadPool&, const GroupLassoProblem<double>&,
                                               const ConeProjector<double>&, Index, double,
                                               const SolveControl&,
                                               std::vector<ConeNeuron<double>>&, Index&);
}  // namespace mgdl::detail
#endif
