#pragma once

#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// A point of the gated problem: f(x) = sum_j 1[x~ . g_j >= 0] x~ U_j + bias.
struct GatedSolution {
  double lambda = 0;          ///< the penalty it was solved for
  std::vector<Index> active;  ///< gates with U_j != 0, ascending, as indices into Gates
  /// The blocks U_j (p x c) of the active gates one below the other, (active.size() p) x c.
  Matrix<double> coefficients;
  RowVector<double> bias;    ///< unpenalised output bias, c values; zero where the problem has none
  bool output_bias = false;  ///< whether the problem has the unpenalised bias

  /// U of the k-th active gate, p x c.
  auto block(Index k) const {
    const Index p = coefficients.rows() / static_cast<Index>(active.size());
    return coefficients.middleRows(k * p, p);
  }
};

}  // namespace mgdl
