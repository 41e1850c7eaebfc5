#include "mgdl/io/csv.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <locale>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "io/csv_both.hpp"
#include "mgdl/io/number_text.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using Names = std::vector<std::string>;

namespace {

template <class Scalar = double>
mgdl::CsvTable<Scalar> parse(const std::string& text, const mgdl::CsvOptions& options = {}) {
  // In blocks, too.
  static const mgdl::test::TemporaryFolder folder;
  mgdl::test::check_csv_both<Scalar>(folder, text, options);
  return mgdl::parse_csv<Scalar>(text, options, "x.csv");
}

template <class Scalar = double>
void check_error(const std::string& text, const std::string& message,
                 const mgdl::CsvOptions& options = {}) {
  INFO(text.substr(0, 200));
  CHECK_THROWS_MATCHES(parse<Scalar>(text, options), mgdl::InvalidArgument,
                       Catch::Matchers::Message("x.csv: expected " + message));
}

const mgdl::Matrix<double>& three_by_two() {
  static const mgdl::Matrix<double> values{{1, -2.5}, {3e2, 4}, {0.5, 6}};
  return values;
}

/// A locale whose numbers look like 1.234,5.
struct DecimalComma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

template <class Scalar>
void check_number(const std::string& text, Scalar expected) {
  const char* end = text.data() + text.size();
  INFO(text);
  const auto number = mgdl::detail::parse_number<Scalar>(text.data(), end);
  CHECK(number.status == mgdl::detail::NumberStatus::Ok);
  CHECK(number.end == end);
  CHECK(std::memcmp(&number.value, &expected, sizeof(Scalar)) == 0);
}

/// Values at the edges of the format and random bit patterns, distinct.
template <class Scalar, class Bits>
mgdl::Matrix<Scalar> difficult_numbers() {
  using Limits = std::numeric_limits<Scalar>;
  mgdl::Matrix<Scalar> values(500, 4);
  std::mt19937_64 random(mgdl::test::seed());
  for (mgdl::Index k = 0; k < values.size(); ++k) {
    do {
      const Bits bits = static_cast<Bits>(random());
      std::memcpy(values.data() + k, &bits, sizeof(Scalar));
    } while (!std::isfinite(values.data()[k]));
  }
  values.row(0) << Limits::denorm_min(), Limits::max(), Limits::lowest(), Scalar(-0.0);
  values.row(1) << Limits::min(), Scalar(0.1), Scalar(1) / 3, -Limits::denorm_min();
  return values;
}

}  // namespace

