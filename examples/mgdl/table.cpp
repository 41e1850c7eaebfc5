#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iomanip>
#include <sstream>

namespace mgdl::command {

void print_table(std::ostream& out, std::vector<std::vector<std::string>> rows) {
  const std::size_t columns = rows.front().size();
  std::vector<std::size_t> widths(columns, 0);
  for (std::size_t j = 0; j < columns; ++j) {
    const bool known =
        std::any_of(rows.begin() + 1, rows.end(), [&](const auto& row) { return row[j] != "-"; });
    for (const auto& row : rows) {
      if (known) widths[j] = std::max(widths[j], row[j].size());
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t j = 0; j < columns; ++j) {
      if (widths[j] == 0) continue;
      if (!line.empty()) line += "  ";
      if (j + 1 < columns) line.append(widths[j] - row[j].size(), ' ');
      line += row[j];
    }
    out << line << '\n';
  }
}

std::string error_text(double value) {
  if (std::isnan(value)) return "-";
  std::ostringstream text;
  text << std::scientific << std::setprecision(3) << value;
  return text.str();
}

std::string fixed_text(double value, int decimals) {
  if (std::isnan(value)) return "-";
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << value;
  return text.str();
}

}  // namespace mgdl::command
