// Exported C code, compiled by the compilers that are there and run.

#include "mgdl/io/c_header.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/io/export/fixed_point.hpp"
#include "support/networks.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using mgdl::CHeaderOptions;
using mgdl::CHeaderReport;
using mgdl::CNumber;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::MultigradeModel;
using mgdl::RandomStream;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::quoted;
using mgdl::test::random_model;
using mgdl::test::shell;

namespace {

/// Reads doubles, d for each sample, and writes c doubles for each prefix.
std::string program(Index d, Index c, Index grades, const std::string& number) {
  return "#include <stdio.h>\n#include \"net.h\"\nint main(void) {\n  double in[" +
         std::to_string(d) + "], out[" + std::to_string(c) + "];\n  " + number + " x[" +
         std::to_string(d) + "], y[" + std::to_string(c) +
         "];\n  int j, k;\n  if (net_self_test() != 0) return 100;\n" +
         "  while (fread(in, sizeof in, 1, stdin) == 1) {\n    for (j = 0; j < " +
         std::to_string(d) + "; ++j) x[j] = (" + number +
         ")in[j];\n    for (k = 0; k <= " + std::to_string(grades + 1) +
         "; ++k) {\n      if (k <= " + std::to_string(grades) +
         ") net_predict_grades(x, k, y);\n      else net_predict(x, y);\n      for (j = 0; j < " +
         std::to_string(c) + "; ++j) out[j] = y[j];\n      fwrite(out, sizeof out, 1, stdout);\n" +
         "    }\n  }\n  return 0;\n}\n";
}

/// Output of every prefix, and once more of all grades, at each row of X: n x c each.
std::vector<Matrix<double>> run(const mgdl::test::TemporaryFolder& folder,
                                const std::string& compile, const Matrix<double>& X, Index c,
                                Index grades) {
  INFO(compile);
  REQUIRE(shell(compile + " -o " + quoted(folder / "net")) == 0);
  std::string bytes;
  for (Index i = 0; i < X.rows(); ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      bytes.append(reinterpret_cast<const char*>(&X(i, j)), sizeof(double));
    }
  }
  folder.write("in", bytes);
  REQUIRE(shell(quoted(folder / "net") + " < " + quoted(folder / "in") + " > " +
                quoted(folder / "out")) == 0);
  const std::string result = mgdl::read_file(folder / "out");
  REQUIRE(static_cast<Index>(result.size()) == X.rows() * (grades + 2) * c * 8);
  std::vector<Matrix<double>> outputs(static_cast<std::size_t>(grades + 2),
                                      Matrix<double>(X.rows(), c));
  std::size_t at = 0;
  for (Index i = 0; i < X.rows(); ++i) {
    for (auto& output : outputs) {
      for (Index j = 0; j < c; ++j, at += 8) std::memcpy(&output(i, j), result.data() + at, 8);
    }
  }
  return outputs;
}

constexpr CNumber c_numbers[] = {CNumber::Float32, CNumber::Float64, CNumber::Int16, CNumber::Int8};

