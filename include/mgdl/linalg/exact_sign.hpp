#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include "mgdl/core/types.hpp"

/// \file
/// Signs of small determinants without rounding errors.
///
/// A product of two doubles is the sum of two doubles, fl(a b) and fma(a, b, -fl(a b)), and the sum
/// of two doubles is again one, its rounded value and its error. A sum of products can therefore be
/// held exactly as a sum of doubles that do not overlap ("expansion"), whose sign is that of its
/// largest part.
///
/// Exact for coordinates that are zero or between kSmallestExact and 1 / kSmallestExact in
/// magnitude, so that nothing overflows or underflows.
///
/// Source: J. R. Shewchuk, "Adaptive precision floating-point arithmetic and fast robust geometric
/// predicates", Discrete & Computational Geometry 18, 1997.

namespace mgdl::detail {

/// Coordinates c != 0 are multiples of 2^-52 c, their differences too, and products of those need
/// another factor of 2^-53 for their errors: 2^-958 in all.
inline constexpr double kSmallestExact = 0x1p-400;

/// Sum of at most `capacity` doubles, exact.
template <std::size_t capacity>
class ExactSum {
 public:
  /// Adds a b, which takes two of the places.
  void add_product(double a, double b) noexcept {
    const double product = a * b;
    add(std::fma(a, b, -product));
    add(product);
  }

  /// -1, 0 or 1.
  int sign() const noexcept {
    for (std::size_t i = m_size; i-- > 0;) {
      if (m_parts[i] != 0) return m_parts[i] > 0 ? 1 : -1;
    }
    return 0;
  }

 private:
  // Adds one value to parts that do not overlap, smallest first, and leaves such parts.
  void add(double value) noexcept {
    for (std::size_t i = 0; i < m_size; ++i) {
      const double part = m_parts[i];
      const double sum = value + part;
      const double virtual_part = sum - value;
      m_parts[i] = (value - (sum - virtual_part)) + (part - virtual_part);
      value = sum;
    }
    m_parts[m_size++] = value;
  }

  std::array<double, capacity> m_parts{};
  std::size_t m_size = 0;
};

/// Sign of a_0 b_1 - a_1 b_0: 1 if b is to the left of the direction a, 0 if they are parallel.
template <class PointA, class PointB>
int cross_sign(const PointA& a, const PointB& b) noexcept {
  ExactSum<4> sum;
  sum.add_product(a[0], b[1]);
  sum.add_product(-a[1], b[0]);
  return sum.sign();
}

/// Cross product of b - a and c - a, or 0 if rounding errors could have changed its sign.
inline double certain_cross(double a0, double a1, double b0, double b1, double c0,
                            double c1) noexcept {
  // Three roundings in each product and one in their difference.
  constexpr double kBound = 4 * 0x1p-53;
  const double left = (b0 - a0) * (c1 - a1);
  const double right = (b1 - a1) * (c0 - a0);
  const double value = left - right;
  return std::abs(value) > kBound * (std::abs(left) + std::abs(right)) ? value : 0;
}

/// Sign of the determinant of (a 1; b 1; c 1), the cross product of b - a and c - a: 1 if c is to
/// the left of the line from a to b, 0 if it is on the line.
template <class PointA, class PointB, class PointC>
int orientation_sign(const PointA& a, const PointB& b, const PointC& c) noexcept {
  const double value = certain_cross(a[0], a[1], b[0], b[1], c[0], c[1]);
  if (value != 0) return value > 0 ? 1 : -1;
  ExactSum<12> sum;
  sum.add_product(a[0], b[1]);
  sum.add_product(-a[1], b[0]);
  sum.add_product(b[0], c[1]);
  sum.add_product(-b[1], c[0]);
  sum.add_product(c[0], a[1]);
  sum.add_product(-c[1], a[0]);
  return sum.sign();
}

}  // namespace mgdl::detail
