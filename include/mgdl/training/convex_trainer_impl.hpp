#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/lbfgs.hpp"
#include "mgdl/linalg/orthonormal_basis.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient/backpropagation.hpp"

namespace mgdl::detail {

/// Lowers 1/2 sum_i w_i |y_i - g(x_i)|^2 + lambda/2 (sum of squared weights, hidden biases
/// included) of a network with one hidden layer by L-BFGS, where output weights that are zero stay
/// zero, so that each neuron goes on serving the same outputs. Returns whether it has fallen; if
/// not, the network is as it was.
///
/// For balanced neurons the second term is the penalty lambda sum_k |v_k| |o_k| of the convex
/// problem, and otherwise it is larger.
///
/// \param proceed  called after every iteration; false ends the work
template <class Real = double>
bool polish_neurons(PanelNetwork<double>& network, const SampleView<double>& samples, double lambda,
                    Index iterations, ThreadPool& pool, FunctionRef<bool()> proceed) {
  const Index n = samples.size();
  const Vector<double> start = network.parameters();
  Vector<double> penalised = Vector<double>::Ones(start.size());
  Vector<double> fixed = Vector<double>::Zero(start.size());
  const auto& readout = network.layers().back();
  penalised.segment(readout.bias, readout.stride()).setZero();
  for (Index i = readout.weights; i < readout.bias; ++i) fixed[i] = start[i] == 0 ? 1 : 0;

  Backpropagation<double> pass(network, n, pool);
  const auto evaluate = [&](const Vector<double>& x, Vector<double>& gradient) {
    if (x.data() != network.parameters().data()) network.parameters() = x;
    pass.refresh();
    const double loss = pass.run(samples, {nullptr, 0, n}, 0.5, false, [](Index, Index) {});
    gradient = pass.gradient() + lambda * penalised.cwiseProduct(network.parameters());
    gradient = (fixed.array() > 0).select(0.0, gradient);
    return loss + lambda / 2 * penalised.cwiseProduct(network.parameters()).squaredNorm();
  };
  Lbfgs<double> lbfgs(start.size(), {});
  Vector<double> ignored(start.size());
  const double before = evaluate(network.parameters(), ignored);
  double after = before;
  lbfgs.minimise(network.parameters(), evaluate, iterations, [&](double value) {
    after = value;
    return proceed();
  });
  if (after < before) return true;
  network.parameters() = start;
  return false;
}

}  // namespace mgdl::detail

