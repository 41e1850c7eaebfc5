#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "mgdl/core/metrics.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// The rows of a matrix in lexicographic order, equal ones (0 and -0 too) together.
struct DistinctRows {
  std::vector<Index> order;  ///< numbers of all rows
  std::vector<Index>
      first;  ///< where each group of equal rows starts in `order`, and where it ends

  template <class Real = double>
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
  template <class Real = double>
  RowMatrix<Real> pick(const ConstRowMatrixRef<double>& values) const {
    RowMatrix<Real> picked(size(), values.cols());
    for (Index k = 0; k < size(); ++k) {
      const double* from = values.data() + row(k) * values.outerStride();
      std::copy(from, from + values.cols(), picked.data() + k * values.cols());
    }
    return picked;
  }
  /// For every row, its group.
  template <class Real = double>
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

/// All ordered pairs (a, b) of samples with x_a != x_b, numbered, without a list of them.
class SamplePairs {
 public:
  template <class Real = double>
  explicit SamplePairs(const ConstRowMatrixRef<double>& inputs)
      : m_rows(inputs), m_total(inputs.rows()) {
    m_first_pair.push_back(0);
    for (Index k = 0; k < m_rows.size(); ++k) {
      const Index size = end(k) - begin(k);
      m_first_pair.push_back(m_first_pair.back() + static_cast<std::uint64_t>(size) *
                                                       static_cast<std::uint64_t>(m_total - size));
    }
  }

  /// Number of pairs.
  std::uint64_t size() const noexcept { return m_first_pair.back(); }

  /// Pair `number`, below size(): a is one of a group of equal samples, b one of all others.
  std::pair<Index, Index> operator[](std::uint64_t number) const {
    const auto above = std::upper_bound(m_first_pair.begin(), m_first_pair.end(), number);
    const auto k = static_cast<Index>(above - m_first_pair.begin()) - 1;
    const auto others = static_cast<std::uint64_t>(m_total - (end(k) - begin(k)));
    number -= m_first_pair[static_cast<std::size_t>(k)];
    const Index a = begin(k) + static_cast<Index>(number / others);
    Index b = static_cast<Index>(number % others);
    if (b >= begin(k)) b += end(k) - begin(k);
    return {row(a), row(b)};
  }

 private:
  Index begin(Index k) const { return m_rows.first[static_cast<std::size_t>(k)]; }
  Index end(Index k) const { return begin(k + 1); }
  Index row(Index i) const { return m_rows.order[static_cast<std::size_t>(i)]; }

  DistinctRows m_rows;
  Index m_total;
  std::vector<std::uint64_t> m_first_pair;  // with a in each group; their number in the end
};

/// The pairs themselves if there are at most `count`, else `count` random ones without those that
/// are repeated.
template <class Real = double>
std::vector<std::pair<Index, Index>> candidate_pairs(const SamplePairs& pairs, std::uint64_t count,
                                                     RandomStream& random) {
  std::vector<std::uint64_t> numbers(std::min(count, pairs.size()));
  if (pairs.size() <= count) {
    std::iota(numbers.begin(), numbers.end(), std::uint64_t{0});
  } else {
    for (auto& number : numbers) number = random.below(pairs.size());
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  }
  std::vector<std::pair<Index, Index>> result;
  result.reserve(numbers.size());
  for (const std::uint64_t number : numbers) result.push_back(pairs[number]);
  return result;
}

/// |(x_b - x_a) / scale|, at least the smallest normal number.
template <class Real = double>
double pair_distance(const ConstRowMatrixRef<double>& inputs, std::pair<Index, Index> pair,
                     const RowVector<double>& scale) {
  RowVector<Real> difference(inputs.cols());
  for (Index j = 0; j < inputs.cols(); ++j) {
    difference[j] = (inputs(pair.second, j) - inputs(pair.first, j)) / scale[j];
  }
  return std::max(stable_norm(difference), std::numeric_limits<double>::min());
}

/// max_k |r_ak - r_bk| / |(x_b - x_a) / scale| of each pair (a, b), up to a common factor that
/// keeps them within [0, 1].
template <class Real = double>
std::vector<double> pair_slopes(const ConstRowMatrixRef<double>& inputs,
                                const ConstRowMatrixRef<double>& residual,
                                const std::vector<std::pair<Index, Index>>& pairs,
                                const RowVector<double>& scale) {
  std::vector<double> slopes(pairs.size());
  Real largest = 0;
  for (Index i = 0; i < residual.rows(); ++i) {
    for (Index j = 0; j < residual.cols(); ++j) {
      largest = std::max(largest, std::abs(residual(i, j)));
    }
  }
  if (largest == 0) return slopes;
  std::vector<double> distances(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    distances[i] = pair_distance(inputs, pairs[i], scale);
  }
  const double shortest = *std::min_element(distances.begin(), distances.end());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    double difference = 0;
    for (Index j = 0; j < residual.cols(); ++j) {
      difference = std::max(difference, std::abs(residual(pairs[i].first, j) / largest -
                                                 residual(pairs[i].second, j) / largest));
    }
    slopes[i] = difference / 2 * (shortest / distances[i]);
  }
  return slopes;
}

}  // namespace mgdl::detail
