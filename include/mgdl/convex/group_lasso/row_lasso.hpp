#pragma once

#include <limits>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// min_O 1/2 ||Y - Phi O||^2 + lambda sum_k ||o_k|| over the rows o_k of O (m x c), for few columns
/// of Phi: the method of GroupLassoNewton in one number per row, eta_k = ||o_k|| / lambda at the
/// optimum, in dense algebra. Phi and Y are first replaced by their coordinates in an orthonormal
/// basis, so that K = I + Phi diag(eta) Phi' has no more than m rows.
template <class Real>
class RowLasso {
 public:
  /// \param Phi  n x m
  /// \param Y    n x c
  RowLasso(const Matrix<Real>& Phi, const Matrix<Real>& Y, Real lambda);

  /// \param start      O to start from
  /// \param tolerance  wanted relative duality gap
  /// \returns O; the rows that are zero are exactly zero
  Matrix<Real> solve(const Matrix<Real>& start, Real tolerance) const;

 private:
  struct State {
    Vector<Real> eta;
    Cholesky<Real> factor;     // of K
    Matrix<Real> correlation;  // Phi'N, N = K^-1 Y
    Vector<Real> norms;        // of its rows
    Real value = 0;            // 1/2 <Y, K^-1 Y> + lambda^2 / 2 sum eta
    Real relative_gap = 0;
    Real best_gap = std::numeric_limits<Real>::infinity();  // of all states so far
  };

  /// Goes along the step until the objective in eta falls.
  bool move(const Vector<Real>& step, State& state) const;

  bool evaluate(const Vector<Real>& eta, State& state) const;

  Matrix<Real> hessian(const State& state) const;

  Matrix<Real> m_phi;
  Matrix<Real> m_targets;
  Real m_rest = 0;  // ||Y||^2 outside the basis
  Real m_lambda;
};

#ifdef MGDL_COMPILED
extern template class RowLasso<double>;
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/group_lasso/row_lasso_impl.hpp"  // IWYU pragma: export
#endif