TEST_CASE("CSV: header, delimiters, line ends, quotes, byte order mark", "[io/csv]") {
  struct Sample {
    std::string text;
    Names names;
    mgdl::CsvOptions options;
  };
  const std::vector<Sample> samples = {
      {"a,b\n1,-2.5\n3e2,4\n0.5,6\n", {"a", "b"}, {}},
      {"a,b\n1,-2.5\n3e2,4\n0.5,6", {"a", "b"}, {}},
      {"a,b\r\n1,-2.5\r\n3e2,4\r\n0.5,6\r\n", {"a", "b"}, {}},
      {"a,b\r\n1,-2.5\r\n3e2,4\r\n0.5,6\r", {"a", "b"}, {}},
      {"1,-2.5\n3e2,4\n0.5,6\n", {}, {}},
      {"\xEF\xBB\xBF"
       "1,-2.5\n3e2,4\n0.5,6\n",
       {},
       {}},
      {"\xEF\xBB\xBF"
       "a,b\n1,-2.5\n3e2,4\n0.5,6\n",
       {"a", "b"},
       {}},
      {"1;-2.5\n+3e2;4\n.5;6.\n", {}, {.delimiter = ';'}},
      {"a\tb c\n1\t-2.5\n3e2\t4\n0.5\t6\n", {"a", "b c"}, {.delimiter = '\t'}},
      {"1 -2.5\n300 4\n0.5 6\n", {}, {.delimiter = ' '}},
      {"  a , b\t\n 1 ,\t-2.5 \n3E+2,4\t\n0.5 ,  6", {"a", "b"}, {}},
      {"\"a\",\"b\"\n\"1\",\"-2.5\"\n\" 3e2 \" , \"4\"\n0.5,\"6\"\n", {"a", "b"}, {}},
      {"\"a \"\"x\"\"\n, z\", \"\" \n1,-2.5\n3e2,4\n0.5,6\n", {"a \"x\"\n, z", ""}, {}},
      {"a\"b,c\n1,-2.5\n3e2,4\n0.5,6\n", {"a\"b", "c"}, {}},
      {"\n \t\r\na,b\n\n1,-2.5\n3e2,4\n0.5,6\n\n \n\r\n", {"a", "b"}, {}},
      {"2020,2021\n1,-2.5\n3e2,4\n0.5,6\n", {"2020", "2021"}, {.header = mgdl::CsvHeader::Yes}},
      {"x,1\n1,-2.5\n3e2,4\n0.5,6\n", {"x", "1"}, {.header = mgdl::CsvHeader::Yes}},
      {"#c,\na,b\n#\n1,-2.5\n# \"\n3e2,4\n0.5,6\n#", {"a", "b"}, {.comment = '#'}},
      {"1,-2.5\n3e2,4\n0.5,6\n", {}, {.header = mgdl::CsvHeader::No}},
  };
  for (const Sample& sample : samples) {
    INFO(sample.text);
    const mgdl::CsvTable<double> table = parse(sample.text, sample.options);
    CHECK(table.names == sample.names);
    REQUIRE((table.values.rows() == 3 && table.values.cols() == 2));
    CHECK(table.values == three_by_two());
    CHECK(parse<float>(sample.text, sample.options).values == three_by_two().cast<float>());
  }
  CHECK(parse("7").values == mgdl::Matrix<double>{{7}});
}

