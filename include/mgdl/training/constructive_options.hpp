#pragma once

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Options of ConstructiveTrainer.
struct ConstructiveOptions {
  /// Hat functions in each grade, >= 1. The grade's width is this plus two units for each input.
  Index hats = 32;
  /// Hats up to the middle of the residual's range instead of its minimum: half of the error after
  /// a pass over the nodes, but residuals are nonincreasing from pass to pass only, not from grade
  /// to grade.
  bool balanced = false;

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    detail::require_option(hats >= 1, "ConstructiveOptions.hats", "a value >= 1", hats);
  }
};

}  // namespace mgdl
