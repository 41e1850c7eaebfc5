#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Accelerated proximal gradient for the gated problem, restarted whenever the momentum points
/// uphill. The baseline that GroupLassoNewton is measured against.
///
/// Sources: Beck & Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse
/// problems" (SIAM J. Imaging Sciences 2, 2009); O'Donoghue & Candes, "Adaptive restart for
/// accelerated gradient schemes" (Foundations of Computational Mathematics 15, 2015).
template <class Real>
class GroupLassoFista {
 public:
  GroupLassoFista(ThreadPool& pool, const GroupLassoProblem<Real>& problem, Real lambda)
      : m_pool(pool), m_problem(problem), m_lambda(lambda) {}

  /// Improves `point`, whose coefficients are the start, until `control` ends it.
  Termination run(const SolveControl& control, GroupLassoPoint<Real>& point, Index& iterations) {
    constexpr Index kCheck = 10;  // steps between two evaluations of the gap
    const Index P = m_problem.gates();
    const Index columns = m_problem.products().dimension() * m_problem.outputs();
    RowMatrix<Real> U = RowMatrix<Real>::Zero(P, columns);
    for (Index k = 0; k < std::ssize(point.coefficients.gates); ++k) {
      U.row(point.coefficients.gates[at(k)]) = point.coefficients.values.row(k);
    }
    evaluate(m_pool, m_problem, m_lambda, point);
    if (point.coefficients.gates.empty() && point.norms.maxCoeff() <= m_problem.rounding() &&
        point.relative_gap() > control.relative_tolerance()) {
      return Termination::NoProgress;
    }
    Real curvature = largest_curvature();
    RowMatrix<Real> residual = point.residual;  // Y - A U
    RowMatrix<Real> previous = U;
    RowMatrix<Real> previous_residual = residual;
    Real momentum = 1;
    while (true) {
      const Termination termination = control.check(++iterations, point.relative_gap());
      if (termination != Termination::NotRun) return termination;
      for (Index step = 0; step < kCheck; ++step) {
        const Real next = 0.5 * (1 + std::sqrt(1 + 4 * momentum * momentum));
        const Real weight = (momentum - 1) / next;
        const RowMatrix<Real> V = U + weight * (U - previous);
        const RowMatrix<Real> residual_at = residual + weight * (residual - previous_residual);
        RowMatrix<Real> gradient;
        m_problem.products().correlate(m_pool, m_problem.all_gates(), residual_at, gradient);
        previous = U;
        previous_residual = residual;
        while (true) {
          proximal_step(V, gradient, curvature, U);
          residual_of(U, residual);
          // The quadratic model must lie above the loss, else the step was too long.
          const Real change = (residual - residual_at).squaredNorm();
          if (change <= curvature * (U - V).squaredNorm() * (1 + 1e-10) + 1e-300) break;
          curvature *= 1.5;
        }
        momentum = next;
        const Real uphill = ((V - U).array() * (U - previous).array()).sum();
        if (uphill > 0) momentum = 1;
      }
      iterations += kCheck - 1;
      to_point(U, point);
      evaluate(m_pool, m_problem, m_lambda, point);
    }
  }

 private:
  static std::size_t at(Index k) noexcept { return static_cast<std::size_t>(k); }

  /// About the largest eigenvalue of A'A, by power iteration.
  Real largest_curvature() {
    RowMatrix<Real> v = m_problem.targets();
    Real value = 0;
    for (int step = 0; step < 30 && v.norm() > 0; ++step) {
      v /= v.norm();
      RowMatrix<Real> U;
      m_problem.products().correlate(m_pool, m_problem.all_gates(), v, U);
      m_problem.products().apply(m_pool, m_problem.all_gates(), U, m_problem.outputs(), v);
      m_problem.project(v);
      value = v.norm();
    }
    return std::max(value, std::numeric_limits<Real>::min());
  }

  /// U = prox(V + gradient / curvature): blocks shrink by lambda / curvature.
  void proximal_step(const RowMatrix<Real>& V, const RowMatrix<Real>& gradient, Real curvature,
                     RowMatrix<Real>& U) const {
    U = V + gradient / curvature;
    const Real shrink = m_lambda / curvature;
    for (Index j = 0; j < U.rows(); ++j) {
      const Real norm = U.row(j).norm();
      if (norm <= shrink) {
        U.row(j).setZero();
      } else {
        U.row(j) *= 1 - shrink / norm;
      }
    }
  }

  void to_point(const RowMatrix<Real>& U, GroupLassoPoint<Real>& point) const {
    point.coefficients.gates.clear();
    for (Index j = 0; j < U.rows(); ++j) {
      if (U.row(j).squaredNorm() > 0) point.coefficients.gates.push_back(j);
    }
    point.coefficients.values = U(point.coefficients.gates, kAll);
  }

  void residual_of(const RowMatrix<Real>& U, RowMatrix<Real>& residual) {
    to_point(U, m_scratch);
    m_problem.residual(m_pool, m_scratch.coefficients.gates, m_scratch.coefficients.values,
                       residual);
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  Real m_lambda;
  GroupLassoPoint<Real> m_scratch;
};

}  // namespace mgdl::detail
