#pragma once

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// All activation patterns of samples with one or two inputs.
///
/// Gates with the same signs of x~_i . g, i = 1..n, none of them zero, form an open cell, and what
/// is counted and enumerated are the patterns of cells. With bias there are no others: where a gate
/// has x~_i . g = 0, which is active, a slightly larger bias makes these values positive and leaves
/// the signs of all others as they are. Without bias there can be others (for x = 1 and x = -1, the
/// gate 0 has both active), but no other functions: such a gate is on the border of a cell whose
/// pattern gives it the same values max(0, x_i . g), because the two patterns differ only where x_i
/// . g = 0. Either way, a ReLU optimum over the patterns of cells is the global optimum.

namespace mgdl::detail {

/// enumerate_gates().
template <class Real>
Gates all_gates(const ConstRowMatrixRef<Real>& inputs, bool bias);

/// count_patterns().
template <class Real>
Index pattern_count(const ConstRowMatrixRef<Real>& inputs, bool bias);

}  // namespace mgdl::detail

namespace mgdl {

/// Different samples with two inputs that enumerate_gates takes at most: 512 of them in general
/// position have 261,633 patterns, which take n / 8 bytes each.
inline constexpr Index kMaxEnumeratedPoints = 512;

/// All patterns of samples with one or two inputs, without the one that has no active sample.
///
/// One input: by sorting; with bias 2 m - 1 patterns for m different values, without at most 2. Two
/// inputs: with bias at most m^2 - m + 1 for m different samples (fewer if more than two are on a
/// line), without at most 2 m; O(m^3) time. Patterns take n / 8 bytes each.
///
/// The cells of two inputs are found in exact arithmetic, and the gate returned for each has been
/// seen to make its pattern as Gates computes it. Where samples are on a line up to rounding
/// errors, there are patterns that no gate in double precision makes. If each input then has values
/// on a regular grid, to within 2^-44 of its largest one, the patterns are those of samples exactly
/// on this grid; other samples are refused. (Moving a sample by so little changes what a ReLU
/// network can reach by as little. Patterns with bias are the same after any affine map of the
/// inputs, so it can be better to enumerate them before inputs are rotated or otherwise mixed.)
///
/// \param inputs  X, n x d, d <= 2, of any type of number
/// \param bias    whether gates have a value for the constant input 1
/// \throws InvalidArgument for no samples, more than two inputs, non-finite values; for two inputs
///         also more than kMaxEnumeratedPoints different samples, values that are not 0 but
///         smaller than 2^-400 times the largest of their column, and samples as above
template <class Inputs>
Gates enumerate_gates(const Eigen::MatrixBase<Inputs>& inputs, bool bias = true) {
  return detail::all_gates<double>(inputs.derived().template cast<double>(), bias);
}

/// Number of patterns of samples with one or two inputs, without the one that has no active sample,
/// in exact arithmetic: how many gates enumerate_gates returns, unless it takes the samples to be
/// on a grid. O(n log n) time for one input, O(m^2 log m) for m different samples of two.
///
/// \throws InvalidArgument for no samples, more than two inputs, non-finite values, and (two
/// inputs)
///         values that are not 0 but smaller than 2^-400 times the largest of their column
template <class Inputs>
Index count_patterns(const Eigen::MatrixBase<Inputs>& inputs, bool bias = true) {
  return detail::pattern_count<double>(inputs.derived().template cast<double>(), bias);
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Gates all_gates(const ConstRowMatrixRef<double>&, bool);
extern template Index pattern_count(const ConstRowMatrixRef<double>&, bool);
}  // namespace mgdl::detail
#else
#include "mgdl/convex/gate_enumeration_impl.hpp"  // IWYU pragma: export
#endif
