// CSV files on the way through the command: names travel from the samples of a fit to predictions,
// checks and exports; files as people have them are read by all subcommands; what is not, is
// refused with the flag that helps.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/refused.hpp"
#include "command/run_command.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/number_text.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;
using Names = std::vector<std::string>;

namespace {

/// y = 10 a - b^2 at n points, as a line for each.
class TablesFolder : public mgdl::test::TemporaryFolder {
 public:
  TablesFolder() {
    std::string text = "a,b,y\n";
    for (int i = 0; i < 30; ++i) {
      const double a = std::fmod(0.37 * i, 1.0), b = std::fmod(0.61 * i + 0.2, 1.0);
      text +=
          std::to_string(a) + "," + std::to_string(b) + "," + std::to_string(10 * a - b * b) + "\n";
    }
    write("train.csv", text);
  }

  Outcome fit(const std::string& file, const Arguments& more = {}) const {
    return run(Arguments{"fit", "--threads", "1", "--trainer", "affine", "--grades", "1", "--csv",
                         *this / file, "--output", *this / "m"} +
               more);
  }
  Outcome predict(const std::string& file, const Arguments& more = {}) const {
    return run(Arguments{"predict", "--model", *this / "m", "--csv", *this / file, "--output",
                         *this / "P.csv"} +
               more);
  }
  /// Of a file that is read.
  mgdl::Matrix<double> predicted(const std::string& file, const Arguments& more = {}) const {
    const Outcome outcome = predict(file, more);
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    return mgdl::read_csv<double>(*this / "P.csv", {.header = mgdl::CsvHeader::No}).values;
  }
};

void check_refused_briefly(const Outcome& outcome, const std::vector<std::string>& message) {
  mgdl::test::check_refused(outcome, message);
  CHECK(outcome.errors.size() < 400);
}

}  // namespace

TEST_CASE("predict finds columns by the names of the fit", "[command/predict]") {
  const TablesFolder folder;
  const Outcome fit = folder.fit("train.csv", {"--target-columns", "y"});
  INFO(fit.errors);
  REQUIRE(fit.code == 0);
  CHECK_THAT(fit.errors, ContainsSubstring("train.csv: 30 rows, header, 2 inputs, 1 target\n"));
  folder.write("ab.csv", "a,b\n0.9,0.1\n0.2,0.7\n");
  folder.write("ba.csv", "b,a\n0.1,0.9\n0.7,0.2\n");
  folder.write("more.csv", "id;when;b;y;a\n1;2020-01-01;0,1;?;0,9\n2;2020-01-02;0,7;?;0,2\n");
  folder.write("units.csv", "b\ta\nmm\tkg\n0.1\t0.9\n0.7\t0.2\n");
  folder.write("plain.csv", "0.9,0.1\n0.2,0.7\n");
  const auto expected = folder.predicted("ab.csv");
  CHECK(expected.rows() == 2);
  for (const std::string file : {"ba.csv", "more.csv", "units.csv", "plain.csv"}) {
    INFO(file);
    CHECK(folder.predicted(file) == expected);
  }
  CHECK(folder.predicted("more.csv", {"--columns", "a,3"}) == expected);

  folder.write("ac.csv", "a,c\n0.9,0.1\n");
  folder.write("aab.csv", "a,a,b\n0.9,0.1,0.2\n");
  folder.write("three.csv", "0.9,0.1,0.3\n0.2,0.7,0.5\n");
  folder.write("missing.csv", "b,a\n0.1,0.9\n,0.2\n");
  folder.write("capital.csv", "A,B\n0.1,0.9\n");
  check_refused_briefly(folder.predict("ac.csv"),
                        {folder / "ac.csv", "one column named \"b\"", "\"a\", \"c\"", "--columns"});
  check_refused_briefly(folder.predict("aab.csv"), {folder / "aab.csv", "one column named \"a\""});
  check_refused_briefly(folder.predict("three.csv"),
                        {folder / "three.csv", "2 columns", "found 3"});
  check_refused_briefly(folder.predict("missing.csv"),
                        {folder / "missing.csv", "an empty field", "line 3, column 1 (\"b\")"});
  check_refused_briefly(folder.predict("capital.csv"), {"one column named \"a\"", "\"A\", \"B\""});
  // Other names that are meant: by the flag.
  CHECK(folder.predicted("capital.csv", {"--columns", "B,A"}).rows() == 1);
}

