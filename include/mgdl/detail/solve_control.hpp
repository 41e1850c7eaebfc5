#pragma once

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/stopwatch.hpp"

namespace mgdl::detail {

/// When an iteration of a convex solver ends.
class SolveControl {
 public:
  explicit SolveControl(const ConvexOptions& options) : m_options(options) {}

  double relative_tolerance() const noexcept { return m_options.relative_tolerance; }
  double seconds() const { return m_watch.seconds(); }

  /// Asked after every iteration; Termination::NotRun means go on.
  Termination check(Index iteration, double relative_gap) const {
    Progress progress;
    progress.iteration = iteration;
    progress.max_iterations = m_options.max_iterations;
    progress.objective = relative_gap;
    progress.elapsed_seconds = seconds();
    const bool stop = m_options.observer && m_options.observer(progress) == Action::Stop;
    if (relative_gap <= m_options.relative_tolerance) return Termination::ToleranceReached;
    if (stop) return Termination::StoppedByObserver;
    if (!(relative_gap == relative_gap)) return Termination::NumericalFailure;
    if (iteration >= m_options.max_iterations) return Termination::MaxIterations;
    if (progress.elapsed_seconds >= m_options.time_limit_seconds) return Termination::TimeLimit;
    return Termination::NotRun;
  }

 private:
  const ConvexOptions& m_options;
  Stopwatch m_watch;
};

}  // namespace mgdl::detail
