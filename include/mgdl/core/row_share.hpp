#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Which of n rows a rank has, whole blocks of them, and how sums over its blocks become sums over
/// all. The bits of a sum are the same for any number of ranks.
class RowShare {
 public:
  /// \param ranks  who share the rows; null: this process has all of them. Has to outlive this.
  explicit RowShare(Index rows = 0, Communicator* ranks = nullptr)
      : m_rows(rows), m_ranks(ranks != nullptr && ranks->size() > 1 ? ranks : nullptr) {
    const Index blocks = block_count(rows);
    m_borders = {0, blocks};
    if (m_ranks == nullptr) return;
    const Index size = m_ranks->size();
    // Borders between sums of many blocks: less has to be sent, and no rank has much more than
    // others.
    Index grain = 1;
    while (2 * kGrains * size * grain <= blocks) grain *= 2;
    m_borders.resize(static_cast<std::size_t>(size) + 1);
    for (Index r = 0; r < size; ++r) {
      const Index grains = (2 * r * blocks + size * grain) / (2 * size * grain);
      m_borders[static_cast<std::size_t>(r)] = std::min(blocks, grains * grain);
    }
    m_borders.back() = blocks;
  }

  /// Of all ranks together.
  Index rows() const noexcept { return m_rows; }
  /// Null if this process has all of them.
  Communicator* ranks() const noexcept { return m_ranks; }

  /// First row of this rank, and the one behind its last.
  /// \{
  Index first() const noexcept { return std::min(m_rows, first_block() * kBlockRows); }
  Index last() const noexcept { return std::min(m_rows, m_borders[me() + 1] * kBlockRows); }
  /// \}

  /// Rows of this rank.
  Index count() const noexcept { return std::max<Index>(0, last() - first()); }

  /// The rank that has a row.
  int owner(Index row) const { return owner_of_block(row / kBlockRows); }

  /// Whether this rank has it.
  bool has(Index row) const noexcept { return row >= first() && row < last(); }

  /// Calls visit(first, count) for the blocks of this rank.
  template <class Visit>
  void for_each_block(const Visit& visit) const {
    for (Index row = first(); row < last(); row += kBlockRows) {
      visit(row, std::min(kBlockRows, last() - row));
    }
  }

  /// To be given the terms of this rank's blocks.
  template <class Sum>
  PairwiseSum<Sum> start() const {
    return PairwiseSum<Sum>(first_block());
  }

  /// Of all ranks' blocks. `zero` has the size of a sum.
  template <class Sum>
  Sum total(const PairwiseSum<Sum>& own, Sum zero) const {
    if (m_ranks == nullptr) return own.total(std::move(zero));
    std::size_t level = 0;
    while ((Index{1} << level) < m_borders.back()) ++level;
    Sum sum = zero;
    if (m_borders.back() > 0) {
      if (auto all = reduce(own, zero, level, 0)) sum = std::move(*all);
    }
    m_ranks->broadcast(owner_of_block(0), bytes_of(sum));
    return sum;
  }

  /// sum over the blocks of term(first, count).
  template <class Sum, class Term>
  Sum sum(Sum zero, const Term& term) const {
    auto own = start<Sum>();
    for_each_block([&](Index first, Index count) { own.add(term(first, count)); });
    return total(own, std::move(zero));
  }

 private:
  static constexpr Index kGrains = 8;  // for each rank, at least

  std::size_t me() const noexcept {
    return m_ranks == nullptr ? 0 : static_cast<std::size_t>(m_ranks->rank());
  }

  Index first_block() const noexcept { return m_borders[me()]; }

  int owner_of_block(Index block) const {
    const auto above = std::upper_bound(m_borders.begin(), m_borders.end() - 1, block);
    return static_cast<int>(above - m_borders.begin()) - 1;
  }

  /// The sum of the blocks [number, number + 1) * 2^level, on the rank that has the first of them;
  /// nothing on the others. All ranks go through the sums that several have a part in, in the same
  /// order, so that none waits for one that waits for it.
  template <class Sum>
  std::optional<Sum> reduce(const PairwiseSum<Sum>& own, const Sum& zero, std::size_t level,
                            Index number) const {
    const Index blocks = m_borders.back();
    const Index begin = number << level;
    const Index end = (number + 1) << level;
    const int left_owner = owner_of_block(begin);
    const auto me = static_cast<int>(this->me());
    if (end <= blocks && owner_of_block(end - 1) == left_owner) {
      if (me != left_owner) return std::nullopt;
      return own.part(level, number);
    }
    std::optional<Sum> left = reduce(own, zero, level - 1, 2 * number);
    const Index middle = (begin + end) / 2;
    if (middle >= blocks) return left;
    std::optional<Sum> right = reduce(own, zero, level - 1, 2 * number + 1);
    const int right_owner = owner_of_block(middle);
    if (me == left_owner) {
      if (right_owner != me) m_ranks->receive(right_owner, bytes_of(right.emplace(zero)));
      return Sum(*left + *right);
    }
    if (me == right_owner) m_ranks->send(left_owner, bytes_of(*right));
    return std::nullopt;
  }

  Index m_rows;
  Communicator* m_ranks;
  std::vector<Index> m_borders;  // of the ranks' blocks
};

}  // namespace mgdl::detail
