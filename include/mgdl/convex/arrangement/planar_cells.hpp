#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/exact_sign.hpp"

/// \file
/// Cells of the arrangements that points in the plane make in the space of gates: sets of gates
/// with the same pattern, none of which has a point on its border.
///
/// All signs are exact, see exact_sign.hpp for the range of the coordinates.

namespace mgdl::detail {

/// Cells by their patterns, each with its rays.
///
/// Cells are cones. One that contains no line is spanned by its extreme rays, the gates on its
/// border that vanish at as many points as a gate can without vanishing at all. The sum of its rays
/// is therefore inside.
template <class Real>
class PlanarCells {
 public:
  explicit PlanarCells(Index points) : m_words((points + 63) / 64), m_patterns(m_words) {}

  /// Number of different patterns.
  Index size() const noexcept { return m_patterns.size(); }
  /// Bit i % 64 of word i / 64: whether point i is active.
  const std::uint64_t* pattern(Index cell) const noexcept { return m_patterns.pattern(cell); }

  /// Whether a cell has no active point.
  bool is_empty(Index cell) const noexcept {
    return std::all_of(pattern(cell), pattern(cell) + m_words,
                       [](std::uint64_t word) { return word == 0; });
  }

  /// Adds a ray to the cell of a pattern: its values for the coordinates, without the bias.
  void add(const std::vector<std::uint64_t>& pattern, const Eigen::Vector2<Real>& ray) {
    const auto [cell, is_new] = m_patterns.insert(pattern.data());
    if (is_new) m_last.push_back(-1);
    Index& last = m_last[static_cast<std::size_t>(cell)];
    m_rays.push_back({ray, last});
    last = static_cast<Index>(m_rays.size()) - 1;
  }

  /// The rays of a cell.
  std::vector<Eigen::Vector2<Real>> rays(Index cell) const {
    std::vector<Eigen::Vector2<Real>> rays;
    Index at = m_last[static_cast<std::size_t>(cell)];
    while (at >= 0) {
      const Ray& ray = m_rays[static_cast<std::size_t>(at)];
      rays.push_back(ray.values);
      at = ray.previous;
    }
    return rays;
  }

 private:
  struct Ray {
    Eigen::Vector2<Real> values;
    Index previous;  // of the same cell; -1: none
  };

