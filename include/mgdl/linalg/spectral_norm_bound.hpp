#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Unit roundoff: half the distance from 1 to the next larger value.
template <class Scalar>
inline constexpr double kRoundoff = static_cast<double>(std::numeric_limits<Scalar>::epsilon()) / 2;

/// gamma_n = n u / (1 - n u): a sum of products in which every term passes through at most n
/// roundings differs from the exact one by at most gamma_n times the sum of the terms' absolute
/// values, in whatever order they are added (Higham, section 3.1).
inline double rounding_factor(Index roundings, double roundoff) {
  const double nu = static_cast<double>(roundings) * roundoff;
  return nu < 1 ? nu / (1 - nu) : std::numeric_limits<double>::infinity();
}

template <class Scalar>
double rounding_factor(Index roundings) {
  return rounding_factor(roundings, kRoundoff<Scalar>);
}

/// Bounds the largest eigenvalue of a symmetric positive semidefinite matrix from above, by
///
///     ||A||_2 = ||A^m||_2^(1/m) <= ||A^m||_F^(1/m),   m = 1, 2, 4, ...,
///
/// where squaring stops once the bound is within `tolerance` (relative) of ||A||_2, which is at
/// least ||A||_F^2 / trace(A). `level` counts the squarings so far. The rounding of a square is
/// bounded by gamma ||A||_F^2, as ||A|| = || |A| || for Frobenius norms, and added.
template <class Real>
Real largest_eigenvalue_bound(Matrix<Real> A, Real tolerance, int level = 0) {
  constexpr int kMaxSquarings = 40;
  const Real gamma = rounding_factor<Real>(A.size() + 8);
  const Real norm = A.stableNorm() * (1 + gamma);
  if (!(norm > 0) || !std::isfinite(norm)) return norm;
  A /= norm;
  const Real gain = -std::log(A.squaredNorm() / A.trace());  // of log ||A||_F over log ||A||_2
  if (level == kMaxSquarings || std::ldexp(gain, -level) <= tolerance) return norm;
  Matrix<Real> square = A * A;
  square = (square + square.transpose()).eval() / 2;
  const Real rounding = 2 * rounding_factor<Real>(A.rows() + 8);
  const Real bound = largest_eigenvalue_bound<Real>(std::move(square), tolerance, level + 1);
  return norm * std::sqrt(bound + rounding) * (1 + 8 * kRoundoff<Real>);
}

/// Bounds the spectral norm of M from above, tight to 0.01 %. Also covers a relative rounding error
/// of a few units in each entry of M.
template <class Derived>
typename Derived::Scalar spectral_norm_bound(const Eigen::MatrixBase<Derived>& matrix) {
  using Real = typename Derived::Scalar;
  const Matrix<Real> M = matrix;
  if (!M.allFinite()) return std::numeric_limits<Real>::infinity();
  const Real largest = M.size() == 0 ? 0 : M.cwiseAbs().maxCoeff();
  if (largest == 0) return 0;
  const Matrix<Real> S = M / largest;
  const bool wide = S.cols() > S.rows();
  const Index terms = wide ? S.cols() : S.rows();
  Matrix<Real> gram = wide ? Matrix<Real>(S * S.transpose()) : S.transpose() * S;
  gram = (gram + gram.transpose()).eval() / 2;
  const Real rounding = 2 * rounding_factor<Real>(terms + 8) * S.squaredNorm();
  return largest * std::sqrt(largest_eigenvalue_bound<Real>(std::move(gram), 2e-4) + rounding) *
         (1 + 8 * kRoundoff<Real>)+largest * 8 * kRoundoff<Real> * S.norm();
}

}  // namespace mgdl::detail
