#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

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
