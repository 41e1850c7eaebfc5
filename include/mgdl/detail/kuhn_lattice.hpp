#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Coordinates that the constructive scheme can have at most.
inline constexpr Index kMaxKuhnInputs = 3;

/// A node of a lattice: integer multiples of the spacing, 0 beyond the last coordinate.
using KuhnNode = std::array<std::int64_t, kMaxKuhnInputs>;

/// Where a point lies in the Kuhn (Freudenthal) triangulation: the corners of its simplex and its
/// barycentric weights, which are the values of the corners' hat functions. They are >= 0 and add
/// up to 1; a corner of weight 0 does not count.
struct KuhnSimplex {
  std::array<KuhnNode, kMaxKuhnInputs + 1> corners{};
  std::array<double, kMaxKuhnInputs + 1> weights{};
};

/// \param x        d coordinates, |x| / spacing below 2^53
/// \param spacing  a power of two, so that the division is exact
inline KuhnSimplex kuhn_simplex(const double* x, Index d, double spacing) {
  KuhnSimplex simplex;
  std::array<double, kMaxKuhnInputs> part{};
  std::array<std::size_t, kMaxKuhnInputs> order{0, 1, 2};
  const auto count = static_cast<std::size_t>(d);
  for (std::size_t i = 0; i < count; ++i) {
    const double scaled = x[i] / spacing;
    const double below = std::floor(scaled);
    part[i] = scaled - below;
    simplex.corners[0][i] = static_cast<std::int64_t>(below);
  }
  // The corners are met by going along one axis after another, largest fraction first.
  for (std::size_t k = 1; k < count; ++k) {  // at most three: no need for std::sort
    for (std::size_t j = k; j > 0 && part[order[j]] > part[order[j - 1]]; --j) {
      std::swap(order[j], order[j - 1]);
    }
  }
  double before = 1;
  for (std::size_t k = 0; k < count; ++k) {
    simplex.weights[k] = before - part[order[k]];
    before = part[order[k]];
    simplex.corners[k + 1] = simplex.corners[k];
    ++simplex.corners[k + 1][order[k]];
  }
  simplex.weights[count] = before;
  return simplex;
}

}  // namespace mgdl::detail
