#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/simd.hpp"

namespace mgdl::detail {

/// Registers per panel row: 4 where there are 32 of them (AVX-512, NEON), else 2.
inline constexpr Index kPanelVectors = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32 ? 4 : 2;

/// Terms that are summed in registers before they are added to C.
inline constexpr Index kDepth = 256;

/// Columns of a full panel.
template <class Scalar>
inline constexpr Index kPanelWidth = kPanelVectors* kLanes<Scalar>;

/// Shape and addresses of a k x n matrix in panels.
template <class Scalar>
struct PanelShape {
  Index rows = 0;
  Index cols = 0;

  constexpr Index size() const noexcept { return rows * padded<Scalar>(cols); }
  constexpr Index panels() const noexcept {
    return (cols + kPanelWidth<Scalar> - 1) / kPanelWidth<Scalar>;
  }
  /// Padded columns of panel p.
  constexpr Index width(Index p) const noexcept {
    return std::min(kPanelWidth<Scalar>, padded<Scalar>(cols) - p * kPanelWidth<Scalar>);
  }
  /// Where row i of panel p starts.
  constexpr Index offset(Index p, Index i) const noexcept {
    return p * kPanelWidth<Scalar> * rows + i * width(p);
  }
  /// Where element (i, j) is.
  constexpr Index at(Index i, Index j) const noexcept {
    const Index p = j / kPanelWidth<Scalar>;
    return offset(p, i) + j - p * kPanelWidth<Scalar>;
  }
};

}  // namespace mgdl::detail

/// \file
/// One row times a matrix in panels: the product of a single sample. It reads every weight once, so
/// it is as fast as weights arrive from the cache; what is behind a value that is zero, as about
/// half of all ReLU outputs are, is not read at all. Sums are in the order of gemm_tile, to which a
/// zero adds nothing: the bits are the same.

namespace mgdl::detail {

/// Registers of sums at a time: enough to hide the latency of a multiply-add.
inline constexpr Index kRowVectors = 8;

/// Which values of a row (of at most kDepth) are not zero.
template <class Scalar>
struct SparseRow {
  const Scalar* values;
  Index count = 0;
  std::int32_t where[kDepth];

  SparseRow(const Scalar* row, Index size) : values(row) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    // Without a branch, for which values are zero cannot be foreseen; and in integers, which takes
    // half as long. That a zero with a sign is not left out does no harm.
    Index n = 0;
    for (Index i = 0; i < size; ++i) {
      where[n] = static_cast<std::int32_t>(i);
      n += std::bit_cast<Bits>(row[i]) != 0 ? 1 : 0;
    }
    count = n;
  }
};

/// c = or += row B for `panels` panels of B, `vectors` registers wide and `panel_size` scalars
/// apart.
template <class Scalar, int panels, int vectors>
inline void gemv_tile(const SparseRow<Scalar>& row, const Scalar* b, Index panel_size, Scalar* c,
                      bool accumulate) {
  using P = Packet<Scalar>;
  constexpr Index lanes = kLanes<Scalar>;
  P sum[panels][vectors];
  for (int p = 0; p < panels; ++p) {
    for (int v = 0; v < vectors; ++v) sum[p][v] = packet::pset1<P>(Scalar(0));
  }
  for (Index i = 0; i < row.count; ++i) {
    const P value = packet::pset1<P>(row.values[row.where[i]]);
    const Scalar* at = b + row.where[i] * (vectors * lanes);
#pragma GCC unroll 8
    for (int p = 0; p < panels; ++p) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sum[p][v] =
            packet::pmadd(value, packet::ploadu<P>(at + p * panel_size + v * lanes), sum[p][v]);
      }
    }
  }
  for (int p = 0; p < panels; ++p) {
    for (int v = 0; v < vectors; ++v) {
      Scalar* to = c + (p * vectors + v) * lanes;
      P value = sum[p][v];
      if (accumulate) value = packet::padd(packet::ploadu<P>(to), value);
      packet::pstoreu(to, value);
    }
  }
}

/// The same for one narrower panel.
template <class Scalar>
void gemv_tile(Index width, const SparseRow<Scalar>& row, const Scalar* b, Scalar* c,
               bool accumulate) {
  switch (width / kLanes<Scalar>) {
    case 1: return gemv_tile<Scalar, 1, 1>(row, b, 0, c, accumulate);
    case 2: return gemv_tile<Scalar, 1, 2>(row, b, 0, c, accumulate);
    default: break;
  }
  if constexpr (kPanelVectors > 2) {
    if (width == 3 * kLanes<Scalar>) return gemv_tile<Scalar, 1, 3>(row, b, 0, c, accumulate);
    return gemv_tile<Scalar, 1, 4>(row, b, 0, c, accumulate);
  }
}

