#pragma once

#include <algorithm>
#include <cstdint>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/simd.hpp"

namespace mgdl::detail {

/// Sums of those of up to 64 vectors that the bits of a word choose, for many words: from tables
/// with the sums of all subsets of four vectors, four of them cost one addition. As a product of
/// the vectors with a matrix of zeros and ones it would take four multiplications and additions,
/// and that matrix.
///
/// Source of the tables: Arlazarov, Dinic, Kronrod & Faradzhev, "On economical construction of the
/// transitive closure of a directed graph" (1970), the method of the four Russians.
template <class Real>
class SubsetSums {
 public:
  /// Vectors at most.
  static constexpr Index kVectors = 64;

  /// \param length  of the vectors
  explicit SubsetSums(Index length)
      : m_stride(padded<Real>(length)), m_tables(kFours * kSubsets * m_stride) {}

  /// Distance of vectors and of sums in memory: `length`, rounded up to whole registers.
  Index stride() const noexcept { return m_stride; }

  /// Makes the tables of `count` vectors, one after the other.
  void build(const Real* vectors, Index count) noexcept {
    for (Index first = 0; first < m_stride; first += kChunk) {
      const Index width = std::min(kChunk, m_stride - first);
      for (Index four = 0; four < kFours; ++four) {
        Real* table = m_tables.data() + first * kFours * kSubsets + four * kSubsets * width;
        std::fill_n(table, width, Real(0));
        for (Index subset = 1; subset < kSubsets; ++subset) {
          const Index least = subset & -subset;
          const Index row = 4 * four + (least > 1) + (least > 2) + (least > 4);
          const Real* rest = table + (subset - least) * width;
          Real* sum = table + subset * width;
          if (row >= count) {
            std::copy_n(rest, width, sum);
            continue;
          }
          const Real* vector = vectors + row * m_stride + first;
          for (Index i = 0; i < width; i += kLanes<Real>) {
            packet::pstoreu(sum + i, packet::padd(packet::ploadu<Packet<Real>>(rest + i),
                                                  packet::ploadu<Packet<Real>>(vector + i)));
          }
        }
      }
    }
  }

  /// sums[k stride .. k stride + length) += the vectors in word(k), for k = 0 .. count.
  template <class Word>
  void add(Index count, const Word& word, Real* sums) const noexcept {
    for (Index first = 0; first < m_stride; first += kChunk) {
      const Real* table = m_tables.data() + first * kFours * kSubsets;
      switch (std::min(kChunk, m_stride - first) / kLanes<Real>) {
        case 1: add_chunk<1>(count, word, table, sums + first); break;
        case 2: add_chunk<2>(count, word, table, sums + first); break;
        case 3: add_chunk<3>(count, word, table, sums + first); break;
        default: add_chunk<4>(count, word, table, sums + first);
      }
    }
  }

 private:
  static constexpr Index kFours = kVectors / 4;
  static constexpr Index kSubsets = 16;
  /// Registers of sums at a time.
  static constexpr Index kChunk = 4 * kLanes<Real>;

  template <int registers, class Word>
  void add_chunk(Index count, const Word& word, const Real* table, Real* sums) const noexcept {
    constexpr Index lanes = kLanes<Real>;
    constexpr Index width = registers * lanes;
    // So many tables at a time stay in the first cache.
    constexpr Index kBytes = 32768;
    constexpr Index together =
        std::clamp<Index>(kBytes / (kSubsets * width * Index{sizeof(Real)}), 1, kFours);
    for (Index four = 0; four < kFours; four += together) {
      const Index last = std::min(kFours, four + together);
      for (Index k = 0; k < count; ++k) {
        std::uint64_t bits = word(k) >> (4 * four);
        if (bits == 0) continue;
        Real* to = sums + k * m_stride;
        Packet<Real> sum[registers];
        for (int v = 0; v < registers; ++v) sum[v] = packet::ploadu<Packet<Real>>(to + v * lanes);
        const Real* at = table + four * kSubsets * width;
        for (Index i = four; i < last; ++i, bits >>= 4, at += kSubsets * width) {
          const Real* part = at + static_cast<Index>(bits & 15u) * width;
          for (int v = 0; v < registers; ++v) {
            sum[v] = packet::padd(sum[v], packet::ploadu<Packet<Real>>(part + v * lanes));
          }
        }
        for (int v = 0; v < registers; ++v) packet::pstoreu(to + v * lanes, sum[v]);
      }
    }
  }

  Index m_stride;
  AlignedVector<Real> m_tables;  // by chunks of columns, fours of vectors and subsets
};

}  // namespace mgdl::detail