template <class Scalar>
void check_export(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& samples,
                  bool with_samples, std::size_t most_compilers) {
  const Index d = model.inputs();
  const Index c = model.outputs();
  const Index grades = model.grades();
  const mgdl::test::TemporaryFolder folder;
  Matrix<double> X = samples.template cast<double>();
  for (const CNumber number : c_numbers) {
    INFO(to_string(number));
    CHeaderOptions<Scalar> options{.name = "net", .number = number};
    if (with_samples) options.samples = samples;
    options.lower = samples.colwise().minCoeff().transpose();
    options.upper = samples.colwise().maxCoeff().transpose();
    const CHeaderReport report = write_c_header(folder / "net.h", model, options);
    const bool fixed_point = number == CNumber::Int16 || number == CNumber::Int8;
    const std::string type = number == CNumber::Float64 ? "double" : "float";
    for (const char* suffix : {"c", "cpp"}) {
      folder.write(std::string("main.") + suffix, program(d, c, grades, type));
    }
    CHECK(report.multiply_adds == model.multiply_adds());
    CHECK(report.samples_error.has_value() == with_samples);
    REQUIRE(report.proven_error.has_value() == fixed_point);

    auto lines = mgdl::test::c_compilers(folder / "main");
    REQUIRE_FALSE(lines.empty());
    lines.resize(std::min(lines.size(), most_compilers));
    std::vector<Matrix<double>> before;
    for (const std::string& line : lines) {
      const auto outputs = run(folder, line, X, c, grades);
      CHECK(outputs.back() == outputs[static_cast<std::size_t>(grades)]);
      double error = 0;
      for (Index k = 0; k <= grades; ++k) {
        const Eigen::MatrixXd expected = mgdl::test::plain_model(model, X, k).prediction;
        error = (outputs[static_cast<std::size_t>(k)] - expected).cwiseAbs().maxCoeff();
        if (!fixed_point) {
          const double unit = type == "float" || sizeof(Scalar) == 4 ? 1.2e-7 : 2.3e-16;
          CHECK(error < 400 * unit * (1 + expected.cwiseAbs().maxCoeff()));
        }
      }
      if (!fixed_point) continue;
      CHECK(error <= *report.proven_error);
      if (with_samples) {
        CHECK(std::abs(error - *report.samples_error) <
              1e-5 * (1 + outputs.back().cwiseAbs().maxCoeff()));
        CHECK(error <
              (number == CNumber::Int16 ? 0.01 : 0.5) * outputs.back().cwiseAbs().maxCoeff());
      }
      // Integers are the same everywhere.
      if (!before.empty()) CHECK(outputs == before);
      before = outputs;
    }
  }
}

/// Vapour pressure of water in kPa from 0 to 100 degrees Celsius (Magnus), of which the first grade
/// interpolates 9 points, and the second what is left at 33.
MultigradeModel<double> pressure_model() {
  constexpr double lowest = -5.0 / 3;  // of the standardised inputs
  const auto target = [](double z) {
    const double t = 50 + 30 * z;
    return (0.61094 * std::exp(17.625 * t / (t + 243.04)) - 40) / 30;
  };
  MultigradeModel<double> model({mgdl::RowVector<double>{{50.0}}, mgdl::RowVector<double>{{30.0}}},
                                {mgdl::RowVector<double>{{40.0}}, mgdl::RowVector<double>{{30.0}}});
  // The broken line through values(0), ..., values(units), `step` apart, in units relu(z - node).
  const auto add_grade = [&](Index units, Index inputs, double first, const auto& value) {
    const double step = -2 * lowest / static_cast<double>(units);
    mgdl::RowMatrix<double> weights = mgdl::RowMatrix<double>::Zero(inputs, units);
    weights.row(0).setOnes();
    mgdl::RowVector<double> bias(units);
    mgdl::RowMatrix<double> readout(units, 1);
    double slope = 0;
    for (Index i = 0; i < units; ++i) {
      const double at = step * static_cast<double>(i);
      bias[i] = -(first + at);
      const double next = (value(lowest + at + step) - value(lowest + at)) / step;
      readout(i, 0) = next - slope;
      slope = next;
    }
    const mgdl::RowVector<double> start{{value(lowest)}};
    model.add_grade({mgdl::ReluNetwork<double>({{weights, bias}, {readout, start}})});
  };
  add_grade(8, 1, lowest, target);
  const MultigradeModel<double> coarse = model;
  add_grade(32, 8, 0, [&](double z) {  // of the features, the first is z - lowest
    const Matrix<double> x = Matrix<double>::Constant(1, 1, 50 + 30 * z);
    return target(z) - (coarse.predict(x)(0, 0) - 40) / 30;
  });
  return model;
}

}  // namespace