TEST_CASE("CSV: errors name file, line and column", "[io/csv]") {
  check_error("a,b\n1,2\n3,x\n", "a number, found \"x\" at line 3, column 2 (\"b\")");
  check_error("1.5,2\n3,4\n3,x\n", "a number, found \"x\" at line 3, column 2");
  check_error("a,b\n1,2 3\n", "a number, found \"2 3\" at line 2, column 2 (\"b\")");
  check_error("a;b\n1;2,5\n", "a number, found \"2,5\" at line 2, column 2 (\"b\")",
              {.delimiter = ';', .decimal = '.'});
  for (const std::string text : {"--1", "+-1", "++1", "0x10", "1e", "1.2.3", "-", "+", ".", "e5",
                                 "1_0", "nanx", "1\r2", "?", "NA", "#DIV/0!", "1,2"}) {
    const std::string field = text.find(',') == text.npos ? text : "\"" + text + "\"";
    check_error("a,b\n1,2\n1," + field + "\n",
                "a number, found " + mgdl::detail::excerpt(text) + " at line 3, column 2 (\"b\")");
  }
  check_error("a,b\n1,2\n1,\"\"\"1\"\"\"\n",
              "a number, found \"\"1\"\" at line 3, column 2 (\"b\")");
  check_error("a,b\n1,2\n1,\"1\n", "a closing quote, found the end of the file at line 3");
  check_error("a,b\n1,\"1\"2\n",
              "a delimiter or the end of the line behind the closing quote, found \"2\" at line 2");
  for (const std::string nothing : {"", " ", "\"\"", "\t"}) {
    check_error("a,b\r\n" + nothing + ",2\r\n3,4\r\n",
                "a number, found an empty field at line 2, column 1 (\"a\")");
    check_error("a,b\n1,2\n1," + nothing + "\n",
                "a number, found an empty field at line 3, column 2 (\"b\")");
  }
  for (const std::string text : {"nan", "NaN", "-nan", "inf", "-Inf", "+inf", "INFINITY"}) {
    check_error("a,b\n1,2\n" + text + ",2\n",
                "a finite number, found \"" + text + "\" at line 3, column 1 (\"a\")");
    check_error("1.5,2\n" + text + ",2\n",
                "a finite number, found \"" + text + "\" at line 2, column 1");
  }
  check_error(
      "1.5,2\n1e309,1\n",
      "a number of size at most 1.7976931348623157e+308, found \"1e309\" at line 2, column 1");
  check_error<float>("-1e39\n",
                     "a number of size at most 3.4028235e+38, found \"-1e39\" at line 1, column 1");
  check_error("a,b\n1,2\n3\n", "2 fields, found 1 at line 3");
  check_error("a,b\n1,2\n3,4,5\n", "2 fields, found 3 at line 3");
  check_error("a,b\n1,2\n3,4,\n", "2 fields, found 3 at line 3");
  check_error("a,b\n3,4,\"5,6\"\n", "2 fields, found 3 at line 2");
  check_error("a\n1\n3,4\n", "1 field, as in the first line, found 2 at line 3");
  check_error("a,b\n1,2,3\n", "2 fields, found 3 at line 2");
  check_error("a,b\n1,2\n\n3,4\n",
              "blank lines only behind the last row, found rows behind a blank line at line 3");
  check_error("a,b\n1,2\n#\n\n#\n3,4\n",
              "blank lines only behind the last row, found rows behind a blank line at line 4",
              {.comment = '#'});
  // Lines are physical ones: a name may span several.
  check_error("\"a\n\r\nb\",c\r\n1,2\r\n3,x\r\n",
              "a number, found \"x\" at line 5, column 2 (\"c\")");
  check_error("a,b\n1,2\n", "a number, found \"a\" at line 1, column 1",
              {.header = mgdl::CsvHeader::No});
  check_error("\n\"a,b\n1,2\n", "a closing quote, found the end of the file at line 2");
  check_error("\"a\"b,c\n1,2\n",
              "a delimiter or the end of the line behind the closing quote, found \"b\" at line 1");
  for (const std::string text : {"", "\n\n", "\xEF\xBB\xBF"}) {
    CHECK_THROWS_WITH(parse(text), ContainsSubstring("at least one row of numbers, found none"));
  }
  check_error("a,b\n\n", "at least one row of numbers, found none at line 3");
  check_error(
      "\xFF\xFE"
      "1",
      "text in UTF-8 or ASCII, found UTF-16 at byte 0");
  check_error(std::string("1.5,2\n\0,1\n4,1\n", 14),
              "a number, found \"\\x00\" at line 2, column 1");
  check_error("1\n2\n" + std::string(1000, 'y') + "\n",
              "a number, found \"" + std::string(40, 'y') + "...\" at line 3, column 1");
}

TEST_CASE("CSV: what claims many cells in few bytes is refused without storing them", "[io/csv]") {
  // 1e5 columns and 1e6 lines: as a table they would need 800 GB.
  const std::string header = "n" + std::string(99999, ',') + "\n";
  std::string lines;
  for (int i = 0; i < 1000000; ++i) lines += "1\n";
  check_error(header + lines, "100000 fields, found 1 at line 2", {.header = mgdl::CsvHeader::Yes});
}

TEST_CASE("CSV: cut anywhere, a file is read or refused", "[io/csv]") {
  const std::string text = "\xEF\xBB\xBF\"a \"\"\n\", b\r\n#\n 1 ,\"2\"\r\n-3e1, 4\n\n";
  std::size_t tables = 0;
  for (std::size_t length = 0; length <= text.size(); ++length) {
    // A copy of exactly this length, so that the address sanitizer sees a step beyond it.
    const std::vector<char> cut(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length));
    try {
      mgdl::parse_csv({cut.data(), cut.size()}, {.comment = '#'});
      ++tables;
    } catch (const mgdl::InvalidArgument&) {
    }
  }
  // Behind the first row's first delimiter (a column is empty), the row, its CR and LF, the second
  // row and its two LF.
  CHECK(tables == 7);
}

