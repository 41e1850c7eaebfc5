#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/adam.hpp"
#include "mgdl/linalg/lbfgs.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient/backpropagation.hpp"
#include "mgdl/training/gradient/initialisation.hpp"
#include "mgdl/training/gradient/whitening.hpp"
#include "mgdl/training/gradient_trainer.hpp"

namespace mgdl::detail {

/// The optimisation of one grade: from started units to the best iterate. `problem` has whitened
/// inputs; the readout is left as the optimiser made it.
template <class Scalar>
class GradientRun {
 public:
  GradientRun(const GradientOptions& options, const GradeProblem<Scalar>& problem, Index start,
              ThreadPool& pool)
      : m_options(options),
        m_problem(problem),
        m_pool(pool),
        m_control(problem.observer, problem.time_limit_seconds, options.epochs),
        m_random(problem.seed, static_cast<std::uint64_t>(problem.grade) |
                                   static_cast<std::uint64_t>(start) << 32),
        m_network(sizes(options, problem)),
        m_initialiser(m_network, problem.train, options.start_ridge, m_random),
        m_loss(m_network, pool) {
    m_zero_loss = zero_loss(problem.train);
    if (problem.validation) m_zero_validation = zero_loss(*problem.validation);
  }

  /// Trains; afterwards `network` and `report` hold the outcome.
  void run() {
    m_initialiser.start_all(m_network);
    if (m_options.initialization == Initialization::Sampled) {
      start_sampled(m_network, m_problem.train, m_random);
    } else if (m_options.initialization == Initialization::He) {
      start_he(m_network, m_random);
    }
    // The best readout for the random features: training starts from a fit, not from zero.
    solve_readout_for_start();
    m_report.initial_objective = (loss(m_problem.train) + penalty()) / m_zero_loss;
    m_best = m_network.parameters();
    m_best_score = score(m_report.initial_objective);
    if (m_options.optimizer == Optimizer::Adam) {
      run_adam();
    } else {
      run_lbfgs();
    }
    m_network.parameters() = m_best;
  }

  const PanelNetwork<Scalar>& network() const noexcept { return m_network; }
  const GradeFitReport& report() const noexcept { return m_report; }

 private:
  static constexpr double kStartRidge = 1e-4;

  static std::vector<Index> sizes(const GradientOptions& options,
                                  const GradeProblem<Scalar>& problem) {
    std::vector<Index> result{problem.train.inputs.cols()};
    result.insert(result.end(), static_cast<std::size_t>(options.hidden_layers), options.width);
    result.push_back(problem.train.targets.cols());
    return result;
  }

  double loss(const SampleView<Scalar>& samples) { return m_loss(m_network, samples); }

  /// What decides which iterate is the best: the validation error if there is a validation part.
  double score(double objective) {
    if (!m_problem.validation) return objective;
    m_report.validation = loss(*m_problem.validation) / m_zero_validation;
    return m_report.validation;
  }

  /// Books an iterate; returns false when training has to stop, with the reason in the report.
  bool finish_iteration(Index iteration, double objective, double samples_per_second) {
    m_report.iterations = iteration;
    if (!std::isfinite(objective)) {
      return stop(Termination::NumericalFailure,
                  "The objective became non-finite; the best iterate before was kept.");
    }
    const double current = score(objective);
    if (current < m_best_score) {
      m_best_score = current;
      m_best = m_network.parameters();
      m_best_iteration = iteration;
    }
    const Termination reason = m_control.observe({.grade = m_problem.grade,
                                                  .iteration = iteration,
                                                  .objective = objective,
                                                  .validation = m_report.validation,
                                                  .samples_per_second = samples_per_second});
    if (reason != Termination::NotRun) return stop(reason, RunControl::explain(reason));
    if (m_problem.validation && m_options.patience > 0 &&
        iteration - m_best_iteration >= m_options.patience) {
      return stop(Termination::ValidationStop,
                  "The validation error has not fallen since iteration " +
                      std::to_string(m_best_iteration) + ".");
    }
    return true;
  }

