#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient/drawn_problem.hpp"
#include "mgdl/training/gradient/gradient_run.hpp"
#include "mgdl/training/gradient/whitening.hpp"
#include "mgdl/training/gradient_trainer.hpp"

namespace mgdl::detail {

/// Samples with whitened inputs: in memory where the samples are.
template <class Scalar>
class WhitenedSamples : private SampleSource<Scalar> {
 public:
  /// Borrows all of them.
  WhitenedSamples(const Samples<Scalar>& original, const Whitening<Scalar>& whitening,
                  ThreadPool& pool)
      : m_original(original), m_whitening(whitening), m_pool(pool) {
    if (original.in_memory()) m_values = whitening.apply(original.inputs, pool);
  }

  Samples<Scalar> samples() const {
    if (!m_original.in_memory()) {
      return Samples<Scalar>(static_cast<const Source&>(*this), m_original.ranks());
    }
    return {SampleView<Scalar>{m_values, m_original.targets, m_original.weights},
            m_original.share()};
  }

 private:
  using Source = SampleSource<Scalar>;

  Index size() const override { return m_original.size(); }
  Index inputs() const override { return m_original.input_count(); }
  Index outputs() const override { return m_original.output_count(); }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    const SampleView<Scalar> rows = m_original.rows(first, count, buffer);
    const RowMatrix<Scalar> values = m_whitening.apply(rows.inputs, m_pool);
    if (rows.targets.data() != buffer.targets.data()) buffer.targets = rows.targets;
    if (rows.weights.data() != buffer.weights.data()) buffer.weights = rows.weights;
    buffer.inputs = values;
    return buffer.view();
  }

  void gather(const std::vector<Index>& rows, SampleBuffer<Scalar>& result) const override {
    result = gather_own(m_original, rows);
    result.inputs = m_whitening.apply(result.inputs, m_pool);
  }

  const Samples<Scalar>& m_original;
  const Whitening<Scalar>& m_whitening;
  ThreadPool& m_pool;
  RowMatrix<Scalar> m_values;
};

/// A problem on whitened inputs, with the memory it lives in.
template <class Scalar>
struct WhitenedProblem {
  WhitenedProblem(const GradeProblem<Scalar>& original, double floor, ThreadPool& pool)
      : whitening(original.train, floor, pool),
        train(original.train, whitening, pool),
        problem{train.samples()} {
    if (original.validation) {
      validation.emplace(*original.validation, whitening, pool);
      problem.validation.emplace(validation->samples());
    }
    problem.grade = original.grade;
    problem.seed = original.seed;
  }

  WhitenedProblem(const WhitenedProblem&) = delete;
  WhitenedProblem& operator=(const WhitenedProblem&) = delete;

  Whitening<Scalar> whitening;
  WhitenedSamples<Scalar> train;
  std::optional<WhitenedSamples<Scalar>> validation;
  GradeProblem<Scalar> problem;
};

/// Settings that a grade is tried with.
///
/// \param race  whether there is a validation part to choose on
inline std::vector<GradientSettings> gradient_settings(const GradientOptions& options, Index grade,
                                                       Index samples, bool race) {
  const GradientOptions fixed = options.fixed();
  std::vector<GradientSettings> tried{
      {*fixed.hidden_layers, *fixed.optimizer, *fixed.initialization, *fixed.batch_size,
       *fixed.learning_rate, *fixed.weight_decay, *fixed.feature_floor}};
  if (race) {
    // Some 64 to 128 steps an epoch, but none that is only noise.
    Index batch = 32;
    while (batch < 256 && 2 * batch * 62 <= samples) batch *= 2;
    const auto rich = Initialization::Rich;
    const auto adam = Optimizer::Adam;
    const auto lbfgs = Optimizer::Lbfgs;
    // A third layer pays with Adam; L-BFGS gets further with two.
    tried = {{3, adam, rich, batch, 5e-3, 1e-5, 1e-2},
             {3, adam, rich, batch, 5e-3, 1e-4, 1e-2},
             {3, adam, rich, batch, 5e-3, 1e-3, 1e-1},
             {2, adam, rich, batch, 5e-3, 1e-2, 1e-1},
             {2, lbfgs, rich, batch, 5e-3, 1e-5, 1e-2},
             {2, lbfgs, rich, batch, 5e-3, 1e-4, 1e-2},
             {2, lbfgs, rich, batch, 5e-3, 1e-3, 1e-1},
             {2, adam, Initialization::WhiteNoise, batch, 3e-3, 0, 1e-7}};
    // What is left for later grades shows itself late: fewer settings, for twice as long.
    // They read what earlier layers have made, so two layers do.
    if (grade > 1) {
      tried = {tried[0], tried[2], tried[5], tried[7]};
      for (auto& settings : tried) settings.hidden_layers = 2;
    }
  }
  std::vector<GradientSettings> result;
  for (GradientSettings settings : tried) {
    settings.hidden_layers = options.hidden_layers.value_or(settings.hidden_layers);
    settings.optimizer = options.optimizer.value_or(settings.optimizer);
    settings.initialization = options.initialization.value_or(settings.initialization);
    settings.batch_size = options.batch_size.value_or(settings.batch_size);
    settings.learning_rate = options.learning_rate_of(grade).value_or(settings.learning_rate);
    settings.weight_decay = options.weight_decay.value_or(settings.weight_decay);
    settings.feature_floor = options.feature_floor.value_or(settings.feature_floor);
    if (std::ranges::find(result, settings) == result.end()) result.push_back(settings);
  }
  return result;
}

