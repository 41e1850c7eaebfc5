#pragma once

#include <cstdint>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Random activation patterns, for samples with too many inputs to have all of them.

namespace mgdl {

/// Inputs z that the distribution of sampled gates refers to.
enum class GateCoordinates {
  /// z = (x - mean) / standard deviation for each column, or z = x / root mean square without bias,
  /// where gates cannot be shifted: patterns do not depend on the units and origins of the inputs.
  Standardised,
  /// z = x. For inputs far from zero or of very different sizes, most patterns are then trivial or
  /// depend on one input only.
  Raw
};

/// Pairs of samples that sample_pair_gates compares for each gate, at most.
inline constexpr Index kPairsPerGate = 20;

namespace detail {

/// sample_gaussian_gates().
template <class Real>
Gates gaussian_gates(const ConstRowMatrixRef<Real>& inputs, Index count, std::uint64_t seed,
                     bool bias, GateCoordinates coordinates);

/// sample_pair_gates().
template <class Real>
Gates pair_gates(const ConstRowMatrixRef<Real>& inputs, const ConstRowMatrixRef<Real>& residual,
                 Index count, std::uint64_t seed, bool bias, GateCoordinates coordinates);

#ifdef MGDL_COMPILED
extern template Gates gaussian_gates(const ConstRowMatrixRef<double>&, Index, std::uint64_t, bool,
                                     GateCoordinates);
extern template Gates pair_gates(const ConstRowMatrixRef<double>&, const ConstRowMatrixRef<double>&,
                                 Index, std::uint64_t, bool, GateCoordinates);
#endif

}  // namespace detail

/// Gates whose vectors in the given coordinates are standard normal: pattern 1[a . z + b >= 0] with
/// independent a_k, b ~ N(0, 1), and no b without bias.
///
/// \param inputs       X, n x d, of any type of number
/// \param count        gates to draw, >= 1; gates with an earlier pattern or without an active
///                     sample are dropped afterwards
/// \param seed         fixes the gates
/// \param bias         whether gates have a value for the constant input 1
/// \param coordinates  z; the vectors that are returned are for x in any case
/// \throws InvalidArgument for no samples, non-finite values, count < 1, or no gate with an active
///         sample
template <class Inputs>
Gates sample_gaussian_gates(const Eigen::MatrixBase<Inputs>& inputs, Index count,
                            std::uint64_t seed, bool bias = true,
                            GateCoordinates coordinates = GateCoordinates::Standardised) {
  return detail::gaussian_gates<double>(inputs.derived().template cast<double>(), count, seed, bias,
                                        coordinates);
}

/// Gates from pairs of samples where the residual is steep.
///
/// For an ordered pair (a, b) with x_a != x_b, the gate is w . x - w . x_a >= 0 with
/// w = (z_b - z_a) / |z_b - z_a|^2 in the given coordinates: 0 at a, which is active, and 1 at b. A
/// pair and its reverse are different gates, with the kink at either end and the active side
/// towards the other. Without bias it is w . x >= 0. Pairs are drawn without replacement, with
/// probability in proportion to
///
///     max_k |r_ak - r_bk| / |z_b - z_a|,
///
/// as long as there are any with residuals that differ, then uniformly. They are drawn from all
/// pairs if there are no more than kPairsPerGate * count, else from that many which are uniformly
/// distributed (repeated ones count once).
///
/// Source: Bolager et al., "Sampling weights of deep neural networks" (arXiv 2306.16830), with the
/// residual for the target.
///
/// \param inputs       X, n x d, of any type of number
/// \param residual     r, n x c
/// \param count        pairs to draw, >= 1; fewer if there are not so many. Gates with an earlier
///                     pattern are dropped afterwards
/// \param seed         fixes the gates
/// \param bias         whether gates have a value for the constant input 1
/// \param coordinates  z; the vectors that are returned are for x in any case
/// \throws InvalidArgument for no samples, samples that are all the same, another number of
///         residuals, non-finite values, count < 1, or (without bias) no gate with an active sample
template <class Inputs, class Residual>
Gates sample_pair_gates(const Eigen::MatrixBase<Inputs>& inputs,
                        const Eigen::MatrixBase<Residual>& residual, Index count,
                        std::uint64_t seed, bool bias = true,
                        GateCoordinates coordinates = GateCoordinates::Standardised) {
  return detail::pair_gates<double>(inputs.derived().template cast<double>(),
                                    residual.derived().template cast<double>(), count, seed, bias,
                                    coordinates);
}

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/convex/gate_sampling_impl.hpp"  // IWYU pragma: export
#endif
