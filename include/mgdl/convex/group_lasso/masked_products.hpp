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
#include "mgdl/linalg/subset_sums.hpp"
#include "mgdl/linalg/tiled_cholesky.hpp"

/// \file
/// Products with the masked designs A_j = D_j X of a convex problem, straight from the bits.
///
/// What is summed over the active samples of gates comes out of tables that bits look up. Where
/// products differ by gate, a block of 64 gates and some samples of
/// the masks is unpacked to zeros and ones that stay in the cache, and is an ordinary operand of
/// the matrix product. Nothing of size n x P is ever stored but the bits.

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

  /// out = sum_k D_j X U_k for j = gates[k]. (To add up the U_k of a sample first, from tables,
  /// takes a quarter of the time, and digits that ill-conditioned X need.)
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

  /// sums[k stride + m] = entry inputs[m] of A_i'A_j, (i, j) = gates[k], stride = padded(number of
  /// entries). As A_i'A_j is the sum of x x' over the samples that are active in both, it is
  /// symmetric.
  void gram(const std::vector<std::pair<Index, Index>>& gates,
            const std::vector<std::pair<Index, Index>>& inputs, AlignedVector<Real>& sums) const;

  /// Column k p + r of `block` (rows x (gates p)) = column r of D_j X for j = gates[k], rows
  /// first .. first + rows of the samples.
  void unpack_columns(const Index* gates, Index count, Index first, Index rows,
                      RowMatrix<Real>& block) const;

 private:
  /// Gates in the panel from `panel` on, of `used` gates: whole registers.
  static Index width(Index used, Index panel) noexcept {
    return std::min(kPanelWidth<Real>, padded<Real>(used - panel));
  }

  static constexpr Index kGates = 64;
  static constexpr Index kSamples = 128;  // the unpacked masks are at most 64 KiB
  static_assert(kGates % kPanelWidth<Real> == 0);

  static std::size_t at(Index k) noexcept { return static_cast<std::size_t>(k); }

  /// Bit k of words[i]: whether gate k is active at sample first + i; `first` is a multiple of 64.
  void words_of(const Index* gates, Index used, Index first,
                std::array<std::uint64_t, 64>& words) const noexcept {
    for (Index k = 0; k < 64; ++k) {
      words[at(k)] = k < used ? m_bits.pattern(gates[k])[first / 64] : 0;
    }
    transpose_bits(words);
  }

  /// mask, in panels of kPanelWidth gates with kSamples rows each: 1 where the gate is active. The
  /// last panel may be narrower: see width().
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
  constexpr Index kWord = SubsetSums<Real>::kVectors;
  const Index p = dimension();
  const Index c = N.cols();
  const auto count = static_cast<Index>(gates.size());
  out.resize(count, p * c);
  // Tables are made for every task; the bits do not depend on their number.
  const Index per_task = std::clamp<Index>((count + 1) / (2 * pool.size()), 32, 512);
  pool.parallel_for((count + per_task - 1) / per_task, [&](Index task, int) {
    const Index first = task * per_task;
    const Index used = std::min(per_task, count - first);
    SubsetSums<Real> chosen(p * c);
    AlignedVector<Real> outer = AlignedVector<Real>::Zero(kWord * chosen.stride());
    AlignedVector<Real> sums = AlignedVector<Real>::Zero(used * chosen.stride());
    for (Index s = 0; s < size(); s += kWord) {
      const Index rows = std::min(kWord, size() - s);
      for (Index i = 0; i < rows; ++i) {
        const Real* x = m_samples.data() + (s + i) * p;
        const Real* v = N.data() + (s + i) * c;
        Real* to = outer.data() + i * chosen.stride();
        for (Index r = 0; r < p; ++r) {
          for (Index o = 0; o < c; ++o) *to++ = x[r] * v[o];
        }
      }
      chosen.build(outer.data(), rows);
      const auto word = [&](Index k) { return m_bits.pattern(gates[at(first + k)])[s / kWord]; };
      chosen.add(used, word, sums.data());
    }
    for (Index k = 0; k < used; ++k) {
      std::copy_n(sums.data() + k * chosen.stride(), p * c, out.row(first + k).data());
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
      const Index panel = k / kPanelWidth<Real>;
      const Index columns = width(count, panel * kPanelWidth<Real>);
      Real* to = packed.data() + (panel * c + o) * panel_size + k % kPanelWidth<Real>;
      for (Index r = 0; r < p; ++r) to[r * columns] = U(k, r * c + o);
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
        const Index columns = width(used, panel * kPanelWidth<Real>);
        for (Index o = 0; o < c; ++o) {
          const Real* u = packed.data() + ((g * panels_per_block + panel) * c + o) * panel_size;
          const auto reduce = [&](const Real* tile, Index first, Index tile_rows) {
            for (Index i = first; i < first + tile_rows; ++i, tile += columns) {
              Real* sum = sums.data() + (i * c + o) * lanes;
              Packet<Real> total = packet::ploadu<Packet<Real>>(sum);
              for (Index v = 0; v < columns; v += lanes) {
                total = packet::pmadd(packet::ploadu<Packet<Real>>(tile + v),
                                      packet::ploadu<Packet<Real>>(on + i * columns + v), total);
              }
              packet::pstoreu(sum, total);
            }
          };
          for (Index depth = 0; depth < p; depth += kDepth) {
            const Index terms = std::min(kDepth, p - depth);
            const Strided<Real> xd{x.data + depth, p, 1};
            gemm_panel(rows, columns, terms, xd, u + depth * columns, product.data(), columns,
                       false, reduce);
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
    const Index columns = out.shape().width(panel);
    const Index first = panel * kPanelWidth<Real>;
    const Index used = std::min(columns, count - first);
    AlignedVector<Real> packed = AlignedVector<Real>::Zero(p * columns);
    AlignedVector<Real> mask(kSamples * kGates);
    for (Index k = 0; k < used; ++k) {
      for (Index r = 0; r < p; ++r)
        packed[r * columns + k] = static_cast<Real>(U(first + k, r * c + o));
    }
    for (Index s = 0; s < size(); s += kSamples) {
      const Index rows = std::min(kSamples, size() - s);
      unpack(gates.data() + first, used, s, rows, mask.data());
      for (Index depth = 0; depth < p; depth += kDepth) {
        gemm_panel(rows, columns, std::min(kDepth, p - depth),
                   Strided<Real>{m_samples.data() + s * p + depth, p, 1},
                   packed.data() + depth * columns, out.row(panel, s), columns, depth > 0,
                   [](Real*, Index, Index) {});
      }
      for (Index i = 0; i < rows; ++i) {
        Real* row = out.row(panel, s + i);
        const Real* on = mask.data() + i * columns;
        for (Index k = 0; k < columns; ++k) row[k] *= on[k];
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
void MaskedProducts<Real>::gram(const std::vector<std::pair<Index, Index>>& gates,
                                const std::vector<std::pair<Index, Index>>& inputs,
                                AlignedVector<Real>& sums) const {
  constexpr Index kWord = SubsetSums<Real>::kVectors;
  const Index p = dimension();
  SubsetSums<Real> chosen(std::ssize(inputs));
  AlignedVector<Real> products = AlignedVector<Real>::Zero(kWord * chosen.stride());
  sums = AlignedVector<Real>::Zero(std::ssize(gates) * chosen.stride());
  for (Index s = 0; s < size(); s += kWord) {
    const Index rows = std::min(kWord, size() - s);
    for (Index i = 0; i < rows; ++i) {
      const Real* x = m_samples.data() + (s + i) * p;
      Real* to = products.data() + i * chosen.stride();
      for (const auto& [r, t] : inputs) *to++ = x[r] * x[t];
    }
    chosen.build(products.data(), rows);
    const auto word = [&](Index k) {
      const auto& [a, b] = gates[at(k)];
      return m_bits.pattern(a)[s / kWord] & m_bits.pattern(b)[s / kWord];
    };
    chosen.add(std::ssize(gates), word, sums.data());
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
    words_of(gates, used, first + i, words);
    const Index last = std::min<Index>(64, rows - i);
    for (Index panel = 0; panel < used; panel += kPanelWidth<Real>) {
      const Index columns = width(used, panel);
      Real* to = mask + panel * kSamples + i * columns;
      for (Index r = 0; r < last; ++r, to += columns) {
        const std::uint64_t bits = words[at(r)] >> panel;
        Index k = 0;
        for (; k + 8 <= columns; k += 8) {
          std::memcpy(to + k, masks[bits >> k & 0xFFu].data(), 8 * sizeof(Real));
        }
        for (; k < columns; ++k) to[k] = Real(bits >> k & 1u);
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
