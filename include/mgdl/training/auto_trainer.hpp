#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// Chooses a trainer for every grade by trying all of them.
///
/// The one with the lowest error on the validation part is kept; of those that are as good as one
/// can tell from its samples, the cheaper one: a candidate replaces those before it only if its
/// error is lower by more than the standard error of the difference, sample by sample. Without a
/// validation part the errors on the training part are compared, which favours the candidates that
/// can fit anything. All that were tried are in GradeFitReport.trials.
///
/// Keeps nothing from grade to grade. What it chooses depends on the problem's samples and seed,
/// unless a time limit binds or an observer stops. What the candidates' reports say of their errors
/// plays no part. One AutoTrainer must not be used by two threads at a time; one that was moved
/// from throws InvalidArgument.
template <class Scalar_ = double>
class AutoTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \param candidates  from the cheapest to the most expensive
  /// \throws InvalidArgument for no candidate
  explicit AutoTrainer(std::vector<AnyGradeTrainer<Scalar>> candidates)
      : m_candidates(std::move(candidates)) {
    require_candidates();
  }

  /// Whether all candidates can do with samples that are not in memory.
  bool reads_blocks() const {
    return std::ranges::all_of(m_candidates, [](const auto& one) { return one.reads_blocks(); });
  }

  /// What the best candidate returns, with all that were tried in the report. A grade's time limit
  /// is shared evenly by the candidates that are left.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem) {
    return std::move(fit_all({problem}).front());
  }

  /// The same for several problems at once, with the same candidate for all, chosen on the first
  /// ones, so many that they have 1000 validation samples, or eight, or all.
  std::vector<GradeFit<Scalar>> fit_all(const std::vector<GradeProblem<Scalar>>& problems);

 private:
  using Fits = std::vector<GradeFit<Scalar>>;

  /// Part of the time limit that there is for the best candidate on all problems.
  static constexpr double kLeast = 0.01;

  /// Errors of the networks on the samples that decide, and their weights; those of this rank.
  struct Errors {
    Vector<double> values;
    Vector<double> weights;
    detail::RowShare share;
    double mean_square = 0;  // relative to the zero function
  };

  void require_candidates() const {
    if (m_candidates.empty()) throw InvalidArgument("candidates", "at least one trainer", "none");
  }

  static Errors errors_of(const std::vector<GradeProblem<Scalar>>& problems, const Fits& fits);

  /// Whether b is better than a, on the problems that both have fits of.
  static bool is_better(const Errors& a, const Errors& b) {
    using Verdict = detail::PairedComparison::Verdict;
    const Index common = std::min(a.values.size(), b.values.size());
    const Errors& fewer = a.values.size() == common ? a : b;
    return detail::compare_errors(a.values.head(common), b.values.head(common), fewer.weights,
                                  fewer.share)
               .verdict == Verdict::Better;
  }

  std::vector<AnyGradeTrainer<Scalar>> m_candidates;
};

template <class Scalar>
typename AutoTrainer<Scalar>::Errors AutoTrainer<Scalar>::errors_of(
    const std::vector<GradeProblem<Scalar>>& problems, const Fits& fits) {
  Errors errors;
  const std::size_t count = fits.size();
  Index samples = 0;
  const auto judge = [](const GradeProblem<Scalar>& problem) -> const Samples<Scalar>& {
    return problem.validation ? *problem.validation : problem.train;
  };
  for (std::size_t k = 0; k < count; ++k) samples += judge(problems[k]).share().count();
  errors.values.resize(samples);
  errors.weights.resize(samples);
  Index first = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const Samples<Scalar>& judges = judge(problems[k]);
    Index row = first;
    const double unit = judges.sum(0.0, [&](const SampleView<Scalar>& view) {
      const RowMatrix<Scalar> prediction =
          fits[k].network.predict(view.inputs, problems[k].threads);
      double zero = 0;
      for (Index i = 0; i < view.size(); ++i) {
        double square = 0;
        for (Index j = 0; j < prediction.cols(); ++j) {
          const double error =
              static_cast<double>(prediction(i, j)) - static_cast<double>(view.targets(i, j));
          square += error * error;
        }
        errors.values[row] = std::sqrt(square);
        const auto weight = static_cast<double>(view.weights[i]);
        errors.weights[row] = weight / static_cast<double>(count);
        zero += weight * view.targets.row(i).template cast<double>().squaredNorm();
        ++row;
      }
      return zero;
    });
    // Problems of different units count alike.
    if (unit > 0) errors.values.segment(first, judges.share().count()) /= std::sqrt(unit);
    first += judges.share().count();
  }
  // Ranks share the samples of a single problem only.
  errors.share = count == 1 ? judge(problems.front()).share() : detail::RowShare(samples);
  errors.mean_square =
      detail::weighted_mean(errors.values.cwiseAbs2(), errors.weights, errors.share).value;
  return errors;
}

template <class Scalar>
std::vector<GradeFit<Scalar>> AutoTrainer<Scalar>::fit_all(
    const std::vector<GradeProblem<Scalar>>& problems) {
  require_candidates();
  const double limit = problems.front().time_limit_seconds;
  const detail::RunControl clock({}, limit, 0, problems.front().train.ranks());
  Fits best;
  Errors best_errors;
  std::vector<GradeTrial> trials;
  bool stopped = false;
  const std::vector<GradeProblem<Scalar>> judges(
      problems.begin(), problems.begin() + detail::enough_to_choose_on(problems));
  std::size_t chosen = 0;
  for (std::size_t k = 0; k < m_candidates.size() && !stopped; ++k) {
    // The last one, which is the most expensive, is not trained twice.
    std::vector<GradeProblem<Scalar>> parts = k + 1 < m_candidates.size() ? judges : problems;
    const double left = (limit - clock.seconds()) / static_cast<double>(m_candidates.size() - k);
    if (!best.empty() && !(left > 0)) break;
    for (auto& part : parts) part.time_limit_seconds = left;
    const detail::Stopwatch watch;
    Fits fits = m_candidates[k].fit_all(parts);
    const GradeFitReport& report = fits.front().report;
    Errors errors = errors_of(problems, fits);
    stopped = report.termination == Termination::StoppedByObserver;
    if (report.trials.empty()) {
      trials.push_back({report.trainer, errors.mean_square, watch.seconds(), report.iterations});
    } else {
      trials.insert(trials.end(), report.trials.begin(), report.trials.end());
    }
    // A candidate that cannot be compared is better than none, and worse than any other.
    const bool finite = std::isfinite(errors.mean_square);
    const bool better =
        best.empty() ||
        (finite && (!std::isfinite(best_errors.mean_square) || is_better(best_errors, errors)));
    if (!better) continue;
    best = std::move(fits);
    best_errors = std::move(errors);
    chosen = k;
  }
  if (best.size() < problems.size() && chosen + 1 < m_candidates.size() &&
      !(stopped && problems[best.size()].optional)) {
    std::vector<GradeProblem<Scalar>> parts = problems;
    const double left = std::max(limit - clock.seconds(), kLeast * limit);
    for (auto& part : parts) part.time_limit_seconds = left;
    best = m_candidates[chosen].fit_all(parts);
  }
  for (auto& fit : best) {
    GradeFitReport& report = fit.report;
    report.trials = trials;
    report.message = "Chosen of " + std::to_string(trials.size()) + " tried. " + report.message;
    report.elapsed_seconds = clock.seconds();
    if (stopped) report.termination = Termination::StoppedByObserver;
  }
  return best;
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class AutoTrainer<float>;
extern template class AutoTrainer<double>;
}  // namespace mgdl
#endif
