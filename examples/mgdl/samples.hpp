#pragma once

#include <string>
#include <vector>

#include "files.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/npy.hpp"

/// \file
/// Samples from files.

namespace mgdl::command {

template <class Scalar>
Dataset<Scalar> read_npy_samples(const std::string& input, const std::string& target) {
  const auto X = read_npy<Scalar>(input);
  check_values(input, X);
  const auto Y = read_npy<Scalar>(target);
  check_values(target, Y);
  if (Y.rows() != X.rows()) {
    throw InvalidArgument(target, std::to_string(X.rows()) + " rows, as in " + input,
                          std::to_string(Y.rows()));
  }
  return {X, Y};
}

template <class Scalar>
Dataset<Scalar> csv_samples(const CsvTable<Scalar>& table, const std::vector<std::string>& targets,
                            const std::string& file) {
  try {
    const auto [X, Y] = split_targets(table, targets);
    return {X, Y};
  } catch (const InvalidArgument& error) {
    throw InvalidArgument("--target-columns", error.expected(), error.found(), file);
  }
}

inline std::string sizes_text(Index samples, Index held_out, Index inputs, Index outputs) {
  std::string text = std::to_string(samples) + " samples";
  if (held_out > 0) text += " and " + std::to_string(held_out) + " to validate";
  return text + ", " + std::to_string(inputs) + (inputs == 1 ? " input, " : " inputs, ") +
         std::to_string(outputs) + (outputs == 1 ? " output" : " outputs");
}

}  // namespace mgdl::command
