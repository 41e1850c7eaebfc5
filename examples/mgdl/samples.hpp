#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "csv_flags.hpp"
#include "files.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"

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

/// Samples, what their columns are called, and a line on what was taken of the file.
template <class Scalar>
struct NamedSamples {
  Dataset<Scalar> data;
  ColumnNames names = {};
  std::string text = {};  ///< empty for .npy files
};

/// Calls read(), where errors about a CSV file name flags instead of the library's options.
template <class Read>
auto with_csv_errors(const CsvOptions& options, const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const InvalidArgument& error) {
    const bool of_option = error.argument() != file;
    std::string where = of_option ? file : error.where();
    if (!of_option && options.columns.empty() && options.names.empty() &&
        error.expected().ends_with("number") && where.find("column") != std::string::npos) {
      where += "; remove the row, or the column with --exclude";
    }
    std::string expected = with_csv_flags(error.expected());
    if (!of_option && !options.names.empty() && expected.starts_with("one column named")) {
      expected += " (--columns takes others)";
    }
    throw InvalidArgument(with_csv_flags(error.argument()), expected, with_csv_flags(error.found()),
                          where);
  }
}

/// Calls read(), where errors about columns are about those of targets.
template <class Read>
auto with_target_flag(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const InvalidArgument& error) {
    if (error.argument() == file) throw;
    throw InvalidArgument("--target-columns", error.expected(), error.found(), file);
  }
}

/// Parses a CSV file.
template <class Scalar>
CsvTable<Scalar> parse_table(const std::string& text, const CsvOptions& options,
                             const std::string& file) {
  return with_csv_errors(options, file, [&] { return parse_csv<Scalar>(text, options, file); });
}

/// The same, with values that are rounded only if they survive that.
template <class Scalar>
CsvTable<Scalar> parse_samples(const std::string& text, const CsvOptions& options,
                               const std::string& file) {
  CsvTable<double> table = parse_table<double>(text, options, file);
  auto values = in_scalar<Scalar>(file, table.values, table.names);
  return {std::move(table.names), std::move(values), std::move(table.positions),
          std::move(table.left_out), table.dialect};
}

/// Whether a column only tells rows apart, by its name; its numbers say whether it does.
inline bool may_count_rows(const std::string& name) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower == "id" || lower == "index" || lower == "row" || lower == "nr" || lower == "no" ||
         lower == "#" || lower.ends_with("_id");
}

/// What was taken of a file, in a line: "x.csv: 768 rows, header, delimiter ;, 8 inputs (id left
/// out: text)".
/// \param counts  whether the numbers of column j are those of rows
template <class Scalar, class Counts>
std::string table_text(const std::string& file, const CsvTable<Scalar>& table, Index rows,
                       Index inputs, Index targets, const Counts& counts) {
  const CsvDialect& dialect = table.dialect;
  std::string text = file + ": " + std::to_string(rows) + (rows == 1 ? " row, " : " rows, ");
  text += dialect.names_in_comment ? "header in a comment"
          : dialect.header         ? "header"
                                   : "no header";
  if (dialect.delimiter != ',' && table.values.cols() + std::ssize(table.left_out) > 1) {
    text += ", delimiter ";
    text += dialect.delimiter == '\t'  ? "tab"
            : dialect.delimiter == ' ' ? "space"
                                       : std::string(1, dialect.delimiter);
  }
  if (dialect.decimal == ',') text += ", decimal comma";
  if (dialect.units) text += ", units left out";
  if (dialect.comments > 0) {
    text += ", " + std::to_string(dialect.comments) +
            (dialect.comments == 1 ? " comment line" : " comment lines");
  }
  text += ", " + std::to_string(inputs) + (inputs == 1 ? " input" : " inputs");
  if (targets > 0) {
    text += ", " + std::to_string(targets) + (targets == 1 ? " target" : " targets");
  }
  constexpr std::size_t most = 5;
  for (std::size_t k = 0; k < std::min(table.left_out.size(), most); ++k) {
    const CsvLeftOut& column = table.left_out[k];
    text += (k == 0 ? " (" : ", ") +
            (column.name.empty() ? "column " + std::to_string(column.position + 1) : column.name) +
            " left out: " + column.reason;
  }
  if (table.left_out.size() > most) text += ", ...";
  if (!table.left_out.empty()) text += ")";
  for (Index j = 0; j < std::ssize(table.names); ++j) {
    const std::string& name = table.names[static_cast<std::size_t>(j)];
    if (rows < 3 || !may_count_rows(name) || !counts(j)) continue;
    return text + "; " + name + " counts the rows: --exclude leaves it out";
  }
  return text;
}

/// The same of a table that is there.
template <class Scalar>
std::string table_text(const std::string& file, const CsvTable<Scalar>& table, Index inputs,
                       Index targets) {
  const auto counts = [&](Index column) {
    const auto values = table.values.col(column);
    for (Index i = 1; i < values.size(); ++i) {
      if (values[i] != values[i - 1] + 1) return false;
    }
    return true;
  };
  return table_text(file, table, table.values.rows(), inputs, targets, counts);
}

