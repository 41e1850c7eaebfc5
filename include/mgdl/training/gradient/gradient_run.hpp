#pragma once

#include <algorithm>
#include <atomic>
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
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/adam.hpp"
#include "mgdl/linalg/lbfgs.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient/backpropagation.hpp"
#include "mgdl/training/gradient/initialisation.hpp"
#include "mgdl/training/gradient/shuffled_windows.hpp"
#include "mgdl/training/gradient_options.hpp"

namespace mgdl::detail {

/// What of GradientOptions may be left to be chosen, chosen.
struct GradientSettings {
  Index hidden_layers;
  Optimizer optimizer;
  Initialization initialization;
  Index batch_size;
  double learning_rate;
  double weight_decay;
  double feature_floor;

  bool operator==(const GradientSettings&) const = default;
};

/// The observer and the time of a grade, shared by all of its runs, some of which may be in the
/// hands of other threads.
class GradientControl {
 public:
  /// \param ranks  see RunControl; where there are several, runs are done one after the other
  /// \param unit   of how many samples an epoch is one iteration; those of more count for more
  GradientControl(Observer observer, double time_limit_seconds, Index max_iterations,
                  Communicator* ranks = nullptr, Index unit = std::numeric_limits<Index>::max())
      : m_control(std::move(observer), time_limit_seconds, max_iterations, ranks), m_unit(unit) {}

  double seconds() const { return m_control.seconds(); }
  double time_limit_seconds() const noexcept { return m_control.time_limit_seconds(); }
  bool stop_asked() const noexcept { return m_stop.load(std::memory_order_relaxed); }

  /// Counts an iteration of any run, on so many samples. On the caller's thread it tells the
  /// observer, too.
  void count(Progress progress, Index samples, bool callers_thread) {
    const Index more = std::max<Index>(1, samples / m_unit);
    progress.iteration = m_iterations.fetch_add(more, std::memory_order_relaxed) + more;
    if (callers_thread && !stop_asked() &&
        m_control.observe(progress) == Termination::StoppedByObserver) {
      m_stop.store(true, std::memory_order_relaxed);
    }
  }

 private:
  RunControl m_control;
  Index m_unit;
  std::atomic<Index> m_iterations{0};
  std::atomic<bool> m_stop{false};
};

/// The optimisation of one grade with given settings: from started units to the best iterate, in
/// cycles of the learning rate, each of which goes on where the last one ended. `problem` has
/// whitened inputs; the readout is left as the optimiser made it.
template <class Scalar>
class GradientRun {
 public:
  GradientRun(const GradientOptions& options, const GradientSettings& settings,
              const GradeProblem<Scalar>& problem, Index start, GradientControl& control,
              ThreadPool& pool);

  GradientRun(const GradientRun&) = delete;
  GradientRun& operator=(const GradientRun&) = delete;

  /// One cycle: `epochs` passes over the samples, with the learning rate rising and falling; with
  /// L-BFGS, iterations. False if training is over, with the reason in the report.
  ///
  /// \param end              on the control's clock: when the cycle has to be over. If it cannot be
  ///                         done by then, the rate falls as fast as it takes; if it can, `end`
  ///                         changes nothing.
  /// \param callers_thread  whether this thread may call the observer
  bool advance(Index epochs, double end, bool callers_thread);

  /// The parameters of the best iterate so far, in a network.
  PanelNetwork<Scalar> best_network() const;

  /// Of the best iterate: its objective, on the validation part if there is one.
  double best_score() const noexcept { return m_best_score; }
  /// Its number, from 1; 0: the start.
  Index best_iteration() const noexcept { return m_best_iteration; }

  const GradientSettings& settings() const noexcept { return m_settings; }
  const GradeFitReport& report() const noexcept { return m_report; }

  /// Seconds so far for one pass over the samples (or iteration), with what judges it.
  double seconds_per_epoch() const noexcept {
    return m_report.iterations > 0 ? m_spent / static_cast<double>(m_report.iterations) : 0;
  }

 private:
  static constexpr double kStartRidge = 1e-4;

