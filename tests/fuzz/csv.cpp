// Any text as a CSV file, with options from its first byte: refused, or written again and read with
// the same numbers and names.

#include "mgdl/io/csv.hpp"

#include <cstddef>
#include <cstdint>
#include <sstream>
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
    const mgdl::CsvOptions written{.header = table.names.empty() ? mgdl::CsvHeader::No
                                                                 : mgdl::CsvHeader::Yes};
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
  options.delimiter = ",;\t "[data[0] / 3 % 4];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  run<float>(text, options);
  run<double>(text, options);
  return 0;
}
