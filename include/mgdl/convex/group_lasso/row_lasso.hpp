#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/bounded_quadratic.hpp"
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


template <class Real>
RowLasso<Real>::RowLasso(const Matrix<Real>& Phi, const Matrix<Real>& Y, Real lambda)
    : m_phi(Phi), m_targets(Y), m_lambda(lambda) {
  if (Phi.rows() <= Phi.cols()) return;
  const Index m = Phi.cols();
  const auto [R, coordinates] = orthogonal_coordinates(Phi, Y);
  m_phi = R;
  m_targets = coordinates.topRows(m);
  m_rest = coordinates.bottomRows(coordinates.rows() - m).squaredNorm();
}

template <class Real>
Matrix<Real> RowLasso<Real>::solve(const Matrix<Real>& start, Real tolerance) const {
  constexpr int kMaxSteps = 200;
  constexpr int kPatience = 40;  // steps: in those rounding alone hides any progress
  State state;
  if (!evaluate(start.rowwise().norm() / m_lambda, state)) return start;
  state.best_gap = state.relative_gap;
  Real target = 0.5 * state.best_gap;  // to be reached before patience runs out
  int patience = kPatience;
  for (int step = 0; step < kMaxSteps && state.relative_gap > tolerance && patience > 0; ++step) {
    --patience;
    if (state.best_gap <= target) {
      target = 0.5 * state.best_gap;
      patience = kPatience;
    }
    const Matrix<Real> H = hessian(state);
    const Vector<Real> bounds = -state.eta;
    if (move(secular_step<Real>(H, state.norms, bounds, m_lambda), state)) continue;
    if (!move(descent_step<Real>(H, state.norms, bounds, m_lambda), state)) break;
  }
  return state.eta.asDiagonal() * state.correlation;
}

template <class Real>
bool RowLasso<Real>::move(const Vector<Real>& step, State& state) const {
  for (Real length = 1; length > 1e-6; length /= 2) {
    State trial;
    if (!evaluate((state.eta + length * step).cwiseMax(0), trial)) continue;
    // The gap may rise while the objective falls: only a new record counts, or steps could cycle.
    if (trial.value < state.value || trial.relative_gap < 0.5 * state.best_gap) {
      trial.best_gap = std::min(state.best_gap, trial.relative_gap);
      state = std::move(trial);
      return true;
    }
  }
  return false;
}

template <class Real>
bool RowLasso<Real>::evaluate(const Vector<Real>& eta, State& state) const {
  Matrix<Real> K = m_phi * eta.asDiagonal() * m_phi.transpose();
  K.diagonal().array() += 1;
  if (!state.factor.compute(K)) return false;
  const Matrix<Real> N = state.factor.solve(m_targets);
  state.eta = eta;
  state.correlation = m_phi.transpose() * N;
  state.norms = state.correlation.rowwise().norm();
  const Real target = m_rest + (N.array() * m_targets.array()).sum();
  const Real square = m_rest + N.squaredNorm();
  const Real largest = state.norms.size() > 0 ? state.norms.maxCoeff() : 0;
  const Real primal = 0.5 * square + m_lambda * eta.dot(state.norms);
  const Real dual = scaled_dual<Real>(target, square, largest, m_lambda);
  state.value = 0.5 * target + 0.5 * m_lambda * m_lambda * eta.sum();
  state.relative_gap = primal > 0 ? (primal - dual) / primal : 0;
  return std::isfinite(state.value);
}

template <class Real>
Matrix<Real> RowLasso<Real>::hessian(const State& state) const {
  const Vector<Real> inverse =
      state.norms.cwiseMax(std::numeric_limits<Real>::min()).cwiseInverse();
  const Matrix<Real> directions = inverse.asDiagonal() * state.correlation;
  Matrix<Real> half = m_phi;
  state.factor.solve_lower(half);
  return (half.transpose() * half).cwiseProduct(directions * directions.transpose());
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class RowLasso<double>;
}  // namespace mgdl::detail
#endif