  bool stop(Termination termination, std::string message) {
    m_report.termination = termination;
    m_report.message = std::move(message);
    return false;
  }

  /// Part of the schedule that is over, in [0, 1]: by steps, or by time if that runs out sooner.
  double schedule_position(double step, double steps) const {
    const double by_time = m_control.seconds() / m_problem.time_limit_seconds;
    return std::min(1.0, std::max(step / steps, std::isfinite(by_time) ? by_time : 0.0));
  }

  double learning_rate(double position) const {
    const double peak = m_options.learning_rate_of(m_problem.grade);
    if (position < m_options.warmup_fraction) return peak * position / m_options.warmup_fraction;
    const double t = (position - m_options.warmup_fraction) / (1 - m_options.warmup_fraction);
    const double last = m_options.final_learning_rate_fraction;
    switch (m_options.schedule) {
      case LearningRateSchedule::Cosine:
        return peak * (last + (1 - last) * (1 + std::cos(std::numbers::pi * t)) / 2);
      case LearningRateSchedule::Exponential: return peak * std::pow(last, t);
      case LearningRateSchedule::Constant: break;
    }
    return peak;
  }

  void run_adam() {
    const Index n = m_problem.train.size();
    const Index batch = std::min(m_options.batch_size, n);
    Backpropagation<Scalar> pass(m_network, batch, m_pool);
    Adam<Scalar> adam(m_network.parameters().size(), m_options.beta1, m_options.beta2,
                      m_options.epsilon);
    std::vector<Index> order(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
    const Index steps_per_epoch = (n + batch - 1) / batch;
    const auto steps = static_cast<double>(steps_per_epoch * m_options.epochs);
    const Index revive_every = std::max<Index>(1, m_options.epochs / 10);
    double training_seconds = 0;
    Index trained = 0;  // samples
    for (Index epoch = 1; epoch <= m_options.epochs; ++epoch) {
      const double epoch_start = m_control.seconds();
      m_random.shuffle(order);
      double loss_sum = 0;
      Index seen = 0;
      for (Index count = batch; seen < n; seen += count) {
        // An epoch may be long: do not wait for its end.
        if (seen > 0 && m_control.out_of_time()) break;
        count = std::min(batch, n - seen);
        const Index step = (epoch - 1) * steps_per_epoch + seen / batch;
        adam.begin_step(learning_rate(schedule_position(static_cast<double>(step + 1), steps)));
        const auto factor =
            static_cast<Scalar>(static_cast<double>(n) / static_cast<double>(count));
        const double batch_loss =
            pass.run(m_problem.train, {order.data() + seen, 0, count}, factor, false,
                     [&](Index offset, Index size) {
                       adam.update(offset, size, pass.gradient().data(),
                                   m_network.parameters().data(), decay_at(offset));
                     });
        loss_sum += batch_loss * static_cast<double>(count);
      }
      trained += seen;
      training_seconds += m_control.seconds() - epoch_start;
      const double rate = static_cast<double>(trained) / training_seconds;
      if (!finish_iteration(epoch, (loss_sum / static_cast<double>(seen) + penalty()) / m_zero_loss,
                            rate))
        return;
      // Late restarts would have no time left to learn.
      if (epoch % revive_every == 0 && 2 * epoch <= m_options.epochs) {
        m_report.revived_units +=
            m_initialiser.revive(m_network, [&](std::size_t layer, Index unit) {
              for (Index i = 0; i < m_network.layers()[layer].inputs(); ++i) {
                adam.reset(m_network.layers()[layer].weights +
                           m_network.layers()[layer].shape.at(i, unit));
              }
              adam.reset(m_network.layers()[layer].bias + unit);
            });
        pass.refresh();
      }
    }
    stop(Termination::MaxIterations, "All epochs were done.");
  }

  /// weight_decay * |hidden weights|^2.
  double penalty() const {
    if (m_options.weight_decay == 0) return 0;
    double sum = 0;
    for (std::size_t l = 0; l + 1 < m_network.layers().size(); ++l) {
      const auto& layer = m_network.layers()[l];
      sum += static_cast<double>(
          m_network.parameters().segment(layer.weights, layer.shape.size()).squaredNorm());
    }
    return m_options.weight_decay * sum;
  }

  /// Derivative of the penalty with respect to the parameter at `offset`, as a factor of it.
  Scalar decay_at(Index offset) const {
    if (m_options.weight_decay == 0) return 0;
    for (std::size_t l = 0; l + 1 < m_network.layers().size(); ++l) {
      const auto& layer = m_network.layers()[l];
      if (offset >= layer.weights && offset < layer.bias) {
        return static_cast<Scalar>(2 * m_options.weight_decay);
      }
    }
    return 0;
  }

  void run_lbfgs() {
    const Index n = m_problem.train.size();
    Backpropagation<Scalar> pass(m_network, n, m_pool);
    LbfgsOptions lbfgs_options;
    lbfgs_options.history = m_options.history;
    lbfgs_options.max_iterations = m_options.epochs;
    lbfgs_options.relative_tolerance = m_options.relative_tolerance;
    Lbfgs<Scalar> lbfgs(m_network.parameters().size(), lbfgs_options);
    double evaluations = 0;
    const auto evaluate = [&](const Vector<Scalar>& x, Vector<Scalar>& gradient) {
      if (x.data() != m_network.parameters().data()) m_network.parameters() = x;
      pass.refresh();
      double value =
          pass.run(m_problem.train, {nullptr, 0, n}, Scalar(1), false, [](Index, Index) {});
      gradient = pass.gradient();
      if (m_options.weight_decay > 0) {
        for (std::size_t l = 0; l + 1 < m_network.layers().size(); ++l) {
          const auto& layer = m_network.layers()[l];
          gradient.segment(layer.weights, layer.shape.size()) +=
              decay_at(layer.weights) * x.segment(layer.weights, layer.shape.size());
        }
        value += penalty();
      }
      ++evaluations;
      return value;
    };
    const auto outcome =
        lbfgs.minimise(m_network.parameters(), evaluate, [&](Index iteration, double value) {
          const double rate = evaluations * static_cast<double>(n) / m_control.seconds();
          return finish_iteration(iteration, value / m_zero_loss, rate);
        });
    switch (outcome) {
      case LbfgsOutcome::Stopped: break;
      case LbfgsOutcome::Converged:
        stop(Termination::ToleranceReached, "The objective no longer falls by the tolerance.");
        break;
      case LbfgsOutcome::MaxIterations:
        stop(Termination::MaxIterations, "All iterations were done.");
        break;
      case LbfgsOutcome::SearchFailed:
        stop(Termination::NoProgress, "The line search found no lower point.");
        break;
    }
  }

  void solve_readout_for_start() {
    const auto moments = readout_moments(m_network, m_problem.train, m_pool);
    const RidgeCandidate start = solve_ridge(moments, kStartRidge);
    if (start.solved()) set_readout(m_network, start.readout);
  }

  const GradientOptions& m_options;
  const GradeProblem<Scalar>& m_problem;
  ThreadPool& m_pool;
  RunControl m_control;
  RandomStream m_random;
  PanelNetwork<Scalar> m_network;
  UnitInitialiser<Scalar> m_initialiser;
  SampleLoss<Scalar> m_loss;
  double m_zero_loss = 1;
  double m_zero_validation = 1;
  AlignedVector<Scalar> m_best;
  double m_best_score = std::numeric_limits<double>::infinity();
  Index m_best_iteration = 0;
  GradeFitReport m_report;
};

}  // namespace mgdl::detail

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

}  // namespace mgdl
