#pragma once

#include <Eigen/Core>
#include <string>
#include <vector>

#include "flags.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// --lower and --upper: a box of inputs.

namespace mgdl::command {

/// Adds both flags. \param help  of the first
template <class Options>
void add_box(Flags& flags, Options& options, const char* help) {
  flags.add("--lower", &options.lower, help);
  flags.add("--upper", &options.upper, "its upper end");
}

template <class Options>
void require_box(const Options& options) {
  if (options.lower.empty() == options.upper.empty()) return;
  throw InvalidArgument("box", "--lower and --upper",
                        options.lower.empty() ? "only --upper" : "only --lower");
}

/// One end of the box for a model with that many inputs.
template <class Scalar>
Vector<Scalar> side_of_box(const char* flag, const std::vector<double>& values, Index inputs) {
  if (static_cast<Index>(values.size()) != inputs) {
    throw InvalidArgument(flag, std::to_string(inputs) + " values, one for each input",
                          std::to_string(values.size()));
  }
  return Eigen::Map<const Vector<double>>(values.data(), inputs).template cast<Scalar>();
}

}  // namespace mgdl::command
