#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "mgdl/convex/arrangement/planar_cells.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Finds gates in double precision that have the patterns of cells, as Gates::gate_value() computes
/// them, for points with two coordinates.
///
/// Tried are the sum of the cell's rays, which is well inside of it, and if rounding errors are
/// larger than the cell, each ray for itself: of all directions, the normal of a line through two
/// points is the one in which active and inactive points can be farthest apart. For both, three
/// lengths: with a factor of 1 or -1, one of the products has no rounding error. With bias, a
/// direction will do if it puts all active points above all inactive ones, and the bias is in the
/// middle between them.
template <class Real>
class PlanarGateFinder {
 public:
  /// \param points  samples, m x 2
  /// \param cells   what is looked for, for as many or fewer points
  /// \param number  which point of `cells` each of `points` is
  /// \param unit    what a step of 1 of each coordinate in `cells` is for the points times `scale`
  /// \param scale   factors that make both columns of points about equally large
  PlanarGateFinder(const RowMatrix<Real>& points, const PlanarCells<Real>& cells,
                   const std::vector<Index>& number, const Eigen::Vector2<Real>& unit,
                   const Eigen::Vector2<Real>& scale, bool bias)
      : m_points(points),
        m_cells(cells),
        m_number(number),
        m_unit(unit),
        m_scale(scale),
        m_bias(bias) {}

  /// Gates of all cells with an active point, cells x 3, or without bias cells x 2. Nothing if none
  /// was found for a cell.
  std::optional<RowMatrix<Real>> find_all() {
    RowMatrix<Real> gates(m_cells.size(), m_bias ? 3 : 2);
    Index count = 0;
    for (Index cell = 0; cell < m_cells.size(); ++cell) {
      if (m_cells.is_empty(cell)) continue;
      if (!find(cell)) return {};
      gates.row(count++) = m_gate.head(gates.cols());
    }
    return gates.topRows(count);
  }

  /// When nothing was found: the active and the inactive point next to the border; -1: none.
  Index active() const noexcept { return m_active; }
  Index inactive() const noexcept { return m_inactive; }

 private:
  static constexpr Real kInfinity = std::numeric_limits<Real>::infinity();

  bool is_active(Index cell, Index point) const noexcept {
    const Index k = m_number[static_cast<std::size_t>(point)];
    return (m_cells.pattern(cell)[k / 64] >> (k % 64) & 1u) != 0;
  }

  bool find(Index cell) {
    std::vector<Eigen::Vector2<Real>> directions = m_cells.rays(cell);
    Eigen::Vector2<Real> sum = Eigen::Vector2<Real>::Zero();
    for (Eigen::Vector2<Real>& ray : directions) {
      ray = ray.cwiseQuotient(m_unit).eval();
      sum += ray;
    }
    directions.push_back(sum);
    std::rotate(directions.rbegin(), directions.rbegin() + 1, directions.rend());
    return std::any_of(directions.begin(), directions.end(),
                       [&](const Eigen::Vector2<Real>& direction) {
                         const Eigen::Vector2<Real> size = direction.cwiseAbs();
                         return separates(cell, direction.normalized()) ||
                                (size[0] > 0 && separates(cell, direction / size[0])) ||
                                (size[1] > 0 && separates(cell, direction / size[1]));
                       });
  }

  /// Makes a gate with this direction, for points times scale, if there is one.
  bool separates(Index cell, const Eigen::Vector2<Real>& scaled_direction) {
    const Eigen::Vector2<Real> direction = scaled_direction.cwiseProduct(m_scale);
    if (!direction.allFinite()) return false;
    Real lowest = kInfinity;    // value of active points
    Real highest = -kInfinity;  // of inactive ones
    m_active = m_inactive = -1;
    for (Index i = 0; i < m_points.rows(); ++i) {
      const Real value = Gates::gate_value(m_points.row(i), direction, 2, false);
      if (is_active(cell, i)) {
        if (value < lowest) {
          lowest = value;
          m_active = i;
        }
      } else if (value > highest) {
        highest = value;
        m_inactive = i;
      }
    }
    if (!m_bias) {
      m_gate << direction.transpose(), 0;
      return highest < 0 && lowest >= 0;
    }
    if (highest == -kInfinity) {
      m_gate << 0, 0, 1;
      return true;
    }
    // The threshold itself is active, so it must not be rounded to the highest inactive value.
    const Real middle = highest + (lowest - highest) / 2;
    m_gate << direction.transpose(), -(middle > highest ? middle : lowest);
    return highest < lowest && m_gate.allFinite();
  }

