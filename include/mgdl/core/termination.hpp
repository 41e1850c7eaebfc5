#pragma once

#include <ostream>

namespace mgdl {

/// Why an algorithm stopped. Every report holds one; a numerical outcome is never an exception.
enum class Termination {
  NotRun,             ///< The algorithm was never started.
  ToleranceReached,   ///< The requested accuracy was reached.
  MaxIterations,      ///< The allowed number of epochs, iterations or grades was used up.
  ValidationStop,     ///< The validation error no longer fell; the best iterate was restored.
  Plateau,            ///< The validation error is flat within its standard error: noise is left.
  NoProgress,         ///< The objective could not be lowered any further.
  TimeLimit,          ///< The time limit was reached; the best iterate so far is returned.
  StoppedByObserver,  ///< The observer asked to stop; the best iterate so far is returned.
  NumericalFailure,   ///< A non-finite value arose; the last finite iterate is returned.
};

/// The enumerator's name, e.g. "ToleranceReached".
constexpr const char* to_string(Termination termination) noexcept {
  switch (termination) {
    case Termination::NotRun: return "NotRun";
    case Termination::ToleranceReached: return "ToleranceReached";
    case Termination::MaxIterations: return "MaxIterations";
    case Termination::ValidationStop: return "ValidationStop";
    case Termination::Plateau: return "Plateau";
    case Termination::NoProgress: return "NoProgress";
    case Termination::TimeLimit: return "TimeLimit";
    case Termination::StoppedByObserver: return "StoppedByObserver";
    case Termination::NumericalFailure: return "NumericalFailure";
  }
  return "unknown";
}

/// True if the result that comes with `termination` can be used for prediction: all but NotRun and
/// NumericalFailure.
constexpr bool is_usable(Termination termination) noexcept {
  return termination != Termination::NotRun && termination != Termination::NumericalFailure;
}

/// Writes the enumerator's name.
inline std::ostream& operator<<(std::ostream& out, Termination termination) {
  return out << to_string(termination);
}

}  // namespace mgdl
