#pragma once

#include <functional>
#include <limits>

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
