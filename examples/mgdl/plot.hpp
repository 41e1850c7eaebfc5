#pragma once

#include <string>

#include "fit_outcome.hpp"

namespace mgdl::command {

/// Draws the errors of a fit and, for one input and one output, data and predictions, with gnuplot.
///
/// \param path  SVG file, created or replaced completely or not at all
/// \returns whether gnuplot was found and succeeded; if not, nothing is written and `problem` says
///          why
/// \throws InvalidArgument if `path` cannot be written
bool write_plot(const std::string& path, const FitOutcome& outcome, std::string& problem);

}  // namespace mgdl::command
