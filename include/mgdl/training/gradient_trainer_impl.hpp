#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/run_control.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/gradient/run.hpp"
#include "mgdl/training/gradient/whitening.hpp"
#include "mgdl/training/gradient_trainer.hpp"

namespace mgdl {

/// The problem on whitened inputs, with the memory it lives in.
template <class Scalar>
struct GradientTrainer<Scalar>::Whitened {
  Whitened(const GradeProblem<Scalar>& original, const detail::Whitening<Scalar>& whitening,
           detail::ThreadPool& pool)
      : train(whitening.apply(original.train.inputs, pool)),
        problem{{train, original.train.targets, original.train.weights}} {
    if (original.validation) {
      validation = whitening.apply(original.validation->inputs, pool);
      problem.validation.emplace(SampleView<Scalar>{validation, original.validation->targets,
                                                    original.validation->weights});
    }
    problem.grade = original.grade;
    problem.seed = original.seed;
    problem.observer = original.observer;
  }

  RowMatrix<Scalar> train;
  RowMatrix<Scalar> validation;
  GradeProblem<Scalar> problem;
};

template <class Scalar>
std::string GradientTrainer<Scalar>::name() const {
  return std::string(m_options.optimizer == Optimizer::Adam ? "Adam " : "L-BFGS ") +
         std::to_string(m_options.hidden_layers) + "x" + std::to_string(m_options.width);
}

template <class Scalar>
GradeFit<Scalar> GradientTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::Stopwatch clock;
  detail::ThreadPool& pool = problem.threads.pool();
  const detail::Whitening<Scalar> whitening(problem.train, m_options.feature_floor, pool);
  const Whitened whitened(problem, whitening, pool);
  const double time_limit = std::min(m_options.time_limit_seconds, problem.time_limit_seconds);
  std::optional<GradeFit<Scalar>> best;
  double best_score = 0;
  for (Index start = 0; start < m_options.starts; ++start) {
    GradeProblem<Scalar> part = whitened.problem;
    part.time_limit_seconds =
        (time_limit - clock.seconds()) / static_cast<double>(m_options.starts - start);
    detail::GradientRun<Scalar> run(m_options, part, start, pool);
    run.run();
    GradeFitReport report = run.report();
    detail::PanelNetwork<Scalar> network = run.network();
    if (!whitening.fold(network)) {
      report.termination = Termination::NumericalFailure;
      report.message = "The weights on the original inputs overflow.";
    }
    const detail::RelativeLoss loss =
        detail::finish_readout(network, problem, m_options.ridge, pool);
    const double score = problem.validation ? loss.validation : loss.train;
    if (!best || score < best_score) {
      best_score = score;
      best.emplace(GradeFit<Scalar>{ReluNetwork<Scalar>(network.to_layers()), report});
      best->report.final_objective = loss.train;
      best->report.validation = loss.validation;
    }
    if (report.termination == Termination::StoppedByObserver) {
      best->report.termination = report.termination;
      break;
    }
  }
  best->report.trainer = name();
  best->report.elapsed_seconds = clock.seconds();
  return std::move(*best);
}

#ifdef MGDL_COMPILED
template class GradientTrainer<float>;
template class GradientTrainer<double>;
#endif

}  // namespace mgdl
