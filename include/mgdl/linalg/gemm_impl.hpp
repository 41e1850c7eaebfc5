#pragma once

#include <algorithm>
#include <type_traits>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/simd.hpp"

namespace mgdl::detail {

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

#ifdef MGDL_COMPILED
template void gemm_tile<float, 1>(Index, Index, Strided<float>, const float*, float*, Index, bool);
template void gemm_tile<float, 2>(Index, Index, Strided<float>, const float*, float*, Index, bool);
template void gemm_tile<float, 4>(Index, Index, Strided<float>, const float*, float*, Index, bool);
template void gemm_tile<float, 6>(Index, Index, Strided<float>, const float*, float*, Index, bool);
template void gemm(Index, Strided<float>, const PanelShape<float>&, const float*, float*, Index,
                   TileFinish<float>);
template void transpose_panels(const PanelShape<float>&, const float*, Index, Index, Index, Index,
                               float*);
template class PackedOperand<float>;
template void gemm_tile<double, 1>(Index, Index, Strided<double>, const double*, double*, Index,
                                   bool);
template void gemm_tile<double, 2>(Index, Index, Strided<double>, const double*, double*, Index,
                                   bool);
template void gemm_tile<double, 4>(Index, Index, Strided<double>, const double*, double*, Index,
                                   bool);
template void gemm_tile<double, 6>(Index, Index, Strided<double>, const double*, double*, Index,
                                   bool);
template void gemm(Index, Strided<double>, const PanelShape<double>&, const double*, double*, Index,
                   TileFinish<double>);
template void transpose_panels(const PanelShape<double>&, const double*, Index, Index, Index, Index,
                               double*);
template class PackedOperand<double>;
#endif

}  // namespace mgdl::detail