TEST_CASE("names of numbers, with commas and in Latin-1 travel, too", "[command/predict]") {
  const TablesFolder folder;
  folder.write("numbers.csv", "0,1,2\n0.1,0.2,0.3\n0.4,0.1,0.7\n0.5,0.9,0.2\n");
  const Outcome numbers = folder.fit("numbers.csv", {"--target-columns", "3"});
  CHECK_THAT(numbers.errors, ContainsSubstring("3 rows, header, 2 inputs, 1 target"));
  folder.write("new.csv", "0,1\n0.1,0.2\n");
  CHECK(folder.predicted("new.csv").rows() == 1);

  folder.write("commas.csv", "\"a, in mm\",\"say \"\"b\"\"\",y\n1.5,2,3\n4,5.5,6\n2,1,0.5\n");
  REQUIRE(folder
              .fit("commas.csv",
                   {"--target-columns", "y", "--columns", "\"say \"\"b\"\"\",\"a, in mm\""})
              .code == 0);
  const Names expected{"say \"b\"", "a, in mm"};
  CHECK(mgdl::load_model<double>(folder / "m").names.inputs == expected);
  folder.write("new.csv", "y;\"a, in mm\";\"say \"\"b\"\"\"\n?;1,5;2,5\n");
  CHECK(folder.predicted("new.csv").rows() == 1);
  check_refused_briefly(folder.fit("commas.csv", {"--target-columns", "\"y"}),
                        {"--target-columns", "quotes around whole names"});

  folder.write("latin.csv", "L\xE4nge;Preis\n1,5;2\n4;5,5\n2;1\n");
  REQUIRE(folder.fit("latin.csv", {"--target-columns", "Preis"}).code == 0);
  CHECK(mgdl::load_model<double>(folder / "m").names.inputs == Names{"Länge"});
  folder.write("new.csv", "Preis,Länge\n1,2\n3,4.5\n");
  CHECK(folder.predicted("new.csv").rows() == 2);
}

TEST_CASE("a column that counts rows is pointed at", "[command/fit]") {
  const TablesFolder folder;
  const std::string rows = "\n1,0.5,2\n2,0.25,3\n3,1.5,0\n4,2.5,1\n";
  for (const std::string name : {"id", "ID", "Index", "house_id"}) {
    folder.write("id.csv", name + ",a,y" + rows);
    const Outcome outcome = folder.fit("id.csv", {"--target-columns", "y"});
    CHECK_THAT(outcome.errors, ContainsSubstring("; " + name + " counts the rows: --exclude"));
    CHECK_THAT(folder.fit("id.csv", {"--target-columns", "y", "--exclude", name}).errors,
               ContainsSubstring("1 input, 1 target (" + name + " left out: excluded)\n"));
  }
  folder.write("time.csv", "t,a,y" + rows);
  CHECK_THAT(folder.fit("time.csv", {"--target-columns", "y"}).errors,
             !ContainsSubstring("counts the rows"));
}

TEST_CASE("names that are not all different are not kept", "[command/fit]") {
  const TablesFolder folder;
  folder.write("twice.csv", "x,x,y\n1.5,2,3\n4,5.5,6\n2,1,0.5\n");
  REQUIRE(folder.fit("twice.csv", {"--target-columns", "y"}).code == 0);
  CHECK(mgdl::load_model<double>(folder / "m").names.inputs.empty());
  folder.write("new.csv", "p,q\n1.5,2\n");
  CHECK(folder.predicted("new.csv").rows() == 1);
}

