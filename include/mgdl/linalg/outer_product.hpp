#pragma once

#include <algorithm>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/simd.hpp"

/// \file
/// Sums over samples of outer products, C (k x n) = or += sum_s a_s' b_s: the weight gradient of a
/// layer (a its inputs, b the deltas of its outputs) and Gram matrices (a = b).
///
/// This is where all samples meet. The result is cut into tasks (a panel of columns, a chunk of
/// rows); each task sums its part over all samples in the order of the samples.

namespace mgdl::detail {

/// Rows of the result that one task computes: a multiple of every register size.
inline constexpr Index kChunkRows = 128;

/// One task's part of the result.
struct ChunkRange {
  Index panel;
  Index first;  // rows [first, last)
  Index last;
};

template <class Scalar>
Index chunk_count(const PanelShape<Scalar>& shape) noexcept {
  return shape.panels() * ((shape.rows + kChunkRows - 1) / kChunkRows);
}

template <class Scalar>
ChunkRange chunk_range(const PanelShape<Scalar>& shape, Index task) noexcept {
  const Index chunks = (shape.rows + kChunkRows - 1) / kChunkRows;
  const Index first = task % chunks * kChunkRows;
  return {task / chunks, first, std::min(shape.rows, first + kChunkRows)};
}

/// Buffer that add_outer_products needs for each thread.
template <class Scalar>
inline constexpr Index kOuterBuffer = kDepth* kPanelWidth<Scalar>;

/// C[range] = or += sum over `samples` rows s of a(s, i) b(s, j).
///
/// \param a       samples x k, row-major with row stride a_stride
/// \param b       samples x padded(n), row-major with row stride b_stride
/// \param c       C in panels of `shape`
/// \param buffer  kOuterBuffer scalars
template <class Scalar>
void add_outer_products(Index samples, const Scalar* a, Index a_stride, const Scalar* b,
                        Index b_stride, const PanelShape<Scalar>& shape, ChunkRange range,
                        Scalar* c, bool accumulate, Scalar* buffer) {
  const Index width = shape.width(range.panel);
  const Scalar* columns = b + range.panel * kPanelWidth<Scalar>;
  Scalar* target = c + shape.offset(range.panel, range.first);
  for (Index s = 0; s < samples; s += kDepth) {
    const Index depth = std::min(kDepth, samples - s);
    for (Index i = 0; i < depth; ++i) {
      const Scalar* from = columns + (s + i) * b_stride;
      for (Index v = 0; v < width; v += kLanes<Scalar>) {
        packet::pstoreu(buffer + i * width + v, packet::ploadu<Packet<Scalar>>(from + v));
      }
    }
    const Strided<Scalar> transposed{a + s * a_stride + range.first, 1, a_stride};
    gemm_panel(range.last - range.first, width, depth, transposed, buffer, target, width,
               accumulate || s > 0, [](Scalar*, Index, Index) {});
  }
}

/// sums[0, width) = or += column sums of b (samples x width, row stride b_stride).
template <class Scalar>
void add_column_sums(Index samples, const Scalar* b, Index b_stride, Index width, Scalar* sums,
                     bool accumulate) {
  using P = Packet<Scalar>;
  for (Index v = 0; v < width; v += kLanes<Scalar>) {
    P total = accumulate ? packet::ploadu<P>(sums + v) : packet::pset1<P>(Scalar(0));
    for (Index s = 0; s < samples; s += kDepth) {
      const Index last = std::min(samples, s + kDepth);
      P part = packet::pset1<P>(Scalar(0));
      for (Index i = s; i < last; ++i) {
        part = packet::padd(part, packet::ploadu<P>(b + i * b_stride + v));
      }
      total = packet::padd(total, part);
    }
    packet::pstoreu(sums + v, total);
  }
}

}  // namespace mgdl::detail
