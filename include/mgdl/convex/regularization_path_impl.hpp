#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/gated_sequence.hpp"
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

/// The gated problem of some samples, for the penalties of a path.
class GatedPath {
 public:
  using Solution = GatedSolution;

  /// \param gates  of these samples, which it refers to
  GatedPath(const PathOptions& options, const Dataset<double>& data, const Gates& gates)
      : m_gates(gates),
        m_threads(options.solver.threads),
        m_sequence(options.solver, data, gates, options.count) {}
  GatedPath(const GatedPath&) = delete;
  GatedPath& operator=(const GatedPath&) = delete;

  double lambda_max() { return m_sequence.lambda_max(); }
  GatedReluResult solve(const ConvexOptions& options) {
    auto [solution, report] = m_sequence.solve(options);
    return {std::move(solution), std::move(report)};
  }
  RowMatrix<double> predict(const GatedSolution& solution, const RowMatrix<double>& X) const {
    return mgdl::predict(solution, m_gates, X, m_threads);
  }

 private:
  const Gates& m_gates;
  Executor m_threads;
  GatedSequence<double> m_sequence;
};

/// The ReLU problem of some samples: over the patterns of gates, or over all patterns.
class ReluPath {
 public:
  using Solution = ReluSolution;

  /// \param gates  of these samples, which it refers to; null: all patterns
  ReluPath(const PathOptions& options, const Dataset<double>& data, const Gates* gates)
      : m_options(options), m_data(data), m_gates(gates) {}

  double lambda_max() const {
    const ReluSolver<double> solver(m_options.solver);
    return m_gates != nullptr ? solver.lambda_max(m_data, *m_gates)
                              : solver.lambda_max_all_patterns(m_data);
  }
  ReluResult solve(const ConvexOptions& options) const {
    const ReluSolver<double> solver(options);
    return m_gates != nullptr ? solver.solve(m_data, *m_gates) : solver.solve_all_patterns(m_data);
  }
  RowMatrix<double> predict(const ReluSolution& solution, const RowMatrix<double>& X) const {
    return mgdl::predict(solution, X);
  }

 private:
  const PathOptions& m_options;
  const Dataset<double>& m_data;
  const Gates* m_gates;
};

/// One call of RegularizationPath.
template <class Real>
class PathRun {
 public:
  /// \param validation  may be null
  PathRun(const PathOptions& options, const Dataset<Real>& data, const Dataset<Real>* validation)
      : m_options(options),
        m_data(data),
        m_validation(validation),
        m_control({}, options.solver.time_limit_seconds) {
    if (validation == nullptr) return;
    require_option(options.folds == 0, "PathOptions.folds", "0 with a validation part",
                   options.folds);
    require_cols("validation X", data.inputs().cols(), validation->inputs().cols());
    require_cols("validation Y", data.targets().cols(), validation->targets().cols());
  }

  PathResult<GatedSolution> gated(const Gates& gates) {
    return run(&gates, [&](const Dataset<Real>& data, const Gates* of_data) {
      return GatedPath(m_options, data, *of_data);
    });
  }

  /// \param gates  null: all patterns
  PathResult<ReluSolution> relu(const Gates* gates) {
    return run(gates, [&](const Dataset<Real>& data, const Gates* of_data) {
      return ReluPath(m_options, data, of_data);
    });
  }

 private:
  /// \param make  make(samples, their gates) is the path of these
  template <class Make>
  auto run(const Gates* gates, const Make& make) {
    auto path = make(m_data, gates);
    PathResult<typename decltype(path)::Solution> result;
    PathReport& report = result.report;
    const auto penalties = m_options.count > 1 ? grid(path.lambda_max()) : std::vector<Real>();
    const Index count = std::max<Index>(1, std::ssize(penalties));
    bool enough = false;
    for (Index k = 0; k < count && report.termination == Termination::NotRun; ++k) {
      ConvexOptions options = m_options.solver;
      if (!penalties.empty()) options.lambda = penalties[static_cast<std::size_t>(k)];
      if (!limit_time(options)) {
        if (k > 0) {
          report.termination = Termination::TimeLimit;
          break;
        }
        options.time_limit_seconds = std::numeric_limits<double>::min();
      }
      auto solved = path.solve(options);
      report.points.push_back(point_of(path, solved));
      result.solutions.push_back(std::move(solved.solution));
      const PathPoint& point = report.points.back();
      const bool stop = m_options.observer && m_options.observer(point) == Action::Stop;
      enough = point.explained >= m_options.enough_explained;
      if (!is_solved(point.report)) {
        report.termination = point.report.termination;
      } else if (k + 1 == count || enough) {
        report.termination = Termination::ToleranceReached;
      } else if (stop) {
        report.termination = Termination::StoppedByObserver;
      }
    }
    report.message = message_of(report, count, enough);
    if (m_options.folds > 0) cross_validate(gates, make, report);
    report.choose();
    report.elapsed_seconds = m_control.seconds();
    return result;
  }

