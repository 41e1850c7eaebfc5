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

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/constructive/hat_network.hpp"
#include "mgdl/training/constructive/hat_pass.hpp"
#include "mgdl/training/constructive_trainer.hpp"

namespace mgdl {

/// The samples of positive weight: the others have no say.
template <class Scalar>
struct ConstructiveTrainer<Scalar>::Samples {
  Samples(const SampleView<Scalar>& view, const detail::CarriedCoordinates& coordinates) {
    for (Index i = 0; i < view.size(); ++i) {
      if (view.weights[i] > 0) rows.push_back(i);
    }
    const auto n = static_cast<Index>(rows.size());
    points.resize(n, coordinates.count());
    residual.resize(n, view.targets.cols());
    weights.resize(n);
    for (Index i = 0; i < n; ++i) {
      const Index row = rows[static_cast<std::size_t>(i)];
      for (Index k = 0; k < coordinates.count(); ++k) {
        const auto c = static_cast<std::size_t>(k);
        const Index minus = coordinates.minus[c];
        points(i, k) = static_cast<double>(view.inputs(row, coordinates.plus[c])) -
                       (minus < 0 ? 0 : static_cast<double>(view.inputs(row, minus)));
      }
      residual.row(i) = view.targets.row(row).template cast<double>();
      weights[i] = static_cast<double>(view.weights[row]);
    }
  }

