#pragma once

#include <string>
#include <utility>
#include <vector>

#include "files.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/npy.hpp"

/// \file
/// Samples from files.

namespace mgdl::command {

template <class Scalar>
Dataset<Scalar> read_npy_samples(const std::string& input, const std::string& target) {
  const auto X = read_npy<double>(input);
  check_values(input, X);
  const auto Y = read_npy<double>(target);
  check_values(target, Y);
  if (Y.rows() != X.rows()) {
    throw InvalidArgument(target, std::to_string(X.rows()) + " rows, as in " + input,
                          std::to_string(Y.rows()));
  }
  return {in_scalar<Scalar>(input, X), in_scalar<Scalar>(target, Y)};
}

/// A CSV file whose values are rounded only if they survive that.
template <class Scalar>
CsvTable<Scalar> read_csv_as(const std::string& file) {
  const auto table = read_csv<double>(file);
  return {table.names, in_scalar<Scalar>(file, table.values, table.names)};
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

/// Inputs of a model with `expected` of them, from a .npy file or, if `npy` is empty, from columns
/// of a CSV file; no names: from all of them.
template <class Scalar>
Matrix<Scalar> read_inputs(const std::string& npy, const std::string& csv,
                           const std::vector<std::string>& columns, Index expected) {
  const std::string& file = csv.empty() ? npy : csv;
  Matrix<Scalar> X;
  if (csv.empty()) {
    X = read_npy<Scalar>(file);
  } else {
    auto table = read_csv<Scalar>(file);
    if (!columns.empty()) table = select_columns(table, columns);
    X = std::move(table.values);
  }
  check_values(file, X);
  if (X.cols() != expected) {
    throw InvalidArgument(file, std::to_string(expected) + " columns, the inputs of the model",
                          std::to_string(X.cols()));
  }
  return X;
}

inline std::string sizes_text(Index samples, Index held_out, Index folds, Index inputs,
                              Index outputs) {
  std::string text = std::to_string(samples) + " samples";
  if (held_out > 0) text += " and " + std::to_string(held_out) + " to validate";
  if (folds > 0) text += " in " + std::to_string(folds) + " folds";
  return text + ", " + std::to_string(inputs) + (inputs == 1 ? " input, " : " inputs, ") +
         std::to_string(outputs) + (outputs == 1 ? " output" : " outputs");
}

}  // namespace mgdl::command
