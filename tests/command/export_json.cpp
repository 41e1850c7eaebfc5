// `mgdl export`: what it writes is what predicts, in every format; bad flags change nothing.

#include <cmath>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "command/run_command.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/npy.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::test::Arguments;
using mgdl::test::Outcome;
using mgdl::test::quoted;
using mgdl::test::run;
using mgdl::test::shell;
using mgdl::test::operator+;

namespace {

class ExportFolder : public mgdl::test::TemporaryFolder {
 public:
  explicit ExportFolder(const std::string& scalar = "float64") {
    const auto [X, Y] = mgdl::test::samples(60);
    mgdl::write_npy(*this / "X", X);
    mgdl::write_npy(*this / "Y", Y);
    const Outcome fit =
        run({"fit",      "--input",  *this / "X", "--target", *this / "Y", "--width",  "6",
             "--grades", "2",        "--trainer", "gradient", "--folds",   "0",        "--epochs",
             "5",        "--scalar", scalar,      "--quiet",  "--output",  *this / "m"});
    INFO(fit.errors);
    REQUIRE(fit.code == 0);
    REQUIRE(run({"predict", "--model", *this / "m", "--input", *this / "X", "--output",
                 *this / "P.npy"})
                .code == 0);
  }

  Outcome export_to(const std::string& name, const Arguments& arguments = {}) const {
    return run(Arguments{"export", "--model", *this / "m", "--output", *this / name} + arguments);
  }

  /// Compiles a program that includes the header and prints the two outputs at every sample.
  mgdl::Matrix<double> outputs(const std::string& program, const std::string& compile) const {
    write("main.c", program);
    INFO(compile);
    REQUIRE(shell("cd " + quoted(*this / "") + " && " + compile + " -o main && ./main > out.csv") ==
            0);
    return mgdl::read_csv<double>(*this / "out.csv").values;
  }
};

/// The number behind a word of the output.
double number_after(const std::string& output, const std::string& word) {
  const auto place = output.find(word);
  REQUIRE(place != std::string::npos);
  return std::stod(output.substr(place + word.size()));
}

/// As text, so that the header is all that the program has.
std::string c_program(const std::string& number) {
  const auto [X, Y] = mgdl::test::samples(60);
  std::ostringstream text;
  text.precision(17);
  text << "#include <stdio.h>\n#include \"net.h\"\nint main(void) {\n  static const " << number
       << " X[][2] = {";
  for (Index i = 0; i < X.rows(); ++i) text << "{" << X(i, 0) << ", " << X(i, 1) << "},\n";
  text << "};\n  " << number
       << " y[2];\n  int i;\n  if (net_self_test() != 0) return 1;\n  for (i = 0; i < 60; ++i) {\n"
          "    net_predict(X[i], y);\n    printf(\"%.17g,%.17g\\n\", (double)y[0], (double)y[1]);\n"
          "  }\n  return 0;\n}\n";
  return text.str();
}

}  // namespace

TEST_CASE("an exported C header predicts as the model", "[command/export]") {
  const ExportFolder folder;
  const auto P = mgdl::read_npy<double>(folder / "P.npy");
  const double unit = P.cwiseAbs().maxCoeff();
  struct Case {
    Arguments flags;
    std::string number;
    bool proven;
  };
  const std::vector<Case> cases{
      {{"--input", folder / "X"}, "double", false},
      {{"--number", "float32", "--input", folder / "X"}, "float", false},
      {{"--number", "int16", "--input", folder / "X"}, "float", true},
      {{"--number", "int8", "--input", folder / "X", "--lower", "0,-1", "--upper", "1,1"},
       "float",
       true}};
  for (const Case& c : cases) {
    const Outcome outcome = folder.export_to("net.h", c.flags + Arguments{"--name", "net"});
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    CHECK_THAT(outcome.output, ContainsSubstring("constants"));
    const auto y = folder.outputs(c_program(c.number), "cc -std=c99 -Wall -Wextra -Werror main.c");
    const double error = (y - P).cwiseAbs().maxCoeff();
    // Compilers round otherwise than the exporter: a little around the error that is printed.
    CHECK(std::abs(error - number_after(outcome.output, "samples")) <=
          0.05 * error + (c.number == "double" ? 1e-12 : 1e-5) * unit);
    CHECK(error <= (c.number == "double" ? 1e-9 : 0.6) * unit);
    CHECK((outcome.output.find("proven bound") != std::string::npos) == c.proven);
    if (c.proven) CHECK(error <= number_after(outcome.output, "proven bound"));
  }
}

