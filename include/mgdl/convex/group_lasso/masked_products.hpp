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

/// The eight bits of a byte as numbers.
template <class Real>
const std::array<std::array<Real, 8>, 256>& byte_masks() noexcept {
  static const auto table = [] {
    std::array<std::array<Real, 8>, 256> masks{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (unsigned bit = 0; bit < 8; ++bit) masks[byte][bit] = Real(byte >> bit & 1u);
    }
    return masks;
  }();
  return table;
}

template <class Real>
void MaskedProducts<Real>::correlate(ThreadPool& pool, const std::vector<Index>& gates,
                                     const RowMatrix<Real>& N, RowMatrix<Real>& out) const {
  const Index p = dimension();
  const Index c = N.cols();
  const auto count = static_cast<Index>(gates.size());
  out.resize(count, p * c);
  const Index blocks = (count + kGates - 1) / kGates;
  pool.parallel_for(blocks, [&](Index block, int) {
    AlignedVector<Real> mask(kSamples * kGates);
    AlignedVector<Real> outer(kSamples * p * c);
    AlignedVector<Real> sums = AlignedVector<Real>::Zero(p * c * kGates);
    const Index first = block * kGates;
    const Index used = std::min(kGates, count - first);
    for (Index s = 0; s < size(); s += kSamples) {
      const Index rows = std::min(kSamples, size() - s);
      unpack(gates.data() + first, used, s, rows, mask.data());
      for (Index i = 0; i < rows; ++i) {
        const Real* x = m_samples.data() + (s + i) * p;
        const Real* v = N.data() + (s + i) * c;
        Real* to = outer.data() + i * p * c;
        for (Index r = 0; r < p; ++r) {
          for (Index o = 0; o < c; ++o) *to++ = x[r] * v[o];
        }
      }
      for (Index panel = 0; panel < kGates; panel += kPanelWidth<Real>) {
        if (panel >= used) break;
        gemm_panel(p * c, kPanelWidth<Real>, rows, Strided<Real>{outer.data(), 1, p * c},
                   mask.data() + panel * kSamples, sums.data() + panel * p * c, kPanelWidth<Real>,
                   true, [](Real*, Index, Index) {});
      }
    }
    for (Index k = 0; k < used; ++k) {
      const Real* from =
          sums.data() + k / kPanelWidth<Real> * kPanelWidth<Real> * p * c + k % kPanelWidth<Real>;
      for (Index r = 0; r < p * c; ++r) out(first + k, r) = from[r * kPanelWidth<Real>];
    }
  });
}

template <class Real>
void MaskedProducts<Real>::apply(ThreadPool& pool, const std::vector<Index>& gates,
                                 const RowMatrix<Real>& U, Index c, RowMatrix<Real>& out) const {
  const Index p = dimension();
  const auto count = static_cast<Index>(gates.size());
  out.resize(size(), c);
  const Index gate_blocks = (count + kGates - 1) / kGates;
  // Panel by panel, output by output: p rows of kPanelWidth gates.
  const Index panels_per_block = kGates / kPanelWidth<Real>;
  const Index panel_size = p * kPanelWidth<Real>;
  AlignedVector<Real> packed =
      AlignedVector<Real>::Zero(gate_blocks * panels_per_block * c * panel_size);
  for (Index k = 0; k < count; ++k) {
    for (Index o = 0; o < c; ++o) {
      Real* to =
          packed.data() + (k / kPanelWidth<Real> * c + o) * panel_size + k % kPanelWidth<Real>;
      for (Index r = 0; r < p; ++r) to[r * kPanelWidth<Real>] = U(k, r * c + o);
    }
  }
  const Index blocks = (size() + kSamples - 1) / kSamples;
  pool.parallel_for(blocks, [&](Index block, int) {
    constexpr Index lanes = kLanes<Real>;
    AlignedVector<Real> mask(kSamples * kGates);
    AlignedVector<Real> product(kSamples * kPanelWidth<Real>);
    AlignedVector<Real> sums = AlignedVector<Real>::Zero(kSamples * c * lanes);
    const Index s = block * kSamples;
    const Index rows = std::min(kSamples, size() - s);
    const Strided<Real> x{m_samples.data() + s * p, p, 1};
    for (Index g = 0; g < gate_blocks; ++g) {
      const Index used = std::min(kGates, count - g * kGates);
      unpack(gates.data() + g * kGates, used, s, rows, mask.data());
      for (Index panel = 0; panel < panels_per_block && panel * kPanelWidth<Real> < used; ++panel) {
        const Real* on = mask.data() + panel * kPanelWidth<Real> * kSamples;
        for (Index o = 0; o < c; ++o) {
          const Real* u = packed.data() + ((g * panels_per_block + panel) * c + o) * panel_size;
          const auto reduce = [&](const Real* tile, Index first, Index tile_rows) {
            for (Index i = first; i < first + tile_rows; ++i, tile += kPanelWidth<Real>) {
              Real* sum = sums.data() + (i * c + o) * lanes;
              Packet<Real> total = packet::ploadu<Packet<Real>>(sum);
              for (Index v = 0; v < kPanelWidth<Real>; v += lanes) {
                total = packet::pmadd(packet::ploadu<Packet<Real>>(tile + v),
                                      packet::ploadu<Packet<Real>>(on + i * kPanelWidth<Real> + v),
                                      total);
              }
              packet::pstoreu(sum, total);
            }
          };
          for (Index depth = 0; depth < p; depth += kDepth) {
            const Index terms = std::min(kDepth, p - depth);
            const Strided<Real> xd{x.data + depth, p, 1};
            gemm_panel(rows, kPanelWidth<Real>, terms, xd, u + depth * kPanelWidth<Real>,
                       product.data(), kPanelWidth<Real>, false, reduce);
          }
        }
      }
    }
    for (Index i = 0; i < rows * c; ++i) {
      out.data()[s * c + i] = packet::predux(packet::ploadu<Packet<Real>>(sums.data() + i * lanes));
    }
  });
}