/// The training of a grade on several problems with all settings that are tried.
template <class Scalar>
class GradientRace {
 public:
  GradientRace(const GradientOptions& options, const std::vector<GradeProblem<Scalar>>& problems)
      : m_options(options),
        m_problems(problems),
        m_pool(problems.front().threads.pool()),
        m_limit(std::min(options.time_limit_seconds, problems.front().time_limit_seconds)) {
    const auto& first = problems.front();
    const auto settings =
        gradient_settings(options, first.grade, first.train.size(), first.validation.has_value());
    m_in_cycles = first.validation && (settings.size() > 1 || !options.epochs);
    m_judges = static_cast<std::size_t>(enough_to_choose_on(problems));
    for (Index start = 0; start < options.starts; ++start) {
      for (const auto& one : settings) m_candidates.push_back({one, start, {}});
    }
    m_epochs = m_most_epochs = *options.fixed().epochs;
    if (m_in_cycles) {
      const double cycle = kFirstCycle / std::sqrt(static_cast<double>(first.train.size()));
      m_first_cycle = std::max<Index>(1, std::llround(cycle));
      const Index cycles = first.grade > 1 ? kLaterEpochs : kEpochs;
      m_most_epochs = options.epochs.value_or(std::min(kMostEpochs, cycles * m_first_cycle));
      // Of very many samples, less than an epoch is a cycle.
      m_epochs = m_most_epochs;
      if (cycle < 1 && !options.epochs) {
        m_epochs = std::max<Index>(1, std::llround(static_cast<double>(cycles) * cycle));
      }
      if (first.grade > 1) m_first_cycle *= 2;
      m_draws = m_candidates.size() > 1 && first.train.size() > 2 * DrawnProblem<Scalar>::kTrain;
    }
    m_control.emplace(first.observer, m_limit, most_iterations(), first.train.ranks(),
                      m_draws ? DrawnProblem<Scalar>::kTrain : std::numeric_limits<Index>::max());
  }

  std::vector<GradeFit<Scalar>> run() {
    if (m_in_cycles) {
      race();
    } else {
      train_each();
    }
    auto fits = std::move(m_best);
    for (auto& fit : fits) {
      fit.report.trainer = name(*m_chosen);
      if (m_trials.size() > 1) fit.report.trials = m_trials;
      if (m_control->stop_asked()) fit.report.termination = Termination::StoppedByObserver;
      fit.report.elapsed_seconds = m_clock.seconds();
    }
    return fits;
  }

 private:
  // Epochs of the winner, in first cycles of grade 1.
  static constexpr Index kEpochs = 110;
  static constexpr Index kLaterEpochs = 20;
  static constexpr Index kMostEpochs = 1000;
  static constexpr double kFirstCycle = 400;
  static constexpr double kLaterGain = 0.005;
  static constexpr double kWorth = 0.98;
  static constexpr double kSafety = 0.95;  // pace varies
  // Where time is limited: of what is left, for the race; of the winner's epochs, at least.
  static constexpr double kRaceShare = 0.25;
  static constexpr double kShortest = 0.5;
  // Epochs in the time that a run takes for what comes before them and after them: some passes
  // forward through all samples.
  static constexpr double kAround = 3;