TEST_CASE("the other formats", "[command/export]") {
  const ExportFolder folder("float32");
  REQUIRE(folder.export_to("net.hpp", {"--format", "cpp-header", "--name", "net"}).code == 0);
  CHECK_THAT(mgdl::read_file(folder / "net.hpp"),
             ContainsSubstring("mgdl::FixedModel<float, 2, 2,") &&
                 ContainsSubstring("mgdl::HiddenLayers<6, 6>"));
  REQUIRE(folder.export_to("net.onnx", {"--format", "onnx", "--prefixes"}).code == 0);
  CHECK_THAT(mgdl::read_file(folder / "net.onnx"), ContainsSubstring("output_1"));
  const Outcome onnx = folder.export_to("net.onnx", {"--format", "onnx", "--input", folder / "X"});
  REQUIRE(onnx.code == 0);
  CHECK(number_after(onnx.output, "error against the model, in float32:") < 1e-5);
  const auto size = std::filesystem::file_size(folder / "net.onnx");
  REQUIRE(folder.export_to("net.onnx", {"--format", "onnx", "--number", "float64"}).code == 0);
  CHECK(std::filesystem::file_size(folder / "net.onnx") >= size + 4 * 172);  // parameters
  // A float model is exported in float.
  REQUIRE(folder.export_to("net.h").code == 0);
  CHECK_THAT(mgdl::read_file(folder / "net.h"),
             ContainsSubstring("void model_predict(const float x[2], float y[2])"));
}

TEST_CASE("flags of export that cannot be used", "[command/export]") {
  const ExportFolder folder;
  folder.write("net", "old");
  const auto before = folder.content();
  const std::vector<std::pair<Arguments, std::string>> cases{
      {{"--format", "java"}, "--format"},
      {{"--number", "int4"}, "--number"},
      {{"--name", "1st"}, "--name: expected"},
      {{"--format", "onnx", "--name", "net"}, "--name: expected another --format"},
      {{"--format", "onnx", "--number", "int8"}, "--number: expected float32 or float64"},
      {{"--format", "cpp-header", "--number", "int8"}, "--number: expected another --format"},
      {{"--prefixes"}, "--prefixes: expected another --format"},
      {{"--format", "cpp-header", "--input", folder / "X"}, "--input: expected another --format"},
      {{"--tolerance", "1"}, "--tolerance: expected another --format"},
      {{"--format", "onnx", "--tolerance", "-1"}, "--tolerance: expected a value >= 0"},
      {{"--format", "onnx", "--tolerance", "1e-12"},
       "--number: expected double precision (float64)"},
      {{"--name", "double"}, "--name: expected an identifier that is free in C and C++"},
      {{"--number", "int16", "--lower", "0,0"}, "expected --lower and --upper"},
      {{"--lower", "0,0", "--upper", "1,1"}, "--lower: expected --number int16 or int8"},
      {{"--number", "int8", "--lower", "0", "--upper", "1"}, "--lower: expected 2 values"},
      {{"--number", "int8", "--lower", "0,2", "--upper", "1,1"}, "--upper: expected a value >= 2"},
      {{"--input", folder / "Y", "--csv", folder / "Y"}, "samples: expected --input or --csv"},
      {{"--columns", "1"}, "--columns: expected --csv"}};
  for (const auto& [flags, message] : cases) {
    const Outcome outcome = folder.export_to("net", flags);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.errors, ContainsSubstring(message));
    CHECK(outcome.output.empty());
  }
  const Outcome self = folder.export_to("m");
  CHECK(self.code == 2);
  CHECK_THAT(self.errors, ContainsSubstring("one of the inputs"));
  CHECK(folder.content() == before);
}
