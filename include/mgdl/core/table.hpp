#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

/// \file
/// Tables of text: what reports are printed as.

namespace mgdl::detail {

/// "1.234e-05", or "-" if `value` is not known (NaN).
inline std::string error_text(double value) {
  if (std::isnan(value)) return "-";
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::scientific, 3);
  return std::string(text.data(), end.ptr);
}

/// With the given number of decimals, or "-" if `value` is not known.
inline std::string fixed_text(double value, int decimals) {
  if (std::isnan(value)) return "-";
  std::array<char, 400> text;  // the largest value has 309 digits before the point
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::fixed, decimals);
  return std::string(text.data(), end.ptr);
}

/// Rows as lines of columns: the first row is the head, the last column is left-aligned, the others
/// are right-aligned. Columns that hold nothing but "-" are left out.
inline std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  const std::size_t columns = rows.front().size();
  std::vector<std::size_t> widths(columns, 0);
  for (std::size_t j = 0; j < columns; ++j) {
    bool known = false;
    for (std::size_t i = 1; i < rows.size(); ++i) known = known || rows[i][j] != "-";
    if (!known) continue;
    for (const auto& row : rows) widths[j] = std::max(widths[j], row[j].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t j = 0; j < columns; ++j) {
      if (widths[j] == 0) continue;
      if (!line.empty()) line += "  ";
      if (j + 1 < columns) line.append(widths[j] - row[j].size(), ' ');
      line += row[j];
    }
    text += line;
    text += '\n';
  }
  return text;
}

}  // namespace mgdl::detail
