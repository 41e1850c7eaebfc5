#pragma once

#include <bit>
#include <cstddef>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Draws numbers 0, 1, ... without replacement, each time with probabilities in proportion to the
/// weights of those that are left. Items of weight 0 come last, each with the same probability.
///
/// A binary tree of sums: a draw walks down and takes O(log size), and sums are added up again
/// rather than subtracted from, so that they are zero when nothing is left.
class WeightedDraw {
 public:
  /// \param weights  finite, >= 0, with a finite sum
  explicit WeightedDraw(const std::vector<double>& weights)
      : m_left(weights.size()), m_leaves(std::bit_ceil(weights.size())), m_drawn(weights.size()) {
    fill(weights);
  }

  /// Items that can still be drawn.
  Index left() const noexcept { return static_cast<Index>(m_left); }

  /// Requires left() > 0.
  Index draw(RandomStream& random) {
    if (!(m_sums[1] > 0)) {
      std::vector<double> equal(m_drawn.size());
      for (std::size_t i = 0; i < equal.size(); ++i) equal[i] = m_drawn[i] ? 0 : 1;
      fill(equal);
    }
    double rest = random.uniform() * m_sums[1];
    std::size_t node = 1;
    while (node < m_leaves) {
      node *= 2;
      // By rounding, `rest` can reach the sum of both sides: never go where nothing is.
      if (rest >= m_sums[node] && m_sums[node + 1] > 0) rest -= m_sums[node++];
    }
    const std::size_t item = node - m_leaves;
    m_drawn[item] = 1;
    --m_left;
    m_sums[node] = 0;
    while ((node /= 2) > 0) m_sums[node] = m_sums[2 * node] + m_sums[2 * node + 1];
    return static_cast<Index>(item);
  }

 private:
  void fill(const std::vector<double>& weights) {
    m_sums.assign(2 * m_leaves, 0);
    for (std::size_t i = 0; i < weights.size(); ++i) m_sums[m_leaves + i] = weights[i];
    for (std::size_t i = m_leaves; i-- > 1;) m_sums[i] = m_sums[2 * i] + m_sums[2 * i + 1];
  }

  std::size_t m_left;
  std::size_t m_leaves;
  std::vector<char> m_drawn;
  std::vector<double> m_sums;  // node i has children 2 i and 2 i + 1
};

}  // namespace mgdl::detail
