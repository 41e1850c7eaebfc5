#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/simd.hpp"
#include "mgdl/linalg/tiled_cholesky.hpp"

/// \file
/// Products with the masked designs A_j = D_j X of a convex problem, straight from the bits.
///
/// A block of 64 gates and some samples of the masks is unpacked to zeros and ones that stay in the
/// cache, and is then an ordinary operand of the matrix product. Nothing of size n x P is ever
/// stored but the bits.

namespace mgdl::detail {

/// Transposes a 64 x 64 bit matrix: bit c of word r becomes bit r of word c.
inline void transpose_bits(std::array<std::uint64_t, 64>& rows) noexcept {
  std::uint64_t mask = 0x00000000FFFFFFFFu;
  for (unsigned width = 32; width != 0; width /= 2, mask ^= mask << width) {
    for (unsigned k = 0; k < 64; k = (k + width + 1) & ~width) {
      const std::uint64_t swap = ((rows[k] >> width) ^ rows[k + width]) & mask;
      rows[k] ^= swap << width;
      rows[k + width] ^= swap;
    }
  }
}

/// Bits of P patterns over n samples, those of pattern j in `words` words from data + j * words.
struct PatternBits {
  const std::uint64_t* data = nullptr;
  Index words = 0;

  const std::uint64_t* pattern(Index j) const noexcept { return data + j * words; }
  bool contains(Index j, Index i) const noexcept {
    return (pattern(j)[i / 64] >> (i % 64) & 1u) != 0;
  }
};

/// Samples and patterns, and the two products in which all samples meet.
template <class Real>
class MaskedProducts {
 public:
  MaskedProducts(RowMatrix<Real> samples, PatternBits bits)
      : m_samples(std::move(samples)), m_bits(bits) {}

  Index size() const noexcept { return m_samples.rows(); }
  Index dimension() const noexcept { return m_samples.cols(); }
  const RowMatrix<Real>& samples() const noexcept { return m_samples; }
  const PatternBits& bits() const noexcept { return m_bits; }

  /// out.row(k) = vec(X' D_j N) for j = gates[k]: entry r c + o belongs to input r, output o.
  ///
  /// \param N    n x c
  /// \param out  gates x (p c)
  void correlate(ThreadPool& pool, const std::vector<Index>& gates, const RowMatrix<Real>& N,
                 RowMatrix<Real>& out) const;

  /// out = sum_k D_j X U_k for j = gates[k].
  ///
  /// \param U    gates x (p c), laid out as in correlate()
  /// \param out  n x c
  void apply(ThreadPool& pool, const std::vector<Index>& gates, const RowMatrix<Real>& U, Index c,
             RowMatrix<Real>& out) const;

  /// Column k of `out` (n x gates) = D_j X u for j = gates[k], u the part of output o in row k.
  ///
  /// \param U  gates x (p c), laid out as in correlate()
  void columns(ThreadPool& pool, const std::vector<Index>& gates, const RowMatrix<double>& U,
               Index o, Index c, PanelMatrix<Real>& out) const;

  /// Rows k p .. k p + p of `out` = factor_k X' D_j V for j = gates[k].
  void correlate_columns(ThreadPool& pool, const std::vector<Index>& gates,
                         const Vector<Real>& factors, const PanelMatrix<Real>& V,
                         PanelMatrix<Real>& out) const;

  /// Gates in a side of gram_tile().
  static constexpr Index kGramGates = 64;

  /// For the input pairs (s, t) = pairs[0 .. count): sums[k kGramGates^2 + a kGramGates + b] =
  /// entry (s, t) of A_i'A_j, i = rows[a], j = cols[b], (s, t) the k-th pair. As A_i'A_j is the sum
  /// of x x' over the samples that are active in both, it is symmetric: pairs with s <= t are all.
  void gram_tile(const Index* rows, Index row_count, const Index* cols, Index col_count,
                 const std::pair<Index, Index>* pairs, Index count,
                 AlignedVector<Real>& sums) const;

  /// Column k p + r of `block` (rows x (gates p)) = column r of D_j X for j = gates[k], rows
  /// first .. first + rows of the samples.
  void unpack_columns(const Index* gates, Index count, Index first, Index rows,
                      RowMatrix<Real>& block) const;

 private:
  static constexpr Index kGates = 64;
  static constexpr Index kSamples = 128;  // the unpacked masks are at most 64 KiB
  static_assert(kGates % kPanelWidth<Real> == 0 && kGates == kGramGates);

  /// mask, in panels of kPanelWidth gates with kSamples rows each: 1 where the gate is active.
  void unpack(const Index* gates, Index used, Index first, Index rows, Real* mask) const noexcept;

  RowMatrix<Real> m_samples;
  PatternBits m_bits;
};

#ifdef MGDL_COMPILED
extern template class MaskedProducts<float>;
extern template class MaskedProducts<double>;
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/group_lasso/masked_products_impl.hpp"  // IWYU pragma: export
#endif
