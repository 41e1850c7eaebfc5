// CSV files as people have them: what is found out, what is refused, and by which words.

#include <sstream>
#include <string>
#include <vector>

#include "io/csv_both.hpp"
#include "mgdl/io/csv.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::CsvHeader;
using mgdl::CsvOptions;
using Names = std::vector<std::string>;

namespace {

mgdl::CsvTable<double> parse_dialect(const std::string& text, const CsvOptions& options = {}) {
  // In blocks, too.
  static const mgdl::test::TemporaryFolder folder;
  mgdl::test::check_csv_both<double>(folder, text, options);
  return mgdl::parse_csv<double>(text, options, "x.csv");
}

/// What was found, in a line: names of columns, [left out], dialect.
std::string summary(const mgdl::CsvTable<double>& table) {
  std::ostringstream out;
  for (const auto& name : table.names) out << name << ' ';
  for (const auto& column : table.left_out) {
    out << '[' << column.position << ' ' << column.name << ": " << column.reason << "] ";
  }
  const auto& dialect = table.dialect;
  out << (dialect.header ? "header" : "data");
  if (dialect.names_in_comment) out << " in comment";
  if (dialect.units) out << " units";
  if (dialect.decimal != '.') out << " decimal " << dialect.decimal;
  if (dialect.comments > 0) out << " comments " << dialect.comments;
  return out.str();
}

struct Kind {
  const char* name;
  std::string text;
  std::string found;
  mgdl::Matrix<double> values;
  CsvOptions options = {};
};

}  // namespace

