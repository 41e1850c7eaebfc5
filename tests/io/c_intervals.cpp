// Prediction intervals in exported C code, compiled by the compilers that are there and run.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::CHeaderOptions;
using mgdl::CNumber;
using mgdl::Index;
using mgdl::IntervalWidth;
using mgdl::Matrix;
using mgdl::test::error_of;
using mgdl::test::quoted;
using mgdl::test::shell;

namespace {

template <class Scalar>
struct CalibratedForC {
  mgdl::MultigradeModel<Scalar> model;
  mgdl::PredictionIntervals<Scalar> intervals;
};

/// Two outputs of three inputs, 90 samples: of three folds, or with a validation part.
template <class Scalar>
CalibratedForC<Scalar> calibrated_for_c(bool folds) {
  mgdl::RandomStream random(mgdl::test::seed(), 61);
  const auto X = mgdl::test::normal_matrix<Matrix<Scalar>>(90, 3, random);
  auto Y = mgdl::test::normal_matrix<Matrix<Scalar>>(90, 2, random);
  Y.col(0) += 30 * X.col(1);
  Y.col(1).array() *= X.col(2).array().abs();
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<Scalar>({.width = 7}),
                                  {.max_grades = 2, .patience = 2, .threads = 1}};
  const auto all = [&](const auto& parts) {
    auto fit = trainer.fit(parts);
    auto intervals = mgdl::calibrate(fit, parts, {.scale = {.width = 5}, .parts = 4});
    return CalibratedForC<Scalar>{std::move(fit.model), std::move(intervals)};
  };
  const mgdl::Dataset<Scalar> data(X, Y);
  return folds ? all(mgdl::folds(data, 3, 1)) : all(mgdl::split(data, 0.4, 1));
}

/// Reads three doubles a sample, and writes both ends of both outputs.
std::string interval_program(const std::string& number) {
  std::string text = R"(#include <stdio.h>
#include "net.h"
int main(void) {
  double in[3], out[4];
  NUMBER x[3], low[2], high[2];
  int j;
  if (net_self_test() != 0) return 100;
  while (fread(in, sizeof in, 1, stdin) == 1) {
    for (j = 0; j < 3; ++j) x[j] = (NUMBER)in[j];
    net_predict_interval(x, low, high);
    for (j = 0; j < 2; ++j) out[j] = low[j], out[2 + j] = high[j];
    fwrite(out, sizeof out, 1, stdout);
  }
  return 0;
}
)";
  for (std::size_t at; (at = text.find("NUMBER")) != text.npos;) text.replace(at, 6, number);
  return text;
}

/// n x 4: both lower ends, both upper ends.
Matrix<double> run_intervals(const mgdl::test::TemporaryFolder& folder, const std::string& compile,
                             const mgdl::RowMatrix<double>& X) {
  INFO(compile);
  REQUIRE(shell(compile + " -o " + quoted(folder / "net") + " -lm") == 0);
  folder.write("in", std::string(reinterpret_cast<const char*>(X.data()),
                                 static_cast<std::size_t>(X.size()) * sizeof(double)));
  REQUIRE(shell(quoted(folder / "net") + " < " + quoted(folder / "in") + " > " +
                quoted(folder / "out")) == 0);
  const std::string bytes = mgdl::read_file(folder / "out");
  mgdl::RowMatrix<double> result(X.rows(), 4);
  REQUIRE(bytes.size() == static_cast<std::size_t>(result.size()) * sizeof(double));
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("exported intervals are those of the library", "[io/c_header]", float, double) {
  using Scalar = TestType;
  const mgdl::test::TemporaryFolder folder;
  mgdl::RandomStream random(mgdl::test::seed(), 62);
  const mgdl::RowMatrix<double> X =
      mgdl::test::normal_matrix<mgdl::RowMatrix<float>>(40, 3, random).cast<double>();
  const Matrix<Scalar> inputs = X.cast<Scalar>();
  std::size_t compiler = 0;
  for (const bool folds : {false, true}) {
    const auto made = calibrated_for_c<Scalar>(folds);
    for (const auto width : {IntervalWidth::Constant, IntervalWidth::Scaled}) {
      for (const double level : {0.5, 0.9}) {
        for (const auto number : {CNumber::Float32, CNumber::Float64}) {
          CAPTURE(folds, to_string(width), level, to_string(number));
          const CHeaderOptions<Scalar> options{.name = "net",
                                               .number = number,
                                               .samples = inputs,
                                               .intervals = &made.intervals,
                                               .level = level,
                                               .width = width};
          const auto report = write_c_header(folder / "net.h", made.model, options);
          REQUIRE(report.interval_error);
          const std::string type = number == CNumber::Float64 ? "double" : "float";
          for (const char* suffix : {"c", "cpp"}) {
            folder.write(std::string("main.") + suffix, interval_program(type));
          }
          const auto compilers = mgdl::test::c_compilers(folder / "main");
          REQUIRE_FALSE(compilers.empty());
          const auto found = run_intervals(folder, compilers[compiler++ % compilers.size()], X);
          const auto limits = made.intervals.predict(inputs, level, width);
          Matrix<double> expected(X.rows(), 4);
          expected << limits.lower.template cast<double>(), limits.upper.template cast<double>();
          const double scale = expected.cwiseAbs().maxCoeff();
          const bool narrow = std::is_same_v<Scalar, float> || number == CNumber::Float32;
          const double error = (found - expected).cwiseAbs().maxCoeff();
          CHECK(error <= (narrow ? 1e-5 : 1e-13) * scale);
          CHECK(error <= 2 * *report.interval_error + (narrow ? 1e-6 : 1e-15) * scale);
        }
      }
    }
  }
}

TEST_CASE("intervals that cannot be exported are refused", "[io/c_header]") {
  const auto made = calibrated_for_c<double>(true);
  const auto other = calibrated_for_c<double>(false);
  const auto message = [&](const mgdl::MultigradeModel<double>& model,
                           CHeaderOptions<double> options) {
    options.intervals = &made.intervals;
    std::ostringstream out;
    return error_of([&] { write_c_header(out, model, options); });
  };
  CHECK_THAT(message(made.model, {.number = CNumber::Int16}),
             ContainsSubstring("CHeaderOptions.intervals: expected numbers in floating point"));
  CHECK_THAT(message(made.model, {.level = 0.999}), ContainsSubstring("held out samples"));
  const mgdl::MultigradeModel<double> empty(mgdl::Standardizer<double>::identity(3),
                                            mgdl::Standardizer<double>::identity(2));
  CHECK_THAT(message(empty, {}), ContainsSubstring("intervals of the model"));
  std::ostringstream out;
  const CHeaderOptions<double> options{.intervals = &other.intervals};
  CHECK_THAT(error_of([&] { write_c_header(out, made.model, options); }),
             ContainsSubstring("intervals of the model"));
}
