#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"

/// \file
/// The order in which sums over samples are taken.

namespace mgdl::detail {

/// Samples are summed over in blocks of so many rows, and the sums of blocks in pairs
/// (PairwiseSum): in memory or not, whoever has a block, the bits are the same.
inline constexpr Index kBlockRows = 16384;

/// Blocks of so many rows.
constexpr Index block_count(Index rows) noexcept { return (rows + kBlockRows - 1) / kBlockRows; }

/// Calls visit(first, count) for the blocks of n rows, one after the other.
template <class Visit>
void for_each_block(Index n, const Visit& visit) {
  for (Index first = 0; first < n; first += kBlockRows) {
    visit(first, std::min(kBlockRows, n - first));
  }
}

/// Sums in pairs, pairs of pairs and so on: the sum of 2^k terms from a term on whose number is a
/// multiple of 2^k is computed by itself, whoever has these terms. Rounding grows with the
/// logarithm of their number.
template <class Sum>
class PairwiseSum {
 public:
  /// The terms that follow have the numbers first, first + 1, ...
  explicit PairwiseSum(Index first = 0) : m_next(first) {}

  void add(Sum term) {
    std::size_t level = 0;
    for (Index number = m_next++; number % 2 == 1; number /= 2, ++level) {
      auto& left = m_levels[level];
      if (!left) {  // somebody else has it
        m_before.push_back({level, number, std::move(term)});
        return;
      }
      term = *left + term;
      left.reset();
    }
    m_levels[level] = std::move(term);
  }

  /// Of all terms, which began with number 0; `zero` if there are none.
  Sum total(Sum zero = {}) const {
    std::optional<Sum> sum;
    for (const auto& part : m_levels) {
      if (!part) continue;
      if (sum) {
        sum = Sum(*part + *sum);
      } else {
        sum = *part;
      }
    }
    return sum ? std::move(*sum) : std::move(zero);
  }

  /// The sum of 2^level terms from number * 2^level on, if it is one of the largest such sums of
  /// the terms that were added.
  const Sum& part(std::size_t level, Index number) const {
    for (const auto& part : m_before) {
      if (part.level == level && part.number == number) return part.sum;
    }
    return *m_levels[level];
  }

 private:
  struct Part {
    std::size_t level;
    Index number;
    Sum sum;
  };

  Index m_next;
  std::vector<Part> m_before;                   // whose partners have smaller numbers than `first`
  std::array<std::optional<Sum>, 48> m_levels;  // sums of 1, 2, 4, ... terms
};

}  // namespace mgdl::detail
