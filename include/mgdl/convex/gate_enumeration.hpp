#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/distinct_rows.hpp"
#include "mgdl/detail/exact_sign.hpp"
#include "mgdl/detail/lattice.hpp"
#include "mgdl/detail/planar_cells.hpp"
#include "mgdl/detail/planar_gates.hpp"

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

namespace mgdl {

/// Different samples with two inputs that enumerate_gates takes at most: 512 of them in general
/// position have 261,633 patterns, which take n / 8 bytes each.
inline constexpr Index kMaxEnumeratedPoints = 512;

namespace detail {

inline void require_enumerable(const ConstRowMatrixRef<double>& inputs) {
  if (inputs.rows() == 0 || inputs.cols() == 0) {
    throw InvalidArgument("X", "at least one row and one column",
                          shape_text(inputs.rows(), inputs.cols()));
  }
  if (inputs.cols() > 2) {
    throw InvalidArgument("X", "1 or 2 columns, for all patterns", std::to_string(inputs.cols()));
  }
  require_finite("X", inputs);
}

/// Powers of two that bring the largest absolute value of each column into [1/2, 1); 1 for zeros.
inline Eigen::Vector2d unit_scale(const ConstRowMatrixRef<double>& inputs) {
  Eigen::Vector2d scale;
  for (Index k = 0; k < 2; ++k) {
    int exponent = 0;
    std::frexp(inputs.col(k).cwiseAbs().maxCoeff(), &exponent);
    scale[k] = std::ldexp(1.0, std::min(-exponent, 1023));
  }
  return scale;
}

/// inputs * scale, which has no rounding error where the signs of planar_cells.hpp are exact.
inline RowMatrix<double> unit_inputs(const ConstRowMatrixRef<double>& inputs,
                                     const Eigen::Vector2d& scale) {
  RowMatrix<double> scaled(inputs.rows(), 2);
  for (Index i = 0; i < inputs.rows(); ++i) {
    for (Index k = 0; k < 2; ++k) {
      scaled(i, k) = inputs(i, k) * scale[k];
      if (inputs(i, k) == 0 || std::abs(scaled(i, k)) >= kSmallestExact) continue;
      throw InvalidArgument("X", "0 or at least 2^-400 of the largest value in a column",
                            to_text(inputs(i, k)),
                            "row " + std::to_string(i) + ", column " + std::to_string(k));
    }
  }
  return scaled;
}

/// All gates for two inputs.
inline RowMatrix<double> planar_gates(const ConstRowMatrixRef<double>& inputs, bool bias) {
  const Eigen::Vector2d scale = unit_scale(inputs);
  const RowMatrix<double> scaled = unit_inputs(inputs, scale);
  const DistinctRows distinct(scaled);
  if (distinct.size() > kMaxEnumeratedPoints) {
    throw InvalidArgument(
        "X", "at most " + std::to_string(kMaxEnumeratedPoints) + " different rows of 2 columns",
        std::to_string(distinct.size()));
  }
  const RowMatrix<double> samples = distinct.pick(inputs);
  const RowMatrix<double> points = distinct.pick(scaled);
  // Of a cell without a gate, the samples next to the border.
  Index active = -1;
  Index inactive = -1;
  const auto find = [&](const RowMatrix<double>& nodes, const std::vector<Index>& number,
                        const Eigen::Vector2d& unit) {
    const PlanarCells cells = bias ? separations(nodes) : half_planes(nodes);
    PlanarGateFinder finder(samples, cells, number, unit, scale, bias);
    std::optional<RowMatrix<double>> gates = finder.find_all();
    active = finder.active();
    inactive = finder.inactive();
    return gates;
  };
  std::vector<Index> number(static_cast<std::size_t>(points.rows()));
  std::iota(number.begin(), number.end(), Index{0});
  std::optional<RowMatrix<double>> gates = find(points, number, Eigen::Vector2d::Ones());
  if (!gates) {
    if (const auto lattice = lattice_points(points, bias)) {
      const DistinctRows nodes(lattice->coordinates);
      gates = find(nodes.pick(lattice->coordinates), nodes.groups(), lattice->step);
    }
  }
  if (!gates) {
    throw InvalidArgument("X", "samples that are on a common line exactly, or not nearly",
                          "a pattern that no gate in double precision makes",
                          active >= 0 && inactive >= 0
                              ? "rows " + std::to_string(distinct.row(active)) + " and " +
                                    std::to_string(distinct.row(inactive))
                              : "");
  }
  return std::move(*gates);
}

/// All gates for one input: thresholds at the samples, upwards and downwards, which have no
/// rounding error.
inline RowMatrix<double> threshold_gates(const ConstRowMatrixRef<double>& inputs, bool bias) {
  if (!bias) return Eigen::Vector2d(1, -1);
  const DistinctRows distinct(inputs);
  const RowMatrix<double> values = distinct.pick(inputs);
  const Index m = values.rows();
  RowMatrix<double> gates(2 * m - 1, 2);
  gates.topRows(m) << Vector<double>::Ones(m), -values;
  gates.bottomRows(m - 1) << Vector<double>::Constant(m - 1, -1.0), values.topRows(m - 1);
  return gates;
}

}  // namespace detail

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
/// \param inputs  X, n x d, d <= 2
/// \param bias    whether gates have a value for the constant input 1
/// \throws InvalidArgument for no samples, more than two inputs, non-finite values; for two inputs
///         also more than kMaxEnumeratedPoints different samples, values that are not 0 but
///         smaller than 2^-400 times the largest of their column, and samples as above
inline Gates enumerate_gates(const ConstRowMatrixRef<double>& inputs, bool bias = true) {
  detail::require_enumerable(inputs);
  const RowMatrix<double> vectors = inputs.cols() == 1 ? detail::threshold_gates(inputs, bias)
                                                       : detail::planar_gates(inputs, bias);
  return Gates(inputs, vectors, bias, PatternScope::AllPatterns);
}

/// Number of patterns of samples with one or two inputs, without the one that has no active sample,
/// in exact arithmetic: how many gates enumerate_gates returns, unless it takes the samples to be
/// on a grid. O(n log n) time for one input, O(m^2 log m) for m different samples of two.
///
/// \throws InvalidArgument for no samples, more than two inputs, non-finite values, and (two
/// inputs)
///         values that are not 0 but smaller than 2^-400 times the largest of their column
inline Index count_patterns(const ConstRowMatrixRef<double>& inputs, bool bias = true) {
  detail::require_enumerable(inputs);
  if (inputs.cols() == 1) {
    if (bias) return 2 * detail::DistinctRows(inputs).size() - 1;
    const bool up = inputs.maxCoeff() >= 0;
    const bool down = inputs.minCoeff() <= 0;
    return up && down && inputs.isZero(0) ? 1 : up + down;
  }
  const RowMatrix<double> scaled = detail::unit_inputs(inputs, detail::unit_scale(inputs));
  const RowMatrix<double> points = detail::DistinctRows(scaled).pick(scaled);
  if (bias) return detail::count_separations(points) - 1;
  const detail::PlanarCells cells = detail::half_planes(points);
  Index count = 0;
  for (Index cell = 0; cell < cells.size(); ++cell) count += !cells.is_empty(cell);
  return count;
}

}  // namespace mgdl
