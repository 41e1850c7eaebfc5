#pragma once

#include <chrono>
#include <functional>
#include <limits>
#include <utility>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What an Observer answers.
enum class Action { Continue, Stop };

/// Where long work stands. Fields without meaning for the caller keep their default.
struct Progress {
  /// What has just been completed.
  enum class Event {
    Iteration,  ///< one epoch or one iteration inside a grade
    Grade       ///< one grade of a multigrade model
  };

  Event event = Event::Iteration;  ///< why the observer is called
  Index grade = 0;                 ///< number of this grade, from 1; 0 outside of a multigrade fit
  Index max_grades = 0;            ///< 0 if unknown
  Index iteration = 0;             ///< epochs or iterations completed in this grade, from 1
  Index max_iterations = 0;        ///< 0 if unknown
  /// Event::Iteration: training objective of the grade, relative to the zero function
  /// (dimensionless).
  /// Event::Grade: training RSE of the model so far.
  double objective = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part; NaN without one, or when it was not evaluated at this event.
  double validation = std::numeric_limits<double>::quiet_NaN();
  double elapsed_seconds = 0;     ///< since the call to fit or solve
  double samples_per_second = 0;  ///< training throughput of this grade; 0 if not measured
};

/// Called after every iteration and every grade, always from the thread that called fit or solve.
/// An answer of Action::Stop ends the work with Termination::StoppedByObserver; what was reached is
/// kept. An empty function observes nothing.
using Observer = std::function<Action(const Progress&)>;

}  // namespace mgdl

namespace mgdl::detail {

/// Wall time since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - m_start).count();
  }

 private:
  std::chrono::steady_clock::time_point m_start = std::chrono::steady_clock::now();
};

/// The observer and the limits of one run: asked after every iteration whether to go on. Ranks
/// that share the work get one answer: the clock is that of the first one, and whoever is asked to
/// stop stops all.
class RunControl {
 public:
  /// \param ranks  who share the work, and call all functions equally often; null: this process
  RunControl(Observer observer, double time_limit_seconds, Index max_iterations = 0,
             Communicator* ranks = nullptr)
      : m_observer(std::move(observer)),
        m_time_limit(time_limit_seconds),
        m_max_iterations(max_iterations),
        m_ranks(ranks) {}

  /// Since the run began.
  double seconds() const {
    double now = m_clock.seconds();
    // Without a limit nothing hangs on it.
    if (m_ranks != nullptr && m_time_limit < std::numeric_limits<double>::infinity()) {
      m_ranks->broadcast(0, bytes_of(now));
    }
    return now;
  }
  double time_limit_seconds() const noexcept { return m_time_limit; }
  Index max_iterations() const noexcept { return m_max_iterations; }
  bool out_of_time() const { return seconds() >= m_time_limit; }

  /// Tells the observer. NotRun means go on; else StoppedByObserver or TimeLimit.
  Termination observe(Progress progress) const {
    progress.max_iterations = m_max_iterations;
    progress.elapsed_seconds = seconds();
    const bool stop = m_observer && m_observer(progress) == Action::Stop;
    if (largest_of(m_ranks, stop ? 1 : 0) > 0) return Termination::StoppedByObserver;
    return progress.elapsed_seconds >= m_time_limit ? Termination::TimeLimit : Termination::NotRun;
  }

  /// The same, with MaxIterations (before TimeLimit) if there is a limit and `progress.iteration`
  /// has reached it.
  Termination check(const Progress& progress) const {
    const Termination reason = observe(progress);
    const bool last = m_max_iterations > 0 && progress.iteration >= m_max_iterations;
    return last && reason != Termination::StoppedByObserver ? Termination::MaxIterations : reason;
  }

  /// A sentence on what `observe` found.
  static const char* explain(Termination reason) noexcept {
    return reason == Termination::StoppedByObserver ? "The observer asked to stop."
                                                    : "The time limit was reached.";
  }

 private:
  Observer m_observer;
  double m_time_limit;
  Index m_max_iterations;
  Communicator* m_ranks;
  Stopwatch m_clock;
};

/// Whether to go on, asked by work that nobody wants to stop.
inline constexpr auto kGoOn = [] { return true; };

/// Work in steps that have no objective: counts them, and asks after each whether to go on.
class StepControl {
 public:
  /// \param steps  about so many; 0 if unknown
  /// \param ranks  see RunControl
  StepControl(Observer observer, double time_limit_seconds, Index grade, Index steps,
              Communicator* ranks = nullptr)
      : m_control(std::move(observer), time_limit_seconds, steps, ranks), m_grade(grade) {}

  /// To be called by the thread that the observer is called from, on all ranks equally often. False
  /// from the first no on.
  bool proceed() {
    if (m_reason == Termination::NotRun) {
      m_reason = m_control.observe({.grade = m_grade, .iteration = ++m_done});
    }
    return m_reason == Termination::NotRun;
  }

  /// Why the work was stopped, or NotRun.
  Termination reason() const noexcept { return m_reason; }
  double seconds() const { return m_control.seconds(); }

 private:
  RunControl m_control;
  Index m_grade;
  Index m_done = 0;
  Termination m_reason = Termination::NotRun;
};

}  // namespace mgdl::detail