  /// Whether training cannot go on, however much time there is.
  static bool is_over(const GradientRun<Scalar>& run) {
    const Termination state = run.report().termination;
    return state != Termination::NotRun && state != Termination::MaxIterations &&
           state != Termination::TimeLimit;
  }

  /// With what it looks at.
  struct Run {
    const WhitenedProblem<Scalar>* whitened;
    std::unique_ptr<GradientRun<Scalar>> run;

    GradientRun<Scalar>& operator*() const { return *run; }
    GradientRun<Scalar>* operator->() const { return run.get(); }
  };

  struct Candidate {
    GradientSettings settings;
    Index start;
    std::vector<Run> runs;  // one for each problem

    bool over() const {
      return std::ranges::all_of(runs, [](const auto& run) { return is_over(*run); });
    }
    /// Of one run.
    double seconds_per_epoch() const {
      double sum = 0;
      for (const auto& run : runs) sum += run->seconds_per_epoch();
      return sum / static_cast<double>(runs.size());
    }
    Index iterations() const { return runs.front()->report().iterations; }
  };

  /// What decides: the mean over the judges.
  double score(const Candidate& candidate) const {
    const std::size_t count = std::min(m_judges, candidate.runs.size());
    double sum = 0;
    for (std::size_t k = 0; k < count; ++k) sum += candidate.runs[k]->best_score();
    return sum / static_cast<double>(count);
  }

  std::string name(const GradientSettings& settings) const {
    return std::string(settings.optimizer == Optimizer::Adam ? "Adam " : "L-BFGS ") +
           std::to_string(settings.hidden_layers) + "x" + std::to_string(m_options.width);
  }

  std::string text(const Candidate& candidate) const {
    const auto& settings = candidate.settings;
    std::string result = name(settings) + ", " + to_string(settings.initialization);
    result += ", weight decay " + to_text(decay(settings, m_problems.front()));
    if (candidate.start > 0) result += ", start " + std::to_string(candidate.start + 1);
    return result;
  }

  /// The weight decay that is tried, if it is not given: with very many samples less is right, as
  /// it is of the penalty that goes with a prior.
  double decay(const GradientSettings& settings, const GradeProblem<Scalar>& problem) const {
    constexpr double kMany = 16384;
    if (m_options.weight_decay || !m_in_cycles) return settings.weight_decay;
    return settings.weight_decay * std::min(1.0, kMany / static_cast<double>(problem.train.size()));
  }

  /// Runs of a candidate on the first `count` problems, or on what is drawn of them.
  void make_runs(Candidate& candidate, std::size_t count, bool drawn = false) {
    auto& whitened = (drawn ? m_drawn_whitened : m_whitened)[candidate.settings.feature_floor];
    for (std::size_t k = candidate.runs.size(); k < count; ++k) {
      if (drawn && m_drawn.size() == k) {
        m_drawn.push_back(std::make_unique<DrawnProblem<Scalar>>(m_problems[k]));
      }
      if (whitened.size() == k) {
        whitened.push_back(std::make_unique<WhitenedProblem<Scalar>>(
            drawn ? m_drawn[k]->problem : m_problems[k], candidate.settings.feature_floor, m_pool));
      }
      const auto& problem = whitened[k]->problem;
      GradientSettings settings = candidate.settings;
      settings.weight_decay = decay(settings, problem);
      candidate.runs.push_back({whitened[k].get(), std::make_unique<GradientRun<Scalar>>(
                                                       m_options, settings, problem,
                                                       candidate.start, *m_control, m_pool)});
    }
  }

  /// Side by side; one after the other where ranks share each of them.
  void for_each_run(Index runs, FunctionRef<void(Index, int)> task) {
    if (!shared()) return m_pool.parallel_for(runs, task);
    for (Index i = 0; i < runs; ++i) task(i, 0);
  }

  bool shared() const noexcept { return m_problems.front().train.ranks() != nullptr; }

  /// One cycle of all candidates that are left, on the problems from number `first` on.
  void advance(Index epochs, double end, std::size_t first = 0) {
    std::vector<GradientRun<Scalar>*> runs;
    for (auto& candidate : m_candidates) {
      for (std::size_t k = first; k < candidate.runs.size(); ++k) {
        runs.push_back(&*candidate.runs[k]);
      }
    }
    for_each_run(std::ssize(runs), [&](Index task, int thread) {
      auto& run = *runs[static_cast<std::size_t>(task)];
      if (!is_over(run) && !m_control->stop_asked()) run.advance(epochs, end, thread == 0);
    });
  }

