#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// One penalty of a RegularizationPath.
struct PathPoint {
  /// What the solver said; `report.certificate.lambda` is the penalty.
  ConvexReport report;
  /// Relative squared error on the training samples. With another loss, here and below, the loss of
  /// the residuals relative to that of the targets.
  double train_rse = std::numeric_limits<double>::quiet_NaN();
  /// Explained deviance: the part of the training samples' weighted sum of squares, around their
  /// means if there is an output bias, that the solution explains; NaN where that is zero.
  double explained = std::numeric_limits<double>::quiet_NaN();
  /// Relative squared error on the validation part, or, with folds, of every sample by the solution
  /// without its fold; NaN without these.
  double validation_rse = std::numeric_limits<double>::quiet_NaN();
  /// Standard error of `validation_rse` over its samples; NaN without any and for a single one.
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};

/// What RegularizationPath did.
struct PathReport {
  /// By falling penalty. All but the last one have reached the tolerance.
  std::vector<PathPoint> points;
  /// The point of the lowest validation error, the first of equal ones; none without a validation
  /// part and folds.
  std::optional<Index> best;
  /// The point of the largest penalty whose validation error exceeds the lowest one by at most one
  /// standard error of that.
  std::optional<Index> one_standard_error;
  /// Why the path ended; ToleranceReached: all penalties are solved, or all down to the explained
  /// deviance that was asked for.
  Termination termination = Termination::NotRun;
  /// One sentence on the outcome.
  std::string message;
  /// Wall time of the whole path.
  double elapsed_seconds = 0;

  /// Sets `best` and `one_standard_error` from the points that are usable.
  ///
  /// Source of the rule: Breiman, Friedman, Olshen & Stone, "Classification and Regression Trees"
  /// (1984), section 3.4.3; Hastie, Tibshirani & Friedman, "The Elements of Statistical Learning"
  /// (2009), section 7.10.
  void choose() {
    best.reset();
    one_standard_error.reset();
    const auto usable = [&](const PathPoint& point) {
      return is_usable(point.report.termination) && point.validation_rse == point.validation_rse;
    };
    for (Index k = 0; k < std::ssize(points); ++k) {
      if (!usable(at(k))) continue;
      if (!best || at(k).validation_rse < at(*best).validation_rse) best = k;
    }
    if (!best) return;
    const PathPoint& lowest = at(*best);
    const double spread = lowest.standard_error > 0 ? lowest.standard_error : 0;
    Index k = 0;
    while (!usable(at(k)) || at(k).validation_rse > lowest.validation_rse + spread) ++k;
    one_standard_error = k;
  }

 private:
  const PathPoint& at(Index k) const { return points[static_cast<std::size_t>(k)]; }
};

/// A table with one line a penalty, then why the path ended.
inline std::ostream& operator<<(std::ostream& out, const PathReport& report) {
  std::vector<std::vector<std::string>> rows{{"lambda", "of largest", "train RSE", "valid. RSE",
                                              "std error", "active", "relative gap", "iterations",
                                              "seconds", "stopped"}};
  for (Index k = 0; k < std::ssize(report.points); ++k) {
    const PathPoint& point = report.points[static_cast<std::size_t>(k)];
    const Certificate& certificate = point.report.certificate;
    std::string stopped = to_string(point.report.termination);
    if (k == report.best) stopped += " (best)";
    if (k == report.one_standard_error) stopped += " (one standard error)";
    rows.push_back(
        {detail::error_text(certificate.lambda),
         detail::error_text(certificate.lambda_max > 0 ? certificate.lambda / certificate.lambda_max
                                                       : std::numeric_limits<double>::quiet_NaN()),
         detail::error_text(point.train_rse), detail::error_text(point.validation_rse),
         detail::error_text(point.standard_error), std::to_string(point.report.active_groups),
         detail::error_text(certificate.relative_gap()), std::to_string(point.report.iterations),
         detail::fixed_text(point.report.elapsed_seconds, 2), std::move(stopped)});
  }
  return out << detail::table_text(rows) << to_string(report.termination) << " after "
             << detail::fixed_text(report.elapsed_seconds, 2) << " s: " << report.message << '\n';
}

/// Called after every penalty of a path.
using PathObserver = std::function<Action(const PathPoint&)>;

