#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/chain/residual_chain.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

namespace mgdl {

/// State of one run, so that the trainer itself keeps none.
template <class Scalar>
struct MultigradeTrainer<Scalar>::Run {
  using Verdict = detail::PairedComparison::Verdict;

  Run(MultigradeModel<Scalar> start, const DataSplit<Scalar>& data,
      const MultigradeOptions& options)
      : model(std::move(start)),
        train(data.train, model),
        pool(options.threads.pool()),
        control(options.observer, options.time_limit_seconds) {
    if (data.validation) validation.emplace(*data.validation, model);
    for (Index k = 1; k <= model.grades(); ++k) {
      const auto& network = model.grade(k).network;
      train.try_grade(network, pool);
      train.accept();
      if (!validation) continue;
      validation->try_grade(network, pool);
      validation->accept();
    }
    best_grades = model.grades();
    if (validation) best_errors = validation->errors();
    report.initial_rse = train.rse();
  }

  /// What is compared with the tolerance.
  double judged_error(const MultigradeOptions& options) const {
    const bool on_training = !validation || options.tolerance_on_training;
    return (on_training ? train : *validation).error(options.measure);
  }

  bool stop(Termination termination, std::string message) {
    report.termination = termination;
    report.message = std::move(message);
    return false;
  }

  MultigradeModel<Scalar> model;
  detail::ResidualChain<Scalar> train;
  std::optional<detail::ResidualChain<Scalar>> validation;
  detail::ThreadPool& pool;
  detail::RunControl control;
  MultigradeReport report;
  Index best_grades = 0;
  Vector<double> best_errors;         // of the validation samples, by the best prefix
  Verdict verdict = Verdict::Better;  // on the last grade
};

template <class Scalar>
void MultigradeTrainer<Scalar>::require_matching(const DataSplit<Scalar>& data) {
  if (!data.validation) return;
  detail::require_cols("validation X", data.train.inputs().cols(),
                       data.validation->inputs().cols());
  detail::require_cols("validation Y", data.train.targets().cols(),
                       data.validation->targets().cols());
}

template <class Scalar>
bool MultigradeTrainer<Scalar>::add_grade(Run& run, Index first) {
  const Index number = run.model.grades() + 1;
  const auto trainer =
      static_cast<std::size_t>(std::min(number, static_cast<Index>(m_trainers.size())) - 1);
  const double before = run.train.square();
  const double started = run.control.seconds();
  const Scalar scale = detail::residual_scale<Scalar>(before);
  scale_residuals(run, 1 / scale);
  const GradeFit<Scalar> fit = m_trainers[trainer].fit(problem(run, number, first, scale));
  scale_residuals(run, scale);
  require_fitting(run.model, fit.network);

  GradeReport line;
  line.grade = number;
  line.fit = fit.report;
  const ReluNetwork<Scalar> network = scaled_or_zero(fit.network, scale);
  line.parameters = network.parameters();
  const bool last = number - first >= m_options.max_grades;
  // Written so that a NaN counts as no progress.
  const double after = run.train.try_grade(network, run.pool, !last);
  const bool lower = after < before && after <= before * (1 - m_options.minimum_progress);
  if (lower) {
    run.train.accept();
    line.train_rse = run.train.rse();
    line.train_max_error = run.train.error(ErrorMeasure::MaxError);
    line.pointwise_growth = run.train.pointwise_growth();
    if (run.validation) judge(run, network, !last, line);
    run.model.add_grade({network, line.train_rse, line.validation_rse});
    if (run.verdict == Run::Verdict::Better) run.best_grades = number;
  }
  line.seconds = run.control.seconds() - started;
  run.report.grades.push_back(line);
  if (!lower) {
    // A grade that was cut short says why; any other has simply nothing left to learn.
    const Termination reason = line.fit.termination;
    const bool cut_short = reason == Termination::NumericalFailure ||
                           reason == Termination::StoppedByObserver ||
                           reason == Termination::TimeLimit;
    return run.stop(cut_short ? reason : Termination::NoProgress,
                    "Grade " + std::to_string(number) +
                        " did not lower the training residual and was rejected." +
                        (line.fit.message.empty() ? "" : " Its trainer: " + line.fit.message));
  }
  return may_continue(run, line, first);
}

template <class Scalar>
void MultigradeTrainer<Scalar>::judge(Run& run, const ReluNetwork<Scalar>& network, bool features,
                                      GradeReport& line) {
  auto& validation = *run.validation;
  const double before = validation.square();
  const double rse_before = validation.rse();
  validation.try_grade(network, run.pool, features);
  validation.accept();
  line.validation_rse = validation.rse();
  line.validation_max_error = validation.error(ErrorMeasure::MaxError);
  const double unit = before > 0 ? rse_before / before : 0;
  Vector<double> errors = validation.errors();
  const auto comparison = detail::compare_errors(run.best_errors, errors,
                                                 validation.view().weights.template cast<double>());
  line.validation_gain = comparison.gain * unit;
  line.validation_gain_error = comparison.gain_error * unit;
  run.verdict = comparison.verdict;
  if (run.verdict == Run::Verdict::Better) run.best_errors = std::move(errors);
}

template <class Scalar>
bool MultigradeTrainer<Scalar>::may_continue(Run& run, const GradeReport& line, Index first) const {
  const Termination reason = run.control.observe({.event = Progress::Event::Grade,
                                                  .grade = line.grade,
                                                  .max_grades = first + m_options.max_grades,
                                                  .iteration = line.fit.iterations,
                                                  .objective = line.train_rse,
                                                  .validation = line.validation_rse});
  const bool stop_asked = reason == Termination::StoppedByObserver ||
                          line.fit.termination == Termination::StoppedByObserver;
  if (run.judged_error(m_options) <= m_options.tolerance) {
    return run.stop(Termination::ToleranceReached, "The error is within the tolerance.");
  }
  if (run.train.rse() <= rounding_rse()) {
    return run.stop(Termination::ToleranceReached, "The residual is down to rounding.");
  }
  if (stop_asked) {
    return run.stop(Termination::StoppedByObserver,
                    detail::RunControl::explain(Termination::StoppedByObserver));
  }
  if (line.fit.termination == Termination::NumericalFailure) {
    return run.stop(Termination::NumericalFailure, line.fit.message);
  }
  if (run.control.out_of_time()) {
    return run.stop(Termination::TimeLimit, detail::RunControl::explain(Termination::TimeLimit));
  }
  if (line.grade - run.best_grades >= m_options.patience) {
    if (run.verdict == Run::Verdict::Flat) {
      return run.stop(Termination::Plateau,
                      "The validation error is flat within its standard error: what is left looks "
                      "like noise. The best prefix was kept.");
    }
    return run.stop(Termination::ValidationStop,
                    "The validation error did not fall; the best prefix was kept.");
  }
  if (line.grade - first >= m_options.max_grades) {
    return run.stop(Termination::MaxIterations, "All grades were trained.");
  }
  return true;
}

template <class Scalar>
GradeProblem<Scalar> MultigradeTrainer<Scalar>::problem(Run& run, Index number, Index first,
                                                        Scalar unit) const {
  GradeProblem<Scalar> problem{run.train.view(), std::nullopt};
  if (run.validation) problem.validation.emplace(run.validation->view());
  problem.grade = number;
  problem.seed = m_options.seed;
  problem.threads = m_options.threads;
  problem.model = &run.model;
  problem.unit = unit;
  const double elapsed = run.control.seconds();
  // The grades to come get their share.
  problem.time_limit_seconds = (m_options.time_limit_seconds - elapsed) /
                               static_cast<double>(first + m_options.max_grades - number + 1);
  if (m_options.observer) {
    problem.observer = [this, number, first, elapsed](Progress progress) {
      progress.grade = number;
      progress.max_grades = first + m_options.max_grades;
      progress.elapsed_seconds += elapsed;
      return m_options.observer(progress);
    };
  }
  return problem;
}

template <class Scalar>
void MultigradeTrainer<Scalar>::require_fitting(const MultigradeModel<Scalar>& model,
                                                const ReluNetwork<Scalar>& network) {
  const Index inputs = model.feature_count(model.grades());
  if (network.inputs() != inputs) {
    throw InvalidArgument("network of the grade's trainer", std::to_string(inputs) + " inputs",
                          std::to_string(network.inputs()));
  }
  if (network.outputs() != model.outputs()) {
    throw InvalidArgument("network of the grade's trainer",
                          std::to_string(model.outputs()) + " outputs",
                          std::to_string(network.outputs()));
  }
}

template <class Scalar>
void MultigradeTrainer<Scalar>::scale_residuals(Run& run, Scalar factor) {
  run.train.scale_residual(factor);
  if (run.validation) run.validation->scale_residual(factor);
}

template <class Scalar>
ReluNetwork<Scalar> MultigradeTrainer<Scalar>::scaled_or_zero(const ReluNetwork<Scalar>& network,
                                                              Scalar scale) {
  const auto finite_times = [scale](const auto& values) {
    for (Index i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values.data()[i] * scale)) return false;
    }
    return true;
  };
  const auto& readout = network.readout();
  const bool finite = finite_times(readout.weights()) && finite_times(readout.bias());
  return network.scaled(finite ? scale : Scalar(0));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const ConstMatrixRef<Scalar>& X,
                                                     const ConstMatrixRef<Scalar>& Y,
                                                     const ConstVectorRef<Scalar>& weights) {
  return fit(split(Dataset<Scalar>(X, Y, weights), m_options.validation_fraction, m_options.seed));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const DataSplit<Scalar>& data) {
  require_matching(data);
  const auto& train = data.train;
  MultigradeModel<Scalar> model(
      Standardizer<Scalar>::fit(train.inputs(), train.weights()),
      Standardizer<Scalar>::fit_common_scale(train.targets(), train.weights()), m_options.link);
  return add_grades(std::move(model), data);
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume(MultigradeModel<Scalar> model,
                                                        const ConstMatrixRef<Scalar>& X,
                                                        const ConstMatrixRef<Scalar>& Y,
                                                        const ConstVectorRef<Scalar>& weights) {
  return resume(std::move(model), split(Dataset<Scalar>(X, Y, weights),
                                        m_options.validation_fraction, m_options.seed));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume(MultigradeModel<Scalar> model,
                                                        const DataSplit<Scalar>& data) {
  require_matching(data);
  detail::require_cols("X", model.inputs(), data.train.inputs().cols());
  detail::require_cols("Y", model.outputs(), data.train.targets().cols());
  return add_grades(std::move(model), data);
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::add_grades(MultigradeModel<Scalar> model,
                                                            const DataSplit<Scalar>& data) {
  Run run(std::move(model), data, m_options);
  const Index first = run.model.grades();
  if (run.judged_error(m_options) <= m_options.tolerance || run.train.rse() <= rounding_rse()) {
    run.stop(Termination::ToleranceReached, "The model meets the tolerance as it is.");
  } else {
    while (add_grade(run, first)) {
    }
  }
  run.model.truncate(run.best_grades);
  for (auto& grade : run.report.grades) grade.kept = grade.grade <= run.best_grades;
  run.report.elapsed_seconds = run.control.seconds();
  return {std::move(run.model), std::move(run.report)};
}

}  // namespace mgdl
