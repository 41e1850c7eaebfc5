#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/standardizer.hpp"
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

namespace mgdl::detail {

template <class Real>
void require_sampling(const ConstRowMatrixRef<Real>& inputs, Index count) {
  if (inputs.rows() == 0 || inputs.cols() == 0) {
    throw InvalidArgument("X", "at least one row and one column",
                          shape_text(inputs.rows(), inputs.cols()));
  }
  require_finite("X", inputs);
  require_option(count >= 1, "count", "a value >= 1", count);
}

/// Mean and scale of the coordinates of gates; a constant column has scale 1.
template <class Real>
Standardizer<Real> gate_coordinates(const ConstRowMatrixRef<Real>& inputs, bool bias,
                                    GateCoordinates coordinates) {
  const Index n = inputs.rows();
  const Index d = inputs.cols();
  if (coordinates == GateCoordinates::Raw) return Standardizer<Real>::identity(d);
  if (bias) return Standardizer<Real>::fit(inputs, Vector<Real>::Ones(n));
  RowVector<Real> scale(d);
  for (Index k = 0; k < d; ++k) {
    scale[k] = inputs.col(k).stableNorm() / std::sqrt(static_cast<Real>(n));
    if (!std::isnormal(scale[k])) scale[k] = 1;
  }
  return {RowVector<Real>::Zero(d), scale};
}

template <class Real>
Gates gaussian_gates(const ConstRowMatrixRef<Real>& inputs, Index count, std::uint64_t seed,
                     bool bias, GateCoordinates coordinates) {
  require_sampling<Real>(inputs, count);
  const Index d = inputs.cols();
  const Standardizer<Real> z = gate_coordinates<Real>(inputs, bias, coordinates);
  RandomStream random(seed, /*stream=*/0x6A055);
  RowMatrix<Real> vectors(count, d + (bias ? 1 : 0));
  for (Index j = 0; j < count; ++j) {
    Real shift = 0;
    for (Index k = 0; k < d; ++k) {
      vectors(j, k) = random.normal() / z.scale()[k];
      shift = std::fma(vectors(j, k), z.mean()[k], shift);
    }
    if (bias) vectors(j, d) = random.normal() - shift;
  }
  return Gates(inputs, vectors, bias);
}

template <class Real>
Gates pair_gates(const ConstRowMatrixRef<Real>& inputs, const ConstRowMatrixRef<Real>& residual,
                 Index count, std::uint64_t seed, bool bias, GateCoordinates coordinates) {
  require_sampling<Real>(inputs, count);
  require_rows("residual", inputs.rows(), residual.rows());
  if (residual.cols() == 0) throw InvalidArgument("residual", "at least one column", "none");
  require_finite("residual", residual);
  const SamplePairs pairs(inputs);
  if (pairs.size() == 0) throw InvalidArgument("X", "at least two different rows", "one");

  const RowVector<Real> scale = gate_coordinates<Real>(inputs, bias, coordinates).scale();
  RandomStream random(seed, /*stream=*/0x9A125);
  const auto candidates =
      candidate_pairs(pairs, static_cast<std::uint64_t>(kPairsPerGate * count), random);
  WeightedDraw draw(pair_slopes(inputs, residual, candidates, scale));
  const Index d = inputs.cols();
  RowMatrix<Real> vectors(std::min(count, draw.left()), d + (bias ? 1 : 0));
  for (auto vector : vectors.rowwise()) {
    const auto pair = candidates[static_cast<std::size_t>(draw.draw(random))];
    const auto [a, b] = pair;
    const Real distance = pair_distance(inputs, pair, scale);
    vector.head(d) = (inputs.row(b) - inputs.row(a)).cwiseQuotient(scale) / distance / distance;
    vector.head(d) = vector.head(d).cwiseQuotient(scale).eval();
    // The negative of what the products will be, so that the value at a is 0 without rounding
    // error.
    if (bias) vector[d] = -Gates::gate_value(inputs.row(a), vector, d, false);
  }
  return Gates(inputs, vectors, bias);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Gates gaussian_gates(const ConstRowMatrixRef<double>&, Index, std::uint64_t, bool,
                                     GateCoordinates);
extern template Gates pair_gates(const ConstRowMatrixRef<double>&, const ConstRowMatrixRef<double>&,
                                 Index, std::uint64_t, bool, GateCoordinates);
}  // namespace mgdl::detail
#endif