TEST_CASE("CSV: numbers do not depend on the locale", "[io/csv]") {
  const std::locale before =
      std::locale::global(std::locale(std::locale::classic(), new DecimalComma));
  check_number("1234.5", 1234.5);
  check_number("-0", -0.0);
  check_number("5e-324", 5e-324);
  check_number("1e-400", 0.0);
  check_number("-1e-400", -0.0);
  check_number("1e-46", 0.0f);
  check_number("1.7976931348623157e308", 1.7976931348623157e308);
  check_number("0.1", 0.1f);
  check_number("1000000000000000000000000000000000000000e-39", 1.0f);
  check_number("-0." + std::string(400, '0') + "1", -0.0);
  check_number("1e-99999999999999999999", 0.0);
  check_number("0.00001e-300", 0.0f);
  std::string text;
  mgdl::detail::append_number(text, 12345.678901234567);
  CHECK(text == "12345.678901234567");
  mgdl::detail::append_number(text = "", std::numeric_limits<float>::max());
  CHECK(text == "3.4028235e+38");
  mgdl::detail::append_number(text = "", -std::numeric_limits<double>::max());
  CHECK(text == "-1.7976931348623157e+308");
  std::ostringstream out;
  mgdl::write_csv(out, mgdl::Matrix<double>{{1234567.5, 0.1}});
  CHECK(out.str() == "1234567.5,0.1\n");
  std::locale::global(before);

  using mgdl::detail::NumberStatus;
  const auto status = [](const std::string& number) {
    return mgdl::detail::parse_number<float>(number.data(), number.data() + number.size()).status;
  };
  CHECK(status("1e999") == NumberStatus::TooLarge);
  CHECK(status("-1E+99999999999999999999") == NumberStatus::TooLarge);
  CHECK(status("0." + std::string(50, '0') + "1e+100") == NumberStatus::TooLarge);
  CHECK(status("1" + std::string(39, '0') + ".5") == NumberStatus::TooLarge);
  CHECK(status("3" + std::string(38, '9') + "e-100") == NumberStatus::Ok);
  CHECK(status("x1") == NumberStatus::NotANumber);
}

TEST_CASE("CSV: options are checked", "[io/csv]") {
  for (const char wrong : {'"', '\n', '.', '-', '1', 'e', '\0'}) {
    CHECK_THROWS_WITH(parse("1", {.delimiter = wrong}), ContainsSubstring("CsvOptions.delimiter"));
  }
  for (const char wrong : {'1', '"', '\n', '-', ' '}) {
    CHECK_THROWS_WITH(parse("1", {.comment = wrong}), ContainsSubstring("CsvOptions.comment"));
  }
  CHECK_THROWS_WITH(parse("1", {.delimiter = ';', .comment = ';'}),
                    ContainsSubstring("CsvOptions.comment"));
}

TEST_CASE("CSV: columns are chosen and split", "[io/csv]") {
  mgdl::CsvTable<double> table = parse("x,y,z,u\n1,2,3,4\n5,6,7,8\n");
  const auto selected = mgdl::select_columns(table, {"u", "2"});
  CHECK(selected.names == Names{"u", "y"});
  CHECK(selected.values == mgdl::Matrix<double>{{4, 2}, {8, 6}});

  const auto [X, Y] = mgdl::split_targets(table, {"z", "1"});
  CHECK(X == mgdl::Matrix<double>{{2, 4}, {6, 8}});
  CHECK(Y == mgdl::Matrix<double>{{3, 1}, {7, 5}});

  const auto check = [&table](const Names& columns, const std::string& message) {
    CHECK_THROWS_MATCHES(mgdl::split_targets(table, columns), mgdl::InvalidArgument,
                         Catch::Matchers::Message("target_columns: expected " + message));
  };
  const std::string available = "\"x\", \"y\", \"z\", \"u\", or a number from 1 to 4";
  for (const std::string& unknown :
       Names{"w", "0", "5", "-1", "", "1 ", "99999999999999999999", "X"}) {
    check({"x", unknown}, "one of " + available + ", found \"" + unknown + "\"");
  }
  check({"x", "x"}, "every column once, of " + available + ", found \"x\" again");
  check({"x", "1"}, "every column once, of " + available + ", found \"1\" again");
  check({}, "at least one of " + available + ", found none");
  check({"x", "y", "z", "u"}, "at least one column left as input, found all 4 columns as targets");

  table.names = {"x", "4", "y", "y"};  // a name wins; a name of two columns chooses none
  CHECK(mgdl::find_columns(table, {"4"}) == std::vector<mgdl::Index>{1});
  check({"y"},
        "a column that can be told by its name, or its number, found \"y\", the name of 2 columns");
  table.names.clear();
  CHECK(mgdl::select_columns(table, {"3"}).names.empty());
  CHECK(mgdl::select_columns(table, {"3"}).values == mgdl::Matrix<double>{{3}, {7}});
  check({"y"}, "one of the numbers 1 to 4, found \"y\"");
}

