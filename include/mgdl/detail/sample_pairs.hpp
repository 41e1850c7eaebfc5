#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/distinct_rows.hpp"

namespace mgdl::detail {

/// All ordered pairs (a, b) of samples with x_a != x_b, numbered, without a list of them.
class SamplePairs {
 public:
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
inline std::vector<std::pair<Index, Index>> candidate_pairs(const SamplePairs& pairs,
                                                            std::uint64_t count,
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
inline double pair_distance(const ConstRowMatrixRef<double>& inputs, std::pair<Index, Index> pair,
                            const RowVector<double>& scale) {
  const RowVector<double> difference =
      (inputs.row(pair.second) - inputs.row(pair.first)).cwiseQuotient(scale);
  return std::max(difference.stableNorm(), std::numeric_limits<double>::min());
}

/// max_k |r_ak - r_bk| / |(x_b - x_a) / scale| of each pair (a, b), up to a common factor that
/// keeps them within [0, 1].
inline std::vector<double> pair_slopes(const ConstRowMatrixRef<double>& inputs,
                                       const ConstRowMatrixRef<double>& residual,
                                       const std::vector<std::pair<Index, Index>>& pairs,
                                       const RowVector<double>& scale) {
  std::vector<double> slopes(pairs.size());
  const double largest = residual.cwiseAbs().maxCoeff();
  if (largest == 0) return slopes;
  std::vector<double> distances(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    distances[i] = pair_distance(inputs, pairs[i], scale);
  }
  const double shortest = *std::min_element(distances.begin(), distances.end());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double difference =
        (residual.row(pairs[i].first) / largest - residual.row(pairs[i].second) / largest)
            .cwiseAbs()
            .maxCoeff();
    slopes[i] = difference / 2 * (shortest / distances[i]);
  }
  return slopes;
}

}  // namespace mgdl::detail
