#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gated_solution.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/path_options.hpp"
#include "mgdl/convex/path_report.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What RegularizationPath returns.
template <class Solution>
struct PathResult {
  std::vector<Solution> solutions;  ///< one for every point of the report
  PathReport report;                ///< the penalties, what they lead to, and which one is best
};

/// Solves the convex problems for many penalties: `count` of them in equal steps of their
/// logarithm, from lambda_max, where the solution is zero, down to the wanted one. (A wanted
/// penalty above lambda_max is the only one.) Every gated solve starts from the solution before it.
///
/// The path ends early, with what there is, when a penalty cannot be solved to the tolerance, when
/// time is up, or when an observer says so. A relaxed bound (ConvexOptions.shared_neurons) that
/// leaves a gap does not end it.
///
/// The validation error is the mean of weighted squared errors e_i = |y_i - f(x_i)|^2 relative to
/// that of the targets; its standard error is sqrt(sum_i w_i^2 (e_i - mean)^2 / (1 - sum_i w_i^2)),
/// for equal weights the standard deviation of e over sqrt(n), relative to the same.
class RegularizationPath {
 public:
  /// \throws InvalidArgument for options that break a rule
  explicit RegularizationPath(PathOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options given at construction.
  const PathOptions& options() const noexcept { return m_options; }

  /// The gated problem, see GatedReluSolver.
  ///
  /// \param validation  samples that choose the penalty, may be null
  /// \throws InvalidArgument if data, gates and validation do not fit together
  PathResult<GatedSolution> solve_gated(const Dataset<double>& data, const Gates& gates,
                                        const Dataset<double>* validation = nullptr) const;

  /// The ReLU problem over the patterns of `gates`, see ReluSolver::solve.
  ///
  /// \throws InvalidArgument if data, gates and validation do not fit together, or for lambda = 0
  PathResult<ReluSolution> solve_relu(const Dataset<double>& data, const Gates& gates,
                                      const Dataset<double>* validation = nullptr) const;

  /// The ReLU problem over all patterns of one input, see ReluSolver::solve_all_patterns.
  ///
  /// \throws InvalidArgument for more than one input, if data and validation do not fit together,
  /// or
  ///         for lambda = 0
  PathResult<ReluSolution> solve_all_patterns(const Dataset<double>& data,
                                              const Dataset<double>* validation = nullptr) const;

 private:
  template <class Solve>
  PathResult<ReluSolution> run_relu(const Dataset<double>& data, const Dataset<double>* validation,
                                    const Solve& solve) const;

  /// lambda_max(), solve(options, last solution or null), predict(solution, X).
  template <class Solution, class LambdaMax, class Solve, class Predict>
  PathResult<Solution> run(const Dataset<double>& data, const Dataset<double>* validation,
                           const LambdaMax& lambda_max, const Solve& solve,
                           const Predict& predict) const;

  /// Falling penalties from `largest` to the wanted one; none if that is not below it.
  std::vector<double> grid(double largest) const;

  static bool is_solved(const ConvexReport& report);

  template <class Solved, class Predict>
  PathPoint point_of(const Solved& solved, const Dataset<double>& data,
                     const Dataset<double>* validation, const Predict& predict) const;

  static std::string message_of(const PathReport& report, Index count);

  PathOptions m_options;
};

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/detail/regularization_path_impl.hpp"  // IWYU pragma: export
#endif
