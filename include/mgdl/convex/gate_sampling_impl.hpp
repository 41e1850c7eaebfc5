#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"

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

#ifdef MGDL_COMPILED
template Gates gaussian_gates(const ConstRowMatrixRef<double>&, Index, std::uint64_t, bool,
                              GateCoordinates);
template Gates pair_gates(const ConstRowMatrixRef<double>&, const ConstRowMatrixRef<double>&, Index,
                          std::uint64_t, bool, GateCoordinates);
#endif

}  // namespace mgdl::detail
