#pragma once

#include "mgdl/core/types.hpp"

/// \file
/// Factorisations that tests check by: those of Eigen, not those of mgdl/linalg. Each costs a
/// source file some five seconds to compile; here it is compiled once for all tests.

namespace mgdl::test {

/// A^-1 B of a symmetric, regular A, by L D L'.
Matrix<double> solve_symmetric(const Matrix<double>& A, const Matrix<double>& B);

/// An X that minimises ||A X - B||, by QR with pivots.
Matrix<double> least_squares(const Matrix<double>& A, const Matrix<double>& B);

/// Of all that do, the one of least norm, where singular values below `threshold` times the largest
/// count as zero.
Matrix<double> least_norm_squares(const Matrix<double>& A, const Matrix<double>& B,
                                  double threshold);

/// A square orthogonal matrix whose first columns span those of A.
Matrix<double> orthogonal_basis(const Matrix<double>& A);

/// The largest singular value of A, by Jacobi's rotations.
double spectral_norm(const Matrix<double>& A);

/// Eigenvalues of a symmetric matrix, ascending.
Vector<double> symmetric_eigenvalues(const Matrix<double>& A);

}  // namespace mgdl::test
