// Any flags of mgdl fit, one a line up to an empty line, and any text behind that as its CSV file:
// refused with a message that can be shown, or read as a table, written and read again.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "fit_options.hpp"
#include "flags.hpp"
#include "fuzz/fuzz.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/csv.hpp"
#include "samples.hpp"

namespace {

using mgdl::fuzz::require;
using namespace mgdl::command;

void require_showable(const std::string& message) {
  require(message.size() < 1500, "a long message");
  require(std::ranges::all_of(message, [](char c) { return c >= 0x20 && c < 0x7f; }),
          "a message that cannot be shown");
  require(message.find("CsvOptions") == std::string::npos, "a message without the flag");
}

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + '"';
}

void read(const std::string& text, const CsvFlags& flags) {
  mgdl::CsvOptions options;
  mgdl::CsvTable<double> table;
  try {
    options = csv_options(flags);
    options.columns = flags.columns;
    table = parse_table<double>(text, options, "x.csv");
  } catch (const mgdl::InvalidArgument& error) {
    return require_showable(error.what());
  }
  require(table.values.size() > 0, "no values");
  require(table.values.allFinite(), "values that are not finite");
  const auto cols = table.values.cols();
  require(table.names.empty() || std::ssize(table.names) == cols, "names of other columns");
  require(std::ssize(table.positions) == cols, "positions of other columns");
  require(flags.columns.empty() || std::ssize(flags.columns) == cols, "other columns");
  table_text("x.csv", table, cols, 0);
  std::string list;
  for (const auto& name : table.names) list += (list.empty() ? "" : ",") + quoted(name);
  require(table.names.empty() || split_names(list) == table.names, "names do not come back");

  std::ostringstream out;
  mgdl::write_csv(out, table.values, table.names);
  mgdl::CsvOptions written{.delimiter = ',', .header = mgdl::CsvHeader::No};
  if (!table.names.empty()) written.header = mgdl::CsvHeader::Yes;
  const std::size_t rows = static_cast<std::size_t>(table.values.rows());
  const auto again = mgdl::parse_csv<double>(out.str(), written);
  require(static_cast<std::size_t>(again.values.rows()) == rows, "another number of rows");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find("\n\n"), input.size());
  std::vector<std::string> arguments;
  std::istringstream lines(input.substr(0, end));
  for (std::string line; std::getline(lines, line);) arguments.push_back(line);
  std::ranges::reverse(arguments);  // as CLI11 takes them

  CLI::App app;
  Flags flags(app, "fit", "");
  FitOptions options;
  add_flags(flags, options);
  arguments.push_back("fit");
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError&) {
    return 0;
  } catch (const mgdl::InvalidArgument&) {
    return 0;
  }
  try {
    check_options(options);
    check_samples(options, 3, 1, 100, true);
  } catch (const mgdl::InvalidArgument&) {
  }
  read(end < input.size() ? input.substr(end + 2) : std::string(), options.table);
  return 0;
}
