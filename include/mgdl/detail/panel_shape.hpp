#pragma once

#include <algorithm>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/simd.hpp"

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
