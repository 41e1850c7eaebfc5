#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/csv/delimiter.hpp"
#include "mgdl/io/csv/header.hpp"
#include "mgdl/io/csv/scanner.hpp"
#include "mgdl/io/csv/survey.hpp"
#include "mgdl/io/csv/table_maker.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"

namespace mgdl {

template <std::floating_point Scalar>
CsvTable<Scalar> parse_csv(std::string_view text, const CsvOptions& options,
                           const std::string& source) {
  const detail::CsvText whole(text, options, source);
  return detail::CsvTableMaker<Scalar>(whole, detail::CsvKeep::All).table();
}

template <std::floating_point Scalar>
CsvTable<Scalar> read_csv(const std::filesystem::path& path, const CsvOptions& options) {
  options.validate();
  return parse_csv<Scalar>(read_file(path), options, path.string());
}

template <std::floating_point Scalar>
std::vector<Index> find_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns,
                                const std::string& argument) {
  std::vector<Index> positions = table.positions;
  if (positions.empty()) {
    for (Index j = 0; j < table.values.cols(); ++j) positions.push_back(j);
  }
  return detail::find_csv_columns(table.names, positions, table.left_out, columns, argument);
}

template <std::floating_point Scalar>
CsvTable<Scalar> select_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns) {
  const std::vector<Index> positions = find_columns(table, columns);
  CsvTable<Scalar> result;
  result.values.resize(table.values.rows(), static_cast<Index>(positions.size()));
  for (Index j = 0; j < result.values.cols(); ++j) {
    const Index position = positions[static_cast<std::size_t>(j)];
    result.values.col(j) = table.values.col(position);
    if (!table.names.empty()) {
      result.names.push_back(table.names[static_cast<std::size_t>(position)]);
    }
    if (!table.positions.empty()) {
      result.positions.push_back(table.positions[static_cast<std::size_t>(position)]);
    }
  }
  result.dialect = table.dialect;
  return result;
}

template <std::floating_point Scalar>
CsvSplit<Scalar> split_targets(const CsvTable<Scalar>& table,
                               const std::vector<std::string>& target_columns) {
  const std::vector<Index> targets = find_columns(table, target_columns, "target_columns");
  const Index rows = table.values.rows();
  const Index cols = table.values.cols();
  const Index outputs = static_cast<Index>(targets.size());
  if (outputs == cols) {
    throw InvalidArgument("target_columns", "at least one column left as input",
                          "all " + std::to_string(cols) + " columns as targets");
  }
  CsvSplit<Scalar> result{Matrix<Scalar>(rows, cols - outputs), Matrix<Scalar>(rows, outputs)};
  Index input = 0;
  for (Index j = 0; j < cols; ++j) {
    const auto target = std::ranges::find(targets, j);
    if (target == targets.end()) {
      result.X.col(input++) = table.values.col(j);
    } else {
      result.Y.col(target - targets.begin()) = table.values.col(j);
    }
  }
  return result;
}

template <std::floating_point Scalar>
void detail::write_csv_values(std::ostream& out, const MatrixView<Scalar>& values,
                              const std::vector<std::string>& names) {
  if (values.size() == 0) {
    throw InvalidArgument("matrix", "at least one row and one column",
                          detail::shape_text(values.rows(), values.cols()));
  }
  detail::require_finite("matrix", values);
  if (!names.empty() && static_cast<Index>(names.size()) != values.cols()) {
    throw InvalidArgument("names", std::to_string(values.cols()) + " names or none",
                          std::to_string(names.size()));
  }
  std::string text;
  for (std::size_t j = 0; j < names.size(); ++j) {
    text += j == 0 ? "" : ",";
    detail::append_csv_name(text, names[j]);
  }
  if (!names.empty()) text += '\n';
  for (Index i = 0; i < values.rows(); ++i) {
    for (Index j = 0; j < values.cols(); ++j) {
      if (j > 0) text += ',';
      detail::append_number(text, values(i, j));
    }
    text += '\n';
    constexpr std::size_t enough = std::size_t{1} << 16;
    if (text.size() >= enough || i + 1 == values.rows()) {
      out.write(text.data(), static_cast<std::streamsize>(text.size()));
      text.clear();
    }
  }
}

template <std::floating_point Scalar>
void detail::write_csv_values(const std::filesystem::path& path, const MatrixView<Scalar>& values,
                              const std::vector<std::string>& names) {
  write_file(path, [&](std::ostream& out) { write_csv_values(out, values, names); });
}

}  // namespace mgdl
