#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/arrangement/lattice.hpp"
#include "mgdl/convex/arrangement/planar_cells.hpp"
#include "mgdl/convex/arrangement/planar_gates.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/linkage.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/exact_sign.hpp"

namespace mgdl {

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

MGDL_INLINE Gates enumerate_gates(const ConstRowMatrixRef<double>& inputs, bool bias) {
  detail::require_enumerable(inputs);
  const RowMatrix<double> vectors = inputs.cols() == 1 ? detail::threshold_gates(inputs, bias)
                                                       : detail::planar_gates(inputs, bias);
  return Gates(inputs, vectors, bias, PatternScope::AllPatterns);
}

MGDL_INLINE Index count_patterns(const ConstRowMatrixRef<double>& inputs, bool bias) {
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
