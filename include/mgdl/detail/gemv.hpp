#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_shape.hpp"
#include "mgdl/detail/simd.hpp"

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