  /// Solves for the penalties of the report once more without each fold; errors of all points, or
  /// of none.
  template <class Make>
  void cross_validate(const Gates* gates, const Make& make, PathReport& report) const {
    const DataFolds<Real> parts = folds(m_data, m_options.folds, m_options.seed);
    const Index n = m_data.size();
    Matrix<Real> errors(n, std::ssize(report.points));
    Vector<Real> squares(n);
    Index first = 0;
    for (Index fold = 0; fold < parts.size(); ++fold) {
      const auto& [train, held_out] = parts.folds[static_cast<std::size_t>(fold)];
      const auto rows = Eigen::seqN(first, held_out->size());
      squares(rows) = costs(held_out->targets());
      std::optional<Gates> of_train;
      if (gates != nullptr) of_train.emplace(train.inputs(), gates->vectors(), gates->bias());
      auto path = make(train, of_train ? &*of_train : nullptr);
      for (Index k = 0; k < std::ssize(report.points); ++k) {
        ConvexOptions options = m_options.solver;
        options.lambda = report.points[static_cast<std::size_t>(k)].report.certificate.lambda;
        const bool in_time = limit_time(options);
        Termination termination = Termination::TimeLimit;
        if (in_time) {
          const auto solved = path.solve(options);
          termination = solved.report.termination;
          errors(rows, k) =
              costs(held_out->targets() - path.predict(solved.solution, held_out->inputs()));
        }
        if (is_usable(termination) && termination != Termination::TimeLimit &&
            termination != Termination::StoppedByObserver) {
          continue;
        }
        report.termination = termination;
        report.message += "; no validation errors: penalty " + std::to_string(k + 1) +
                          " without fold " + std::to_string(fold + 1) + " of " +
                          std::to_string(parts.size()) + " was not solved";
        return;
      }
      first += held_out->size();
    }
    const Vector<Real> weights = parts.held_out_weights();
    for (Index k = 0; k < std::ssize(report.points); ++k) {
      set_validation(errors.col(k), weights, weights.dot(squares),
                     report.points[static_cast<std::size_t>(k)]);
    }
  }

  /// \returns false if no time is left
  bool limit_time(ConvexOptions& options) const {
    options.time_limit_seconds -= m_control.seconds();
    return options.time_limit_seconds > 0;
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

  template <class Path, class Solved>
  PathPoint point_of(const Path& path, const Solved& solved) const {
    PathPoint point;
    point.report = solved.report;
    const RowMatrix<Real> fitted = path.predict(solved.solution, m_data.inputs());
    const Loss& loss = m_options.solver.loss;
    const Real rest = sum_of_costs(m_data.targets() - fitted);
    point.train_rse = loss.is_squared()
                          ? compute_metrics(fitted, m_data.targets(), m_data.weights()).rse
                          : relative_squared_error(rest, sum_of_costs(m_data.targets()));
    RowMatrix<Real> around = m_data.targets();
    if (m_options.solver.output_bias) around.rowwise() -= best_constants(loss, m_data, around);
    point.explained = 1 - rest / sum_of_costs(std::move(around));
    if (m_validation == nullptr) return point;
    const RowMatrix<Real> prediction = path.predict(solved.solution, m_validation->inputs());
    const Vector<Real>& weights = m_validation->weights();
    set_validation(costs(m_validation->targets() - prediction), weights,
                   weights.dot(costs(m_validation->targets())), point);
    return point;
  }

  /// Of every row its squared norm, or its loss.
  Vector<Real> costs(const RowMatrix<Real>& residual) const {
    const Loss& loss = m_options.solver.loss;
    if (loss.is_squared()) return residual.rowwise().squaredNorm();
    return residual.unaryExpr([&](Real r) { return loss(r); }).rowwise().sum();
  }

  Real sum_of_costs(const RowMatrix<Real>& values) const {
    return m_data.weights().dot(costs(values));
  }

  /// \param errors   costs(y_i - f(x_i))
  /// \param squares  sum_i w_i costs(y_i)
  static void set_validation(const Vector<Real>& errors, const Vector<Real>& weights, Real squares,
                             PathPoint& point) {
    point.validation_rse = relative_squared_error(weights.dot(errors), squares);
    point.standard_error = weighted_mean(errors, weights, RowShare(errors.size())).error / squares;
  }

  static std::string message_of(const PathReport& report, Index count, bool enough) {
    const std::string& last = report.points.back().report.message;
    if (count == 1) return last;
    const auto done = std::to_string(report.points.size());
    if (report.termination == Termination::ToleranceReached) {
      if (!enough) return "solved for " + done + " penalties";
      std::ostringstream text;
      text << "solved for " << done << " of " << count << " penalties: the last one explains "
           << report.points.back().explained << " of the deviance";
      return text.str();
    }
    return "ended at penalty " + done + " of " + std::to_string(count) + ": " + last;
  }

  const PathOptions& m_options;
  const Dataset<Real>& m_data;
  const Dataset<Real>* m_validation;
  RunControl m_control;
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
                           [&](auto path) { return path.gated(gates); });
}

template <class Scalar>
PathResult<ReluSolution> RegularizationPath<Scalar>::solve_relu(
    const Dataset<Scalar>& data, const Gates& gates, const Dataset<Scalar>* validation) const {
  return detail::with_path(m_options, data, validation,
                           [&](auto path) { return path.relu(&gates); });
}

template <class Scalar>
PathResult<ReluSolution> RegularizationPath<Scalar>::solve_all_patterns(
    const Dataset<Scalar>& data, const Dataset<Scalar>* validation) const {
  return detail::with_path(m_options, data, validation,
                           [&](auto path) { return path.relu(nullptr); });
}

}  // namespace mgdl
