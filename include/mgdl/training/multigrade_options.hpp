#pragma once

#include <cstdint>
#include <limits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// Options of MultigradeTrainer.
struct MultigradeOptions {
  /// Grades to add at most, >= 1.
  Index max_grades = 4;
  /// Stop once the RSE (validation if there is a part for it, else training) is at most this, >= 0.
  double tolerance = 0;
  /// A grade that lowers the training RSE by less than this part of it is rejected and ends the
  /// training, in [0, 1).
  double minimum_progress = 1e-6;
  /// Grades without a better validation RSE before training stops, >= 1. The best prefix is kept.
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
