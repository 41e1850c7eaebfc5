#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Whether a set of gates has every pattern of the samples, by counting: the number of cells that
/// the samples cut the space of gates into is known, and decided by exact signs.

namespace mgdl::detail {

/// Sign of sum_k a_k b_k without rounding (-1, 0, 1), as long as no product underflows.
///
/// Products and sums are kept as lists of doubles that add up to them exactly. Source: Shewchuk,
/// "Adaptive precision floating-point arithmetic and fast robust geometric predicates" (Discrete &
/// Computational Geometry 18, 1997), algorithm GROW-EXPANSION.
template <std::size_t count>
int sign_of_products(const std::array<std::pair<double, double>, count>& factors) {
  double value = 0;
  double size = 0;
  for (const auto& [a, b] : factors) {
    value += a * b;
    size += std::abs(a * b);
  }
  // Every product and every sum is off by half a unit in its last place.
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  if (std::abs(value) > static_cast<double>(count) * epsilon * size) return value > 0 ? 1 : -1;

  std::array<double, 2 * count> parts{};  // ascending magnitude, the largest decides
  std::size_t used = 0;
  const auto add = [&](double term) {
    for (std::size_t k = 0; k < used; ++k) {
      const double sum = term + parts[k];
      const double added = sum - term;
      parts[k] = (term - (sum - added)) + (parts[k] - added);
      term = sum;
    }
    parts[used++] = term;
  };
  for (const auto& [a, b] : factors) {
    const double product = a * b;
    add(std::fma(a, b, -product));
    add(product);
  }
  while (used > 0) {
    const double largest = parts[--used];
    if (largest != 0) return largest > 0 ? 1 : -1;
  }
  return 0;
}

/// Patterns with an active sample that n points of the line or the plane admit,
/// 1[x_i . a + b >= 0] over all (a, b): the cells of the arrangement of the great circles
/// x~_i.u = 0, without the one where no sample is active.
///
/// On the line these are 2m - 1 for m distinct points. On the sphere, by Euler's formula, they are
/// 1 + 2 sum over lines (t - 1), over all straight lines through t >= 2 of the distinct points:
/// every line is a pair of vertices where t circles meet. (m >= 2; 1 for m = 1.)
///
/// \param X  n x d, d = 1 or 2
template <class Real>
Index count_patterns(const RowMatrix<Real>& X) {
  const bool plane = X.cols() == 2;
  using Point = std::array<Real, 2>;
  std::vector<Point> points(static_cast<std::size_t>(X.rows()));
  for (Index i = 0; i < X.rows(); ++i) {
    points[static_cast<std::size_t>(i)] = {X(i, 0), plane ? X(i, 1) : 0};
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (!plane) return 2 * std::ssize(points) - 1;

  // From each point to those behind it in lexicographic order. A line through t points is met in
  // t - 1 of them.
  Index directions = 0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const auto turn = [&, a = points[i]](const Point& b, const Point& c) {
      return sign_of_products<6>({{{a[0], b[1]},
                                   {-a[0], c[1]},
                                   {b[0], c[1]},
                                   {-b[0], a[1]},
                                   {c[0], a[1]},
                                   {-c[0], b[1]}}});
    };
    std::vector<Point> behind(points.begin() + static_cast<std::ptrdiff_t>(i) + 1, points.end());
    std::sort(behind.begin(), behind.end(),
              [&](const Point& b, const Point& c) { return turn(b, c) > 0; });
    ++directions;
    for (std::size_t k = 1; k < behind.size(); ++k) {
      if (turn(behind[k - 1], behind[k]) != 0) ++directions;
    }
  }
  return 1 + 2 * directions;
}

/// Whether gates with bias of one or two inputs have every pattern of the samples. Counted are
/// distinct patterns that are right in exact arithmetic, too.
///
/// Patterns are told apart by a hash: if two had the same one, the count would be too small and the
/// answer no.
template <class Real>
bool has_all_patterns(const RowMatrix<Real>& X, const Gates& gates, ThreadPool& pool) {
  const Index d = X.cols();
  if (!gates.bias() || d > 2) return false;
  const Index expected = count_patterns(X);
  if (gates.size() < expected) return false;
  std::vector<std::uint64_t> hashes(static_cast<std::size_t>(gates.size()));  // 0: not counted
  pool.parallel_for(gates.size(), [&](Index j, int) {
    const auto gate = gates.vectors().row(j);
    std::uint64_t hash = 0x9E3779B97F4A7C15u;
    bool any = false;
    for (Index i = 0; i < X.rows(); ++i) {
      Real value = 0;
      for (Index k = 0; k < d; ++k) value = std::fma(X(i, k), gate[k], value);
      const bool active = value + gate[d] >= 0;
      const int sign = sign_of_products<3>(
          {{{X(i, 0), gate[0]}, {d == 2 ? X(i, 1) : 0, d == 2 ? gate[1] : 0}, {1, gate[d]}}});
      if (active != (sign >= 0)) return;
      any = any || active;
      hash = (std::rotl(hash, 7) ^ (active ? 0xD6E8FEB86659FD93u : 0x5851F42D4C957F2Du)) *
             0xBF58476D1CE4E5B9u;
      hash ^= hash >> 32;
    }
    if (any) hashes[static_cast<std::size_t>(j)] = hash | 1;
  });
  std::erase(hashes, 0);
  std::sort(hashes.begin(), hashes.end());
  return std::unique(hashes.begin(), hashes.end()) - hashes.begin() == expected;
}

}  // namespace mgdl::detail