/// Options of RegularizationPath.
struct PathOptions {
  /// Options of every solve, where the penalty (`lambda` or `lambda_ratio`) is that of the last one
  /// and the time limit is for all of them. Its observer is called after every iteration.
  ConvexOptions solver = {};
  /// Penalties, >= 1; with 1, the last one alone.
  Index count = 20;
  /// The path ends with the first penalty that explains at least this part of the deviance, > 0
  /// (PathPoint::explained).
  double enough_explained = std::numeric_limits<double>::infinity();
  /// Without a validation part, K-fold cross-validation: 0, or a value >= 2. The penalties of the
  /// path are solved for again without each fold, so that every sample has an error by solutions
  /// that have not seen it.
  Index folds = 0;
  /// Which samples are in which fold.
  std::uint64_t seed = 0;
  /// Called after every penalty; an answer of Action::Stop ends the path there.
  PathObserver observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    solver.validate();
    detail::require_option(count >= 1, "PathOptions.count", "a value >= 1", count);
    detail::require_option(enough_explained > 0, "PathOptions.enough_explained", "a value > 0",
                           enough_explained);
    detail::require_option(folds == 0 || folds >= 2, "PathOptions.folds", "0, or a value >= 2",
                           folds);
    if (count > 1 && solver.lambda.value_or(solver.lambda_ratio) == 0) {
      throw InvalidArgument(solver.lambda ? "ConvexOptions.lambda" : "ConvexOptions.lambda_ratio",
                            "a value > 0 for a path", "0");
    }
  }
};

/// What RegularizationPath returns.
template <class Solution>
struct PathResult {
  std::vector<Solution> solutions;  ///< one for every point of the report
  PathReport report;                ///< the penalties, what they lead to, and which one is best
};

/// Solves the convex problems for many penalties: `count` of them in equal steps of their
/// logarithm, from lambda_max, where the solution is zero, down to the wanted one. (A wanted
/// penalty above lambda_max is the only one.) Every gated solve goes on from the one before it,
/// with its working set, Gram blocks and factorisation.
///
/// The path ends early, with what there is, when a penalty cannot be solved to the tolerance, when
/// time is up, or when an observer says so. A relaxed bound (ConvexOptions.shared_neurons) that
/// leaves a gap does not end it.
///
/// The validation error is the mean of weighted squared errors e_i = |y_i - f(x_i)|^2 relative to
/// that of the targets; its standard error is sqrt(sum_i w_i^2 (e_i - mean)^2 / (1 - sum_i w_i^2)),
/// for equal weights the standard deviation of e over sqrt(n), relative to the same. With folds,
/// e_i is the error of the solution for the other folds; the solutions that are returned have seen
/// all samples.
///
/// `Scalar` is the type of the samples; the arithmetic, and so the solutions, are in double.
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class RegularizationPath {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of the samples.
  using Scalar = Scalar_;

  /// \throws InvalidArgument for options that break a rule
  explicit RegularizationPath(PathOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options given at construction.
  /// \{
  const PathOptions& options() const& noexcept { return m_options; }
  PathOptions options() && { return std::move(m_options); }
  /// \}

  /// The gated problem, see GatedReluSolver.
  ///
  /// \param validation  samples that choose the penalty, may be null
  /// \throws InvalidArgument if data, gates and validation do not fit together
  PathResult<GatedSolution> solve_gated(const Dataset<Scalar>& data, const Gates& gates,
                                        const Dataset<Scalar>* validation = nullptr) const;

  /// The ReLU problem over the patterns of `gates`, see ReluSolver::solve.
  ///
  /// \throws InvalidArgument if data, gates and validation do not fit together, or for lambda = 0
  PathResult<ReluSolution> solve_relu(const Dataset<Scalar>& data, const Gates& gates,
                                      const Dataset<Scalar>* validation = nullptr) const;

  /// The ReLU problem over all patterns of one input, see ReluSolver::solve_all_patterns.
  ///
  /// \throws InvalidArgument for more than one input, if data and validation do not fit together,
  /// or
  ///         for lambda = 0
  PathResult<ReluSolution> solve_all_patterns(const Dataset<Scalar>& data,
                                              const Dataset<Scalar>* validation = nullptr) const;

 private:
  PathOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class RegularizationPath<float>;
extern template class RegularizationPath<double>;
}  // namespace mgdl
#else
#include "mgdl/convex/regularization_path_impl.hpp"  // IWYU pragma: export
#endif