TEST_CASE("CSV: what is written is read back bit for bit", "[io/csv]") {
  const Names names{
      "\xEF\xBB\xBF"
      "b",
      "", "\"q\"\r\n,", " x"};
  const auto check = [&]<class Scalar>(const mgdl::Matrix<Scalar>& values) {
    std::ostringstream out;
    mgdl::write_csv(out, values, names);
    for (const char comment : {'\0', '#'}) {
      const auto back = parse<Scalar>(out.str(), {.comment = comment});
      CHECK(back.names == names);
      REQUIRE((back.values.rows() == values.rows() && back.values.cols() == values.cols()));
      CHECK(std::memcmp(back.values.data(), values.data(),
                        sizeof(Scalar) * static_cast<std::size_t>(values.size())) == 0);
    }
  };
  check(difficult_numbers<double, std::uint64_t>());
  check(difficult_numbers<float, std::uint32_t>());

  std::ostringstream out;
  mgdl::write_csv(out, three_by_two().array() * 2, {"a", "b c"});
  CHECK(out.str() == "a,\"b c\"\n2,-5\n600,8\n1,12\n");
  std::ostringstream one;
  mgdl::write_csv(one, mgdl::Matrix<float>{{0.1f}}, {""});
  CHECK(parse<float>(one.str()).names == Names{""});
  std::ostringstream comment;
  mgdl::write_csv(comment, mgdl::Matrix<float>{{0.1f}}, {"#x"});
  CHECK(parse<float>(comment.str(), {.comment = '#'}).names == Names{"#x"});
}

TEST_CASE("CSV: files are written whole or not at all", "[io/csv]") {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("mgdl-csv-" + std::to_string(std::random_device()()) + ".csv");
  mgdl::write_csv(path, three_by_two(), {"a", "b"});
  CHECK(mgdl::read_csv(path).values == three_by_two());

  mgdl::Matrix<double> bad = three_by_two();
  bad(1, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(mgdl::write_csv(path, bad), ContainsSubstring("row 1, column 0"));
  CHECK_THROWS_WITH(mgdl::write_csv(path, three_by_two(), {"a"}),
                    ContainsSubstring("2 names or none, found 1"));
  CHECK_THROWS_WITH(mgdl::write_csv(path, mgdl::Matrix<double>(0, 2)), ContainsSubstring("0 x 2"));
  CHECK(mgdl::read_csv<float>(path).names == Names{"a", "b"});

  mgdl::write_csv(path, mgdl::Matrix<double>{{0.0, 1.0}});
  CHECK(mgdl::read_csv(path).values == mgdl::Matrix<double>{{0.0, 1.0}});
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(mgdl::read_csv(path),
                    ContainsSubstring(path.string() + ": expected a readable file"));
  CHECK_THROWS_AS(mgdl::write_csv(path / "a.csv", three_by_two()), mgdl::InvalidArgument);
}