template <class Real>
void MaskedProducts<Real>::columns(ThreadPool& pool, const std::vector<Index>& gates,
                                   const RowMatrix<double>& U, Index o, Index c,
                                   PanelMatrix<Real>& out) const {
  const Index p = dimension();
  const auto count = static_cast<Index>(gates.size());
  const Index panels = out.shape().panels();
  pool.parallel_for(panels, [&](Index panel, int) {
    const Index width = out.shape().width(panel);
    const Index first = panel * kPanelWidth<Real>;
    const Index used = std::min(width, count - first);
    AlignedVector<Real> packed = AlignedVector<Real>::Zero(p * width);
    AlignedVector<Real> mask(kSamples * kGates);
    for (Index k = 0; k < used; ++k) {
      for (Index r = 0; r < p; ++r)
        packed[r * width + k] = static_cast<Real>(U(first + k, r * c + o));
    }
    for (Index s = 0; s < size(); s += kSamples) {
      const Index rows = std::min(kSamples, size() - s);
      unpack(gates.data() + first, used, s, rows, mask.data());
      for (Index depth = 0; depth < p; depth += kDepth) {
        gemm_panel(rows, width, std::min(kDepth, p - depth),
                   Strided<Real>{m_samples.data() + s * p + depth, p, 1},
                   packed.data() + depth * width, out.row(panel, s), width, depth > 0,
                   [](Real*, Index, Index) {});
      }
      for (Index i = 0; i < rows; ++i) {
        Real* row = out.row(panel, s + i);
        const Real* on = mask.data() + i * kPanelWidth<Real>;
        for (Index k = 0; k < width; ++k) row[k] *= on[k];
      }
    }
  });
}

template <class Real>
void MaskedProducts<Real>::correlate_columns(ThreadPool& pool, const std::vector<Index>& gates,
                                             const Vector<Real>& factors,
                                             const PanelMatrix<Real>& V,
                                             PanelMatrix<Real>& out) const {
  const Index p = dimension();
  const auto count = static_cast<Index>(gates.size());
  const Index per_task = std::max<Index>(1, 256 / p);
  pool.parallel_for((count + per_task - 1) / per_task, [&](Index task, int) {
    const Index first = task * per_task;
    const Index used = std::min(per_task, count - first);
    RowMatrix<Real> a(kDepth, used * p);
    for (Index s = 0; s < size(); s += kDepth) {
      const Index depth = std::min(kDepth, size() - s);
      unpack_columns(gates.data() + first, used, s, depth, a);
      for (Index panel = 0; panel < V.shape().panels(); ++panel) {
        gemm_panel(used * p, V.shape().width(panel), depth, Strided<Real>{a.data(), 1, a.cols()},
                   V.row(panel, s), out.row(panel, first * p), out.shape().width(panel), s > 0,
                   [](Real*, Index, Index) {});
      }
    }
    for (Index panel = 0; panel < out.shape().panels(); ++panel) {
      const Index width = out.shape().width(panel);
      for (Index i = first * p; i < (first + used) * p; ++i) {
        Real* row = out.row(panel, i);
        for (Index k = 0; k < width; ++k) row[k] *= factors[i / p];
      }
    }
  });
}

