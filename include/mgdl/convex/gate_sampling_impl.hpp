#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/linkage.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

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

MGDL_INLINE Gates sample_gaussian_gates(const ConstRowMatrixRef<double>& inputs, Index count,
                                        std::uint64_t seed, bool bias,
                                        GateCoordinates coordinates) {
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

MGDL_INLINE Gates sample_pair_gates(const ConstRowMatrixRef<double>& inputs,
                                    const ConstRowMatrixRef<double>& residual, Index count,
                                    std::uint64_t seed, bool bias, GateCoordinates coordinates) {
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