TEST_CASE("CSV as people have it", "[io/csv_dialects]") {
  const mgdl::Matrix<double> two{{0.1, 0.2}, {0.4, 0.1}};
  const mgdl::Matrix<double> three{{0.1, 0.2, 0.3}, {0.4, 0.1, 0.7}};
  const std::vector<Kind> kinds = {
      {"semicolons", "a;b\n0.1;0.2\n0.4;0.1\n", "a b header", two},
      {"Excel in German", "Länge;Preis\r\n0,1;0,2\r\n0,4;0,1\r\n", "Länge Preis header decimal ,",
       two},
      {"Excel in French, with a mark",
       "\xEF\xBB\xBF"
       "durée;prix\r\n0,1;0,2\r\n0,4;0,1\r\n",
       "durée prix header decimal ,", two},
      {"with a line for Excel", "sep=;\r\na;b\r\n0.1;0.2\r\n0.4;0.1\r\n", "a b header", two},
      {"the same in Latin-1", "L\xE4nge;Preis\r\n0,1;0,2\r\n0,4;0,1\r\n",
       "Länge Preis header decimal ,", two},
      {"rows of delimiters at the end", "a;b\n0.1;0.2\n0.4;0.1\n;\n;\n", "a b header", two},
      {"tabs", "a\tb\n0.1\t0.2\n0.4\t0.1\n", "a b header", two},
      {"tabs and decimal commas", "a\tb\n0,1\t0,2\n0,4\t0,1\n", "a b header decimal ,", two},
      {"bars", "a|b\n0.1|0.2\n0.4|0.1\n", "a b header", two},
      {"columns by blanks", "  a     b\n 0.1   0.2\n 0.4 \t 0.1  \n", "a b header", two},
      {"numpy.savetxt", "1.0e-01 2.0e-01\n4.0e-01 1.0e-01\n", "data", two},
      {"a comma and a blank", "a, b\n0.1, 0.2\n0.4, 0.1\n", "a b header", two},
      {"pandas with an index", ",a,b\n0,0.1,0.2\n1,0.4,0.1\n", "a b [0 : row numbers] header", two},
      {"pandas with a filtered index", ",a,b\n7,0.1,0.2\n3,0.4,0.1\n",
       "a b [0 : row numbers] header", two},
      {"pandas that read its own index", "Unnamed: 0,a,b\n0,0.1,0.2\n1,0.4,0.1\n",
       "a b [0 Unnamed: 0: row numbers] header", two},
      {"pandas without names", "0,1,2\n0.1,0.2,0.3\n0.4,0.1,0.7\n", "0 1 2 header", three},
      {"the same with whole numbers", "0,1,2\n1.0,2.0,3.0\n4.0,1.0,0.5\n", "0 1 2 header",
       mgdl::Matrix<double>{{1, 2, 3}, {4, 1, 0.5}}},
      {"R write.csv", "\"\",\"a\",\"b\"\n\"1\",0.1,0.2\n\"2\",0.4,0.1\n",
       "a b [0 : row numbers] header", two},
      {"R write.table", "\"a\" \"b\"\n\"1\" 0.1 0.2\n\"2\" 0.4 0.1\n", "a b [0 : row names] header",
       two},
      {"R write.table without quotes", "a b\n1 0.1 0.2\n2 0.4 0.1\n", "a b [0 : row names] header",
       two},
      {"R with names of rows", "\"a\",\"b\"\n\"Rome\",0.1,0.2\n\"Oslo\",0.4,0.1\n",
       "a b [0 : row names] header", two},
      {"R write.csv2", "\"a\";\"b\"\n0,1;0,2\n0,4;0,1\n", "a b header decimal ,", two},
      {"names that are numbers, in quotes", "\"2019\",\"2020\"\n0.1,0.2\n0.4,0.1\n",
       "2019 2020 header", two},
      {"names of which one is a number", "a,2020\n0.1,0.2\n0.4,0.1\n", "a 2020 header", two},
      {"names in capitals, all in quotes", "\"A\",\"B\"\n\"0.1\",\"0.2\"\n\"0.4\",\"0.1\"\n",
       "A B header", two},
      {"units", "a,b\nmm,kg/m^3\n0.1,0.2\n0.4,0.1\n", "a b header units", two},
      {"units of which one is none", "a,b\n-,[s]\n0.1,0.2\n0.4,0.1\n", "a b header units", two},
      {"comments", "# made today\n# by, me\na,b\n0.1,0.2\n# in between\n0.4,0.1\n",
       "a b header comments 3", two},
      {"comments of MATLAB",
       "% made today\n0.1,0.2\n0.4,0.1\n",
       "data comments 1",
       two,
       {.comment = '%'}},
      {"names in a comment",
       "# a b\n0.1 0.2\n0.4 0.1\n",
       "a b header in comment",
       two,
       {.header = CsvHeader::Yes}},
      {"no names below a comment",
       "# a b\n0.1 0.2\n0.4 0.1\n",
       "data comments 1",
       two,
       {.header = CsvHeader::No}},
      {"a comment that is said to be one",
       "#a,b\n0.1,0.2\n0.4,0.1\n",
       "data comments 1",
       two,
       {.comment = '#'}},
      {"a name with #", "#a,b\n0.1,0.2\n0.4,0.1\n", "#a b header", two, {.comment = '\0'}},
      {"text", "a,city,b\n0.1,\"Rome, IT\",0.2\n0.4,Oslo,0.1\n", "a b [1 city: text] header", two},
      {"text in several lines", "a,note,b\n0.1,\"two\nlines\",0.2\n0.4,\"\",0.1\n",
       "a b [1 note: text] header", two},
      {"text, no names", "0.1,Rome,0.2\n0.4,Oslo,0.1\n", "[1 : text] data", two},
      {"dates", "day,a,b\n2020-01-31,0.1,0.2\n2020-02-29,0.4,0.1\n", "a b [0 day: text] header",
       two},
      {"dates in German", "Tag;a;b\n31.01.2020;0,1;0,2\n29.02.2020;0,4;0,1\n",
       "a b [0 Tag: text] header decimal ,", two},
      {"times", "a,at,b\n0.1,12:30,0.2\n0.4,12:45:10,0.1\n", "a b [1 at: text] header", two},
      {"truth values", "a,ok,b\n0.1,TRUE,0.2\n0.4,false,0.1\n", "a b [1 ok: text] header", two},
      {"a delimiter at the end of rows", "a,b\n0.1,0.2,\n0.4,0.1,\n", "a b [2 : empty] header",
       two},
      {"and of the names", "a,b,\n0.1,0.2,\n0.4,0.1,\n", "a b [2 : empty] header", two},
      {"a column without values", "a,c,b\n0.1,,0.2\n0.4,NA,0.1\n", "a b [1 c: empty] header", two},
      {"CR of old Macs", "a,b\r0.1,0.2\r0.4,0.1\r", "a b header", two},
      {"names with commas", "\"a, x\",b\n0.1,0.2\n0.4,0.1\n", "a, x b header", two},
      {"excluded by name and number",
       "id,a,b,?\n1,0.1,0.2,x\n2,0.4,0.1,5\n",
       "a b [0 id: excluded] [3 ?: excluded] header",
       two,
       {.exclude = {"id", "4"}}},
      {"columns in another order",
       "b,id,a\n0.2,x,0.1\n0.1,?,0.4\n",
       "a b header",
       two,
       {.columns = {"a", "1"}}},
      {"columns of a model",
       "b,id,a\n0.2,x,0.1\n0.1,?,0.4\n",
       "a b header",
       two,
       {.names = {"a", "b"}}},
      {"columns of a model, of numbers",
       "1,5,0\n0.2,7,0.1\n0.1,8,0.4\n",
       "0 1 header",
       two,
       {.names = {"0", "1"}}},
      {"no names for those of a model", "0.1,0.2\n0.4,0.1\n", "data", two, {.names = {"a", "b"}}},
      {"a single column", "0.1\n0.4\n", "data", two.leftCols(1)},
      {"a single column with a name", "my value\n0.1\n0.4\n", "my value header", two.leftCols(1)},
  };
  for (const Kind& kind : kinds) {
    INFO(kind.name << "\n" << kind.text);
    std::string found;
    CHECK_NOTHROW(found = summary(parse_dialect(kind.text, kind.options)));
    CHECK(found == kind.found);
    if (found != kind.found) continue;
    CHECK(parse_dialect(kind.text, kind.options).values == kind.values);
  }
}