TEMPLATE_TEST_CASE("Exported C predicts what the model does", "[io/c_header]", float, double) {
  RandomStream random(mgdl::test::seed());
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    const auto model = random_model<TestType>(3, 2, {{9, 12}, {7}, {1, 5}}, link, random);
    const auto X = normal_matrix<Matrix<TestType>>(1000, 3, random);
    // The text is the same for both types of models; one of them for every compiler will do.
    check_export(model, X, link == FeatureLink::LastHidden, sizeof(TestType) == 8 ? 4 : 1);
  }
  // Groups.
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    const auto model = mgdl::test::random_grouped_model<TestType>(link, random);
    const auto X = normal_matrix<Matrix<TestType>>(500, 3, random);
    check_export(model, X, true, sizeof(TestType) == 8 ? 4 : 1);
  }
  // One input, one unit; and no grade at all.
  const auto X = normal_matrix<Matrix<TestType>>(50, 1, random);
  check_export(random_model<TestType>(1, 1, {{1}}, FeatureLink::LastHidden, random), X, false, 1);
  check_export(random_model<TestType>(1, 3, {}, FeatureLink::LastHidden, random), X, true, 1);
}

TEST_CASE("A deep model keeps its accuracy in 16 bits", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 1);
  const auto model =
      random_model<float>(8, 1, {{64, 64}, {64, 64}, {64, 64}}, FeatureLink::LastHidden, random);
  const auto X = normal_matrix<Matrix<float>>(500, 8, random);
  std::ostringstream text;
  const auto report = write_c_header(text, model, {.number = CNumber::Int16, .samples = X});
  const double range = static_cast<double>(model.predict(X).cwiseAbs().maxCoeff());
  CHECK(*report.samples_error < 2e-3 * range);
  CHECK(*report.samples_error <= *report.proven_error);
}

TEST_CASE("The bound of fixed point holds at the corners of the box", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 2);
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto link = repeat % 2 == 0 ? FeatureLink::LastHidden : FeatureLink::LastHiddenAndInput;
    const auto model = random_model<double>(2, 2, {{6}, {5, 4}}, link, random);
    const mgdl::Vector<double> lower = normal_matrix<mgdl::Vector<double>>(2, 1, random);
    const mgdl::Vector<double> upper = lower.array() + 1.5;
    const Matrix<double> none;
    for (const int bits : {8, 16}) {
      const auto quantised = mgdl::detail::quantised<double>(model, bits, lower, upper, none);
      double worst = 0;
      for (Index i = 0; i < 400; ++i) {
        mgdl::Vector<double> x = lower;
        for (Index j = 0; j < 2; ++j) {
          const double t = i < 4 ? static_cast<double>(i >> j & 1) : random.uniform();
          // Inputs that float holds, inside the box.
          x[j] = static_cast<double>(static_cast<float>(lower[j] + (0.001 + 0.998 * t) * 1.5));
        }
        for (Index k = 1; k <= 2; ++k) {
          const Eigen::MatrixXd exact = mgdl::test::plain_model(model, x.transpose(), k).prediction;
          const mgdl::Vector<double> found = quantised.predict(x.cast<float>(), k).cast<double>();
          const auto& bound = quantised.bound[static_cast<std::size_t>(k)];
          CHECK(((found - exact.transpose()).cwiseAbs().array() <= bound.array()).all());
          worst = std::max(
              worst, ((found - exact.transpose()).cwiseAbs().array() / bound.array()).maxCoeff());
        }
      }
      CHECK(worst > 0.002);  // the bound is not just any number
    }
  }
}

