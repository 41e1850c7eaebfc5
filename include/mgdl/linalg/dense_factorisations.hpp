#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <utility>

#include "mgdl/core/types.hpp"

/// \file
/// Products and factorisations of dense matrices behind plain calls, so that Eigen's templates for
/// them are compiled in one place. `Real` is the type of the arithmetic.

namespace mgdl::detail {

/// A B.
template <class Real>
Matrix<Real> product(const Matrix<Real>& A, const Matrix<Real>& B);

/// A' B.
template <class Real>
Matrix<Real> transposed_product(const Matrix<Real>& A, const Matrix<Real>& B);

/// A = L L' of a symmetric positive definite matrix, of which the lower triangle counts.
template <class Real>
class Cholesky {
 public:
  /// Nothing: ok() is false.
  Cholesky() = default;
  explicit Cholesky(const Matrix<Real>& A) { compute(A); }

  /// \returns ok()
  bool compute(const Matrix<Real>& A);

  /// Whether A is positive definite in this arithmetic.
  bool ok() const noexcept { return m_ok; }

  /// A^-1 B.
  /// \{
  Matrix<Real> solve(const Matrix<Real>& B) const;
  Vector<Real> solve(const Vector<Real>& b) const;
  /// \}

  /// L^-1 B in place of B.
  void solve_lower(Matrix<Real>& B) const;
  /// L'^-1 B in place of B.
  void solve_upper(Matrix<Real>& B) const;

 private:
  Eigen::LLT<Matrix<Real>> m_factor;
  bool m_ok = false;
};

/// Coordinates of A (n x m, n >= m) and B in an orthonormal basis whose first m vectors span the
/// columns of A: R (m x m, upper triangular) and Q'B (n x c), by Householder's reflections.
template <class Real>
std::pair<Matrix<Real>, Matrix<Real>> orthogonal_coordinates(const Matrix<Real>& A,
                                                             const Matrix<Real>& B);

/// Eigenvalues, ascending, and orthonormal eigenvectors, one a column.
template <class Real>
struct SymmetricEigen {
  Vector<Real> values;
  Matrix<Real> vectors;
};

/// Of a symmetric matrix, of which the lower triangle counts.
template <class Real>
SymmetricEigen<Real> symmetric_eigen(const Matrix<Real>& A);

/// Of all X that minimise ||A X - B|| the one of least norm, by a complete orthogonal
/// decomposition.
template <class Real>
Matrix<Real> least_norm_solution(const Matrix<Real>& A, const Matrix<Real>& B);

template <class Real>
Matrix<Real> product(const Matrix<Real>& A, const Matrix<Real>& B) {
  return A * B;
}

template <class Real>
Matrix<Real> transposed_product(const Matrix<Real>& A, const Matrix<Real>& B) {
  return A.transpose() * B;
}

template <class Real>
bool Cholesky<Real>::compute(const Matrix<Real>& A) {
  m_factor.compute(A);
  m_ok = m_factor.info() == Eigen::Success;
  return m_ok;
}

template <class Real>
Matrix<Real> Cholesky<Real>::solve(const Matrix<Real>& B) const {
  return m_factor.solve(B);
}

template <class Real>
Vector<Real> Cholesky<Real>::solve(const Vector<Real>& b) const {
  return m_factor.solve(b);
}

template <class Real>
void Cholesky<Real>::solve_lower(Matrix<Real>& B) const {
  m_factor.matrixL().solveInPlace(B);
}

template <class Real>
void Cholesky<Real>::solve_upper(Matrix<Real>& B) const {
  m_factor.matrixU().solveInPlace(B);
}

template <class Real>
std::pair<Matrix<Real>, Matrix<Real>> orthogonal_coordinates(const Matrix<Real>& A,
                                                             const Matrix<Real>& B) {
  const Eigen::HouseholderQR<Matrix<Real>> qr(A);
  return {qr.matrixQR().topRows(A.cols()).template triangularView<Eigen::Upper>(),
          qr.householderQ().transpose() * B};
}

template <class Real>
SymmetricEigen<Real> symmetric_eigen(const Matrix<Real>& A) {
  const Eigen::SelfAdjointEigenSolver<Matrix<Real>> solver(A);
  return {solver.eigenvalues(), solver.eigenvectors()};
}

template <class Real>
Matrix<Real> least_norm_solution(const Matrix<Real>& A, const Matrix<Real>& B) {
  return A.completeOrthogonalDecomposition().solve(B);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Matrix<double> product(const Matrix<double>&, const Matrix<double>&);
extern template Matrix<double> transposed_product(const Matrix<double>&, const Matrix<double>&);
extern template class Cholesky<double>;
extern template std::pair<Matrix<double>, Matrix<double>> orthogonal_coordinates(
    const Matrix<double>&, const Matrix<double>&);
extern template SymmetricEigen<double> symmetric_eigen(const Matrix<double>&);
extern template Matrix<double> least_norm_solution(const Matrix<double>&, const Matrix<double>&);
}  // namespace mgdl::detail
#endif
