#pragma once

#include <cmath>
#include <string>

#include "mgdl/convex/gated_solution.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Whether data, gates and solution fit together.

namespace mgdl::detail {

inline void require_gates(const Dataset<double>& data, const Gates& gates) {
  require_rows("X", gates.samples(), data.size());
  require_cols("X", gates.dimension() - (gates.bias() ? 1 : 0), data.inputs().cols());
}

/// What both kinds of solution have in common.
template <class Solution>
void require_penalty_and_bias(const std::string& name, const Solution& solution, Index outputs) {
  require_option(solution.lambda >= 0 && std::isfinite(solution.lambda), (name + ".lambda").c_str(),
                 "a finite value >= 0", solution.lambda);
  require_cols(name + ".bias", outputs, solution.bias.cols());
  require_finite(name + ".bias", solution.bias);
  if (!solution.output_bias && (solution.bias.array() != 0).any()) {
    throw InvalidArgument(name + ".bias", "zeros where the problem has no output bias",
                          to_text(solution.bias));
  }
}

/// A list of gates: `minimum` <= k < P.
inline void require_indices(const std::string& name, const std::vector<Index>& indices,
                            Index minimum, Index patterns) {
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (indices[k] >= minimum && indices[k] < patterns) continue;
    throw InvalidArgument(
        name, "gates from " + std::to_string(minimum) + " to " + std::to_string(patterns - 1),
        std::to_string(indices[k]), "position " + std::to_string(k));
  }
}

inline void require_solution(const GatedSolution& solution, const Gates& gates, Index outputs) {
  const std::string name = "GatedSolution";
  require_penalty_and_bias(name, solution, outputs);
  const auto count = static_cast<Index>(solution.active.size());
  require_indices(name + ".active", solution.active, 0, gates.size());
  for (std::size_t k = 1; k < solution.active.size(); ++k) {
    if (solution.active[k] > solution.active[k - 1]) continue;
    throw InvalidArgument(name + ".active", "ascending gates", std::to_string(solution.active[k]),
                          "position " + std::to_string(k));
  }
  require_rows(name + ".coefficients", count * gates.dimension(), solution.coefficients.rows());
  if (count > 0) require_cols(name + ".coefficients", outputs, solution.coefficients.cols());
  require_finite(name + ".coefficients", solution.coefficients);
}

/// \param dimension  p
inline void require_solution(const ReluSolution& solution, Index dimension, Index outputs) {
  const std::string name = "ReluSolution";
  require_penalty_and_bias(name, solution, outputs);
  require_rows(name + ".output", solution.hidden.rows(), solution.output.rows());
  if (solution.hidden.rows() > 0) {
    require_cols(name + ".hidden", dimension, solution.hidden.cols());
    require_cols(name + ".output", outputs, solution.output.cols());
  }
  require_finite(name + ".hidden", solution.hidden);
  require_finite(name + ".output", solution.output);
}

/// A neuron has the gate -1 if it belongs to none.
inline void require_neuron_gates(const ReluSolution& solution, const Gates& gates) {
  require_rows("ReluSolution.gates", solution.hidden.rows(), std::ssize(solution.gates));
  require_indices("ReluSolution.gates", solution.gates, -1, gates.size());
}

}  // namespace mgdl::detail
