#pragma once

#include <utility>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"

namespace mgdl {

/// What ReluSolver returns.
struct ReluResult {
  ReluSolution solution;  ///< the last iterate, an ordinary ReLU network
  ConvexReport report;    ///< with the certificate of `solution`
};

/// Solves the convex form of "one hidden ReLU layer with weight decay" to a proven gap:
///
///     min  1/2 sum_i w_i |y_i - sum_k max(0, x~_i.v_k) o_k|^2 + lambda sum_k ||v_k|| ||o_k||
///
/// over any number of neurons v_k whose activation pattern is that of one of the gates. Over the
/// gates of a random set that is the optimum among those patterns; over all patterns it is the
/// global optimum of the non-convex training problem.
///
/// With several outputs there is one problem for each, unless ConvexOptions.shared_neurons is set:
/// then a neuron serves all outputs, the solution is the best that was found, and its lower bound
/// is a relaxation, so that the gap need not close.
///
/// Every iterate is a network in the cones of its gates, so the objective is that of the network
/// itself. Source: Pilanci & Ergen, "Neural networks are convex regularizers" (arXiv 2002.10553).
class ReluSolver {
 public:
  /// \throws InvalidArgument for options that break a rule
  explicit ReluSolver(ConvexOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// As given.
  const ConvexOptions& options() const noexcept { return m_options; }

  /// The problem over the patterns of `gates`.
  ///
  /// \param data   samples; their weights count
  /// \param gates  patterns of exactly these samples
  /// \throws InvalidArgument if data and gates do not fit together, or for lambda = 0
  ReluResult solve(const Dataset<double>& data, const Gates& gates) const;

  /// The problem over all patterns of one input, by kinks instead of gates: a weighted l1 trend
  /// filter in O(n) a step. Two inputs: enumerate_gates() and solve(). lambda = 0 interpolates.
  ///
  /// \throws InvalidArgument for more than one input, or for shared neurons of several outputs
  ReluResult solve_all_patterns(const Dataset<double>& data) const;

 private:
  ConvexOptions m_options;
};

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/convex/relu_solver_impl.hpp"  // IWYU pragma: export
#endif
