#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/run_control.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

template <class Scalar>
GradeFit<Scalar> AutoTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::Stopwatch clock;
  std::optional<GradeFit<Scalar>> best;
  std::pair<bool, double> best_merit;  // worthwhile ones come first
  std::vector<GradeTrial> trials;
  bool stopped = false;
  for (std::size_t k = 0; k < m_candidates.size() && !stopped; ++k) {
    GradeProblem<Scalar> part = problem;
    part.time_limit_seconds = (problem.time_limit_seconds - clock.seconds()) /
                              static_cast<double>(m_candidates.size() - k);
    if (best && !(part.time_limit_seconds > 0)) break;
    const detail::Stopwatch watch;
    GradeFit<Scalar> fit = m_candidates[k].fit(part);
    const double seconds = watch.seconds();
    const double error = problem.validation ? fit.report.validation : fit.report.final_objective;
    trials.push_back({fit.report.trainer, error, seconds});
    stopped = fit.report.termination == Termination::StoppedByObserver;
    // Written so that a NaN counts as nothing.
    const bool worthwhile = error <= 1 - m_options.worthwhile;
    const double gain = error < 1 ? -std::log(std::max(error, kPerfect)) : 0;
    const std::pair merit(worthwhile, worthwhile ? gain / seconds : gain);
    if (!best || merit > best_merit) {
      best_merit = merit;
      best.emplace(std::move(fit));
    }
    if (error <= m_options.sufficient) break;
  }
  GradeFitReport& report = best->report;
  report.trials = std::move(trials);
  report.message =
      "Chosen of " + std::to_string(report.trials.size()) + " tried. " + report.message;
  report.elapsed_seconds = clock.seconds();
  if (stopped) report.termination = Termination::StoppedByObserver;
  return std::move(*best);
}

#ifdef MGDL_COMPILED
template class AutoTrainer<float>;
template class AutoTrainer<double>;
#endif

}  // namespace mgdl