/// c = x B for one row x with this stride and B in panels; c has padded(n) values.
template <class Scalar>
void gemv(const Scalar* x, Index stride, const PanelShape<Scalar>& shape, const Scalar* b,
          Scalar* c) {
  constexpr Index width = kPanelWidth<Scalar>;
  constexpr Index together = kRowVectors / kPanelVectors;
  const Index full = padded<Scalar>(shape.cols) / width;
  Scalar gathered[kDepth];
  for (Index k = 0; k < shape.rows; k += kDepth) {
    const Index depth = std::min(kDepth, shape.rows - k);
    const Scalar* values = x + k * stride;
    if (stride != 1) {
      for (Index i = 0; i < depth; ++i) gathered[i] = values[i * stride];
      values = gathered;
    }
    const SparseRow<Scalar> row(values, depth);
    Index p = 0;
    for (; p + together <= full; p += together) {
      gemv_tile<Scalar, together, kPanelVectors>(row, b + shape.offset(p, k), shape.rows * width,
                                                 c + p * width, k > 0);
    }
    for (; p < shape.panels(); ++p) {
      gemv_tile(shape.width(p), row, b + shape.offset(p, k), c + p * width, k > 0);
    }
  }
}

}  // namespace mgdl::detail

/// \file
/// The matrix product under everything: C = A B or C += A B, with A (m x k) at any strides, B (k x
/// n) in panels, and C (m x n) row-major with rows padded to whole registers.
///
/// B is cut into panels of kPanelVectors registers of columns. A panel holds its rows one after
/// another, so the kernel reads it straight through while it keeps a tile of C in registers. The
/// last panel may be narrower; its columns beyond n are zero.
///
/// Every element of C is summed over k in the same order, in blocks of kDepth, no matter which
/// tile, row range or thread computes it. Results are therefore bit-identical for any split of the
/// rows: one sample alone or inside a batch, one thread or many.

namespace mgdl::detail {

/// Rows of the register tile: 6 x 4 registers of sums leave room for a panel row and a broadcast.
inline constexpr Index kTileRows = 6;

/// A matrix operand at any strides: element (i, p) is data[i * row_stride + p * col_stride].
template <class Scalar>
struct Strided {
  const Scalar* data;
  Index row_stride;
  Index col_stride;
};

/// Some rows of C = or += A B over `depth` terms, for one panel of `width` columns.
template <class Scalar, int rows>
void gemm_tile(Index width, Index depth, Strided<Scalar> a, const Scalar* b, Scalar* c,
               Index c_stride, bool accumulate);

/// C = or += A B for one panel of B: C is rows x width, `depth` <= kDepth. After each tile is
/// stored, finish(c, first_row, tile_rows) may transform it while it is in the cache.
template <class Scalar, class Finish>
void gemm_panel(Index rows, Index width, Index depth, Strided<Scalar> a, const Scalar* b, Scalar* c,
                Index c_stride, bool accumulate, const Finish& finish) {
  Index i = 0;
  const auto run = [&]<int tile_rows>() {
    const Strided<Scalar> ai{a.data + i * a.row_stride, a.row_stride, a.col_stride};
    Scalar* ci = c + i * c_stride;
    gemm_tile<Scalar, tile_rows>(width, depth, ai, b, ci, c_stride, accumulate);
    finish(ci, i, Index{tile_rows});
    i += tile_rows;
  };
  while (rows - i >= kTileRows) run.template operator()<kTileRows>();
  if (rows - i >= 4) run.template operator()<4>();
  if (rows - i >= 2) run.template operator()<2>();
  if (rows - i >= 1) run.template operator()<1>();
}

/// What may transform a tile of C while it is in the cache: finish(c, first_row, tile_rows,
/// first_col, width).
template <class Scalar>
using TileFinish = FunctionRef<void(Scalar*, Index, Index, Index, Index)>;

/// C = A B with A (rows x k), B (k x n) in panels, C with `c_stride` >= padded(n). Each finished
/// tile is passed to `finish`.
template <class Scalar>
void gemm(Index rows, Strided<Scalar> a, const PanelShape<Scalar>& shape, const Scalar* b,
          Scalar* c, Index c_stride, std::type_identity_t<TileFinish<Scalar>> finish);

/// Writes rows [first, last) of the transposed of `source` (k x n in panels), into panels of an n x
/// k matrix `target`: whole register blocks, `first_col..last_col` limits k. Both limits start at
/// multiples of the register size.
template <class Scalar>
void transpose_panels(const PanelShape<Scalar>& source_shape, const Scalar* source, Index first_row,
                      Index last_row, Index first_col, Index last_col, Scalar* target);

/// Right operand of a product, copied into the panels that gemm_panel() reads.
template <class Real>
class PackedOperand {
 public:
  /// The k x n matrix B times `factor`.
  void pack(Index rows, Index cols, Strided<Real> B, Real factor = Real(1));

