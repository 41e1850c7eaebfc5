#pragma once

#include <limits>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Unit roundoff: half the distance from 1 to the next larger value.
template <class Scalar>
inline constexpr double kRoundoff = static_cast<double>(std::numeric_limits<Scalar>::epsilon()) / 2;

/// gamma_n = n u / (1 - n u): a sum of products in which every term passes through at most n
/// roundings differs from the exact one by at most gamma_n times the sum of the terms' absolute
/// values, in whatever order they are added (Higham, section 3.1).
template <class Scalar>
double rounding_factor(Index roundings) {
  const double nu = static_cast<double>(roundings) * kRoundoff<Scalar>;
  return nu < 1 ? nu / (1 - nu) : std::numeric_limits<double>::infinity();
}

}  // namespace mgdl::detail
