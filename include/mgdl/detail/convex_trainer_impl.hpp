#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/convex_polish.hpp"
#include "mgdl/detail/leading_columns.hpp"
#include "mgdl/detail/relative_loss.hpp"
#include "mgdl/detail/stopwatch.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/training/convex_trainer.hpp"

namespace mgdl {

/// A network with the numbers that belong to it.
template <class Scalar>
struct ConvexTrainer<Scalar>::Solved {
  ReluNetwork<double> network;
  ReluSolution solution;
  ConvexReport report;
};

template <class Scalar>
std::vector<Index> ConvexTrainer<Scalar>::columns(const SampleView<Scalar>& samples) const {
  return detail::leading_columns(samples.inputs.template cast<double>(),
                                 samples.weights.template cast<double>(), m_options.max_inputs);
}

template <class Scalar>
Gates ConvexTrainer<Scalar>::gates(const ConstRowMatrixRef<double>& X,
                                   const ConstRowMatrixRef<double>& Y, std::uint64_t seed,
                                   Index grade) const {
  if (m_options.source == PatternSource::All) return enumerate_gates(X);
  const Index d = X.cols();
  RowMatrix<double> vectors = RowMatrix<double>::Zero(1, d + 1);
  vectors(0, d) = 1;
  // Without two samples that differ there is no other pattern.
  if ((X.rowwise() - X.row(0)).isZero(0)) return Gates(X, vectors);
  const std::uint64_t stream = seed + 0x9E3779B97F4A7C15 * static_cast<std::uint64_t>(grade);
  const Gates drawn = m_options.source == PatternSource::Gaussian
                          ? sample_gaussian_gates(X, m_options.patterns, stream)
                          : sample_pair_gates(X, Y, m_options.patterns, stream);
  vectors.conservativeResize(1 + drawn.size(), Eigen::NoChange);
  vectors.bottomRows(drawn.size()) = drawn.vectors();
  return Gates(X, vectors);
}

template <class Scalar>
bool ConvexTrainer<Scalar>::by_kinks(Index inputs) const {
  return inputs == 1 && !m_options.solver.shared_neurons &&
         (m_options.source == PatternSource::Automatic || m_options.source == PatternSource::All);
}

template <class Scalar>
template <class Solution, class ToRelu>
typename ConvexTrainer<Scalar>::Solved ConvexTrainer<Scalar>::choose(
    PathResult<Solution> path, const ToRelu& to_relu_solution) const {
  const auto& report = path.report;
  auto k = static_cast<Index>(path.solutions.size()) - 1;
  if (m_options.penalty == PenaltyChoice::Validation) k = report.best.value_or(k);
  while (true) {
    ReluSolution solution = to_relu_solution(path.solutions[static_cast<std::size_t>(k)]);
    ReluNetwork<double> network = to_network<double>(solution);
    if (m_options.penalty != PenaltyChoice::Width || network.width() <= m_options.width || k == 0) {
      return {std::move(network), std::move(solution),
              report.points[static_cast<std::size_t>(k)].report};
    }
    --k;
  }
}

template <class Scalar>
typename ConvexTrainer<Scalar>::Solved ConvexTrainer<Scalar>::solve(
    const Dataset<double>& data, const Dataset<double>* validation,
    const std::optional<Gates>& patterns, const ConvexOptions& solver) const {
  const RegularizationPath path(
      {.solver = solver,
       .count = m_options.penalty == PenaltyChoice::Ratio ? 1 : m_options.path_count});
  const auto same = [](const ReluSolution& solution) { return solution; };
  if (!patterns) return choose(path.solve_all_patterns(data, validation), same);
  if (m_options.problem == ConvexProblem::Relu) {
    return choose(path.solve_relu(data, *patterns, validation), same);
  }
  return choose(path.solve_gated(data, *patterns, validation), [&](const GatedSolution& solution) {
    return to_relu(data, *patterns, solution, ConeDecomposition::Exact, solver.threads).solution;
  });
}

template <class Scalar>
Dataset<double> ConvexTrainer<Scalar>::in_double(const SampleView<Scalar>& samples,
                                                 const std::vector<Index>& columns) {
  return {samples.inputs(Eigen::all, columns).template cast<double>(),
          samples.targets.template cast<double>(), samples.weights.template cast<double>()};
}

template <class Scalar>
GradeFit<Scalar> ConvexTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::Stopwatch clock;
  const std::vector<Index> used = columns(problem.train);
  const Dataset<double> data = in_double(problem.train, used);
  std::optional<Dataset<double>> validation;
  if (problem.validation) validation = in_double(*problem.validation, used);
  if (m_options.penalty == PenaltyChoice::Validation && !validation) {
    throw InvalidArgument("validation part", "one, to choose the penalty by", "none");
  }
  ConvexOptions solver = m_options.solver;
  solver.threads = problem.threads;
  solver.time_limit_seconds = std::min(solver.time_limit_seconds, problem.time_limit_seconds);
  bool stopped = false;
  if (problem.observer) {
    solver.observer = [&](Progress progress) {
      progress.max_iterations = 0;
      progress.objective = std::numeric_limits<double>::quiet_NaN();  // the solver's is its gap
      const Action action = problem.observer(progress);
      stopped = stopped || action == Action::Stop;
      return action;
    };
  }
  std::optional<Gates> patterns;
  if (!by_kinks(data.inputs().cols())) {
    patterns = gates(data.inputs(), data.targets(), problem.seed, problem.grade);
    solver.max_iterations = std::min(solver.max_iterations, m_options.max_newton_steps);
  }
  Solved solved = solve(data, validation ? &*validation : nullptr, patterns, solver);

