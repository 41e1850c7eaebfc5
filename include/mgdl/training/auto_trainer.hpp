#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// Options of AutoTrainer.
struct AutoOptions {
  /// A candidate that brings the error down to at most this part of what it was is kept without
  /// trying the ones after it, in [0, 1).
  double sufficient = 0.5;
  /// A candidate that lowers the error by less than this part of it, however fast, is kept only if
  /// none that was tried lowers it by more, in [0, 1).
  double worthwhile = 0.1;

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    detail::require_option(sufficient >= 0 && sufficient < 1, "AutoOptions.sufficient",
                           "a value in [0, 1)", sufficient);
    detail::require_option(worthwhile >= 0 && worthwhile < 1, "AutoOptions.worthwhile",
                           "a value in [0, 1)", worthwhile);
  }
};

/// Chooses a trainer for every grade by trying: the cheap ones first, and of those tried keeps the
/// one that lowers the error fastest.
///
/// The error is the grade's objective on the validation part (without one: on the training part);
/// what counts is the decrease of its logarithm per second, among those that lower it by a
/// `worthwhile` part; if there are none, the lowest error counts. Candidates after one that is
/// `sufficient` are not tried; all that were are in GradeFitReport.trials.
///
/// Keeps nothing from grade to grade. Because it goes by measured time, two runs can choose
/// differently: the one trainer whose result a seed alone does not fix.
template <class Scalar_ = double>
class AutoTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \param candidates  from the cheapest to the most expensive
  /// \throws InvalidArgument for no candidate, or if an option breaks its rule
  explicit AutoTrainer(std::vector<AnyGradeTrainer<Scalar>> candidates, AutoOptions options = {})
      : m_candidates(std::move(candidates)), m_options(options) {
    if (m_candidates.empty()) throw InvalidArgument("candidates", "at least one trainer", "none");
    m_options.validate();
  }

  /// The options it was made with.
  const AutoOptions& options() const noexcept { return m_options; }

  /// What the best candidate returns, with all that were tried in the report. A grade's time limit
  /// is shared evenly by the candidates that are left.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  static constexpr double kPerfect = 1e-300;

  std::vector<AnyGradeTrainer<Scalar>> m_candidates;
  AutoOptions m_options;
};

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

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class AutoTrainer<float>;
extern template class AutoTrainer<double>;
}  // namespace mgdl
#endif