TEST_CASE("Exported C says what it needs", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 3);
  const auto model = random_model<double>(3, 2, {{9}}, FeatureLink::LastHidden, random);
  std::ostringstream text;
  const auto report = write_c_header(text, model);
  // 9 x 4 + 2 x 10 weights and biases, 10 standardisers.
  CHECK(report.flash_bytes == 4 * (36 + 20 + 10));
  CHECK(report.multiply_adds == 27 + 18);
  CHECK(report.stack_bytes == 4 * (3 + 9 + 9 + 9 + 2));
  CHECK(text.str().find("264 bytes of constants, 128 bytes of local arrays, 45 multiply-adds") !=
        std::string::npos);
  // No other header and no call: nothing in it can allocate.
  CHECK(text.str().find("#include") == std::string::npos);
  CHECK(text.str().find("alloc") == std::string::npos);
}

TEST_CASE("The self-test notices a wrong weight", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 4);
  const auto model = random_model<double>(3, 2, {{9, 8}}, FeatureLink::LastHidden, random);
  const mgdl::test::TemporaryFolder folder;
  for (const CNumber number : c_numbers) {
    write_c_header(folder / "net.h", model,
                   CHeaderOptions<double>{.name = "net", .number = number});
    folder.write("main.c", "#include \"net.h\"\nint main(void) { return net_self_test(); }\n");
    const std::string command = "cc -std=c99 -o " + quoted(folder / "net") + " " +
                                quoted(folder / "main.c") + " && " + quoted(folder / "net");
    CHECK(shell(command) == 0);
    std::string text = mgdl::read_file(folder / "net.h");
    const std::size_t bias = text.find("net_b1_3[2] = {");
    REQUIRE(bias != std::string::npos);
    const std::size_t first = text.find_first_of("-0123456789", text.find('{', bias));
    // Biases of fixed point are in units of 2^-20 or so, and of 2^-28.
    text.insert(first, number == CNumber::Int16  ? "1000000000 + "
                       : number == CNumber::Int8 ? "1000000 + "
                                                 : "1 + ");
    folder.write("net.h", text);
    CHECK(shell(command) == 1);
  }
}

TEST_CASE("The header in the examples is what is written today", "[io/c_header]") {
  std::ostringstream text;
  CHeaderOptions<double> options{.name = "pressure", .number = CNumber::Int16};
  options.lower = mgdl::Vector<double>::Zero(1);
  options.upper = mgdl::Vector<double>::Constant(1, 100);
  write_c_header(text, pressure_model(), options);
  const std::string file = __FILE__;
  const std::string root = file.substr(0, file.rfind("tests/io"));
  const std::string stored = mgdl::read_file(root + "examples/data/pressure.h");
  // The first line names the version.
  CHECK(text.str().substr(text.str().find('\n')) == stored.substr(stored.find('\n')));
}

TEST_CASE("Options that cannot be used are refused", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 5);
  const auto model = random_model<double>(3, 2, {{9}}, FeatureLink::LastHidden, random);
  using Options = CHeaderOptions<double>;
  const auto message = [&](const Options& options) {
    std::ostringstream text;
    const std::string error = error_of([&] { write_c_header(text, model, options); });
    CHECK(text.str().empty());
    return error;
  };
  for (const std::string name : {"", "9a", "a-b", "a b"}) {
    CHECK(message({.name = name}) ==
          "CHeaderOptions.name: expected an identifier of C, found \"" + name + "\"");
  }
  CHECK(message({.samples = Matrix<double>::Zero(4, 2)}) ==
        "CHeaderOptions.samples: expected 3 columns, found 2");
  CHECK(message({.samples = Matrix<double>::Constant(4, 3, NAN)}) ==
        "CHeaderOptions.samples: expected finite values, found nan at row 0, column 0");
  CHECK(message({.lower = mgdl::Vector<double>::Zero(3)}) ==
        "CHeaderOptions.upper: expected 3 rows, found 0");
  CHECK(message({.lower = mgdl::Vector<double>::Ones(3), .upper = mgdl::Vector<double>::Zero(3)}) ==
        "CHeaderOptions.upper: expected a value >= 1, found 0 at row 0");
  CHECK(message({.number = CNumber::Int8,
                 .lower = mgdl::Vector<double>::Zero(3),
                 .upper = mgdl::Vector<double>::Constant(3, 1e308)}) ==
        "model: expected values that are bounded on the box, found an overflow");
}

