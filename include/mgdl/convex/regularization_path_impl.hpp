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
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/linkage.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/run_control.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

MGDL_INLINE std::vector<double> RegularizationPath::grid(double largest) const {
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

MGDL_INLINE bool RegularizationPath::is_solved(const ConvexReport& report) {
  const bool relaxed = report.certificate.bound != DualBound::Exact;
  return report.termination == Termination::ToleranceReached ||
         (relaxed && report.termination == Termination::NoProgress);
}

template <class Solved, class Predict>
PathPoint RegularizationPath::point_of(const Solved& solved, const Dataset<double>& data,
                                       const Dataset<double>* validation,
                                       const Predict& predict) const {
  PathPoint point;
  point.report = solved.report;
  point.train_rse =
      compute_metrics(predict(solved.solution, data.inputs()), data.targets(), data.weights()).rse;
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

MGDL_INLINE std::string RegularizationPath::message_of(const PathReport& report, Index count) {
  const std::string& last = report.points.back().report.message;
  if (count == 1) return last;
  const auto done = std::to_string(report.points.size());
  if (report.termination == Termination::ToleranceReached) {
    return "solved for " + done + " penalties";
  }
  return "ended at penalty " + done + " of " + std::to_string(count) + ": " + last;
}

template <class Solution, class LambdaMax, class Solve, class Predict>
PathResult<Solution> RegularizationPath::run(const Dataset<double>& data,
                                             const Dataset<double>* validation,
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

template <class Solve>
PathResult<ReluSolution> RegularizationPath::run_relu(const Dataset<double>& data,
                                                      const Dataset<double>* validation,
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

MGDL_INLINE PathResult<GatedSolution> RegularizationPath::solve_gated(
    const Dataset<double>& data, const Gates& gates, const Dataset<double>* validation) const {
  return run<GatedSolution>(
      data, validation, [&] { return GatedReluSolver(m_options.solver).lambda_max(data, gates); },
      [&](const ConvexOptions& options, const GatedSolution* last) {
        return GatedReluSolver(options).solve(data, gates, last);
      },
      [&](const GatedSolution& solution, const RowMatrix<double>& X) {
        return predict(solution, gates, X, m_options.solver.threads);
      });
}

MGDL_INLINE PathResult<ReluSolution> RegularizationPath::solve_relu(
    const Dataset<double>& data, const Gates& gates, const Dataset<double>* validation) const {
  return run_relu(data, validation, [&](const ConvexOptions& options) {
    return ReluSolver(options).solve(data, gates);
  });
}

MGDL_INLINE PathResult<ReluSolution> RegularizationPath::solve_all_patterns(
    const Dataset<double>& data, const Dataset<double>* validation) const {
  return run_relu(data, validation, [&](const ConvexOptions& options) {
    return ReluSolver(options).solve_all_patterns(data);
  });
}

}  // namespace mgdl