  const RowMatrix<Real>& m_points;
  const PlanarCells<Real>& m_cells;
  const std::vector<Index>& m_number;
  Eigen::Vector2<Real> m_unit;
  Eigen::Vector2<Real> m_scale;
  bool m_bias;
  Eigen::RowVector3d m_gate;
  Index m_active = -1;
  Index m_inactive = -1;
};

/// Greatest common divisor of positive numbers that are known up to an error: Euclid's algorithm,
/// with a remainder that its error can explain taken for zero.
class ApproximateDivisor {
 public:
  /// Takes one more number into account.
  void add(double value, double error) noexcept {
    double a = std::max(value, m_value);
    double a_error = value > m_value ? error : m_error;
    double b = std::min(value, m_value);
    double b_error = value > m_value ? m_error : error;
    while (b > b_error) {
      const double times = std::round(a / b);
      const double remainder = std::abs(std::fma(-times, b, a));
      const double remainder_error = a_error + times * b_error;
      a = b;
      a_error = b_error;
      b = remainder;
      b_error = remainder_error;
    }
    m_value = a;
    m_error = a_error;
  }

  /// 0 as long as all numbers are.
  double value() const noexcept { return m_value; }

 private:
  double m_value = 0;
  double m_error = 0;
};

/// Largest number of steps in a lattice: with more, its lines would be too close to tell apart.
inline constexpr double kMaxLattice = 1 << 20;

/// Integers k_i with |values_i - base - k_i step| <= 4 error, for one step, if there are such
/// numbers with |k_i| <= kMaxLattice; `step` is set to it. What values of a regular grid look like
/// after they have been rounded.
template <class Real>
std::optional<Vector<Real>> lattice_coordinates(const ConstVectorRef<Real>& values, Real base,
                                                Real error, Real& step) {
  ApproximateDivisor divisor;
  Real largest = 0;
  for (const Real value : values) {
    const Real distance = std::abs(value - base);
    largest = std::max(largest, distance);
    if (distance > error) divisor.add(distance, error);
  }
  step = 1;
  if (divisor.value() == 0) return Vector<Real>::Zero(values.size());
  const Real steps = std::round(largest / divisor.value());
  if (!(steps <= kMaxLattice)) return {};
  step = largest / steps;
  const Vector<Real> distances = values.array() - base;
  const Vector<Real> coordinates = (distances / step).array().round();
  if ((distances - step * coordinates).cwiseAbs().maxCoeff() > 4 * error) return {};
  return coordinates;
}

/// Points of a regular grid whose coordinates have been rounded.
template <class Real>
struct LatticePoints {
  RowMatrix<Real> coordinates;  // integers, m x 2
  Eigen::Vector2<Real> step;    // of each coordinate
};

/// Nothing unless both columns of `points` (largest value below 1) are on a grid. Without bias, the
/// origin is a point of it.
template <class Real>
std::optional<LatticePoints<Real>> lattice_points(const RowMatrix<Real>& points, bool bias) {
  constexpr Real kRounding = 0x1p-46;
  LatticePoints<Real> lattice{points, Eigen::Vector2<Real>::Ones()};
  for (Index k = 0; k < 2; ++k) {
    const Real base = bias ? points.col(k).minCoeff() : 0;
    const auto integers =
        lattice_coordinates<Real>(points.col(k), base, kRounding, lattice.step[k]);
    if (!integers) return {};
    lattice.coordinates.col(k) = *integers;
  }
  return lattice;
}

}  // namespace mgdl::detail