TEST_CASE("Two headers of one name in one file do not compile", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 6);
  const auto one = random_model<double>(1, 1, {{4}}, FeatureLink::LastHidden, random);
  const auto other = random_model<double>(1, 1, {{4}}, FeatureLink::LastHidden, random);
  const mgdl::test::TemporaryFolder folder;
  folder.write("main.c", "#include \"1.h\"\n#include \"2.h\"\nint main(void) { return 0; }\n");
  const auto compiles = [&] {
    return shell("cc -std=c99 -Wall -Wextra -Werror -fsyntax-only " + quoted(folder / "main.c") +
                 " 2> " + quoted(folder / "errors")) == 0;
  };
  for (const CNumber number : c_numbers) {
    CAPTURE(to_string(number));
    const auto write = [&](const char* file, const auto& model, const char* name) {
      write_c_header(folder / file, model, {.name = name, .number = number});
    };
    write("1.h", one, "net");
    write("2.h", other, "net");
    CHECK_FALSE(compiles());
    CHECK(mgdl::read_file(folder / "errors").find("two models are called net here") !=
          std::string::npos);
    write("2.h", one, "net");  // the same one, from two folders, say
    CHECK(compiles());
    write("2.h", other, "net2");
    CHECK(compiles());
    // The same model in another number is another header.
    write_c_header(
        folder / "2.h", one,
        {.name = "net", .number = number == CNumber::Float32 ? CNumber::Int8 : CNumber::Float32});
    CHECK_FALSE(compiles());
  }
}

TEST_CASE("Names that C or C++ keep for themselves are refused", "[io/c_header]") {
  RandomStream random(mgdl::test::seed(), 7);
  const auto model = random_model<double>(1, 1, {{2}}, FeatureLink::LastHidden, random);
  std::ostringstream text;
  const auto message = [&](const std::string& name) {
    return error_of([&] { write_c_header(text, model, {.name = name}); });
  };
  for (const std::string name : {"int", "double", "class", "restrict", "typeof", "co_await", "and",
                                 "nullptr", "main", "std", "mgdl"}) {
    CHECK(message(name) ==
          "CHeaderOptions.name: expected an identifier that is free in C and C++, "
          "found \"" +
              name + "\"");
  }
  for (const std::string name : {"_x", "_Net", "a__b", "__"}) {
    CHECK(message(name) ==
          "CHeaderOptions.name: expected an identifier without a leading or a double underscore, "
          "found \"" +
              name + "\"");
  }
  CHECK(text.str().empty());
  for (const std::string name : {"model", "Int", "int_", "a_b", "x2", "classes"}) {
    write_c_header(text, model, {.name = name});
  }
}

TEST_CASE("Sums of 64 bits become floats by their halves", "[io/c_header]") {
  using mgdl::detail::QuantisedModel;
  CHECK(QuantisedModel::real_of(0) == 0);
  RandomStream random(mgdl::test::seed(), 8);
  for (int i = 0; i < 20000; ++i) {
    const auto bits = static_cast<int>(random.below(62)) + 1;
    auto s = static_cast<std::int64_t>(random.below(std::uint64_t{1} << bits));
    if (i % 2 == 0) s = -s;
    if (i % 5 == 0) s = (std::int64_t{1} << bits) - (i % 3);  // halves that are 0, or all ones
    const auto exact = static_cast<double>(s);
    CHECK(std::abs(static_cast<double>(QuantisedModel::real_of(s)) - exact) <=
          1.2e-7 * std::abs(exact));
    CHECK(QuantisedModel::real_of(-s) == -QuantisedModel::real_of(s));
  }
}
