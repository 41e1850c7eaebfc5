#pragma once

#include <cstddef>
#include <iomanip>
#include <limits>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/convex/convex_report.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// One penalty of a RegularizationPath.
struct PathPoint {
  /// What the solver said; `report.certificate.lambda` is the penalty.
  ConvexReport report;
  /// Relative squared error on the training samples.
  double train_rse = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part; NaN without one.
  double validation_rse = std::numeric_limits<double>::quiet_NaN();
  /// Standard error of `validation_rse` over the validation samples; NaN without validation part
  /// and for a single sample.
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};

/// What RegularizationPath did.
struct PathReport {
  /// By falling penalty. All but the last one have reached the tolerance.
  std::vector<PathPoint> points;
  /// The point of the lowest validation error, the first of equal ones; none without a validation
  /// part.
  std::optional<Index> best;
  /// The point of the largest penalty whose validation error exceeds the lowest one by at most one
  /// standard error of that.
  std::optional<Index> one_standard_error;
  /// Why the path ended; ToleranceReached: all penalties are solved.
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
  std::ostringstream text;  // so that the caller's format flags are left alone
  text << "     lambda  of largest   train RSE   valid RSE   std error  active  relative gap  "
          "iterations   seconds  stopped\n";
  const auto number = [&](int width, double value) {
    if (value == value) {
      text << std::setw(width) << std::scientific << std::setprecision(3) << value;
    } else {
      text << std::setw(width) << "-";
    }
  };
  for (Index k = 0; k < std::ssize(report.points); ++k) {
    const PathPoint& point = report.points[static_cast<std::size_t>(k)];
    const Certificate& certificate = point.report.certificate;
    number(11, certificate.lambda);
    number(12, certificate.lambda / certificate.lambda_max);
    number(12, point.train_rse);
    number(12, point.validation_rse);
    number(12, point.standard_error);
    text << std::setw(8) << point.report.active_groups;
    number(14, certificate.relative_gap());
    text << std::setw(12) << point.report.iterations << std::setw(10) << std::fixed
         << std::setprecision(2) << point.report.elapsed_seconds << "  "
         << to_string(point.report.termination) << (k == report.best ? " (best)" : "")
         << (k == report.one_standard_error ? " (one standard error)" : "") << '\n';
  }
  text << to_string(report.termination) << " after " << std::fixed << std::setprecision(2)
       << report.elapsed_seconds << " s: " << report.message << '\n';
  return out << text.str();
}

}  // namespace mgdl
