#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/arrangement/planar_cells.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/exact_sign.hpp"

namespace mgdl::detail {

template <class Real>
void require_enumerable(const ConstRowMatrixRef<Real>& inputs) {
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
template <class Real>
Eigen::Vector2<Real> unit_scale(const ConstRowMatrixRef<Real>& inputs) {
  Eigen::Vector2<Real> scale;
  for (Index k = 0; k < 2; ++k) {
    int exponent = 0;
    std::frexp(inputs.col(k).cwiseAbs().maxCoeff(), &exponent);
    scale[k] = std::ldexp(1.0, std::min(-exponent, 1023));
  }
  return scale;
}

/// inputs * scale, which has no rounding error where the signs of planar_cells.hpp are exact.
template <class Real>
RowMatrix<Real> unit_inputs(const ConstRowMatrixRef<Real>& inputs,
                            const Eigen::Vector2<Real>& scale) {
  RowMatrix<Real> scaled(inputs.rows(), 2);
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
template <class Real>
RowMatrix<Real> planar_gates(const ConstRowMatrixRef<Real>& inputs, bool bias) {
  const Eigen::Vector2<Real> scale = unit_scale<Real>(inputs);
  const RowMatrix<Real> scaled = unit_inputs<Real>(inputs, scale);
  const DistinctRows distinct(scaled);
  if (distinct.size() > kMaxEnumeratedPoints) {
    throw InvalidArgument(
        "X", "at most " + std::to_string(kMaxEnumeratedPoints) + " different rows of 2 columns",
        std::to_string(distinct.size()));
  }
  const RowMatrix<Real> samples = distinct.pick(inputs);
  const RowMatrix<Real> points = distinct.pick(scaled);
  // Of a cell without a gate, the samples next to the border.
  Index active = -1;
  Index inactive = -1;
  const auto find = [&](const RowMatrix<Real>& nodes, const std::vector<Index>& number,
                        const Eigen::Vector2<Real>& unit) {
    const PlanarCells<Real> cells = bias ? separations(nodes) : half_planes(nodes);
    PlanarGateFinder<Real> finder(samples, cells, number, unit, scale, bias);
    std::optional<RowMatrix<Real>> gates = finder.find_all();
    active = finder.active();
    inactive = finder.inactive();
    return gates;
  };
  std::vector<Index> number(static_cast<std::size_t>(points.rows()));
  std::iota(number.begin(), number.end(), Index{0});
  std::optional<RowMatrix<Real>> gates = find(points, number, Eigen::Vector2<Real>::Ones());
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
template <class Real>
RowMatrix<Real> threshold_gates(const ConstRowMatrixRef<Real>& inputs, bool bias) {
  if (!bias) return Eigen::Vector2<Real>(1, -1);
  const DistinctRows distinct(inputs);
  const RowMatrix<Real> values = distinct.pick(inputs);
  const Index m = values.rows();
  RowMatrix<Real> gates(2 * m - 1, 2);
  gates.topRows(m) << Vector<Real>::Ones(m), -values;
  gates.bottomRows(m - 1) << Vector<Real>::Constant(m - 1, -1.0), values.topRows(m - 1);
  return gates;
}

template <class Real>
Gates all_gates(const ConstRowMatrixRef<Real>& inputs, bool bias) {
  require_enumerable<Real>(inputs);
  const RowMatrix<Real> vectors =
      inputs.cols() == 1 ? threshold_gates<Real>(inputs, bias) : planar_gates<Real>(inputs, bias);
  return Gates(inputs, vectors, bias, PatternScope::AllPatterns);
}

template <class Real>
Index pattern_count(const ConstRowMatrixRef<Real>& inputs, bool bias) {
  require_enumerable<Real>(inputs);
  if (inputs.cols() == 1) {
    if (bias) return 2 * DistinctRows(inputs).size() - 1;
    const bool up = inputs.maxCoeff() >= 0;
    const bool down = inputs.minCoeff() <= 0;
    return up && down && inputs.isZero(0) ? 1 : up + down;
  }
  const RowMatrix<Real> scaled = unit_inputs<Real>(inputs, unit_scale<Real>(inputs));
  const RowMatrix<Real> points = DistinctRows(scaled).pick(scaled);
  if (bias) return count_separations(points) - 1;
  const PlanarCells<Real> cells = half_planes(points);
  Index count = 0;
  for (Index cell = 0; cell < cells.size(); ++cell) count += !cells.is_empty(cell);
  return count;
}

}  // namespace mgdl::detail
