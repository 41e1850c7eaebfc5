#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// An orthonormal basis of vectors that come one after another, and their coordinates in it: the
/// factors Q (p x k) and R of a QR decomposition, by Gram-Schmidt with a second pass.
///
/// Source: Giraud, Langou & Rozloznik, "The loss of orthogonality in the Gram-Schmidt
/// orthogonalization process" (Computers & Mathematics with Applications 50, 2005).
template <class Real>
class OrthonormalBasis {
 public:
  OrthonormalBasis() = default;
  explicit OrthonormalBasis(Index dimension) : m_dimension(dimension) {}

  Index dimension() const noexcept { return m_dimension; }
  Index size() const noexcept { return static_cast<Index>(m_vectors.size()); }
  const Vector<Real>& vector(Index k) const { return m_vectors[static_cast<std::size_t>(k)]; }

  void clear() noexcept {
    m_vectors.clear();
    m_factors.clear();
  }

  /// Adds a unit vector.
  /// \returns false, and adds nothing, if it is a combination of the others up to rounding
  bool add(Vector<Real> v) {
    constexpr Real kDependent = 1e-11;
    Vector<Real> factors = Vector<Real>::Zero(size() + 1);
    for (int pass = 0; pass < 2; ++pass) {
      for (Index k = 0; k < size(); ++k) {
        const Real share = vector(k).dot(v);
        v -= share * vector(k);
        factors[k] += share;
      }
    }
    const Real norm = v.norm();
    if (!(norm > kDependent)) return false;
    factors[size()] = norm;
    m_vectors.push_back(v / norm);
    m_factors.push_back(factors);
    return true;
  }

  /// v without its part in the span.
  Vector<Real> reject(Vector<Real> v) const {
    for (const auto& q : m_vectors) v -= q.dot(v) * q;
    return v;
  }

  /// x of least ||A x - b||, A the vectors as they were added.
  Vector<Real> coefficients(const Vector<Real>& b) const {
    Vector<Real> x(size());
    for (Index k = 0; k < size(); ++k) x[k] = vector(k).dot(b);
    for (Index k = size() - 1; k >= 0; --k) {
      const Vector<Real>& column = m_factors[static_cast<std::size_t>(k)];
      x[k] /= column[k];
      for (Index l = 0; l < k; ++l) x[l] -= column[l] * x[k];
    }
    return x;
  }

  /// An orthonormal basis of what is orthogonal to the span, p x (p - k).
  Matrix<Real> complement() const {
    Matrix<Real> result(m_dimension, m_dimension - size());
    // Of the unit vectors always the one that is nearest to what is left.
    Vector<Real> left = Vector<Real>::Ones(m_dimension);
    for (const auto& q : m_vectors) left -= q.cwiseAbs2();
    for (Index k = 0; k < result.cols(); ++k) {
      Index nearest = 0;
      left.maxCoeff(&nearest);
      Vector<Real> v = Vector<Real>::Unit(m_dimension, nearest);
      for (int pass = 0; pass < 2; ++pass) {
        v = reject(v);
        for (Index l = 0; l < k; ++l) v -= result.col(l).dot(v) * result.col(l);
      }
      result.col(k) = v / v.norm();
      left -= result.col(k).cwiseAbs2();
    }
    return result;
  }

 private:
  Index m_dimension = 0;
  std::vector<Vector<Real>> m_vectors;
  std::vector<Vector<Real>> m_factors;  // column k of R: k + 1 values
};

/// Numbers, in ascending order, of at most `count` columns of X (n x m) that explain the variance
/// of all of them well: each time the one with the largest variance that the columns chosen before
/// leave, as in a Cholesky factorisation of the covariance with diagonal pivoting. O(n m count).
///
/// \param weights  n, >= 0, sum 1
template <class Real>
std::vector<Index> leading_columns(const RowMatrix<Real>& X, const Vector<Real>& weights,
                                   Index count) {
  const Index m = X.cols();
  std::vector<Index> chosen;
  if (m <= count) {
    for (Index j = 0; j < m; ++j) chosen.push_back(j);
    return chosen;
  }
  const RowVector<Real> mean = weights.transpose() * X;
  RowVector<Real> left = RowVector<Real>::Zero(m);
  for (Index i = 0; i < X.rows(); ++i) left += weights[i] * (X.row(i) - mean).cwiseAbs2();
  const Real rounding = 1e-13 * left.maxCoeff();
  RowMatrix<Real> rows(count, m);  // of the triangular factor
  while (static_cast<Index>(chosen.size()) < count) {
    Index pivot = 0;
    // One column is always chosen: there is no network without inputs.
    if (!(left.maxCoeff(&pivot) > rounding) && !chosen.empty()) break;
    const auto k = static_cast<Index>(chosen.size());
    const Vector<Real> column = weights.cwiseProduct((X.col(pivot).array() - mean[pivot]).matrix());
    RowVector<Real> row = column.transpose() * X;  // the column's mean is zero
    row -= rows.col(pivot).head(k).transpose() * rows.topRows(k);
    if (left[pivot] > 0) row /= std::sqrt(left[pivot]);
    rows.row(k) = row;
    left = (left - row.cwiseAbs2()).cwiseMax(0);
    left[pivot] = 0;
    chosen.push_back(pivot);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace mgdl::detail