  std::vector<Index> rows;
  RowMatrix<double> points;
  RowMatrix<double> residual;
  Vector<double> weights;
};

template <class Scalar>
void ConstructiveTrainer<Scalar>::require_inputs(const char* name, Index inputs) {
  if (inputs >= 1 && inputs <= detail::kMaxKuhnInputs) return;
  throw InvalidArgument(name, "1 to 3 columns for a constructive grade", std::to_string(inputs));
}

template <class Scalar>
detail::CarriedCoordinates ConstructiveTrainer<Scalar>::coordinates_of(
    const GradeProblem<Scalar>& problem) {
  if (problem.model == nullptr) {
    require_inputs("train.inputs", problem.train.inputs.cols());
    return detail::CarriedCoordinates::plain(problem.train.inputs.cols());
  }
  require_inputs("X", problem.model->inputs());
  return detail::carried_coordinates(*problem.model, problem.model->grades());
}

template <class Scalar>
detail::HatGrade<Scalar> ConstructiveTrainer<Scalar>::no_hats(Index outputs) const {
  detail::HatGrade<Scalar> grade;
  grade.hats = m_options.hats;
  grade.values.resize(0, outputs);
  return grade;
}

template <class Scalar>
std::optional<detail::UnfinishedPass> ConstructiveTrainer<Scalar>::next_pass(
    const GradeProblem<Scalar>& problem, const Samples& samples) const {
  if (problem.model != nullptr) {
    auto work = detail::continue_pass(*problem.model, static_cast<double>(problem.unit),
                                      samples.points, samples.residual, m_options.balanced);
    if (work) return work;
  }
  auto chosen = detail::choose_pass(samples.points, samples.residual, m_options.balanced,
                                    static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
  if (!chosen) return {};
  auto left = detail::nodes_left(chosen->pass, {});
  if (left.empty()) return {};
  return detail::UnfinishedPass{std::move(*chosen), samples.residual, std::move(left), 0};
}

template <class Scalar>
RowMatrix<double> ConstructiveTrainer<Scalar>::measure(const ReluNetwork<Scalar>& network,
                                                       const GradeProblem<Scalar>& problem,
                                                       const Samples& samples) {
  const RowMatrix<Scalar> output = network.predict(problem.train.inputs, problem.threads);
  RowMatrix<double> left = samples.residual;
  for (Index i = 0; i < left.rows(); ++i) {
    const Index row = samples.rows[static_cast<std::size_t>(i)];
    left.row(i) -= output.row(row).template cast<double>();
  }
  return left;
}

template <class Scalar>
double ConstructiveTrainer<Scalar>::square(const RowMatrix<double>& values,
                                           const Vector<double>& weights) {
  return weights.dot(values.rowwise().squaredNorm());
}

template <class Scalar>
double ConstructiveTrainer<Scalar>::validation_objective(const ReluNetwork<Scalar>& network,
                                                         const SampleView<Scalar>& view,
                                                         const Executor& threads) {
  const RowMatrix<double> targets = view.targets.template cast<double>();
  const Vector<double> weights = view.weights.template cast<double>();
  const RowMatrix<double> left =
      targets - network.predict(view.inputs, threads).template cast<double>();
  return square(left, weights) / square(targets, weights);
}

template <class Scalar>
std::string ConstructiveTrainer<Scalar>::power_text(double spacing) {
  return "2^" + std::to_string(std::ilogb(spacing));
}

template <class Scalar>
GradeFit<Scalar> ConstructiveTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::RunControl control(problem.observer, problem.time_limit_seconds,
                                   /*max_iterations=*/1);
  const detail::CarriedCoordinates coordinates = coordinates_of(problem);
  const Index outputs = problem.train.targets.cols();
  GradeFit<Scalar> fit{detail::hat_network(coordinates, no_hats(outputs)), {}};
  GradeFitReport& report = fit.report;
  report.trainer = "hats " + std::to_string(m_options.hats);
  report.initial_objective = 1;
  report.final_objective = 1;
  if (problem.validation) report.validation = 1;
  const auto give_up = [&](Termination termination, std::string message) {
    report.termination = termination;
    report.message = std::move(message);
    report.elapsed_seconds = control.seconds();
    return fit;
  };
  if (!coordinates.complete()) {
    return give_up(Termination::NoProgress,
                   "The features do not carry all coordinates of the samples; "
                   "FeatureLink::LastHiddenAndInput makes them do so.");
  }
  const Samples samples(problem.train, coordinates);
  const auto work = next_pass(problem, samples);
  if (!work) {
    return give_up(Termination::NoProgress,
                   "No function of the inputs lowers the largest residuals: they belong to equal "
                   "inputs with different targets, or all are zero.");
  }

  const detail::HatPass& pass = work->chosen.pass;
  const std::vector<Index> share = detail::next_share(*work, samples.weights, m_options.hats);
  detail::HatGrade<Scalar> grade = no_hats(outputs);
  grade.spacing = work->chosen.spacing;
  grade.position = work->position;
  grade.values.resize(static_cast<Index>(share.size()), outputs);
  for (const Index j : share) {
    grade.values.row(static_cast<Index>(grade.nodes.size())) =
        pass.values.row(j).template cast<Scalar>();
    grade.nodes.push_back(pass.lattice.nodes()[static_cast<std::size_t>(j)]);
  }
  report.trainer += ", spacing " + power_text(grade.spacing);
  const bool last = share.size() == work->left.size();

  // The claim, on what the network computes and not on what was meant.
  const ReluNetwork<Scalar> network = detail::hat_network(coordinates, grade);
  const RowMatrix<double> after = measure(network, problem, samples);
  const double slack = kRounding * work->start.cwiseAbs().maxCoeff();
  const RowMatrix<double>& before = m_options.balanced ? work->start : samples.residual;
  const bool nonincreasing =
      (after.array().abs() <= before.array().abs() + slack).all();  // false for NaN
  if (!nonincreasing && (last || !m_options.balanced)) {
    return give_up(Termination::NumericalFailure,
                   "A residual would grow by more than rounding; the grade was made zero.");
  }
  fit.network = network;
  report.iterations = static_cast<Index>(share.size());
  report.final_objective =
      square(after, samples.weights) / square(samples.residual, samples.weights);
  if (problem.validation) {
    report.validation = validation_objective(network, *problem.validation, problem.threads);
  }
  report.termination = last ? Termination::ToleranceReached : Termination::MaxIterations;
  const double unit = static_cast<double>(problem.unit);
  std::ostringstream message;
  message << "Grade " << work->position + 1 << " of a pass: " << share.size() << " hats, "
          << work->left.size() - share.size() << " to come; sup norm "
          << samples.residual.cwiseAbs().maxCoeff() * unit << " -> "
          << after.cwiseAbs().maxCoeff() * unit << '.';
  report.message = message.str();
  report.elapsed_seconds = control.seconds();
  const Termination reason = control.observe({.grade = problem.grade,
                                              .iteration = 1,
                                              .objective = report.final_objective,
                                              .validation = report.validation});
  if (reason == Termination::StoppedByObserver) report.termination = reason;
  return fit;
}

}  // namespace mgdl