  Index m_words;
  PatternSet m_patterns;
  std::vector<Ray> m_rays;
  std::vector<Index> m_last;  // of each cell
};

inline void set_bit(std::vector<std::uint64_t>& bits, Index i, bool value) {
  const std::uint64_t mask = std::uint64_t{1} << (i % 64);
  auto& word = bits[static_cast<std::size_t>(i / 64)];
  word = value ? word | mask : word & ~mask;
}

/// 1 at the points with this side.
inline std::vector<std::uint64_t> bits_of_side(const std::vector<int>& sides, int side) {
  std::vector<std::uint64_t> bits((sides.size() + 63) / 64);
  for (std::size_t k = 0; k < sides.size(); ++k) {
    bits[k / 64] |= std::uint64_t{sides[k] == side} << (k % 64);
  }
  return bits;
}

/// The unit vector that points to the left of a direction.
template <class Real>
Eigen::Vector2<Real> left_of(const Eigen::Vector2<Real>& direction) {
  return Eigen::Vector2<Real>(-direction[1], direction[0]).normalized();
}

/// Calls visit(on, sides) once for each line through at least two of the points (m x 2, distinct
/// and in lexicographic order): the points on it, ascending, which is also their order along the
/// line, and for each point 1 to the left, -1 to the right, 0 on the line. O(m^2) memory, O(m^3)
/// time.
template <class Real, class Visit>
void for_each_line(const RowMatrix<Real>& points, const Visit& visit) {
  const Index m = points.rows();
  const Matrix<Real> columns = points;  // so that estimates are vectorised
  Vector<Real> estimates(m);
  std::vector<char> seen(static_cast<std::size_t>(m * m));  // pairs whose line is done
  std::vector<int> sides(static_cast<std::size_t>(m));
  std::vector<Index> on;
  for (Index i = 0; i < m; ++i) {
    for (Index j = i + 1; j < m; ++j) {
      if (seen[static_cast<std::size_t>(i * m + j)]) continue;
      for (Index k = 0; k < m; ++k) {
        estimates[k] = certain_cross(columns(i, 0), columns(i, 1), columns(j, 0), columns(j, 1),
                                     columns(k, 0), columns(k, 1));
      }
      on.clear();
      for (Index k = 0; k < m; ++k) {
        int side = (estimates[k] > 0) - (estimates[k] < 0);
        if (side == 0) side = orientation_sign(points.row(i), points.row(j), points.row(k));
        if (side == 0) on.push_back(k);
        sides[static_cast<std::size_t>(k)] = side;
      }
      for (const Index a : on) {
        for (const Index b : on) seen[static_cast<std::size_t>(a * m + b)] = 1;
      }
      visit(on, sides);
    }
  }
}

/// Number of cells of gates with bias: the ways to split the points (m x 2, distinct and in
/// lexicographic order) by a line, which point counts as active included.
///
/// The planes x~_i . g = 0 are a central arrangement of m planes in three dimensions. With k_l
/// points on line l, for all lines through at least two points, its characteristic polynomial is
///
///     t^3 - m t^2 + sum_l (k_l - 1) t - (1 - m + sum_l (k_l - 1))
///
/// (the last term makes it vanish at 1, as for any central arrangement), and its value at -1 is,
/// up to the sign, the number of cells (T. Zaslavsky, 1975): 2 + 2 sum_l (k_l - 1). Points all on
/// one line have no last term, and the number 2 m is the same formula again.
///
/// Of the k_l points on a line all but the last see a later one in its direction: the sum is the
/// number of pairs of a point and a direction to later points. O(m^2 log m).
template <class Real>
Index count_separations(const RowMatrix<Real>& points) {
  const Index m = points.rows();
  Index directions = 0;
  std::vector<Index> later;
  for (Index i = 0; i < m; ++i) {
    later.resize(static_cast<std::size_t>(m - i - 1));
    std::iota(later.begin(), later.end(), i + 1);
    // Later points are in a half-plane around point i, where turning to the left is an order.
    const auto turn = [&](Index a, Index b) {
      return orientation_sign(points.row(i), points.row(a), points.row(b));
    };
    std::sort(later.begin(), later.end(), [&](Index a, Index b) { return turn(a, b) > 0; });
    for (std::size_t k = 0; k < later.size(); ++k) {
      directions += k == 0 || turn(later[k - 1], later[k]) != 0;
    }
  }
  return 2 + 2 * directions;
}

/// Cells of gates with bias, for points (m x 2, distinct and in lexicographic order).
///
/// A gate is a line with an active side, and an extreme ray a line through at least two points.
/// Moved a little, it still has all other points on the side where they were, while those on it are
/// split into a first and a second part along the line, either of which can be the active one;
/// every split can be had by turning the line around a place between the points. These are the
/// cells around the ray. Every cell has such rays unless all points are on a line; then it is a
/// split of that line, and the gate is one of the coordinate in which the points differ.
template <class Real>
PlanarCells<Real> separations(const RowMatrix<Real>& points) {
  const Index m = points.rows();
  PlanarCells<Real> cells(m);
  // Cells around a ray: `bits` without points on the line, with its first 1, 2, ... points, and
  // with its last ... 2, 1 points.
  const auto split = [&](std::vector<std::uint64_t> bits, const std::vector<Index>& on,
                         const Eigen::Vector2<Real>& ray_first,
                         const Eigen::Vector2<Real>& ray_last) {
    cells.add(bits, ray_first);
    for (const Index k : on) {
      set_bit(bits, k, true);
      cells.add(bits, ray_first);
    }
    for (std::size_t k = 0; k + 1 < on.size(); ++k) {
      set_bit(bits, on[k], false);
      cells.add(bits, ray_last);
    }
  };
  if (m == 1) split({0}, {0}, Eigen::Vector2<Real>::Zero(), Eigen::Vector2<Real>::Zero());
  for_each_line(points, [&](const std::vector<Index>& on, const std::vector<int>& sides) {
    const Eigen::Vector2<Real> direction = points.row(on.back()) - points.row(on.front());
    if (static_cast<Index>(on.size()) == m) {
      const Eigen::Vector2<Real> axis = Eigen::Vector2<Real>::Unit(direction[0] != 0 ? 0 : 1);
      split(bits_of_side(sides, 1), on, -axis, axis);
      return;
    }
    const Eigen::Vector2<Real> normal = left_of(direction);
    split(bits_of_side(sides, 1), on, normal, normal);
    split(bits_of_side(sides, -1), on, -normal, -normal);
  });
  return cells;
}

/// Cells of gates without bias, for points (m x 2, distinct).
///
/// A gate is the normal of a line through the origin, and an extreme ray the normal of one through
/// a point too. Turned a little, the points of that line on one side of the origin become active,
/// those on the other side inactive. The origin itself is always active. If all points are on one
/// line, its direction is inside of the one cell, the opposite inside of the other. O(m^2).
template <class Real>
PlanarCells<Real> half_planes(const RowMatrix<Real>& points) {
  const Index m = points.rows();
  PlanarCells<Real> cells(m);
  std::vector<char> seen(static_cast<std::size_t>(m));  // points whose line is done
  std::vector<int> sides(static_cast<std::size_t>(m));
  std::vector<int> along(static_cast<std::size_t>(m));  // of points on the line: 1, -1, origin 0
  for (Index i = 0; i < m; ++i) {
    const Eigen::Vector2<Real> direction = points.row(i);
    if (seen[static_cast<std::size_t>(i)] || direction.isZero(0)) continue;
    const Index axis = direction[0] != 0 ? 0 : 1;
    bool alone = true;
    for (Index k = 0; k < m; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const Real coordinate = direction[axis] > 0 ? points(k, axis) : -points(k, axis);
      sides[at] = cross_sign(direction, points.row(k));
      along[at] = sides[at] != 0 ? 2 : (coordinate > 0) - (coordinate < 0);
      if (sides[at] == 0) seen[at] = 1;
      alone = alone && sides[at] == 0;
    }
    for (const int side : {1, -1}) {
      for (const int end : {1, -1}) {
        std::vector<std::uint64_t> bits = bits_of_side(sides, side);
        for (Index k = 0; k < m; ++k) {
          const int place = along[static_cast<std::size_t>(k)];
          if (place == 0 || place == end) set_bit(bits, k, true);
        }
        cells.add(bits, alone ? end * direction.normalized() : side * left_of(direction));
      }
    }
  }
  if (cells.size() == 0) cells.add(bits_of_side(sides, 0), Eigen::Vector2<Real>::UnitX());
  return cells;
}

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
