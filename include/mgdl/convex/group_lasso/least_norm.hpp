#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// The gated problem without penalty: of all least squares solutions the one of least norm.
///
/// Small problems by a complete orthogonal decomposition. Others by conjugate gradients on the
/// normal equations (CGLS), which started at zero stay in the range of A' and so end at the
/// solution of least norm. Source: Bjorck, "Numerical Methods for Least Squares Problems" (SIAM,
/// 1996).
template <class Real>
class GroupLeastSquares {
 public:
  GroupLeastSquares(ThreadPool& pool, const GroupLassoProblem<Real>& problem)
      : m_pool(pool), m_problem(problem) {}

  /// ToleranceReached: the gradient is zero up to rounding.
  Termination run(const SolveControl& control, GroupLassoPoint<Real>& point, Index& iterations) {
    const auto n = static_cast<Real>(m_problem.products().size());
    const auto columns = static_cast<Real>(m_problem.gates() * m_problem.products().dimension());
    constexpr Real kDirect = 2e8;  // multiplications, about a second
    point.coefficients.gates = m_problem.all_gates();
    const bool direct = n * columns * std::min(n, columns) <= kDirect;
    if (direct) {
      decompose(point);
      iterations = 1;
    }
    const Termination termination =
        direct ? Termination::ToleranceReached : iterate(control, point, iterations);
    evaluate(m_pool, m_problem, Real(0), point);
    return std::isfinite(point.primal) ? termination : Termination::NumericalFailure;
  }

 private:
  void decompose(GroupLassoPoint<Real>& point) const {
    const auto& products = m_problem.products();
    const Index p = products.dimension();
    const Index c = m_problem.outputs();
    RowMatrix<Real> columns(products.size(), m_problem.gates() * p);
    products.unpack_columns(m_problem.all_gates().data(), m_problem.gates(), 0, products.size(),
                            columns);
    m_problem.project(columns);
    const Matrix<Real> U =
        least_norm_solution(Matrix<Real>(columns), Matrix<Real>(m_problem.targets()));
    point.coefficients.values.resize(m_problem.gates(), p * c);
    for (Index j = 0; j < m_problem.gates(); ++j) {
      for (Index r = 0; r < p; ++r) {
        for (Index o = 0; o < c; ++o) point.coefficients.values(j, r * c + o) = U(j * p + r, o);
      }
    }
  }

  Termination iterate(const SolveControl& control, GroupLassoPoint<Real>& point,
                      Index& iterations) {
    constexpr Real kRounding = 1e-13;
    const auto& gates = m_problem.all_gates();
    const Index c = m_problem.outputs();
    RowMatrix<Real>& U = point.coefficients.values;
    RowMatrix<Real> residual = m_problem.targets();
    RowMatrix<Real> gradient, image;
    m_problem.products().correlate(m_pool, gates, residual, gradient);
    U = RowMatrix<Real>::Zero(gradient.rows(), gradient.cols());
    RowMatrix<Real> direction = gradient;
    Real energy = gradient.squaredNorm();
    const Real first = energy;
    while (true) {
      // Not a gap: without penalty there is no useful bound. It is the norm of the gradient,
      // relative to that at zero.
      const Real relative = first > 0 ? std::sqrt(energy / first) : 0;
      const Termination termination = control.check(++iterations, relative);
      if (relative <= kRounding) return Termination::ToleranceReached;
      if (termination != Termination::NotRun && termination != Termination::ToleranceReached) {
        return termination;
      }
      m_problem.products().apply(m_pool, gates, direction, c, image);
      m_problem.project(image);
      const Real length = energy / image.squaredNorm();
      U += length * direction;
      residual -= length * image;
      m_problem.products().correlate(m_pool, gates, residual, gradient);
      const Real next = gradient.squaredNorm();
      direction = gradient + next / energy * direction;
      energy = next;
    }
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
};

}  // namespace mgdl::detail
