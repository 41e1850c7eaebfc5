#pragma once

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Options of approximate_lipschitz.
struct ApproximationOptions {
  /// Hat functions in each grade, >= 1.
  Index hats = 32;
  /// Passes at most, >= 1; each at least halves the proven bound.
  Index max_passes = 20;
  /// Stop once the proven bound of the error is at most this, in the unit of the function, >= 0.
  double tolerance = 0;
  /// Values of the function that may be asked for, >= 1. A bound b takes about (c L / b)^d of them.
  Index max_evaluations = 1000000;
  /// Called after every pass, with the bound relative to the first as objective; may stop.
  Observer observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(hats >= 1, "ApproximationOptions.hats", "a value >= 1", hats);
    require(max_passes >= 1, "ApproximationOptions.max_passes", "a value >= 1", max_passes);
    require(tolerance >= 0, "ApproximationOptions.tolerance", "a value >= 0", tolerance);
    require(max_evaluations >= 1, "ApproximationOptions.max_evaluations", "a value >= 1",
            max_evaluations);
  }
};

}  // namespace mgdl