  /// C = or += A B for A (m x k) and row-major C with c_stride >= padded(n).
  void multiply(Index m, Strided<Real> A, Real* c, Index c_stride, bool accumulate) const;

 private:
  PanelShape<Real> m_shape;
  AlignedVector<Real> m_data;
};

/// One register tile: rows x (vectors * lanes) of C = or += A B over `depth` terms.
template <class Scalar, int rows, int vectors>
EIGEN_DONT_INLINE void gemm_tile(Index depth, Strided<Scalar> a, const Scalar* b, Scalar* c,
                                 Index c_stride, bool accumulate) {
  constexpr Index lanes = kLanes<Scalar>;
  Packet<Scalar> sum[rows][vectors];
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < vectors; ++v) sum[r][v] = packet::pset1<Packet<Scalar>>(Scalar(0));
  }
  const Scalar* ap = a.data;
  for (Index p = 0; p < depth; ++p) {
    Packet<Scalar> bv[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) bv[v] = packet::ploadu<Packet<Scalar>>(b + v * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Packet<Scalar> av = packet::pset1<Packet<Scalar>>(ap[r * a.row_stride]);
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sum[r][v] = packet::pmadd(av, bv[v], sum[r][v]);
    }
    ap += a.col_stride;
    b += vectors * lanes;
  }
  for (int r = 0; r < rows; ++r) {
    Scalar* row = c + r * c_stride;
    for (int v = 0; v < vectors; ++v) {
      Packet<Scalar> value = sum[r][v];
      if (accumulate) value = packet::padd(packet::ploadu<Packet<Scalar>>(row + v * lanes), value);
      packet::pstoreu(row + v * lanes, value);
    }
  }
}

template <class Scalar, int rows>
void gemm_tile(Index width, Index depth, Strided<Scalar> a, const Scalar* b, Scalar* c,
               Index c_stride, bool accumulate) {
  switch (width / kLanes<Scalar>) {
    case 1: return gemm_tile<Scalar, rows, 1>(depth, a, b, c, c_stride, accumulate);
    case 2: return gemm_tile<Scalar, rows, 2>(depth, a, b, c, c_stride, accumulate);
    default: break;
  }
  if constexpr (kPanelVectors > 2) {
    if (width == 3 * kLanes<Scalar>) {
      return gemm_tile<Scalar, rows, 3>(depth, a, b, c, c_stride, accumulate);
    }
    return gemm_tile<Scalar, rows, 4>(depth, a, b, c, c_stride, accumulate);
  }
}

template <class Scalar>
void gemm(Index rows, Strided<Scalar> a, const PanelShape<Scalar>& shape, const Scalar* b,
          Scalar* c, Index c_stride, std::type_identity_t<TileFinish<Scalar>> finish) {
  if (rows == 1) {
    gemv(a.data, a.col_stride, shape, b, c);
    if (shape.rows > 0) finish(c, Index{0}, Index{1}, Index{0}, padded<Scalar>(shape.cols));
    return;
  }
  for (Index p = 0; p < shape.panels(); ++p) {
    const Index width = shape.width(p);
    const Index col = p * kPanelWidth<Scalar>;
    for (Index k = 0; k < shape.rows; k += kDepth) {
      const Index depth = std::min(kDepth, shape.rows - k);
      const Strided<Scalar> ak{a.data + k * a.col_stride, a.row_stride, a.col_stride};
      const Scalar* bk = b + shape.offset(p, k);
      const bool last = k + depth == shape.rows;
      gemm_panel(rows, width, depth, ak, bk, c + col, c_stride, k > 0,
                 [&](Scalar* tile, Index row, Index tile_rows) {
                   if (last) finish(tile, row, tile_rows, col, width);
                 });
    }
  }
}

