#pragma once

#include <iomanip>
#include <limits>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// One grade of a MultigradeTrainer run. Errors are those of the prefix that ends with the grade.
struct GradeReport {
  /// Number in the model, from 1.
  Index grade = 0;
  /// What the grade's trainer said.
  GradeFitReport fit;
  /// Relative squared error on the training samples; NaN if the grade was rejected.
  double train_rse = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part; NaN without one.
  double validation_rse = std::numeric_limits<double>::quiet_NaN();
  /// Largest absolute error of any output at any training sample, in the unit of the targets.
  double train_max_error = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part.
  double validation_max_error = std::numeric_limits<double>::quiet_NaN();
  /// How far this grade let the residual of any one training sample grow, relative to the largest
  /// residual before it (dimensionless); at most 0: no residual has grown anywhere.
  double pointwise_growth = std::numeric_limits<double>::quiet_NaN();
  /// By how much the validation RSE is below that of the best prefix before, and the standard error
  /// of this difference over the validation samples.
  double validation_gain = std::numeric_limits<double>::quiet_NaN();
  /// See validation_gain.
  double validation_gain_error = std::numeric_limits<double>::quiet_NaN();
  /// Weights and biases of this grade.
  Index parameters = 0;
  /// Wall time of training and evaluating this grade.
  double seconds = 0;
  /// False if it was rejected or a shorter prefix was better.
  bool kept = false;
};

/// What MultigradeTrainer did.
struct MultigradeReport {
  /// One entry for each grade that was trained.
  std::vector<GradeReport> grades;
  /// Why training stopped.
  Termination termination = Termination::NotRun;
  /// One sentence on the outcome.
  std::string message;
  /// Training RSE before the first of `grades`.
  double initial_rse = std::numeric_limits<double>::quiet_NaN();
  /// Wall time of the whole run.
  double elapsed_seconds = 0;
};

/// A table with one line a grade, then why training stopped.
inline std::ostream& operator<<(std::ostream& out, const MultigradeReport& report) {
  std::ostringstream text;  // so that the caller's format flags are left alone
  text << "grade  trainer         train RSE   valid RSE  iterations  parameters   seconds  "
          "stopped\n";
  const auto error = [&](double value) {
    if (value == value) {
      text << std::setw(12) << std::scientific << std::setprecision(3) << value;
    } else {
      text << std::setw(12) << "-";
    }
  };
  for (const auto& grade : report.grades) {
    text << std::setw(5) << grade.grade << "  " << std::left << std::setw(12) << grade.fit.trainer
         << std::right << ' ';
    error(grade.train_rse);
    error(grade.validation_rse);
    text << std::setw(12) << grade.fit.iterations << std::setw(12) << grade.parameters
         << std::setw(10) << std::fixed << std::setprecision(2) << grade.seconds << "  "
         << to_string(grade.fit.termination) << (grade.kept ? "" : " (not kept)") << '\n';
  }
  text << to_string(report.termination) << " after " << std::fixed << std::setprecision(2)
       << report.elapsed_seconds << " s: " << report.message << '\n';
  return out << text.str();
}

}  // namespace mgdl
