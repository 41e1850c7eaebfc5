#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/final_readout.hpp"
#include "mgdl/detail/gradient_run.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/stopwatch.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/detail/whitening.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient_options.hpp"

namespace mgdl {

/// Trains a grade of equally wide hidden ReLU layers by its gradient, with Adam or L-BFGS.
///
/// Minimises sum_i w_i |g(x_i) - y_i|^2 + weight_decay * |hidden weights|^2 in four steps.
/// - The inputs are whitened: made uncorrelated with variance 1. They are the frozen features of
/// the
///   grade before, so this is done once, and it is folded into the first layer's weights at the
///   end. It is what lets later grades learn fine detail quickly.
/// - Hidden units start as GradientOptions.initialization says, the readout as a least squares fit.
/// - The optimiser runs. The iterate with the best validation error (without a validation part:
///   training error) is kept. Hidden units that are zero on all samples start anew.
/// - The readout is solved by regularised least squares, so the returned network never fits the
///   training samples worse than the zero function.
template <class Scalar_ = double>
class GradientTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit GradientTrainer(GradientOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  const GradientOptions& options() const noexcept { return m_options; }

  /// The bits of the result depend on the problem's samples, seed and grade number, not on the
  /// number of threads (unless there is a time limit, which also steers the learning rate, or an
  /// observer that stops).
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  /// The problem on whitened inputs, with the memory it lives in.
  struct Whitened {
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

  std::string name() const {
    return std::string(m_options.optimizer == Optimizer::Adam ? "Adam " : "L-BFGS ") +
           std::to_string(m_options.hidden_layers) + "x" + std::to_string(m_options.width);
  }

  GradientOptions m_options;
};

template <class Scalar>
GradeFit<Scalar> GradientTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::Stopwatch clock;
  detail::ThreadPool pool(detail::thread_count(problem.threads));
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
extern template class GradientTrainer<float>;
extern template class GradientTrainer<double>;
#endif

}  // namespace mgdl