TEST_CASE("verify, inspect, export and tests go by names", "[command/verify]") {
  const TablesFolder folder;
  std::string swapped = "y,id,b,a\n";
  const auto table = mgdl::read_csv<double>(folder / "train.csv");
  for (mgdl::Index i = 0; i < table.values.rows(); ++i) {
    const auto text = [&](mgdl::Index j) {
      std::string number;
      mgdl::detail::append_number(number, table.values(i, j));
      return number;
    };
    swapped += text(2) + ",x" + std::to_string(i) + "," + text(1) + "," + text(0) + "\n";
  }
  folder.write("swapped.csv", swapped);
  const Outcome fit = folder.fit("train.csv", {"--target-columns", "y", "--test-csv",
                                               folder / "swapped.csv", "--report", folder / "r"});
  INFO(fit.errors);
  REQUIRE(fit.code == 0);
  const auto report = nlohmann::ordered_json::parse(mgdl::read_file(folder / "r"));
  const double train = report["grades"][0]["train_rse"], test = report["grades"][0]["test_rse"];
  CHECK(std::abs(train - test) <= 0.5 * train);  // some are held out

  const auto verify = [&](const std::string& file, const Arguments& more) {
    return run(Arguments{"verify", "--model", folder / "m", "--csv", folder / file} + more);
  };
  CHECK(verify("train.csv", {}).code == 0);
  CHECK(verify("swapped.csv", {}).code == 0);
  CHECK(verify("swapped.csv", {"--target-columns", "y"}).code == 0);
  CHECK(verify("swapped.csv", {"--target-columns", "1"}).code == 0);
  CHECK(verify("swapped.csv", {"--target-columns", "y", "--columns", "a,b"}).code == 0);
  CHECK(verify("swapped.csv", {"--target-columns", "y", "--columns", "b,a"}).code == 4);
  folder.write("other.csv", "a,b,z\n1.5,2,3\n4,5.5,6\n");
  check_refused_briefly(verify("other.csv", {}), {folder / "other.csv", "one column named \"y\""});
  check_refused_briefly(verify("other.csv", {"--target-columns", "y"}),
                        {"--target-columns", "\"y\""});

  const Outcome shown = run({"inspect", "--model", folder / "m"});
  CHECK_THAT(shown.output, ContainsSubstring("inputs         2: a, b\noutputs        1: y\n"));
  const auto json =
      nlohmann::ordered_json::parse(run({"inspect", "--json", "--model", folder / "m"}).output);
  CHECK(json["input_names"] == Names{"a", "b"});
  CHECK(json["target_names"] == Names{"y"});

  for (const std::string format : {"c-header", "cpp-header"}) {
    REQUIRE(run({"export", "--model", folder / "m", "--format", format, "--output", folder / "h"})
                .code == 0);
    CHECK_THAT(mgdl::read_file(folder / "h"), ContainsSubstring("inputs: a, b; outputs: y"));
  }
  const Outcome exported = run({"export", "--model", folder / "m", "--csv", folder / "swapped.csv",
                                "--output", folder / "h"});
  INFO(exported.errors);
  CHECK(exported.code == 0);
  CHECK_THAT(exported.errors, ContainsSubstring("swapped.csv: 30 rows, header, 2 inputs"));
}

TEST_CASE("names do no harm in exported comments", "[command/export]") {
  const TablesFolder folder;
  folder.write("evil.csv", "*/ int x; /*,\"b\\\n\",y\\\n1.5,2,3\n4,5.5,6\n2,1,0.5\n");
  REQUIRE(folder.fit("evil.csv", {"--target-columns", "3"}).code == 0);
  for (const std::string format : {"c-header", "cpp-header"}) {
    REQUIRE(run({"export", "--model", folder / "m", "--format", format, "--output", folder / "h"})
                .code == 0);
    const std::string text = mgdl::read_file(folder / "h");
    const std::string comment = text.substr(0, text.find('\n'));
    if (format == "c-header") {
      CHECK(text.find("*/") > text.find("outputs: "));
    } else {
      CHECK_FALSE(comment.ends_with('\\'));
    }
  }
}

