// mgdl convert: the numbers that mgdl fit reads from a CSV file, in .npy files.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "command/refused.hpp"
#include "command/run_command.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;
namespace fs = std::filesystem;

namespace {

class ConvertFolder : public mgdl::test::TemporaryFolder {
 public:
  Outcome convert(const std::string& file, const Arguments& more = {}) const {
    return run(Arguments{"convert", "--csv", *this / file, "--inputs-output", *this / "x.npy"} +
               more);
  }
  Outcome convert_both(const std::string& file, const Arguments& more = {}) const {
    return convert(file, Arguments{"--targets-output", *this / "y.npy"} + more);
  }
  mgdl::Matrix<double> inputs() const { return mgdl::read_npy<double>(fs::path(*this / "x.npy")); }
  mgdl::Matrix<double> targets() const { return mgdl::read_npy<double>(fs::path(*this / "y.npy")); }
};

void check_done(const Outcome& outcome) {
  INFO(outcome.errors);
  CHECK(outcome.code == 0);
}

void check_refused_cleanly(const ConvertFolder& folder, const Outcome& outcome,
                           const std::vector<std::string>& message) {
  mgdl::test::check_refused(outcome, message);
  INFO(outcome.errors);
  CHECK_THAT(outcome.errors, !ContainsSubstring("CsvOptions"));
  // Nothing is left behind.
  for (const auto& [name, content] : folder.content()) {
    INFO(name);
    CHECK((name.ends_with(".csv") || content == "old"));
  }
}

}  // namespace

TEST_CASE("convert writes what fit reads", "[command/convert]") {
  const ConvertFolder folder;
  folder.write("t.csv", "id;name;a;y;b\n3;p;0,1;7;-1e-3\n1;q;0,5;8,25;4\n2;r;1;-9;5\n");
  const Outcome outcome = folder.convert_both("t.csv", {"--target-columns", "y"});
  check_done(outcome);
  CHECK_THAT(outcome.errors,
             ContainsSubstring("mgdl convert: " + (folder / "t.csv") +
                               ": 3 rows, header, delimiter ;, decimal comma, 3 inputs, 1 target "
                               "(name left out: text)\n"));
  CHECK(outcome.output ==
        (folder / "x.npy") + ": 3 x 3, id, a, b\n" + (folder / "y.npy") + ": 3 x 1, y\n");
  const auto table = mgdl::read_csv<double>(folder / "t.csv");
  CHECK(folder.inputs() == mgdl::split_targets(table, {"y"}).X);
  CHECK(folder.targets() == mgdl::split_targets(table, {"y"}).Y);

  // Columns in the order asked for; targets alike.
  check_done(folder.convert_both("t.csv", {"--columns", "b,1", "--target-columns", "a,y"}));
  CHECK(folder.inputs() == mgdl::select_columns(table, {"b", "1"}).values);
  CHECK(folder.targets() == mgdl::select_columns(table, {"a", "y"}).values);
  check_done(folder.convert_both("t.csv", {"--exclude", "id,b", "--target-columns", "y"}));
}

TEST_CASE("convert writes inputs alone, and float32", "[command/convert]") {
  const ConvertFolder folder;
  folder.write("t.csv", "0.1,2\n0.3,4\n0.7,1\n");
  check_done(folder.convert("t.csv"));
  CHECK(folder.inputs() == mgdl::read_csv<double>(folder / "t.csv").values);
  CHECK(fs::file_size(folder / "x.npy") == 128 + 6 * 8);
  check_done(folder.convert("t.csv", {"--scalar", "float32"}));
  CHECK(fs::file_size(folder / "x.npy") == 128 + 6 * 4);
  CHECK(folder.inputs() ==
        mgdl::read_csv<double>(folder / "t.csv").values.cast<float>().cast<double>());
  fs::remove(folder / "x.npy");
  folder.write("large.csv", "a,y\n1,2\n-1e300,3\n");
  check_refused_cleanly(
      folder, folder.convert("large.csv", {"--scalar", "float32"}),
      {"survive rounding to float32", "1e+300, more than float32 has", "column a"});
}

TEST_CASE("convert says that a column counts the rows, and takes the flags of CSV files",
          "[command/convert]") {
  const ConvertFolder folder;
  folder.write("id.csv", "% made here\nid|a|y\n1|0,5|2\n2|0,25|3\n3|1,5|0\n4|2,5|1\n");
  const Outcome outcome =
      folder.convert_both("id.csv", {"--target-columns", "y", "--comment", "%", "--delimiter",
                                     "pipe", "--decimal", "comma", "--header", "yes"});
  check_done(outcome);
  CHECK_THAT(outcome.errors,
             ContainsSubstring("1 comment line") &&
                 ContainsSubstring("; id counts the rows: --exclude leaves it out"));
}