  detail::ThreadPool pool(detail::thread_count(problem.threads));
  detail::PanelNetwork<double> neurons(solved.network.layers());
  bool polished = false;
  if (m_options.polish_iterations > 0 && !stopped) {
    const SampleView<double> view{data.inputs(), data.targets(), data.weights()};
    polished =
        detail::polish_neurons(neurons, view, solved.solution.lambda, m_options.polish_iterations,
                               pool, [&] { return clock.seconds() < solver.time_limit_seconds; });
  }
  const ReluNetwork<double> exact(neurons.to_layers());
  std::vector<DenseLayer<Scalar>> layers;
  for (const auto& layer : exact.layers()) {
    RowMatrix<Scalar> weights = layer.weights().template cast<Scalar>();
    if (layers.empty()) {
      const RowMatrix<Scalar> part = weights;
      weights.setZero(problem.train.inputs.cols(), part.cols());
      weights(used, Eigen::all) = part;
    }
    layers.emplace_back(std::move(weights), layer.bias().template cast<Scalar>());
  }
  GradeFit<Scalar> fit{ReluNetwork<Scalar>(std::move(layers)), {}};

  GradeFitReport& report = fit.report;
  report.certificate = solved.report.certificate;
  const bool rounded = !std::is_same_v<Scalar, double>;
  if (polished || (rounded && m_options.problem == ConvexProblem::Relu)) {
    // The solver's certificate is about other weights.
    std::vector<DenseLayer<Scalar>> on_columns = fit.network.layers();
    on_columns.front() = {on_columns.front().weights()(used, Eigen::all),
                          on_columns.front().bias()};
    ReluSolution point = to_solution(ReluNetwork<Scalar>(std::move(on_columns)),
                                     {.lambda = solved.solution.lambda,
                                      .output_bias = solver.output_bias,
                                      .separate_outputs = solved.solution.separate_outputs});
    point.dual = solved.solution.dual;
    report.certificate = patterns ? certify(data, *patterns, point, problem.threads)
                                  : certify_all_patterns(data, point, true, problem.threads);
  }
  const detail::RelativeLoss loss =
      detail::relative_loss(detail::PanelNetwork<Scalar>(fit.network.layers()), problem, pool);
  const bool gated = patterns && m_options.problem == ConvexProblem::Gated;
  report.trainer = (gated ? "gated 1x" : "convex 1x") + std::to_string(fit.network.width());
  report.termination = stopped ? Termination::StoppedByObserver : solved.report.termination;
  report.message =
      "relative gap " + detail::to_text(report.certificate->relative_gap()) + " over " +
      (patterns ? std::to_string(patterns->size()) + " patterns" : std::string("all patterns")) +
      (polished ? ", then polished" : "") + ", penalty " +
      detail::to_text(report.certificate->lambda) + ": " + solved.report.message;
  report.iterations = solved.report.iterations;
  report.initial_objective = 1;
  report.final_objective = loss.train;
  report.validation = loss.validation;
  report.elapsed_seconds = clock.seconds();
  return fit;
}

}  // namespace mgdl