  /// One after the other, each for all epochs.
  void train_each() {
    const Index count = std::ssize(m_candidates);
    for (Index i = 0; i < count; ++i) {
      auto& candidate = m_candidates[static_cast<std::size_t>(i)];
      const double before = m_control->seconds();
      make_runs(candidate, m_problems.size());
      const double now = m_control->seconds();
      // What comes after training takes about as long as what comes before it.
      const double share = (m_limit - now) / static_cast<double>(count - i) - (now - before);
      for (auto& run : candidate.runs) {
        // Those that are left share what is left of the time.
        const auto left = &candidate.runs.back() - &run + 1;
        const double begin = m_control->seconds();
        run->advance(m_epochs, begin + (now + share - begin) / static_cast<double>(left), true);
      }
      finish(candidate);
      candidate.runs.clear();
      if (m_control->stop_asked()) break;
    }
  }

  /// Candidates that go on after a cycle. Much weight decay is ahead at first, little catches up
  /// later: nobody goes after the second.
  static std::size_t left_after(int cycle, std::size_t candidates) {
    return cycle == 1 ? candidates : (candidates + 1) / 2;
  }

  /// Iterations of the race on all judges, if nothing ends it early.
  Index race_iterations() const {
    auto candidates = m_candidates.size();
    Index count = 0;
    Index epochs = m_first_cycle;
    for (Index cycle = 0, done = 0; done < m_most_epochs; ++cycle, done += epochs, epochs *= 2) {
      epochs = std::min(epochs, m_most_epochs - done);
      count += static_cast<Index>(candidates * m_judges) * epochs;
      if (candidates == 1) break;
      candidates = left_after(static_cast<int>(cycle), candidates);
    }
    return count;
  }

  /// The same of all runs together, as GradientControl counts them.
  Index most_iterations() const {
    const Index each = m_epochs * std::ssize(m_problems);
    if (!m_in_cycles) return std::ssize(m_candidates) * each;
    return race_iterations() + static_cast<Index>(epoch_of_all()) * each;
  }

  /// Of an epoch of all samples, in those of the race.
  double epoch_of_all() const {
    if (!m_draws) return 1;
    return static_cast<double>(m_problems.front().train.size()) / DrawnProblem<Scalar>::kTrain;
  }

  /// The race is run on the first problems, and its winner is trained on all that cannot be left
  /// out, and on as many others as there is time for.
  void race() {
    const bool limited = m_limit < std::numeric_limits<double>::infinity();
    const bool later = m_problems.front().grade > 1;
    for (auto& candidate : m_candidates) make_runs(candidate, limited ? 1 : m_judges, m_draws);
    std::vector<Index> cycles;
    Index epochs = m_first_cycle;
    Index done = 0;
    double end = m_limit;
    bool flat = false;
    for (int cycle = 0;; ++cycle, epochs *= 2) {
      epochs = std::min(epochs, m_most_epochs - done);
      if (cycle > 0 && seconds_of_cycle(epochs) > end - m_control->seconds()) break;
      const double before = score(m_candidates.front());
      // Nothing is known of the pace before the first cycle.
      const double now = m_control->seconds();
      advance(epochs, cycle > 0 ? end : now + kRaceShare * (end - now));
      done += epochs;
      cycles.push_back(epochs);
      if (limited && cycle == 0) end = admit_judges(epochs);
      std::ranges::stable_sort(m_candidates, {}, [&](const auto& one) { return score(one); });
      if (done >= m_most_epochs || m_control->stop_asked() || m_control->seconds() >= end) break;
      flat = later && cycle > 0 && !(score(m_candidates.front()) < (1 - kLaterGain) * before);
      if (m_candidates.size() == 1 || flat) break;
      const auto keep = left_after(cycle, m_candidates.size());
      while (m_candidates.size() > keep) drop();
    }
    while (m_candidates.size() > 1) drop();
    // A later grade that has found next to nothing is not worth more.
    flat = flat || (later && !(score(m_candidates.front()) < kWorth));
    auto& winner = m_candidates.front();
    const auto other = [&](const auto& floor) {
      return floor.first != winner.settings.feature_floor;
    };
    std::erase_if(m_whitened, other);
    std::erase_if(m_drawn_whitened, other);
    const bool adam = winner.settings.optimizer == Optimizer::Adam;
    const bool trained = done >= m_most_epochs || flat || winner.over() || m_control->stop_asked();
    if (trained) cycles.resize(cycles_to_best(cycles));
    if (m_draws) {
      const Index most = adam ? m_epochs : m_most_epochs;
      const Index sum = std::accumulate(cycles.begin(), cycles.end(), Index{0});
      train_winner({flat ? std::min(sum, most) : most}, 0);
    } else if (trained) {
      train_winner(cycles, done);
    } else {
      train_winner({adam ? m_epochs : m_most_epochs}, done);
    }
    finish(winner);
    drop();
  }

