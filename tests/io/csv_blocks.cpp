#include "mgdl/io/csv_blocks.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "io/csv_both.hpp"
#include "mgdl/core/sample_source.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::check_csv_both;
using mgdl::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

/// Rows of three numbers, behind what comes first in a line.
std::string rows_text(Index rows, const std::string& header, bool index) {
  std::string text = header;
  for (Index i = 0; i < rows; ++i) {
    if (index) text += std::to_string(i * 7919 % rows) + ",";
    text += std::to_string(i) + "," + std::to_string(0.25 * static_cast<double>(i % 1000)) + ",-" +
            std::to_string(i % 17) + "e-3\n";
  }
  return text;
}

}  // namespace

TEST_CASE("CSV in blocks: random text is what it is in one piece", "[io/csv_blocks]") {
  const TemporaryFolder folder;
  std::mt19937 random(mgdl::test::seed());
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::string> pieces{
      "1",   "2",     "0",  "-3.5",  "1e3", "1,5", "12,345", "nan", "1e400",    "a",
      "b c", "\"q\"", "\"", "\"1\"", "",    "?",   "#",      " ",   "\t",       "\r",
      "id",  "kg",    ".",  "0.5",   "3",   "4",   "5",      "6",   "\"\"\"\"", "Unnamed: 0"};
  int tables = 0;
  const int draws = mgdl::test::draws(3000, 100000);
  for (int k = 0; k < draws; ++k) {
    const std::string delimiter(1, ",;\t| "[below(5)]);
    const std::size_t cols = 1 + below(4), rows = below(7), odd = below(12);
    std::string text;
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t fields = below(40) == 0 ? cols + 1 : cols;
      for (std::size_t j = 0; j < fields; ++j) {
        if (j > 0) text += delimiter;
        const bool any = odd == 0 || (i < 2 && below(3) == 0);
        text += any ? pieces[below(pieces.size())] : std::to_string(below(9) + i);
        if (!any && below(2) == 0) text += delimiter == "," ? ".5" : ",5";
      }
      text += below(30) == 0 ? "\r\n\n" : "\n";
    }
    mgdl::CsvOptions options;
    options.header = static_cast<mgdl::CsvHeader>(below(3));
    if (below(2) == 0) options.delimiter = delimiter[0];
    if (below(6) == 0) options.columns = {"1"};
    check_csv_both<double>(folder, text, options);
    check_csv_both<float>(folder, text, options);
    tables += mgdl::test::csv_whole<double>(folder / "both.csv", options).error.empty() ? 1 : 0;
  }
  CHECK(tables > draws / 4);  // not errors alone
}

TEST_CASE("CSV in blocks: files of several blocks", "[io/csv_blocks]") {
  const TemporaryFolder folder;
  const Index block = mgdl::detail::kBlockRows;
  for (const Index rows : {block - 1, block, block + 1, 3 * block + 5}) {
    INFO(rows);
    check_csv_both<double>(folder, rows_text(rows, "", false), {.header = mgdl::CsvHeader::No});
    check_csv_both<float>(folder, rows_text(rows, "a,b,c\n", false));
    // A first column of row numbers, out of order, is left out; one with a number twice is not.
    std::string text = rows_text(rows, ",a,b,c\n", true);
    check_csv_both<double>(folder, text);
    CHECK(mgdl::CsvBlocks<double>(folder / "both.csv").table().left_out.size() == 1);
    text += "5,1,2,3\n";
    check_csv_both<double>(folder, text);
    CHECK(mgdl::CsvBlocks<double>(folder / "both.csv").table().left_out.empty());
    check_csv_both<double>(folder, text + ",,,\n\n");
    check_csv_both<double>(folder, text + "1,2,3,x\n");
    check_csv_both<double>(folder, text + "1,2,3\n");
    check_csv_both<double>(folder, text + "\n1,2,3,4\n");
  }
  // More than what is fetched of a file at a time.
  const std::string text = rows_text(1300000, "a,b,c\n# made here\n", false);
  REQUIRE(text.size() > std::size_t{5} << 22);
  check_csv_both<float>(folder, text);
  const mgdl::CsvBlocks<float> blocks(folder / "both.csv");
  CHECK(blocks.counts_rows(0));
  CHECK_FALSE(blocks.counts_rows(1));
}

TEST_CASE("CSV in blocks: a file that changes is no longer read", "[io/csv_blocks]") {
  const TemporaryFolder folder;
  const std::string path = folder / "x.csv";
  const std::string text = rows_text(50000, "a,b,c\n", false);
  const auto error_of = [&](const auto& change) {
    folder.write("x.csv", text);
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
    const mgdl::CsvBlocks<double> blocks(path);
    Index seen = 0;
    const auto count = [&](const auto& values, Index first) {
      if (first == 0) change();
      seen += values.rows();
    };
    try {
      blocks.for_each_block(count);
    } catch (const mgdl::InvalidArgument& error) {
      CHECK(seen == mgdl::detail::kBlockRows);
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK(error_of([] {}) == "none");
  CHECK_THAT(error_of([&] { std::ofstream(path, std::ios::app) << "1,2,3\n"; }),
             ContainsSubstring(path) && ContainsSubstring(std::to_string(text.size() + 6)));
  CHECK_THAT(error_of([&] { std::fstream(path, std::ios::in | std::ios::out) << "x"; }),
             ContainsSubstring("written to"));
}

TEST_CASE("CSV in blocks: only files", "[io/csv_blocks]") {
  const TemporaryFolder folder;
  for (const std::string& path :
       {folder / "none.csv", folder.path().string(), std::string("/dev/null")}) {
    CHECK_THROWS_AS(mgdl::CsvBlocks<double>(path), mgdl::InvalidArgument);
  }
  check_csv_both<double>(folder, "");
  check_csv_both<double>(folder, "1,2\r3,4\r");
  check_csv_both<double>(folder, "sep=;\n1;2\n3;4\n");
  check_csv_both<double>(folder, "sep=x\n1;2\n3;4\n");
  check_csv_both<double>(folder,
                         "\xEF\xBB\xBF"
                         "a;b\n1;2\n3;4\n");
}
