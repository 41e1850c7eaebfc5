#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Numbers, in ascending order, of at most `count` columns of X (n x m) that explain the variance
/// of all of them well: each time the one with the largest variance that the columns chosen before
/// leave, as in a Cholesky factorisation of the covariance with diagonal pivoting. O(n m count).
///
/// \param weights  n, >= 0, sum 1
inline std::vector<Index> leading_columns(const RowMatrix<double>& X, const Vector<double>& weights,
                                          Index count) {
  const Index m = X.cols();
  std::vector<Index> chosen;
  if (m <= count) {
    for (Index j = 0; j < m; ++j) chosen.push_back(j);
    return chosen;
  }
  const RowVector<double> mean = weights.transpose() * X;
  RowVector<double> left = RowVector<double>::Zero(m);
  for (Index i = 0; i < X.rows(); ++i) left += weights[i] * (X.row(i) - mean).cwiseAbs2();
  const double rounding = 1e-13 * left.maxCoeff();
  RowMatrix<double> rows(count, m);  // of the triangular factor
  while (static_cast<Index>(chosen.size()) < count) {
    Index pivot = 0;
    // One column is always chosen: there is no network without inputs.
    if (!(left.maxCoeff(&pivot) > rounding) && !chosen.empty()) break;
    const auto k = static_cast<Index>(chosen.size());
    const Vector<double> column =
        weights.cwiseProduct((X.col(pivot).array() - mean[pivot]).matrix());
    RowVector<double> row = column.transpose() * X;  // the column's mean is zero
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
