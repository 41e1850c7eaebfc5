#pragma once

#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// A point of the ReLU problem, a network with one hidden layer:
/// f(x) = sum_k max(0, x~ . hidden_k) output_k + bias.
struct ReluSolution {
  double lambda = 0;  ///< the penalty it was solved for
  RowMatrix<double>
      hidden;  ///< one neuron a row, m x p, the last column for the bias if it has one
  RowMatrix<double> output;  ///< m x c
  /// Pattern of every neuron as an index into Gates; -1 where no gates are used (one input, all
  /// patterns).
  std::vector<Index> gates;
  RowVector<double> bias;    ///< unpenalised output bias, c values; zero where the problem has none
  bool output_bias = false;  ///< whether the problem has the unpenalised bias
  /// Whether every output has its own neurons (penalty and bound add up over outputs) or neurons
  /// are shared.
  bool separate_outputs = true;
  /// A point N of the dual problem (n x c) that may prove a better bound than the residuals of the
  /// network do; may be empty. Where the network nearly interpolates its residuals are all
  /// rounding, and only a point like this can prove anything.
  RowMatrix<double> dual = {};
};

}  // namespace mgdl
