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
///
/// `Scalar` is the type of the samples; the arithmetic, and so the solution, is in double.
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class ReluSolver {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of the samples.
  using Scalar = Scalar_;

  /// \throws InvalidArgument for options that break a rule
  explicit ReluSolver(ConvexOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
    detail::require_option(m_options.loss.is_squared(), "ConvexOptions.loss",
                           "the squared loss for the ReLU problem", to_string(m_options.loss.kind));
  }

  /// As given.
  /// \{
  const ConvexOptions& options() const& noexcept { return m_options; }
  ConvexOptions options() && { return std::move(m_options); }
  /// \}

  /// The problem over the patterns of `gates`.
  ///
  /// \param data   samples; their weights count
  /// \param gates  patterns of exactly these samples
  /// \throws InvalidArgument if data and gates do not fit together, or for lambda = 0
  ReluResult solve(const Dataset<Scalar>& data, const Gates& gates) const;

  /// The problem over all patterns of one input, by kinks instead of gates: a weighted l1 trend
  /// filter in O(n) a step. Two inputs: enumerate_gates() and solve(). lambda = 0 interpolates.
  ///
  /// \throws InvalidArgument for more than one input, or for shared neurons of several outputs
  ReluResult solve_all_patterns(const Dataset<Scalar>& data) const;

  /// The smallest penalty for which solve() has the solution zero: with residuals Y (with an output
  /// bias: centred Y), the left side of the dual constraint,
  ///
  ///     max_j max {|N'X~ D_j u| : (2 D_j - I) X~ u >= 0, |u| <= 1},   N = W Y,
  ///
  /// of one output, and for several the largest over outputs. With shared neurons the bound without
  /// cones, max_j ||X~' D_j W Y||_2: then the solution may be zero for smaller penalties already.
  ///
  /// \throws InvalidArgument if data and gates do not fit together
  double lambda_max(const Dataset<Scalar>& data, const Gates& gates) const;

  /// The same for solve_all_patterns(): over all kinks, between samples too. Exact.
  ///
  /// \throws InvalidArgument for more than one input, or for shared neurons of several outputs
  double lambda_max_all_patterns(const Dataset<Scalar>& data) const;

 private:
  ConvexOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class ReluSolver<float>;
extern template class ReluSolver<double>;
}  // namespace mgdl
#else
#include "mgdl/convex/relu_solver_impl.hpp"  // IWYU pragma: export
#endif
