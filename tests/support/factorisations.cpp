#include "support/factorisations.hpp"

#include <Eigen/Dense>

namespace mgdl::test {

Matrix<double> solve_symmetric(const Matrix<double>& A, const Matrix<double>& B) {
  return A.ldlt().solve(B);
}

Matrix<double> least_squares(const Matrix<double>& A, const Matrix<double>& B) {
  return A.colPivHouseholderQr().solve(B);
}

Matrix<double> least_norm_squares(const Matrix<double>& A, const Matrix<double>& B,
                                  double threshold) {
  Eigen::JacobiSVD<Matrix<double>> svd(A, Eigen::ComputeThinU | Eigen::ComputeThinV);
  svd.setThreshold(threshold);
  return svd.solve(B);
}

Matrix<double> orthogonal_basis(const Matrix<double>& A) {
  return A.householderQr().householderQ();
}

double spectral_norm(const Matrix<double>& A) {
  return Eigen::JacobiSVD<Matrix<double>>(A).singularValues()[0];
}

Vector<double> symmetric_eigenvalues(const Matrix<double>& A) {
  return Eigen::SelfAdjointEigenSolver<Matrix<double>>(A, Eigen::EigenvaluesOnly).eigenvalues();
}

}  // namespace mgdl::test