namespace mgdl {

/// A network with the numbers that belong to it.
template <class Scalar>
struct ConvexTrainer<Scalar>::Solved {
  ReluNetwork<double> network;
  ReluSolution solution;
  ConvexReport report;
  std::optional<GatedSolution> gated;  ///< of which `solution` has the values
  std::string recovery;                ///< for the message, where that was not to be had
};

template <class Scalar>
std::vector<Index> ConvexTrainer<Scalar>::columns(const SampleView<Scalar>& samples) const {
  return detail::leading_columns<double>(samples.inputs.template cast<double>(),
                                         samples.weights.template cast<double>(),
                                         m_options.max_inputs);
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
    Recovery recovery = to_relu_solution(path.solutions[static_cast<std::size_t>(k)]);
    ReluSolution& solution = recovery.solution;
    ReluNetwork<double> network = to_network<double>(solution);
    if (m_options.penalty != PenaltyChoice::Width || network.width() <= m_options.width || k == 0) {
      Solved solved{std::move(network),
                    std::move(solution),
                    report.points[static_cast<std::size_t>(k)].report,
                    std::nullopt,
                    {}};
      if constexpr (std::is_same_v<Solution, GatedSolution>) {
        if (recovery.same_values) {
          solved.gated = std::move(path.solutions[static_cast<std::size_t>(k)]);
        } else {
          solved.recovery =
              "; no network that can be computed with has these values, this one "
              "differs by " +
              detail::to_text(recovery.difference) + " of the root mean square error";
        }
      }
      return solved;
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
  const auto same = [](const ReluSolution& solution) {
    return Recovery{.solution = solution, .report = {}};
  };
  if (!patterns) return choose(path.solve_all_patterns(data, validation), same);
  if (m_options.problem == ConvexProblem::Relu) {
    return choose(path.solve_relu(data, *patterns, validation), same);
  }
  return choose(path.solve_gated(data, *patterns, validation), [&](const GatedSolution& solution) {
    return recover<Scalar>(data, *patterns, solution, solver.threads);
  });
}

template <class Scalar>
Dataset<double> ConvexTrainer<Scalar>::in_double(const SampleView<Scalar>& samples,
                                                 const std::vector<Index>& columns) {
  return {samples.inputs(detail::kAll, columns).template cast<double>(),
          samples.targets.template cast<double>(), samples.weights.template cast<double>()};
}

template <class Scalar>
GradeFit<Scalar> ConvexTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::RunControl control(
      {}, std::min(m_options.solver.time_limit_seconds, problem.time_limit_seconds));
  const std::vector<Index> used = columns(problem.train);
  const Dataset<double> data = in_double(problem.train, used);
  std::optional<Dataset<double>> validation;
  if (problem.validation) validation = in_double(*problem.validation, used);
  if (m_options.penalty == PenaltyChoice::Validation && !validation) {
    throw InvalidArgument("validation part", "one, to choose the penalty by", "none");
  }
  ConvexOptions solver = m_options.solver;
  solver.threads = problem.threads;
  solver.time_limit_seconds = control.time_limit_seconds();
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

  detail::ThreadPool& pool = problem.threads.pool();
  detail::PanelNetwork<double> neurons(solved.network.layers());
  bool polished = false;
  if (m_options.polish_iterations > 0 && !stopped) {
    const SampleView<double> view{data.inputs(), data.targets(), data.weights()};
    polished =
        detail::polish_neurons(neurons, view, solved.solution.lambda, m_options.polish_iterations,
                               pool, [&] { return !control.out_of_time(); });
  }
  const ReluNetwork<double> exact(neurons.to_layers());
  std::vector<DenseLayer<Scalar>> layers;
  for (const auto& layer : exact.layers()) {
    RowMatrix<Scalar> weights = layer.weights().template cast<Scalar>();
    if (layers.empty()) {
      const RowMatrix<Scalar> part = weights;
      weights.setZero(problem.train.inputs.cols(), part.cols());
      weights(used, detail::kAll) = part;
    }
    layers.emplace_back(std::move(weights), layer.bias().template cast<Scalar>());
  }
  GradeFit<Scalar> fit{ReluNetwork<Scalar>(std::move(layers)), {}};

  GradeFitReport& report = fit.report;
  report.certificate = solved.report.certificate;
  CertificateWitness& witness =
      report.witness.emplace(make_witness(patterns, solved.solution, std::move(solved.gated)));
  witness.columns = used;
  witness.unit = static_cast<double>(problem.unit);
  const bool rounded = !std::is_same_v<Scalar, double>;
  const bool merged = solved.network.width() != solved.solution.hidden.rows();
  const bool replaced = !solved.recovery.empty();
  const auto of_network = [&] {
    return recertify(network_witness(witness), solved.solution.lambda, data, fit.network,
                     problem.threads);
  };
  if (witness.gated) {
    report.network_certificate = of_network();
  } else if (polished || rounded || merged || replaced) {
    // The solver's certificate is about other weights, or another problem.
    if (polished) cover(witness, data, fit.network);
    report.certificate = of_network();
  }
  const detail::RelativeLoss loss =
      detail::relative_loss(detail::PanelNetwork<Scalar>(fit.network.layers()), problem, pool);
  report.trainer = (witness.gated ? "gated 1x" : "convex 1x") + std::to_string(fit.network.width());
  report.termination = stopped ? Termination::StoppedByObserver : solved.report.termination;
  // Of the network that is returned: what a solver has said of weights that were changed since is
  // no longer true.
  const bool changed = polished || replaced;
  report.message =
      "relative gap " + detail::to_text(report.certificate->relative_gap()) + " over " +
      (patterns ? std::to_string(patterns->size()) + " patterns" : std::string("all patterns")) +
      ", penalty " + detail::to_text(report.certificate->lambda) +
      (witness.gated ? ", of the gated problem" : "") +
      (polished ? ", polished after the convex solver" : "") +
      (changed ? "" : ": " + solved.report.message) + solved.recovery;
  if (changed && report.termination == Termination::ToleranceReached &&
      report.certificate->relative_gap() > solver.relative_tolerance) {
    report.termination = Termination::MaxIterations;
  }
  report.iterations = solved.report.iterations;
  report.initial_objective = 1;
  report.final_objective = loss.train;
  report.validation = loss.validation;
  report.elapsed_seconds = control.seconds();
  return fit;
}

}  // namespace mgdl
