#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "mgdl/core/types.hpp"

/// \file
/// The order in which sums over samples are taken.

namespace mgdl::detail {

/// Samples are summed over in blocks of so many rows, and the sums of blocks in pairs
/// (PairwiseSum): in memory or not, whoever has a block, the bits are the same.
inline constexpr Index kBlockRows = 16384;

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
  void add(Sum term) {
    std::size_t level = 0;
    for (; m_levels[level]; ++level) {
      term = *m_levels[level] + term;
      m_levels[level].reset();
    }
    m_levels[level] = std::move(term);
  }

  /// Of all terms; `zero` if there are none.
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

 private:
  std::array<std::optional<Sum>, 48> m_levels;  // sums of 1, 2, 4, ... terms
};

}  // namespace mgdl::detail
