#pragma once

#include <functional>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/path_report.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Called after every penalty of a path.
using PathObserver = std::function<Action(const PathPoint&)>;

/// Options of RegularizationPath.
struct PathOptions {
  /// Options of every solve, where the penalty (`lambda` or `lambda_ratio`) is that of the last one
  /// and the time limit is for all of them. Its observer is called after every iteration.
  ConvexOptions solver = {};
  /// Penalties, >= 1; with 1, the last one alone.
  Index count = 20;
  /// Called after every penalty; an answer of Action::Stop ends the path there.
  PathObserver observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    solver.validate();
    detail::require_option(count >= 1, "PathOptions.count", "a value >= 1", count);
    if (count > 1 && solver.lambda.value_or(solver.lambda_ratio) == 0) {
      throw InvalidArgument(solver.lambda ? "ConvexOptions.lambda" : "ConvexOptions.lambda_ratio",
                            "a value > 0 for a path", "0");
    }
  }
};

}  // namespace mgdl