  static std::vector<Index> sizes(Index width, Index hidden_layers,
                                  const GradeProblem<Scalar>& problem) {
    std::vector<Index> result{problem.train.inputs.cols()};
    result.insert(result.end(), static_cast<std::size_t>(hidden_layers), width);
    result.push_back(problem.train.targets.cols());
    return result;
  }

  void start_units() {
    if (m_settings.initialization == Initialization::Rich) {
      // The readout stays random: one solved for the start would make the units follow it.
      return start_rich(m_network, m_options.start_scale, m_options.start_readout, m_random);
    }
    m_initialiser.start_all(m_network);
    switch (m_settings.initialization) {
      case Initialization::WhiteNoise:
      case Initialization::Rich: break;
      case Initialization::Sampled: start_sampled(m_network, m_problem.train, m_random); break;
      case Initialization::He: start_he(m_network, m_random); break;
    }
    // The best readout for the random features: training starts from a fit, not from zero.
    const auto moments = readout_moments(m_network, m_problem.train, m_pool);
    const RidgeCandidate start = solve_ridge(moments, kStartRidge);
    if (start.solved()) set_readout(m_network, start.readout);
  }

  double loss(const Samples<Scalar>& samples) { return m_loss(m_network, samples); }

  /// What decides which iterate is the best: the validation error if there is a validation part.
  double score(double objective) {
    if (!m_problem.validation) return objective;
    m_report.validation = loss(*m_problem.validation) / m_zero_validation;
    return m_report.validation;
  }