template <class Real>
void MaskedProducts<Real>::gram_tile(const Index* rows, Index row_count, const Index* cols,
                                     Index col_count, const std::pair<Index, Index>* pairs,
                                     Index count, AlignedVector<Real>& sums) const {
  constexpr Index kArea = kGramGates * kGramGates;
  const Index p = dimension();
  sums = AlignedVector<Real>::Zero(count * kArea);
  AlignedVector<Real> row_mask(kSamples * kGates);
  AlignedVector<Real> col_mask(kSamples * kGates);
  AlignedVector<Real> weighted(kSamples * kGates);
  for (Index first = 0; first < size(); first += kSamples) {
    const Index depth = std::min(kSamples, size() - first);
    unpack(rows, row_count, first, depth, row_mask.data());
    unpack(cols, col_count, first, depth, col_mask.data());
    for (Index k = 0; k < count; ++k) {
      for (Index panel = 0; panel < row_count; panel += kPanelWidth<Real>) {
        const Real* mask = row_mask.data() + panel * kSamples;
        for (Index i = 0; i < depth; ++i, mask += kPanelWidth<Real>) {
          const Real* x = m_samples.data() + (first + i) * p;
          const auto product = packet::pset1<Packet<Real>>(x[pairs[k].first] * x[pairs[k].second]);
          Real* to = weighted.data() + i * kGates + panel;
          for (Index g = 0; g < kPanelWidth<Real>; g += kLanes<Real>) {
            packet::pstoreu(to + g, packet::pmul(product, packet::ploadu<Packet<Real>>(mask + g)));
          }
        }
      }
      for (Index panel = 0; panel < col_count; panel += kPanelWidth<Real>) {
        gemm_panel(row_count, kPanelWidth<Real>, depth, Strided<Real>{weighted.data(), 1, kGates},
                   col_mask.data() + panel * kSamples, sums.data() + k * kArea + panel, kGramGates,
                   true, [](Real*, Index, Index) {});
      }
    }
  }
}

template <class Real>
void MaskedProducts<Real>::unpack_columns(const Index* gates, Index count, Index first, Index rows,
                                          RowMatrix<Real>& block) const {
  const Index p = dimension();
  for (Index k = 0; k < count; ++k) {
    const std::uint64_t* bits = m_bits.pattern(gates[k]);
    for (Index i = 0; i < rows; ++i) {
      const Index s = first + i;
      const Real on = Real(bits[s / 64] >> (s % 64) & 1u);
      const Real* x = m_samples.data() + s * p;
      Real* to = block.data() + i * block.cols() + k * p;
      for (Index r = 0; r < p; ++r) to[r] = on * x[r];
    }
  }
}

template <class Real>
void MaskedProducts<Real>::unpack(const Index* gates, Index used, Index first, Index rows,
                                  Real* mask) const noexcept {
  const auto& masks = byte_masks<Real>();
  std::array<std::uint64_t, 64> words;
  for (Index i = 0; i < rows; i += 64) {
    const Index word = (first + i) / 64;
    for (Index k = 0; k < 64; ++k) {
      words[static_cast<std::size_t>(k)] = k < used ? m_bits.pattern(gates[k])[word] : 0;
    }
    transpose_bits(words);
    const Index last = std::min<Index>(64, rows - i);
    for (Index r = 0; r < last; ++r) {
      const std::uint64_t bits = words[static_cast<std::size_t>(r)];
      if constexpr (kPanelWidth<Real> % 8 == 0) {
        for (Index k = 0; k < kGates; k += 8) {
          Real* to = mask + k / kPanelWidth<Real> * kPanelWidth<Real> * kSamples +
                     (i + r) * kPanelWidth<Real> + k % kPanelWidth<Real>;
          std::memcpy(to, masks[bits >> k & 0xFFu].data(), 8 * sizeof(Real));
        }
      } else {
        for (Index k = 0; k < kGates; ++k) {
          mask[k / kPanelWidth<Real> * kPanelWidth<Real> * kSamples + (i + r) * kPanelWidth<Real> +
               k % kPanelWidth<Real>] = Real(bits >> k & 1u);
        }
      }
    }
  }
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class MaskedProducts<float>;
extern template class MaskedProducts<double>;
}  // namespace mgdl::detail
#endif