TEST_CASE("CSV: numbers in the first record are names or data, and what is neither is asked for",
          "[io/csv_dialects]") {
  const std::string unclear = "a first line that is clearly names or numbers (CsvOptions.header";
  for (const std::string text :
       {"0,1\n0.1,0.2\n", "1,2\n0.1,0.2\n0.3,0.4\n", "2019,2020,2021\n5,7,3\n6,5,8\n",
        "2018,2020\n0.5,0.7\n0.6,0.5\n", "400.5,401.0,401.5\n0.1,0.2,0.3\n",
        "Rome,2019,2020\nOslo,1,3\nBonn,3,1\n", "0\n0.5\n0.25\n", "0,1,2\n3,1,0\n1,1,7\n",
        "a,0.5\n1,2\n"}) {
    INFO(text);
    CHECK_THROWS_WITH(parse_dialect(text), ContainsSubstring(unclear));
    CHECK(parse_dialect(text, {.header = CsvHeader::Yes}).dialect.header);
  }
  for (const std::string text :
       {"0.1,0.2\n0.3,0.4\n", "1,2\n3,4\n", "1,2,3\n4,5,6\n7,8,9\n", "5,5\n0.1,0.2\n",
        "0,0\n0.5,0.25\n1,1\n", "3,8,2\n1,9,4\n7,7,1\n", "5\n6\n7\n", "1,?\n2,3\n"}) {
    INFO(text);
    try {
      const auto table = parse_dialect(text);
      CHECK_FALSE(table.dialect.header);
      CHECK(table.values.rows() == std::count(text.begin(), text.end(), '\n'));
    } catch (const mgdl::InvalidArgument& error) {
      CHECK(error.found() == "\"?\"");
    }
  }
  // The names of a model settle it.
  CHECK(parse_dialect("0,1\n0.1,0.2\n", {.names = {"0", "1"}}).names == Names{"0", "1"});
}

