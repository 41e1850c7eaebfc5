#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/gated_solution.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/path_options.hpp"
#include "mgdl/convex/path_report.hpp"
#include "mgdl/convex/predict.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/standard_error.hpp"
#include "mgdl/detail/stopwatch.hpp"

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
                                        const Dataset<double>* validation = nullptr) const {
    return run<GatedSolution>(
        data, validation, [&] { return GatedReluSolver(m_options.solver).lambda_max(data, gates); },
        [&](const ConvexOptions& options, const GatedSolution* last) {
          return GatedReluSolver(options).solve(data, gates, last);
        },
        [&](const GatedSolution& solution, const RowMatrix<double>& X) {
          return predict(solution, gates, X, m_options.solver.threads);
        });
  }

  /// The ReLU problem over the patterns of `gates`, see ReluSolver::solve.
  ///
  /// \throws InvalidArgument if data, gates and validation do not fit together, or for lambda = 0
  PathResult<ReluSolution> solve_relu(const Dataset<double>& data, const Gates& gates,
                                      const Dataset<double>* validation = nullptr) const {
    return run_relu(data, validation, [&](const ConvexOptions& options) {
      return ReluSolver(options).solve(data, gates);
    });
  }

  /// The ReLU problem over all patterns of one input, see ReluSolver::solve_all_patterns.
  ///
  /// \throws InvalidArgument for more than one input, if data and validation do not fit together,
  /// or
  ///         for lambda = 0
  PathResult<ReluSolution> solve_all_patterns(const Dataset<double>& data,
                                              const Dataset<double>* validation = nullptr) const {
    return run_relu(data, validation, [&](const ConvexOptions& options) {
      return ReluSolver(options).solve_all_patterns(data);
    });
  }

 private:
  template <class Solve>
  PathResult<ReluSolution> run_relu(const Dataset<double>& data, const Dataset<double>* validation,
                                    const Solve& solve) const {
    const auto lambda_max = [&] {
      ConvexOptions options = m_options.solver;
      options.lambda.reset();
      options.lambda_ratio = 1;
      options.observer = {};
      return solve(options).solution.lambda;  // the zero solution
    };
    return run<ReluSolution>(
        data, validation, lambda_max,
        [&](const ConvexOptions& options, const ReluSolution*) { return solve(options); },
        [](const ReluSolution& solution, const RowMatrix<double>& X) {
          return predict(solution, X);
        });
  }

  /// lambda_max(), solve(options, last solution or null), predict(solution, X).
  template <class Solution, class LambdaMax, class Solve, class Predict>
  PathResult<Solution> run(const Dataset<double>& data, const Dataset<double>* validation,
                           const LambdaMax& lambda_max, const Solve& solve,
                           const Predict& predict) const {
    if (validation != nullptr) {
      detail::require_cols("validation X", data.inputs().cols(), validation->inputs().cols());
      detail::require_cols("validation Y", data.targets().cols(), validation->targets().cols());
    }
    const detail::Stopwatch watch;
    const auto penalties = m_options.count > 1 ? grid(lambda_max()) : std::vector<double>();
    const Index count = std::max<Index>(1, std::ssize(penalties));
    PathResult<Solution> result;
    PathReport& report = result.report;
    for (Index k = 0; k < count && report.termination == Termination::NotRun; ++k) {
      ConvexOptions options = m_options.solver;
      if (!penalties.empty()) options.lambda = penalties[static_cast<std::size_t>(k)];
      options.time_limit_seconds -= watch.seconds();
      if (options.time_limit_seconds <= 0) {
        if (k > 0) {
          report.termination = Termination::TimeLimit;
          break;
        }
        options.time_limit_seconds = std::numeric_limits<double>::min();
      }
      auto solved = solve(options, k > 0 ? &result.solutions.back() : nullptr);
      report.points.push_back(point_of(solved, data, validation, predict));
      result.solutions.push_back(std::move(solved.solution));
      const PathPoint& point = report.points.back();
      const bool stop = m_options.observer && m_options.observer(point) == Action::Stop;
      if (!is_solved(point.report)) {
        report.termination = point.report.termination;
      } else if (k + 1 == count) {
        report.termination = Termination::ToleranceReached;
      } else if (stop) {
        report.termination = Termination::StoppedByObserver;
      }
    }
    report.choose();
    report.message = message_of(report, count);
    report.elapsed_seconds = watch.seconds();
    return result;
  }

  /// Falling penalties from `largest` to the wanted one; none if that is not below it.
  std::vector<double> grid(double largest) const {
    const double last = m_options.solver.lambda.value_or(m_options.solver.lambda_ratio * largest);
    if (!(last < largest && std::isfinite(largest))) return {};
    std::vector<double> penalties;
    for (Index k = 0; k < m_options.count; ++k) {
      const double part = static_cast<double>(k) / static_cast<double>(m_options.count - 1);
      penalties.push_back(largest * std::pow(last / largest, part));
    }
    penalties.back() = last;
    return penalties;
  }

  static bool is_solved(const ConvexReport& report) {
    const bool relaxed = report.certificate.bound != DualBound::Exact;
    return report.termination == Termination::ToleranceReached ||
           (relaxed && report.termination == Termination::NoProgress);
  }

  template <class Solved, class Predict>
  PathPoint point_of(const Solved& solved, const Dataset<double>& data,
                     const Dataset<double>* validation, const Predict& predict) const {
    PathPoint point;
    point.report = solved.report;
    point.train_rse =
        compute_metrics(predict(solved.solution, data.inputs()), data.targets(), data.weights())
            .rse;
    if (validation == nullptr) return point;
    const RowMatrix<double> prediction = predict(solved.solution, validation->inputs());
    const Vector<double>& weights = validation->weights();
    point.validation_rse = compute_metrics(prediction, validation->targets(), weights).rse;
    point.standard_error =
        detail::standard_error((validation->targets() - prediction).rowwise().squaredNorm(),
                               weights) /
        weights.dot(validation->targets().rowwise().squaredNorm());
    return point;
  }

  static std::string message_of(const PathReport& report, Index count) {
    const std::string& last = report.points.back().report.message;
    if (count == 1) return last;
    const auto done = std::to_string(report.points.size());
    if (report.termination == Termination::ToleranceReached) {
      return "solved for " + done + " penalties";
    }
    return "ended at penalty " + done + " of " + std::to_string(count) + ": " + last;
  }

  PathOptions m_options;
};

}  // namespace mgdl
