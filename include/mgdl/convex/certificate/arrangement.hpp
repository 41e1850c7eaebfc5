#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Unit eigenvector for the largest eigenvalue of a symmetric positive semidefinite matrix, given
/// row by row, by Jacobi's rotations.
///
/// Plain loops, here and in the other parts of certificates that are not products of large
/// matrices: expressions of Eigen take seconds to compile for every type of number.
template <class Scalar>
std::vector<Scalar> largest_eigenvector(std::vector<Scalar> A, Index size) {
  const auto at = [size](Index row, Index col) {
    return static_cast<std::size_t>(row * size + col);
  };
  std::vector<Scalar> V(A.size(), Scalar(0));
  for (Index k = 0; k < size; ++k) V[at(k, k)] = 1;
  constexpr int kSweeps = 50;  // a few are enough, for every sweep nearly squares what is left
  bool diagonal = false;
  for (int sweep = 0; sweep < kSweeps && !diagonal; ++sweep) {
    diagonal = true;
    for (Index p = 0; p < size; ++p) {
      for (Index q = p + 1; q < size; ++q) {
        const Scalar a = A[at(p, q)];
        const Scalar size_pq = std::sqrt(std::abs(A[at(p, p)] * A[at(q, q)]));
        if (std::abs(a) <= std::numeric_limits<Scalar>::epsilon() * size_pq) continue;
        diagonal = false;
        const Scalar half = (A[at(q, q)] - A[at(p, p)]) / (2 * a);
        const Scalar tangent = (half >= 0 ? 1 : -1) / (std::abs(half) + std::sqrt(1 + half * half));
        const Scalar cosine = 1 / std::sqrt(1 + tangent * tangent);
        const Scalar sine = tangent * cosine;
        const auto rotate = [cosine, sine](Scalar& x, Scalar& y) {
          const Scalar old = x;
          x = cosine * old - sine * y;
          y = sine * old + cosine * y;
        };
        for (Index k = 0; k < size; ++k) rotate(A[at(k, p)], A[at(k, q)]);
        for (Index k = 0; k < size; ++k) rotate(A[at(p, k)], A[at(q, k)]);
        for (Index k = 0; k < size; ++k) rotate(V[at(k, p)], V[at(k, q)]);
      }
    }
  }
  Index largest = 0;
  for (Index k = 1; k < size; ++k) {
    if (A[at(k, k)] > A[at(largest, largest)]) largest = k;
  }
  std::vector<Scalar> vector;
  for (Index k = 0; k < size; ++k) vector.push_back(V[at(k, largest)]);
  return vector;
}

/// Largest p for which all_patterns_maximum() is there.
inline constexpr Index kArrangementDimensions = 3;

/// The left side of the dual constraint over all patterns of the samples,
///
///     max over unit vectors u in R^p of |sum_i max(0, x~_i.u) N_i|,
///
/// rounded up, for p <= 3. O(n log n) for p <= 2; for p = 3 see SphereMaximum.
///
/// \param X  x~_i, n x p, \param N  n x c
template <class Real>
Real all_patterns_maximum(const Matrix<Real>& X, const Matrix<Real>& N);

#ifdef MGDL_COMPILED
extern template double all_patterns_maximum(const Matrix<double>&, const Matrix<double>&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/certificate/arrangement_impl.hpp"  // IWYU pragma: export
#endif
