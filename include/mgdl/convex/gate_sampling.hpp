#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/sample_pairs.hpp"
#include "mgdl/detail/weighted_draw.hpp"

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

inline void require_sampling(const ConstRowMatrixRef<double>& inputs, Index count) {
  if (inputs.rows() == 0 || inputs.cols() == 0) {
    throw InvalidArgument("X", "at least one row and one column",
                          shape_text(inputs.rows(), inputs.cols()));
  }
  require_finite("X", inputs);
  require_option(count >= 1, "count", "a value >= 1", count);
}

/// Mean and scale of the coordinates of gates; a constant column has scale 1.
inline Standardizer<double> gate_coordinates(const ConstRowMatrixRef<double>& inputs, bool bias,
                                             GateCoordinates coordinates) {
  const Index n = inputs.rows();
  const Index d = inputs.cols();
  if (coordinates == GateCoordinates::Raw) return Standardizer<double>::identity(d);
  if (bias) return Standardizer<double>::fit(inputs, Vector<double>::Ones(n));
  RowVector<double> scale(d);
  for (Index k = 0; k < d; ++k) {
    scale[k] = inputs.col(k).stableNorm() / std::sqrt(static_cast<double>(n));
    if (!std::isnormal(scale[k])) scale[k] = 1;
  }
  return {RowVector<double>::Zero(d), scale};
}

}  // namespace detail

/// Gates whose vectors in the given coordinates are standard normal: pattern 1[a . z + b >= 0] with
/// independent a_k, b ~ N(0, 1), and no b without bias.
///
/// \param inputs       X, n x d
/// \param count        gates to draw, >= 1; gates with an earlier pattern or without an active
///                     sample are dropped afterwards
/// \param seed         fixes the gates
/// \param bias         whether gates have a value for the constant input 1
/// \param coordinates  z; the vectors that are returned are for x in any case
/// \throws InvalidArgument for no samples, non-finite values, count < 1, or no gate with an active
///         sample
inline Gates sample_gaussian_gates(const ConstRowMatrixRef<double>& inputs, Index count,
                                   std::uint64_t seed, bool bias = true,
                                   GateCoordinates coordinates = GateCoordinates::Standardised) {
  detail::require_sampling(inputs, count);
  const Index d = inputs.cols();
  const Standardizer<double> z = detail::gate_coordinates(inputs, bias, coordinates);
  RandomStream random(seed, /*stream=*/0x6A055);
  RowMatrix<double> vectors(count, d + (bias ? 1 : 0));
  for (Index j = 0; j < count; ++j) {
    double shift = 0;
    for (Index k = 0; k < d; ++k) {
      vectors(j, k) = random.normal() / z.scale()[k];
      shift = std::fma(vectors(j, k), z.mean()[k], shift);
    }
    if (bias) vectors(j, d) = random.normal() - shift;
  }
  return Gates(inputs, vectors, bias);
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
/// \param inputs       X, n x d
/// \param residual     r, n x c
/// \param count        pairs to draw, >= 1; fewer if there are not so many. Gates with an earlier
///                     pattern are dropped afterwards
/// \param seed         fixes the gates
/// \param bias         whether gates have a value for the constant input 1
/// \param coordinates  z; the vectors that are returned are for x in any case
/// \throws InvalidArgument for no samples, samples that are all the same, another number of
///         residuals, non-finite values, count < 1, or (without bias) no gate with an active sample
inline Gates sample_pair_gates(const ConstRowMatrixRef<double>& inputs,
                               const ConstRowMatrixRef<double>& residual, Index count,
                               std::uint64_t seed, bool bias = true,
                               GateCoordinates coordinates = GateCoordinates::Standardised) {
  detail::require_sampling(inputs, count);
  detail::require_rows("residual", inputs.rows(), residual.rows());
  if (residual.cols() == 0) throw InvalidArgument("residual", "at least one column", "none");
  detail::require_finite("residual", residual);
  const detail::SamplePairs pairs(inputs);
  if (pairs.size() == 0) throw InvalidArgument("X", "at least two different rows", "one");

  const RowVector<double> scale = detail::gate_coordinates(inputs, bias, coordinates).scale();
  RandomStream random(seed, /*stream=*/0x9A125);
  const auto candidates =
      detail::candidate_pairs(pairs, static_cast<std::uint64_t>(kPairsPerGate * count), random);
  detail::WeightedDraw draw(detail::pair_slopes(inputs, residual, candidates, scale));
  const Index d = inputs.cols();
  RowMatrix<double> vectors(std::min(count, draw.left()), d + (bias ? 1 : 0));
  for (auto vector : vectors.rowwise()) {
    const auto pair = candidates[static_cast<std::size_t>(draw.draw(random))];
    const auto [a, b] = pair;
    const double distance = detail::pair_distance(inputs, pair, scale);
    vector.head(d) = (inputs.row(b) - inputs.row(a)).cwiseQuotient(scale) / distance / distance;
    vector.head(d) = vector.head(d).cwiseQuotient(scale).eval();
    // The negative of what the products will be, so that the value at a is 0 without rounding
    // error.
    if (bias) vector[d] = -Gates::gate_value(inputs.row(a), vector, d, false);
  }
  return Gates(inputs, vectors, bias);
}

}  // namespace mgdl
