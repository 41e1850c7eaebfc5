#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "convex_flags.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::command {

/// What `mgdl convex` leaves behind.
struct ConvexOutcome {
  PathReport path;
  Index chosen = 0;           ///< the point of the path that is the result
  Index inputs = 0;           ///< d
  ColumnNames names;          ///< of the samples
  Index patterns = 0;         ///< different ones
  Index given = 0;            ///< gates, before equal and empty patterns were dropped
  NpyArray<double> solution;  ///< gated: U in the order of the given gates
  RowMatrix<double> dual;     ///< relu, all patterns of one input: ReluSolution::dual
  std::optional<MultigradeModel<double>> model;  ///< with --output
  FitSummary summary;                            ///< of the model
  std::string warning;                           ///< what the user should know of the network
  nlohmann::ordered_json recovery;  ///< gated, with --output: what it costs to be a network

  const PathPoint& point() const { return path.points[static_cast<std::size_t>(chosen)]; }
  bool is_usable() const { return mgdl::is_usable(point().report.termination); }
};

/// Reads samples and gates and solves. Ctrl-C ends it with what there is.
/// \throws InvalidArgument for bad input, before the first iteration
ConvexOutcome solve_convex(const ConvexFlags& flags);

}  // namespace mgdl::command
