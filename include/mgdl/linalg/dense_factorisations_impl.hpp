#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <utility>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

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

#ifdef MGDL_COMPILED
template Matrix<double> product(const Matrix<double>&, const Matrix<double>&);
template Matrix<double> transposed_product(const Matrix<double>&, const Matrix<double>&);
template class Cholesky<double>;
template std::pair<Matrix<double>, Matrix<double>> orthogonal_coordinates(const Matrix<double>&,
                                                                          const Matrix<double>&);
template SymmetricEigen<double> symmetric_eigen(const Matrix<double>&);
template Matrix<double> least_norm_solution(const Matrix<double>&, const Matrix<double>&);
#endif

}  // namespace mgdl::detail