TEST_CASE("CSV: what can be read in two ways is refused, with the option that decides",
          "[io/csv_dialects]") {
  struct Case {
    std::string text;
    std::vector<std::string> message;
    CsvOptions options = {};
  };
  for (const Case& bad : std::vector<Case>{
           {"a,b;c\nx,y;z\n", {"CsvOptions.delimiter", "\",\" and \";\""}},
           {"a;b\n1,234;0.5\n", {"CsvOptions.decimal", "\"1,234\" and \"0.5\"", "line 2"}},
           {"a;b\n1,234;12,345\n-7,001;1\n", {"CsvOptions.decimal", "thousands", "line 2"}},
           {"a;b\n1.234,5;2\n1;2\n", {"a number", "\"1.234,5\"", "line 2, column 1 (\"a\")"}},
           {"a,b\n\"1,234.5\",2\n\"2,000.5\",3\n", {"a number", "\"1,234.5\"", "column 1"}},
           {"a,b\n$5,2\n$7,3\n", {"a number", "\"$5\"", "line 2, column 1"}},
           {"a,b\n5%,2\n7%,3\n", {"a number", "\"5%\"", "line 2, column 1"}},
           {"# a,b\n0.1,0.2\n", {"names in the comment", "CsvOptions.header", "# a,b"}},
           {"a,b\n1,2\n3,4\nTotal,6\n", {"a number", "\"Total\"", "line 4, column 1 (\"a\")"}},
           {"y\n1,5\n2,5\n", {"1 field", "found 2", "line 2"}},
           {"Report 2024\n\na,b\n1,2\n", {"1 field, as in the first line", "found 2", "line 3"}},
           // Errors of a spreadsheet are no comments: a row would be lost without a word.
           {"a,b\n1,2\n#DIV/0!,3\n", {"a number", "\"#DIV/0!\"", "line 3, column 1"}},
           {"a,b\n1,2\n#N/A,3\n", {"a number", "\"#N/A\"", "line 3, column 1"}},
           {"a;b\n1;2\n#WERT!;3\n", {"a number", "\"#WERT!\"", "line 3, column 1"}},
           {"a\tb\n1\t2\n#NAME?\t3\n", {"a number", "\"#NAME?\"", "line 3, column 1"}},
           {"a b\n1 2\n#NUM! 3\n", {"a number", "\"#NUM!\"", "line 3, column 1"}},
           {"a,b\nx,y\nz,w\n", {"a number", "\"x\"", "line 2"}},
           {"a,a\n1,2\n", {"one column named \"a\"", "several"}, {.names = {"a"}}},
           {"a,c\n1,2\n", {"one column named \"b\"", "\"a\", \"c\""}, {.names = {"a", "b"}}},
           {"a,c\n1,2\n", {"CsvOptions.columns", "\"b\""}, {.columns = {"b"}}},
           {"a,c\n1,2\n", {"CsvOptions.exclude", "\"b\""}, {.exclude = {"b"}}},
           {"a,c\n1,2\n", {"CsvOptions.exclude", "\"a\""}, {.columns = {"a"}, .exclude = {"1"}}},
           {"a,c\n1,2\n", {"one column of numbers"}, {.exclude = {"a", "c"}}},
           {"a,c\n1,x\n", {"a number", "\"x\"", "column 2"}, {.columns = {"c"}}},
           {"a,c\n1,\n", {"a number", "an empty field", "column 2"}, {.names = {"c"}}},
           {"a,b\nmm,3\n1,2\n", {"a number", "\"mm\"", "line 2"}},
           {std::string("a\0,\0b\0", 6), {"UTF-16"}},
           {std::string("a,\0b\n1,2\n", 9), {"names that are text", "\"\\x00b\"", "line 1"}},
           {"PK\x03\x04rest", {"zip", ".xlsx", ".npz"}},
           {"\x1F\x8Brest", {"gzip"}},
           {"<!DOCTYPE html>\n", {"HTML"}},
           {"sep=x\na,b\n", {"CsvOptions.delimiter", "\"x\""}},
           {"sep=;\na;b\n1;2\n1;x\n", {"a number", "\"x\"", "line 4, column 2"}},
           {"\x93NUMPY", {".npy"}},
       }) {
    INFO(bad.text);
    std::string message;
    try {
      parse_dialect(bad.text, bad.options);
    } catch (const mgdl::InvalidArgument& error) {
      message = error.what();
    }
    for (const auto& part : bad.message) CHECK_THAT(message, ContainsSubstring(part));
    CHECK(message.size() < 250);
  }
}

TEST_CASE("CSV: columns are numbered as in the file", "[io/csv_dialects]") {
  const auto table = parse_dialect("id,city,a,y\n1,Rome,5,6\n3,Oslo,7,9\n", {.exclude = {"id"}});
  CHECK(table.names == Names{"a", "y"});
  CHECK(table.positions == std::vector<mgdl::Index>{2, 3});
  const auto [X, Y] = mgdl::split_targets(table, {"4"});
  CHECK(X == mgdl::Matrix<double>{{5}, {7}});
  CHECK(Y == mgdl::Matrix<double>{{6}, {9}});
  for (const std::string column : {"2", "city"}) {
    CHECK_THROWS_WITH(mgdl::split_targets(table, {column}),
                      ContainsSubstring("expected a column of numbers, found \"" + column +
                                        "\", which was left out (text)"));
  }
  CHECK_THROWS_WITH(mgdl::find_columns(table, {"id"}), ContainsSubstring("(excluded)"));
  CHECK_THROWS_WITH(mgdl::find_columns(table, {"5"}), ContainsSubstring("found \"5\""));
  CHECK(mgdl::select_columns(table, {"y"}).positions == std::vector<mgdl::Index>{3});
}

TEST_CASE("CSV: names of any kind are written and found again", "[io/csv_dialects]") {
  for (const Names& names : std::vector<Names>{{"0", "1"},
                                               {"1.5", "nan"},
                                               {"a,b", "c;d"},
                                               {"#x", "# y"},
                                               {"", "\"\""},
                                               {"2019", "x y"},
                                               {"-", "?"}}) {
    std::ostringstream out;
    mgdl::write_csv(out, mgdl::Matrix<double>{{0.5, 1.5}, {2.5, 3.5}}, names);
    INFO(out.str());
    CHECK(parse_dialect(out.str(), {.delimiter = ',', .header = CsvHeader::Yes}).names == names);
    CHECK(parse_dialect(out.str(), {.header = CsvHeader::Yes}).values.rows() == 2);
  }
}
