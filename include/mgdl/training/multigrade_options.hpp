#pragma once

#include <cstdint>
#include <limits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// How MultigradeTrainer measures the error that it compares with the tolerance.
enum class ErrorMeasure {
  Rse,      ///< sum of squared errors over sum of squared targets, weighted (dimensionless)
  Rmse,     ///< root of the mean squared error, in the unit of the targets
  MaxError  ///< largest absolute error of any output at any sample, in the unit of the targets
};

/// The enumerator's name.
constexpr const char* to_string(ErrorMeasure measure) noexcept {
  switch (measure) {
    case ErrorMeasure::Rse: return "Rse";
    case ErrorMeasure::Rmse: return "Rmse";
    case ErrorMeasure::MaxError: return "MaxError";
  }
  return "unknown";
}

/// Options of MultigradeTrainer.
struct MultigradeOptions {
  /// Grades to add at most, >= 1.
  Index max_grades = 4;
  /// Stop once the error is at most this, in the unit of `measure`, >= 0.
  double tolerance = 0;
  /// The error that the tolerance is about.
  ErrorMeasure measure = ErrorMeasure::Rse;
  /// Compare the training error with the tolerance, even if there is a validation part.
  bool tolerance_on_training = false;
  /// A grade that lowers the training RSE by less than this part of it is rejected and ends the
  /// training, in [0, 1).
  double minimum_progress = 1e-6;
  /// Grades that are no better on the validation part before training stops, >= 1. The best prefix
  /// is kept. Better is what the mean squared error says if its difference, sample by sample, is
  /// above its standard error, if not the mean absolute error in the same way.
  Index patience = 1;
  /// Part of the samples that `fit(X, Y)` holds out for validation, in [0, 1).
  double validation_fraction = 0;
  /// Seconds for all grades, > 0; each grade gets an equal share of what is left.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// What a grade hands to the next one.
  FeatureLink link = FeatureLink::LastHidden;
  /// Fixes all random choices.
  std::uint64_t seed = 0;
  /// Threads to use, >= 0; 0: all available. Never changes the result.
  int threads = 0;
  /// Called after every iteration and every grade.
  Observer observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(max_grades >= 1, "MultigradeOptions.max_grades", "a value >= 1", max_grades);
    require(tolerance >= 0, "MultigradeOptions.tolerance", "a value >= 0", tolerance);
    require(minimum_progress >= 0 && minimum_progress < 1, "MultigradeOptions.minimum_progress",
            "a value in [0, 1)", minimum_progress);
    require(patience >= 1, "MultigradeOptions.patience", "a value >= 1", patience);
    require(validation_fraction >= 0 && validation_fraction < 1,
            "MultigradeOptions.validation_fraction", "a value in [0, 1)", validation_fraction);
    require(time_limit_seconds > 0, "MultigradeOptions.time_limit_seconds", "a value > 0",
            time_limit_seconds);
    detail::require_threads("MultigradeOptions.threads", threads);
  }
};

}  // namespace mgdl