  /// The winner's cycles up to the last one that has lowered an error.
  std::size_t cycles_to_best(const std::vector<Index>& cycles) const {
    Index best = 0;
    for (const auto& run : m_candidates.front().runs) best = std::max(best, run->best_iteration());
    std::size_t count = 0;
    for (Index done = 0; count < cycles.size() && done < best; ++count) done += cycles[count];
    return count;
  }

  /// Decides after the first cycle on the first problem how many judges there is time for.
  /// \return when the race has to be over
  double admit_judges(Index epochs) {
    const double now = m_control->seconds();
    const double left = m_limit - now;
    double pace = 0;
    for (const auto& candidate : m_candidates) pace += candidate.seconds_per_epoch();
    pace /= static_cast<double>(std::ssize(m_candidates));
    const double iterations =
        static_cast<double>(race_iterations()) +
        epoch_of_all() * static_cast<double>(m_epochs * std::ssize(m_problems));
    const double all = pace * iterations / lanes(m_problems.size());
    if (!(all > left)) {
      if (m_judges > 1) {
        for (auto& candidate : m_candidates) make_runs(candidate, m_judges, m_draws);
        advance(epochs, m_limit, 1);
      }
      return m_limit;
    }
    m_judges = 1;
    return now + kRaceShare * left;
  }

  /// Of all candidates.
  double seconds_of_cycle(Index epochs) const {
    const auto runs = m_candidates.size() * m_candidates.front().runs.size();
    double pace = 0;
    for (const auto& candidate : m_candidates) pace += candidate.seconds_per_epoch();
    pace *= static_cast<double>(m_candidates.front().runs.size()) / lanes(runs);
    return pace * static_cast<double>(epochs);
  }

  /// Runs at a time.
  double lanes(std::size_t runs) const {
    if (shared()) return 1;
    return static_cast<double>(std::min<Index>(m_pool.size(), static_cast<Index>(runs)));
  }

  /// Trains the winner in the given cycles of the learning rate, of which it has done the first
  /// `done` epochs where it has raced. It starts anew if it has raced on some samples only, and
  /// Adam for a single cycle, which gets further than the short ones of the race; the better of
  /// both is kept.
  void train_winner(std::vector<Index> cycles, Index done) {
    auto& winner = m_candidates.front();
    const Index epochs = std::accumulate(cycles.begin(), cycles.end(), Index{0});
    const double pace = epoch_of_all() * winner.seconds_per_epoch();
    const double each = pace * static_cast<double>(epochs);
    const bool goes_on = done < epochs;
    auto raced = m_draws || (goes_on && winner.settings.optimizer == Optimizer::Adam)
                     ? std::exchange(winner.runs, {})
                     : decltype(winner.runs){};
    const std::size_t first = goes_on ? 0 : winner.runs.size();
    // Of the time that is left, what the winner would take on so many problems.
    const auto part_of_time = [&](std::size_t problems) {
      const auto runs = problems - first;
      const double rounds = std::ceil(static_cast<double>(runs) / lanes(runs));
      const double left = m_limit - m_control->seconds() - rounds * kAround * pace;
      return rounds * each / std::max(kSafety * left, 1e-9);
    };
    std::size_t count = std::max({std::size_t{1}, raced.size(), winner.runs.size()});
    while (count < m_problems.size() &&
           (!m_problems[count].optional ||
            (!m_control->stop_asked() && kShortest * part_of_time(count + 1) <= 1))) {
      ++count;
    }
    if (goes_on) {
      // Shorter where the time does not do for it, longer where it does not do for one more.
      const double part = part_of_time(count);
      if (part > 1 || (count < m_problems.size() && !m_options.epochs)) {
        cycles.front() = std::max<Index>(1, std::llround(static_cast<double>(epochs) / part));
      }
    }
    make_runs(winner, count);
    m_limit -= std::ceil(static_cast<double>(count) / lanes(count)) * kAround / 2 * pace;
    for_each_run(static_cast<Index>(count - first), [&](Index task, int thread) {
      const std::size_t k = first + static_cast<std::size_t>(task);
      auto& run = *winner.runs[k];
      // Those that have not begun share what is left of the time.
      const double now = m_control->seconds();
      const auto waiting = count - k;
      const double end = now + (m_limit - now) * lanes(waiting) / static_cast<double>(waiting);
      const Index behind = run.report().iterations;
      for (const Index cycle : cycles) {
        if (is_over(run) || m_control->stop_asked() || m_control->seconds() >= end) break;
        if (cycle > behind || cycles.size() > 1) {
          run.advance(cycles.size() > 1 ? cycle : cycle - behind, end, thread == 0);
        }
      }
    });
    for (std::size_t k = 0; k < raced.size(); ++k) {
      if (raced[k]->best_score() <= winner.runs[k]->best_score()) {
        std::swap(raced[k], winner.runs[k]);
      }
    }
  }