TEST_CASE("all subcommands take the flags of CSV files", "[command]") {
  const TablesFolder folder;
  folder.write("odd.csv", "%by me\n7|0,5|1,5|2\n8|4,25|5|6,5\n9|2|1|0,5\n");
  const Arguments flags{"--header", "no",        "--delimiter", "pipe",      "--decimal",
                        "comma",    "--comment", "%",           "--exclude", "1"};
  const Outcome fit = folder.fit("odd.csv", flags + Arguments{"--target-columns", "4"});
  INFO(fit.errors);
  REQUIRE(fit.code == 0);
  CHECK_THAT(fit.errors,
             ContainsSubstring("odd.csv: 3 rows, no header, delimiter |, decimal comma, 1 comment "
                               "line, 2 inputs, 1 target (column 1 left out: excluded)\n"));
  CHECK(run(Arguments{"verify", "--model", folder / "m", "--csv", folder / "odd.csv",
                      "--target-columns", "4"} +
            flags)
            .code == 0);
  const Outcome convex = run(Arguments{"convex", "--csv", folder / "odd.csv", "--target-columns",
                                       "4", "--output", folder / "c"} +
                             flags);
  CHECK_THAT(convex.errors, ContainsSubstring("odd.csv: 3 rows, no header"));
  CHECK(convex.code == 0);
  folder.write("in.csv", "%by me\n7|0,5|1,5\n8|4,25|5\n");
  CHECK(folder.predicted("in.csv", flags).rows() == 2);
  CHECK(run(Arguments{"export", "--model", folder / "m", "--csv", folder / "in.csv", "--output",
                      folder / "h"} +
            flags)
            .code == 0);

  for (const Arguments& wrong : std::vector<Arguments>{{"--header", "maybe"},
                                                       {"--delimiter", "x"},
                                                       {"--decimal", "dot"},
                                                       {"--comment", "//"},
                                                       {"--comment", "a"},
                                                       {"--exclude", "5"},
                                                       {"--columns", "nope"},
                                                       {"--delimiter", ";", "--comment", ";"}}) {
    const Outcome outcome = folder.fit("train.csv", wrong + Arguments{"--target-columns", "y"});
    check_refused_briefly(outcome, {wrong[wrong.size() - 2]});
    CHECK_THAT(outcome.errors, !ContainsSubstring("CsvOptions"));
  }
  check_refused_briefly(run({"fit", "--input", "X.npy", "--target", "Y.npy", "--header", "yes",
                             "--output", folder / "m"}),
                        {"--header", "--csv with it"});
}

TEST_CASE("messages name flags, the file and the place, and can be printed", "[command/fit]") {
  const TablesFolder folder;
  const auto refused = [&](const std::string& text, const Arguments& more,
                           const std::vector<std::string>& message) {
    folder.write("x\n.csv", text);
    const Outcome outcome = folder.fit("x\n.csv", Arguments{"--target-columns", "y"} + more);
    check_refused_briefly(outcome, message);
    CHECK_THAT(outcome.errors, ContainsSubstring("x\\x0a.csv"));
    CHECK_THAT(outcome.errors, !ContainsSubstring("CsvOptions"));
    for (std::size_t i = 0; i + 1 < outcome.errors.size(); ++i) {
      CHECK(static_cast<unsigned char>(outcome.errors[i]) >= 0x20);
    }
  };
  refused("0,1,2\n3,1,0\n1,1,7\n", {}, {"--header yes or no", "line 1"});
  refused("a,b;y\nx,y;z\n", {}, {"--delimiter"});
  refused("a;y\n1,234;0.5\n", {}, {"--decimal"});
  refused("a,y\n1,2\n?,4\n", {}, {"\"?\"", "line 3, column 1 (\"a\")", "--exclude"});
  refused("a,y\n1,2\n3,\x1b[31m\n", {}, {"\\x1b[31m", "column 2 (\"y\")"});
  refused("a,y\n1,x\n2,z\n", {}, {"--target-columns", "\"y\", which was left out (text)"});
  refused("a,y\n1,2\n", {"--exclude", "a"}, {"--target-columns", "at least one column left"});
  refused("PK\x03\x04", {}, {"a zip file", ".xlsx"});
  refused(
      "\xFF\xFE"
      "a",
      {}, {"UTF-8", "UTF-16"});
  refused("a,y\n1,2\n\n3,4\n", {}, {"blank lines"});
}