/// Names that a model can find columns by: all different.
inline ColumnNames usable_names(ColumnNames names) {
  std::vector<std::string> all = names.inputs;
  all.insert(all.end(), names.targets.begin(), names.targets.end());
  std::ranges::sort(all);
  const bool usable =
      !all.empty() && !all.front().empty() && std::ranges::adjacent_find(all) == all.end();
  return usable ? names : ColumnNames{};
}

/// The samples of a table whose last `outputs` columns are targets.
template <class Scalar>
NamedSamples<Scalar> leading_inputs(const CsvTable<Scalar>& table, Index outputs,
                                    const std::string& file) {
  const Index inputs = table.values.cols() - outputs;
  if (inputs < 1) throw InvalidArgument(file, "a column of inputs", "targets only");
  NamedSamples<Scalar> samples{{table.values.leftCols(inputs), table.values.rightCols(outputs)}};
  if (!table.names.empty()) {
    samples.names.inputs.assign(table.names.begin(), table.names.begin() + inputs);
    samples.names.targets.assign(table.names.begin() + inputs, table.names.end());
  }
  samples.text = table_text(file, table, inputs, outputs);
  return samples;
}

/// Samples of a CSV file.
///
/// \param targets  names or numbers; the other columns are inputs, or those of --columns
/// \param known    names of a model, or of other samples: inputs are found by them in a file with a
///                 header, and targets if none are given
template <class Scalar>
NamedSamples<Scalar> read_csv_samples(const std::string& file, const CsvFlags& flags,
                                      const std::vector<std::string>& targets,
                                      const ColumnNames& known = {}) {
  const std::string text = read_file(file);
  CsvOptions options = csv_options(flags);
  const Index outputs = std::ssize(targets);
  if (!flags.columns.empty()) {
    options.columns = flags.columns;
    options.columns.insert(options.columns.end(), targets.begin(), targets.end());
    return leading_inputs(parse_samples<Scalar>(text, options, file), outputs, file);
  }
  if (!known.inputs.empty()) {
    options.names = known.inputs;
    if (targets.empty()) {
      options.names.insert(options.names.end(), known.targets.begin(), known.targets.end());
    }
    CsvTable<Scalar> table = parse_samples<Scalar>(text, options, file);
    if (!table.names.empty() && targets.empty()) {
      return leading_inputs(table, std::ssize(known.targets), file);
    }
    if (!table.names.empty()) {
      options.header = CsvHeader::Yes;
      options.names.clear();
      options.columns = targets;
      const auto Y =
          with_target_flag(file, [&] { return parse_samples<Scalar>(text, options, file); });
      NamedSamples<Scalar> samples{{table.values, Y.values}, {known.inputs, Y.names}};
      samples.text = table_text(file, table, table.values.cols(), outputs);
      return samples;
    }
    options.names.clear();
  }
  if (targets.empty()) {
    throw InvalidArgument("--target-columns", "numbers of the targets, as there is no header",
                          "none", file);
  }
  const CsvTable<Scalar> table = parse_samples<Scalar>(text, options, file);
  return with_target_flag(file, [&] {
    auto [X, Y] = split_targets(table, targets);
    NamedSamples<Scalar> samples{{X, Y}};
    samples.text = table_text(file, table, X.cols(), outputs);
    if (table.names.empty()) return samples;
    const auto positions = find_columns(table, targets);
    for (const Index j : positions) {
      samples.names.targets.push_back(table.names[static_cast<std::size_t>(j)]);
    }
    for (Index j = 0; j < table.values.cols(); ++j) {
      if (std::ranges::count(positions, j) > 0) continue;
      samples.names.inputs.push_back(table.names[static_cast<std::size_t>(j)]);
    }
    return samples;
  });
}

/// Inputs of a model, from a .npy file or, if `npy` is empty, from a CSV file: the columns of
/// --columns; else those with the names of the model's inputs, if both have names; else all that
/// hold numbers.
///
/// \param text  what was taken of a CSV file
template <class Scalar, class ModelScalar>
Matrix<Scalar> read_inputs(const std::string& npy, const std::string& csv, const CsvFlags& flags,
                           const SavedModel<ModelScalar>& saved, std::string& text) {
  const std::string& file = csv.empty() ? npy : csv;
  const Index expected = saved.model.inputs();
  Matrix<Scalar> X;
  if (csv.empty()) {
    X = read_npy<Scalar>(file);
  } else {
    CsvOptions options = csv_options(flags);
    options.columns = flags.columns;
    if (options.columns.empty()) options.names = saved.names.inputs;
    auto table = parse_table<Scalar>(read_file(file), options, file);
    text = table_text(file, table, table.values.cols(), 0);
    X = std::move(table.values);
  }
  check_values(file, X);
  if (X.cols() != expected) {
    throw InvalidArgument(file,
                          std::to_string(expected) + " columns, the inputs of the model" +
                              (csv.empty() ? "" : " (--columns chooses them)"),
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
