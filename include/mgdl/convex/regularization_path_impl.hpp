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
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// One call of RegularizationPath.
template <class Real>
class PathRun {
 public:
  /// \param validation  may be null
  PathRun(const PathOptions& options, const Dataset<Real>& data, const Dataset<Real>* validation)
      : m_options(options), m_data(data), m_validation(validation) {
    if (validation == nullptr) return;
    require_cols("validation X", data.inputs().cols(), validation->inputs().cols());
    require_cols("validation Y", data.targets().cols(), validation->targets().cols());
  }

  PathResult<GatedSolution> gated(const Gates& gates) const {
    return run<GatedSolution>(
        [&] { return GatedReluSolver<Real>(m_options.solver).lambda_max(m_data, gates); },
        [&](const ConvexOptions& options, const GatedSolution* last) {
          return GatedReluSolver<Real>(options).solve(m_data, gates, last);
        },
        [&](const GatedSolution& solution, const RowMatrix<Real>& X) {
          return predict(solution, gates, X, m_options.solver.threads);
        });
  }

  PathResult<ReluSolution> relu(const Gates& gates) const {
    return run<ReluSolution>(
        [&] { return ReluSolver<Real>(m_options.solver).lambda_max(m_data, gates); },
        [&](const ConvexOptions& options, const ReluSolution*) {
          return ReluSolver<Real>(options).solve(m_data, gates);
        },
        predict_relu);
  }

  PathResult<ReluSolution> all_patterns() const {
    return run<ReluSolution>(
        [&] { return ReluSolver<Real>(m_options.solver).lambda_max_all_patterns(m_data); },
        [&](const ConvexOptions& options, const ReluSolution*) {
          return ReluSolver<Real>(options).solve_all_patterns(m_data);
        },
        predict_relu);
  }

 private:
  static RowMatrix<Real> predict_relu(const ReluSolution& solution, const RowMatrix<Real>& X) {
    return predict(solution, X);
  }

  /// lambda_max(), solve(options, last solution or null), predict(solution, X).
  template <class Solution, class LambdaMax, class Solve, class Predict>
  PathResult<Solution> run(const LambdaMax& lambda_max, const Solve& solve,
                           const Predict& predict) const {
    const RunControl control({}, m_options.solver.time_limit_seconds);
    const auto penalties = m_options.count > 1 ? grid(lambda_max()) : std::vector<Real>();
    const Index count = std::max<Index>(1, std::ssize(penalties));
    PathResult<Solution> result;
    PathReport& report = result.report;
    for (Index k = 0; k < count && report.termination == Termination::NotRun; ++k) {
      ConvexOptions options = m_options.solver;
      if (!penalties.empty()) options.lambda = penalties[static_cast<std::size_t>(k)];
      options.time_limit_seconds -= control.seconds();
      if (options.time_limit_seconds <= 0) {
        if (k > 0) {
          report.termination = Termination::TimeLimit;
          break;
        }
        options.time_limit_seconds = std::numeric_limits<double>::min();
      }
      auto solved = solve(options, k > 0 ? &result.solutions.back() : nullptr);
      report.points.push_back(point_of(solved, predict));
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
    report.elapsed_seconds = control.seconds();
    return result;
  }

  /// Falling penalties from `largest` to the wanted one; none if that is not below it.
  std::vector<Real> grid(Real largest) const {
    const Real last = m_options.solver.lambda.value_or(m_options.solver.lambda_ratio * largest);
    if (!(last < largest && std::isfinite(largest))) return {};
    std::vector<Real> penalties;
    for (Index k = 0; k < m_options.count; ++k) {
      const Real part = static_cast<Real>(k) / static_cast<Real>(m_options.count - 1);
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
  PathPoint point_of(const Solved& solved, const Predict& predict) const {
    PathPoint point;
    point.report = solved.report;
    point.train_rse = compute_metrics(predict(solved.solution, m_data.inputs()), m_data.targets(),
                                      m_data.weights())
                          .rse;
    if (m_validation == nullptr) return point;
    const RowMatrix<Real> prediction = predict(solved.solution, m_validation->inputs());
    const Vector<Real>& weights = m_validation->weights();
    point.validation_rse = compute_metrics(prediction, m_validation->targets(), weights).rse;
    point.standard_error =
        standard_error((m_validation->targets() - prediction).rowwise().squaredNorm(), weights) /
        weights.dot(m_validation->targets().rowwise().squaredNorm());
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

  const PathOptions& m_options;
  const Dataset<Real>& m_data;
  const Dataset<Real>* m_validation;
};

/// Calls call(PathRun) with the samples in double.
template <class Scalar, class Call>
auto with_path(const PathOptions& options, const Dataset<Scalar>& data,
               const Dataset<Scalar>* validation, const Call& call) {
  const auto& samples = in_double(data);
  if (validation == nullptr) return call(PathRun<double>(options, samples, nullptr));
  const auto& held_out = in_double(*validation);
  return call(PathRun<double>(options, samples, &held_out));
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
PathResult<GatedSolution> RegularizationPath<Scalar>::solve_gated(
    const Dataset<Scalar>& data, const Gates& gates, const Dataset<Scalar>* validation) const {
  return detail::with_path(m_options, data, validation,
                           [&](const auto& path) { return path.gated(gates); });
}

template <class Scalar>
PathResult<ReluSolution> RegularizationPath<Scalar>::solve_relu(
    const Dataset<Scalar>& data, const Gates& gates, const Dataset<Scalar>* validation) const {
  return detail::with_path(m_options, data, validation,
                           [&](const auto& path) { return path.relu(gates); });
}

template <class Scalar>
PathResult<ReluSolution> RegularizationPath<Scalar>::solve_all_patterns(
    const Dataset<Scalar>& data, const Dataset<Scalar>* validation) const {
  return detail::with_path(m_options, data, validation,
                           [&](const auto& path) { return path.all_patterns(); });
}

}  // namespace mgdl