  /// The worst candidate, for the report.
  void drop() {
    const auto& candidate = m_candidates.back();
    m_trials.insert(m_trials.begin(),
                    {text(candidate), score(candidate),
                     candidate.seconds_per_epoch() * static_cast<double>(candidate.iterations()) *
                         static_cast<double>(candidate.runs.size()),
                     candidate.iterations()});
    m_candidates.pop_back();
  }

  /// Solves the readouts of a candidate that is trained; the best one so far is kept.
  void finish(Candidate& candidate) {
    std::vector<GradeFit<Scalar>> fits;
    double score = 0;
    for (std::size_t k = 0; k < candidate.runs.size(); ++k) {
      const auto& problem = m_problems[k];
      const auto& run = *candidate.runs[k];
      GradeFitReport report = run.report();
      PanelNetwork<Scalar> network = run.best_network();
      if (!candidate.runs[k].whitened->whitening.fold(network)) {
        report.termination = Termination::NumericalFailure;
        report.message = "The weights on the original inputs overflow.";
      }
      const RelativeLoss loss = finish_readout(network, problem, m_options.ridge, m_pool);
      report.final_objective = loss.train;
      report.validation = loss.validation;
      score += problem.validation ? loss.validation : loss.train;
      fits.push_back({ReluNetwork<Scalar>(network.to_layers()), std::move(report)});
    }
    if (!m_best.empty() && !(score < m_best_score)) return;
    m_best_score = score;
    m_best = std::move(fits);
    m_chosen = candidate.settings;
  }

  const GradientOptions& m_options;
  const std::vector<GradeProblem<Scalar>>& m_problems;
  ThreadPool& m_pool;
  Stopwatch m_clock;
  double m_limit;
  bool m_in_cycles = false;
  std::size_t m_judges = 1;
  bool m_draws = false;  // whether the race is on some samples only
  Index m_first_cycle = 1;
  Index m_epochs = 0;       // of Adam, on all samples
  Index m_most_epochs = 0;  // of L-BFGS, and of the race
  std::optional<GradientControl> m_control;
  std::vector<std::unique_ptr<DrawnProblem<Scalar>>> m_drawn;
  // By GradientSettings::feature_floor.
  std::map<double, std::vector<std::unique_ptr<WhitenedProblem<Scalar>>>> m_whitened;
  std::map<double, std::vector<std::unique_ptr<WhitenedProblem<Scalar>>>> m_drawn_whitened;
  std::vector<Candidate> m_candidates;
  std::vector<GradeTrial> m_trials;
  std::optional<GradientSettings> m_chosen;
  std::vector<GradeFit<Scalar>> m_best;
  double m_best_score = 0;
};

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
std::vector<GradeFit<Scalar>> GradientTrainer<Scalar>::fit_all(
    const std::vector<GradeProblem<Scalar>>& problems) {
  return detail::GradientRace<Scalar>(m_options, problems).run();
}

}  // namespace mgdl
