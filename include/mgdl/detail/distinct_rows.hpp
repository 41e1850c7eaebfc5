#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// The rows of a matrix in lexicographic order, equal ones (0 and -0 too) together.
struct DistinctRows {
  std::vector<Index> order;  ///< numbers of all rows
  std::vector<Index>
      first;  ///< where each group of equal rows starts in `order`, and where it ends

  explicit DistinctRows(const ConstRowMatrixRef<double>& rows)
      : order(static_cast<std::size_t>(rows.rows())) {
    const auto before = [&](Index a, Index b) {
      for (Index k = 0; k < rows.cols(); ++k) {
        if (rows(a, k) != rows(b, k)) return rows(a, k) < rows(b, k);
      }
      return false;
    };
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return before(a, b) || (!before(b, a) && a < b); });
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || before(order[i - 1], order[i])) first.push_back(static_cast<Index>(i));
    }
    first.push_back(rows.rows());
  }

  /// Number of different rows.
  Index size() const noexcept { return static_cast<Index>(first.size()) - 1; }
  /// Number of a row that is equal to all of group k.
  Index row(Index k) const noexcept {
    return order[static_cast<std::size_t>(first[static_cast<std::size_t>(k)])];
  }
  /// `values` at one row of each group, groups x columns.
  RowMatrix<double> pick(const ConstRowMatrixRef<double>& values) const {
    RowMatrix<double> picked(size(), values.cols());
    for (Index k = 0; k < size(); ++k) picked.row(k) = values.row(row(k));
    return picked;
  }
  /// For every row, its group.
  std::vector<Index> groups() const {
    std::vector<Index> group(order.size());
    for (Index k = 0; k < size(); ++k) {
      for (Index i = first[static_cast<std::size_t>(k)]; i < first[static_cast<std::size_t>(k + 1)];
           ++i) {
        group[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = k;
      }
    }
    return group;
  }
};

}  // namespace mgdl::detail