  /// Books an iterate; returns false when training has to stop, with the reason in the report.
  bool finish_iteration(double objective, double samples_per_second) {
    const Index iteration = ++m_report.iterations;
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
    m_control.count({.grade = m_problem.grade,
                     .objective = objective,
                     .validation = m_report.validation,
                     .samples_per_second = samples_per_second},
                    m_problem.train.size(), m_callers_thread);
    if (m_control.stop_asked()) return stop_for(Termination::StoppedByObserver);
    if (m_control.seconds() >= m_end) return stop_for(Termination::TimeLimit);
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

  bool stop_for(Termination reason) { return stop(reason, RunControl::explain(reason)); }

  /// Part of a cycle that is over, in [0, 1]: by steps, until it turns out that the time will not
  /// do for all of them.
  class Position {
   public:
    Position(double steps, double start, double end) : m_steps(steps), m_start(start), m_end(end) {}

    /// Of the step that begins at the time `now`.
    double next(double now) {
      m_done += 1;
      // The first steps say little about the pace.
      const double spent = now - m_start;
      const double pace = spent / std::max(1.0, m_done - 1);
      if (!m_short && spent > kTrial * (m_end - m_start)) {
        m_short = pace * (m_steps - m_done + 1) > m_end - now;
      }
      const double left = m_short ? std::max(1.0, (m_end - now) / pace) : 0;
      m_position = m_short ? std::min(1.0, m_position + (1 - m_position) / left) : m_done / m_steps;
      return m_position;
    }

   private:
    static constexpr double kTrial = 0.02;

    double m_steps;
    double m_start;
    double m_end;
    double m_done = 0;
    double m_position = 0;
    bool m_short = false;
  };

  double learning_rate(double position) const {
    const double peak = m_settings.learning_rate;
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

  bool run_adam(Index epochs) {
    const Index n = m_problem.train.size();
    const Index batch = std::min(m_settings.batch_size, n);
    if (!m_adam) {
      m_pass.emplace(m_network, batch, m_pool);
      m_adam.emplace(m_network.parameters().size(), m_options.beta1, m_options.beta2,
                     m_options.epsilon);
      m_windows.emplace(m_problem.train);
    }
    auto& pass = *m_pass;
    auto& adam = *m_adam;
    const auto steps = static_cast<double>(m_windows->batches(batch) * epochs);
    Position position(steps, m_control.seconds(), m_end);
    const Index revive_every = std::max<Index>(1, epochs / 10);
    for (Index epoch = 1; epoch <= epochs; ++epoch) {
      const double epoch_start = m_control.seconds();
      double loss_sum = 0;
      Index seen = 0;
      m_windows->for_each(
          m_random, batch, [&](const SampleView<Scalar>& window, const std::vector<Index>& order) {
            for (Index first = 0; first < std::ssize(order); first += batch) {
              // An epoch may be long: do not wait for its end.
              const double now = m_control.seconds();
              if (seen > 0 && (now >= m_end || m_control.stop_asked())) return false;
              const Index count = std::min(batch, std::ssize(order) - first);
              adam.begin_step(learning_rate(position.next(now)));
              const auto factor =
                  static_cast<Scalar>(static_cast<double>(n) / static_cast<double>(count));
              const double batch_loss = pass.run(
                  window, {order.data() + first, 0, count}, factor, false,
                  [&](Index offset, Index size) {
                    adam.update(offset, size, pass.gradient().data(), m_network.parameters().data(),
                                decay_at(offset));
                  },
                  m_problem.train.ranks());
              loss_sum += batch_loss * static_cast<double>(count);
              seen += count;
            }
            return true;
          });
      m_trained += static_cast<double>(seen);
      m_seconds += m_control.seconds() - epoch_start;
      if (!finish_iteration((loss_sum / static_cast<double>(seen) + penalty()) / m_zero_loss,
                            m_trained / m_seconds)) {
        return false;
      }
      // Late restarts would have no time left to learn.
      if (epoch % revive_every == 0 && 2 * epoch <= epochs) revive();
    }
    stop(Termination::MaxIterations, "All epochs were done.");
    return true;
  }

  void revive() {
    m_report.revived_units += m_initialiser.revive(m_network, [&](std::size_t layer, Index unit) {
      for (Index i = 0; i < m_network.layers()[layer].inputs(); ++i) {
        m_adam->reset(m_network.layers()[layer].weights +
                      m_network.layers()[layer].shape.at(i, unit));
      }
      m_adam->reset(m_network.layers()[layer].bias + unit);
    });
    m_pass->refresh();
  }

  /// weight_decay * |weights|^2.
  double penalty() const {
    if (m_settings.weight_decay == 0) return 0;
    double sum = 0;
    for (const auto& layer : m_network.layers()) {
      sum += static_cast<double>(
          m_network.parameters().segment(layer.weights, layer.shape.size()).squaredNorm());
    }
    return m_settings.weight_decay * sum;
  }

  /// Derivative of the penalty with respect to the parameter at `offset`, as a factor of it.
  Scalar decay_at(Index offset) const {
    if (m_settings.weight_decay == 0) return 0;
    for (const auto& layer : m_network.layers()) {
      if (offset >= layer.weights && offset < layer.bias) {
        return static_cast<Scalar>(2 * m_settings.weight_decay);
      }
    }
    return 0;
  }

  bool run_lbfgs(Index iterations) {
    const Index n = m_problem.train.size();
    if (!m_lbfgs) {
      m_pass.emplace(m_network, std::min(n, kBlockRows), m_pool);
      LbfgsOptions lbfgs_options;
      lbfgs_options.history = m_options.history;
      lbfgs_options.relative_tolerance = m_options.relative_tolerance;
      m_lbfgs.emplace(m_network.parameters().size(), lbfgs_options);
    }
    auto& pass = *m_pass;
    const double before = m_seconds;
    const double cycle_start = m_control.seconds();
    const auto evaluate = [&](const Vector<Scalar>& x, Vector<Scalar>& gradient) {
      if (x.data() != m_network.parameters().data()) m_network.parameters() = x;
      pass.refresh();
      const RowShare& share = m_problem.train.share();
      auto values = share.template start<double>();
      auto gradients = share.template start<AlignedVector<Scalar>>();
      const bool one_block = n <= kBlockRows && share.ranks() == nullptr;
      m_problem.train.for_each_block([&](const SampleView<Scalar>& block, Index) {
        values.add(
            pass.run(block, {nullptr, 0, block.size()}, Scalar(1), false, [](Index, Index) {}));
        if (!one_block) gradients.add(pass.gradient());
      });
      double value = share.total(values, 0.0);
      if (one_block) {
        gradient = pass.gradient();
      } else {
        gradient =
            share.total(gradients, AlignedVector<Scalar>(AlignedVector<Scalar>::Zero(x.size())));
      }
      if (m_settings.weight_decay > 0) {
        for (const auto& layer : m_network.layers()) {
          gradient.segment(layer.weights, layer.shape.size()) +=
              decay_at(layer.weights) * x.segment(layer.weights, layer.shape.size());
        }
        value += penalty();
      }
      m_trained += static_cast<double>(n);
      return value;
    };
    const auto outcome =
        m_lbfgs->minimise(m_network.parameters(), evaluate, iterations, [&](double value) {
          m_seconds = before + m_control.seconds() - cycle_start;
          return finish_iteration(value / m_zero_loss, m_trained / m_seconds);
        });
    switch (outcome) {
      case LbfgsOutcome::Stopped: return false;
      case LbfgsOutcome::Converged:
        return stop(Termination::ToleranceReached,
                    "The objective no longer falls by the tolerance.");
      case LbfgsOutcome::SearchFailed:
        return stop(Termination::NoProgress, "The line search found no lower point.");
      case LbfgsOutcome::MaxIterations: break;
    }
    stop(Termination::MaxIterations, "All iterations were done.");
    return true;
  }

  const GradientOptions& m_options;
  const GradientSettings m_settings;
  const GradeProblem<Scalar>& m_problem;
  ThreadPool& m_pool;
  GradientControl& m_control;
  RandomStream m_random;
  PanelNetwork<Scalar> m_network;
  UnitInitialiser<Scalar> m_initialiser;
  SampleLoss<Scalar> m_loss;
  std::optional<Backpropagation<Scalar>> m_pass;
  std::optional<Adam<Scalar>> m_adam;
  std::optional<Lbfgs<Scalar>> m_lbfgs;
  std::optional<ShuffledWindows<Scalar>> m_windows;
  double m_end = std::numeric_limits<double>::infinity();
  bool m_callers_thread = true;
  double m_trained = 0;  // samples
  double m_seconds = 0;  // of training
  double m_spent = 0;    // with the judgement of iterates
  double m_zero_loss = 1;
  double m_zero_validation = 1;
  AlignedVector<Scalar> m_best;
  double m_best_score = std::numeric_limits<double>::infinity();
  Index m_best_iteration = 0;
  GradeFitReport m_report;
};

template <class Scalar>
GradientRun<Scalar>::GradientRun(const GradientOptions& options, const GradientSettings& settings,
                                 const GradeProblem<Scalar>& problem, Index start,
                                 GradientControl& control, ThreadPool& pool)
    : m_options(options),
      m_settings(settings),
      m_problem(problem),
      m_pool(pool),
      m_control(control),
      m_random(problem.seed,
               static_cast<std::uint64_t>(problem.grade) | static_cast<std::uint64_t>(start) << 32),
      m_network(sizes(options.width, settings.hidden_layers, problem)),
      m_initialiser(m_network, problem.train, options.start_ridge, m_random),
      m_loss(m_network, pool) {
  m_zero_loss = zero_loss(problem.train);
  if (problem.validation) m_zero_validation = zero_loss(*problem.validation);
  start_units();
  m_report.initial_objective = (loss(m_problem.train) + penalty()) / m_zero_loss;
  m_best = m_network.parameters();
  m_best_score = score(m_report.initial_objective);
}

template <class Scalar>
bool GradientRun<Scalar>::advance(Index epochs, double end, bool callers_thread) {
  m_end = end;
  m_callers_thread = callers_thread;
  const double begin = m_control.seconds();
  const bool goes_on =
      m_settings.optimizer == Optimizer::Adam ? run_adam(epochs) : run_lbfgs(epochs);
  if (m_windows) m_windows->forget();  // others may run now
  m_spent += m_control.seconds() - begin;
  return goes_on;
}

template <class Scalar>
PanelNetwork<Scalar> GradientRun<Scalar>::best_network() const {
  PanelNetwork<Scalar> network = m_network;
  network.parameters() = m_best;
  return network;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class GradientRun<float>;
extern template class GradientRun<double>;
}  // namespace mgdl::detail
#endif
