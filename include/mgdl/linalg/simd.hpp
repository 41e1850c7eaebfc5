#pragma once

#include <Eigen/Core>
#include <vector>

#include "mgdl/core/types.hpp"

/// \file
/// Vector registers, by way of Eigen's packets: the same source serves SSE, AVX, AVX-512 and NEON,
/// and falls back to scalars where there is no vector unit.

namespace mgdl::detail {

namespace packet = Eigen::internal;

template <class Scalar>
using Packet = typename Eigen::internal::packet_traits<Scalar>::type;

/// Scalars in one vector register.
template <class Scalar>
inline constexpr Index kLanes = Eigen::internal::packet_traits<Scalar>::Vectorizable
                                    ? Eigen::internal::packet_traits<Scalar>::size
                                    : 1;

/// `count` rounded up to whole registers.
template <class Scalar>
constexpr Index padded(Index count) noexcept {
  return (count + kLanes<Scalar> - 1) / kLanes<Scalar> * kLanes<Scalar>;
}

/// Zero-initialised storage that starts at a register boundary.
template <class Scalar>
using AlignedVector = Vector<Scalar>;

}  // namespace mgdl::detail
