// Any text as a CSV file, with options from its first byte: refused, or written again and read with
// the same numbers and names.

#include "mgdl/io/csv.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

#include "fuzz/fuzz.hpp"

namespace {

template <class Scalar>
void run(std::string_view text, const mgdl::CsvOptions& options) {
  using mgdl::fuzz::require;
  try {
    const auto table = mgdl::parse_csv<Scalar>(text, options);
    require(table.values.size() > 0, "no values");
    std::ostringstream out;
    mgdl::write_csv(out, table.values, table.names);
    mgdl::CsvOptions written{.delimiter = ',', .header = mgdl::CsvHeader::No};
    if (!table.names.empty()) written.header = mgdl::CsvHeader::Yes;
    // All of it: a first column of row numbers without a name would be left out.
    for (mgdl::Index j = 1; j <= table.values.cols(); ++j) {
      written.columns.push_back(std::to_string(j));
    }
    if (std::ranges::any_of(written.columns, [&](const std::string& number) {
          return std::ranges::count(table.names, number) > 0;
        })) {
      return;  // a name would win over a number
    }
    const auto again = mgdl::parse_csv<Scalar>(out.str(), written);
    require(again.values == table.values, "other values");
    require(again.names == table.names, "other names");
  } catch (const mgdl::InvalidArgument&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  mgdl::CsvOptions options;
  options.header = static_cast<mgdl::CsvHeader>(data[0] % 3);
  if (const int which = data[0] / 3 % 5; which < 4) options.delimiter = ",;\t "[which];
  if (data[0] / 15 % 3 > 0) options.decimal = ".,"[data[0] / 15 % 3 - 1];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  run<float>(text, options);
  run<double>(text, options);
  return 0;
}