template <class Scalar>
void transpose_panels(const PanelShape<Scalar>& source_shape, const Scalar* source, Index first_row,
                      Index last_row, Index first_col, Index last_col, Scalar* target) {
  constexpr Index lanes = kLanes<Scalar>;
  const PanelShape<Scalar> target_shape{source_shape.cols, source_shape.rows};
  for (Index i = first_row; i < last_row; i += lanes) {
    for (Index j = first_col; j < last_col; j += lanes) {
      const Index p = j / kPanelWidth<Scalar>;
      const Index stride = source_shape.width(p);
      const Scalar* from = source + source_shape.at(i, j);
      const Index q = i / kPanelWidth<Scalar>;
      const Index target_stride = target_shape.width(q);
      Scalar* to = target + target_shape.at(j, i);
      const Index rows = std::min(lanes, last_row - i);
      const Index cols = std::min(lanes, last_col - j);
      if constexpr (lanes > 1) {
        if (rows == lanes && cols == lanes) {
          // A register type as template argument loses its attributes, of which only its alignment
          // could matter, and that is the default.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
          Eigen::internal::PacketBlock<Packet<Scalar>, static_cast<int>(lanes)> block;
#pragma GCC diagnostic pop
          for (Index r = 0; r < lanes; ++r) {
            block.packet[r] = packet::ploadu<Packet<Scalar>>(from + r * stride);
          }
          packet::ptranspose(block);
          for (Index r = 0; r < lanes; ++r) {
            packet::pstoreu(to + r * target_stride, block.packet[r]);
          }
          continue;
        }
      }
      for (Index r = 0; r < rows; ++r) {
        for (Index s = 0; s < cols; ++s) to[s * target_stride + r] = from[r * stride + s];
      }
    }
  }
}

template <class Real>
void PackedOperand<Real>::pack(Index rows, Index cols, Strided<Real> B, Real factor) {
  m_shape = {rows, cols};
  if (m_data.size() < m_shape.size()) m_data.resize(m_shape.size());
  for (Index p = 0; p < m_shape.panels(); ++p) {
    const Index width = m_shape.width(p);
    const Index first = p * kPanelWidth<Real>;
    const Index used = std::min(width, cols - first);
    for (Index i = 0; i < rows; ++i) {
      Real* to = m_data.data() + m_shape.offset(p, i);
      const Real* from = B.data + i * B.row_stride + first * B.col_stride;
      for (Index j = 0; j < used; ++j) to[j] = factor * from[j * B.col_stride];
      std::fill(to + used, to + width, Real(0));
    }
  }
}

template <class Real>
void PackedOperand<Real>::multiply(Index m, Strided<Real> A, Real* c, Index c_stride,
                                   bool accumulate) const {
  for (Index p = 0; p < m_shape.panels(); ++p) {
    if (m_shape.rows == 0 && !accumulate) {
      for (Index i = 0; i < m; ++i) {
        std::fill_n(c + i * c_stride + p * kPanelWidth<Real>, m_shape.width(p), Real(0));
      }
    }
    for (Index k = 0; k < m_shape.rows; k += kDepth) {
      const Strided<Real> a{A.data + k * A.col_stride, A.row_stride, A.col_stride};
      gemm_panel(m, m_shape.width(p), std::min(kDepth, m_shape.rows - k), a,
                 m_data.data() + m_shape.offset(p, k), c + p * kPanelWidth<Real>, c_stride,
                 accumulate || k > 0, [](Real*, Index, Index) {});
    }
  }
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template void gemm_tile<float, 1>(Index, Index, Strided<float>, const float*, float*, Index,
                                         bool);
extern template void gemm_tile<float, 2>(Index, Index, Strided<float>, const float*, float*, Index,
                                         bool);
extern template void gemm_tile<float, 4>(Index, Index, Strided<float>, const float*, float*, Index,
                                         bool);
extern template void gemm_tile<float, 6>(Index, Index, Strided<float>, const float*, float*, Index,
                                         bool);
extern template void gemm(Index, Strided<float>, const PanelShape<float>&, const float*, float*,
                          Index, TileFinish<float>);
extern template void transpose_panels(const PanelShape<float>&, const float*, Index, Index, Index,
                                      Index, float*);
extern template class PackedOperand<float>;
extern template void gemm_tile<double, 1>(Index, Index, Strided<double>, const double*, double*,
                                          Index, bool);
extern template void gemm_tile<double, 2>(Index, Index, Strided<double>, const double*, double*,
                                          Index, bool);
extern template void gemm_tile<double, 4>(Index, Index, Strided<double>, const double*, double*,
                                          Index, bool);
extern template void gemm_tile<double, 6>(Index, Index, Strided<double>, const double*, double*,
                                          Index, bool);
extern template void gemm(Index, Strided<double>, const PanelShape<double>&, const double*, double*,
                          Index, TileFinish<double>);
extern template void transpose_panels(const PanelShape<double>&, const double*, Index, Index, Index,
                                      Index, double*);
extern template class PackedOperand<double>;
}  // namespace mgdl::detail
#endif
