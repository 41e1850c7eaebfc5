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
  Index grade = 0;     ///< number in the model, from 1
  GradeFitReport fit;  ///< what the grade's trainer said
  double train_rse = std::numeric_limits<double>::quiet_NaN();
  double validation_rse = std::numeric_limits<double>::quiet_NaN();  ///< NaN without validation
  Index parameters = 0;
  double seconds = 0;  ///< training and evaluation of this grade
  bool kept = false;   ///< false if it was rejected or a shorter prefix was better
};

/// What MultigradeTrainer did, one entry for each grade it trained.
struct MultigradeReport {
  std::vector<GradeReport> grades;
  Termination termination = Termination::NotRun;
  std::string message;                                            ///< one sentence on the outcome
  double initial_rse = std::numeric_limits<double>::quiet_NaN();  ///< before the first of `grades`
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
