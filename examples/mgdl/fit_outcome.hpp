#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fit_options.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/report_json.hpp"

namespace mgdl::command {

/// The training objective after one iteration, relative to the residual before the grade.
struct TracePoint {
  Index grade;       ///< from 1
  double objective;  ///< NaN if its trainer does not tell
};

/// Samples and predictions of a model with one input and one output, for drawing.
struct Curve {
  std::vector<double> sample_x, sample_y;        ///< not more than can be told apart
  std::vector<double> x;                         ///< ascending
  std::vector<std::vector<double>> predictions;  ///< at x: of 1, 2, ... grades
};

/// What a fit leaves behind, whatever the number type.
struct FitOutcome {
  FitSummary summary;
  std::vector<std::string> targets;  ///< their names, if they have some
  std::vector<TracePoint> trace;
  std::optional<Curve> curve;
  std::function<void(const std::string& path, const FitSummary& report)> write_model;
};

/// Reads the samples, trains, and tests. Everything that depends on the number type is in here.
/// \param recorded  what model files say of the flags
/// \throws InvalidArgument for bad input, before training starts
template <class Scalar>
FitOutcome fit(const FitOptions& options, const nlohmann::ordered_json& recorded);

extern template FitOutcome fit<float>(const FitOptions&, const nlohmann::ordered_json&);
extern template FitOutcome fit<double>(const FitOptions&, const nlohmann::ordered_json&);

}  // namespace mgdl::command
