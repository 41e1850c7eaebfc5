#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Different bit patterns of one length, numbered in the order they came: a hash table with linear
/// probing.
class PatternSet {
 public:
  /// \param words  64-bit words of a pattern
  explicit PatternSet(Index words) : m_words(static_cast<std::size_t>(words)), m_slots(64, -1) {}

  /// Number of patterns.
  Index size() const noexcept { return m_size; }
  /// The words of pattern j.
  const std::uint64_t* pattern(Index j) const noexcept {
    return m_bits.data() + static_cast<std::size_t>(j) * m_words;
  }

  /// The number of the pattern `bits`, and whether it is new.
  std::pair<Index, bool> insert(const std::uint64_t* bits) {
    const std::size_t slot = find(bits);
    if (m_slots[slot] >= 0) return {m_slots[slot], false};
    m_slots[slot] = m_size;
    m_bits.insert(m_bits.end(), bits, bits + m_words);
    ++m_size;
    if (2 * static_cast<std::size_t>(m_size) > m_slots.size()) grow();
    return {m_size - 1, true};
  }

  /// The words of all patterns, one pattern after the other. Leaves the set unusable.
  std::vector<std::uint64_t> release() noexcept { return std::move(m_bits); }

 private:
  /// The slot that holds these bits, or else the free one where they belong.
  std::size_t find(const std::uint64_t* bits) const noexcept {
    const std::size_t mask = m_slots.size() - 1;
    // The upper bits: after a multiplication, they depend on all others.
    auto slot = static_cast<std::size_t>(hash(bits) >> (64 - std::bit_width(mask)));
    while (m_slots[slot] >= 0 && !std::equal(bits, bits + m_words, pattern(m_slots[slot]))) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  void grow() {
    m_slots.assign(2 * m_slots.size(), -1);
    for (Index j = 0; j < m_size; ++j) m_slots[find(pattern(j))] = j;
  }

  std::uint64_t hash(const std::uint64_t* bits) const noexcept {
    std::uint64_t value = 0x9E3779B97F4A7C15u;
    for (std::size_t w = 0; w < m_words; ++w) {
      value = (std::rotl(value, 23) ^ bits[w]) * 0xBF58476D1CE4E5B9u;
      value ^= value >> 29;
    }
    return value;
  }

  std::size_t m_words;
  Index m_size = 0;
  std::vector<std::uint64_t> m_bits;
  std::vector<Index> m_slots;  // numbers of patterns, -1: free; at most half are taken
};

}  // namespace mgdl::detail