TEST_CASE("convert refuses what fit refuses, by the same words, and leaves nothing",
          "[command/convert]") {
  const ConvertFolder folder;
  const auto refused = [&](const std::string& text, const Arguments& more,
                           const std::vector<std::string>& message) {
    folder.write("x.csv", text);
    const Outcome outcome = folder.convert_both("x.csv", Arguments{"--target-columns", "y"} + more);
    check_refused_cleanly(folder, outcome, message);
    // But for the name of the subcommand, and a line before on what was taken of the file.
    const Outcome fit = run(Arguments{"fit", "--csv", folder / "x.csv", "--output",
                                      folder / "x.csv.m", "--target-columns", "y"} +
                            more);
    CHECK(fit.code == 2);
    const std::string name = "mgdl convert";
    CHECK(outcome.errors.substr(outcome.errors.rfind(name) + name.size()) ==
          fit.errors.substr(std::string("mgdl fit").size()));
  };
  refused("a,y\n1,2\n?,4\n", {}, {"\"?\"", "line 3, column 1 (\"a\")", "--exclude"});
  refused("a,y\n1,2\n3,1e400\n", {}, {"1e400", "line 3, column 2 (\"y\")"});
  refused("0,1,2\n3,1,0\n1,1,7\n", {}, {"--header yes or no", "line 1"});
  refused("a;y\n1,234;0.5\n", {}, {"--decimal"});
  refused("a,y\n1,x\n2,z\n", {}, {"--target-columns", "\"y\", which was left out (text)"});
  refused("a,y\n1,2\n", {"--exclude", "a"}, {"--target-columns", "at least one column left"});
  refused("a,b\n1,2\n", {}, {"--target-columns", "\"y\""});
  refused("a,y\n1,2\n", {"--columns", "c"}, {"--columns", "\"c\""});
  refused("a,y\n1,2\n\n3,4\n", {}, {"blank lines"});
  refused("a,y\n1,2,3\n3,4\n", {}, {"2 fields"});
  refused("PK\x03\x04", {}, {"a zip file"});
  refused("a,y\n100000001,2\n100000002,3\n100000003,1\n", {"--scalar", "float32"},
          {"survive rounding to float32", "column a"});
  refused("a,y\n1,2\n3,4\n", {"--header", "maybe"}, {"--header"});
}

TEST_CASE("convert checks its own flags", "[command/convert]") {
  const ConvertFolder folder;
  folder.write("t.csv", "a,y\n1,2\n3,4\n");
  check_refused_cleanly(folder, folder.convert("t.csv", {"--target-columns", "y"}),
                        {"--target-columns and --targets-output, or neither"});
  check_refused_cleanly(folder, folder.convert_both("t.csv"),
                        {"--target-columns and --targets-output, or neither"});
  check_refused_cleanly(folder, run({"convert", "--csv", folder / "t.csv"}), {"--inputs-output"});
  check_refused_cleanly(folder, run({"convert", "--inputs-output", folder / "x.npy"}), {"--csv"});
  check_refused_cleanly(
      folder, run({"convert", "--csv", folder / "t.csv", "--inputs-output", folder / "t.csv"}),
      {"--inputs-output", "one of the inputs"});
  check_refused_cleanly(
      folder,
      folder.convert("t.csv", {"--target-columns", "y", "--targets-output", folder / "x.npy"}),
      {"the file of --inputs-output"});
  check_refused_cleanly(folder, folder.convert("none.csv"), {"none.csv", "No such file"});
  check_refused_cleanly(folder, folder.convert("t.csv", {"--scalar", "half"}), {"--scalar"});
  // A file that was there stays.
  folder.write("x.npy", "old");
  folder.write("bad.csv", "a,y\n1,2\n3,z\n");
  check_refused_cleanly(folder, folder.convert("bad.csv"), {"line 3"});
  CHECK(mgdl::read_file(folder / "x.npy") == "old");
  if (fs::exists("/dev/full")) {
    const Outcome outcome =
        run({"convert", "--csv", folder / "t.csv", "--inputs-output", "/dev/full",
             "--target-columns", "y", "--targets-output", folder / "y.npy"});
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.errors, ContainsSubstring("/dev/full"));
  }
}
