#pragma once

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/bounded_quadratic.hpp"
#include "mgdl/detail/group_lasso_problem.hpp"

namespace mgdl::detail {

/// min_O 1/2 ||Y - Phi O||^2 + lambda sum_k ||o_k|| over the rows o_k of O (m x c), for few columns
/// of Phi: the method of GroupLassoNewton in one number per row, eta_k = ||o_k|| / lambda at the
/// optimum, in dense algebra. Phi and Y are first replaced by their coordinates in an orthonormal
/// basis, so that K = I + Phi diag(eta) Phi' has no more than m rows.
class RowLasso {
 public:
  /// \param Phi  n x m
  /// \param Y    n x c
  RowLasso(const Matrix<double>& Phi, const Matrix<double>& Y, double lambda)
      : m_phi(Phi), m_targets(Y), m_lambda(lambda) {
    if (Phi.rows() <= Phi.cols()) return;
    const Index m = Phi.cols();
    const Eigen::HouseholderQR<Matrix<double>> qr(Phi);
    const Matrix<double> coordinates = qr.householderQ().transpose() * Y;
    m_phi = qr.matrixQR().topRows(m).triangularView<Eigen::Upper>();
    m_targets = coordinates.topRows(m);
    m_rest = coordinates.bottomRows(coordinates.rows() - m).squaredNorm();
  }

  /// \param start      O to start from
  /// \param tolerance  wanted relative duality gap
  /// \returns O; the rows that are zero are exactly zero
  Matrix<double> solve(const Matrix<double>& start, double tolerance) const {
    constexpr int kMaxSteps = 200;
    constexpr int kPatience = 40;  // steps: in those rounding alone hides any progress
    State state;
    if (!evaluate(start.rowwise().norm() / m_lambda, state)) return start;
    state.best_gap = state.relative_gap;
    double target = 0.5 * state.best_gap;  // to be reached before patience runs out
    int patience = kPatience;
    for (int step = 0; step < kMaxSteps && state.relative_gap > tolerance && patience > 0; ++step) {
      --patience;
      if (state.best_gap <= target) {
        target = 0.5 * state.best_gap;
        patience = kPatience;
      }
      const Matrix<double> H = hessian(state);
      const Vector<double> bounds = -state.eta;
      if (move(secular_step(H, state.norms, bounds, m_lambda), state)) continue;
      if (!move(descent_step(H, state.norms, bounds, m_lambda), state)) break;
    }
    return state.eta.asDiagonal() * state.correlation;
  }

 private:
  struct State {
    Vector<double> eta;
    Eigen::LLT<Matrix<double>> factor;  // of K
    Matrix<double> correlation;         // Phi'N, N = K^-1 Y
    Vector<double> norms;               // of its rows
    double value = 0;                   // 1/2 <Y, K^-1 Y> + lambda^2 / 2 sum eta
    double relative_gap = 0;
    double best_gap = std::numeric_limits<double>::infinity();  // of all states so far
  };

  /// Goes along the step until the objective in eta falls.
  bool move(const Vector<double>& step, State& state) const {
    for (double length = 1; length > 1e-6; length /= 2) {
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

  bool evaluate(const Vector<double>& eta, State& state) const {
    Matrix<double> K = m_phi * eta.asDiagonal() * m_phi.transpose();
    K.diagonal().array() += 1;
    state.factor.compute(K);
    if (state.factor.info() != Eigen::Success) return false;
    const Matrix<double> N = state.factor.solve(m_targets);
    state.eta = eta;
    state.correlation = m_phi.transpose() * N;
    state.norms = state.correlation.rowwise().norm();
    const double target = m_rest + (N.array() * m_targets.array()).sum();
    const double square = m_rest + N.squaredNorm();
    const double largest = state.norms.size() > 0 ? state.norms.maxCoeff() : 0;
    const double primal = 0.5 * square + m_lambda * eta.dot(state.norms);
    const double dual = scaled_dual(
        target, square, largest > 0 ? m_lambda / largest : std::numeric_limits<double>::max());
    state.value = 0.5 * target + 0.5 * m_lambda * m_lambda * eta.sum();
    state.relative_gap = primal > 0 ? (primal - dual) / primal : 0;
    return std::isfinite(state.value);
  }

  Matrix<double> hessian(const State& state) const {
    const Vector<double> inverse =
        state.norms.cwiseMax(std::numeric_limits<double>::min()).cwiseInverse();
    const Matrix<double> directions = inverse.asDiagonal() * state.correlation;
    const Matrix<double> half = state.factor.matrixL().solve(m_phi);
    return (half.transpose() * half).cwiseProduct(directions * directions.transpose());
  }

  Matrix<double> m_phi;
  Matrix<double> m_targets;
  double m_rest = 0;  // ||Y||^2 outside the basis
  double m_lambda;
};

}  // namespace mgdl::detail
