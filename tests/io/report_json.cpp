#include "mgdl/io/report_json.hpp"

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "mgdl/core/metrics.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/catch.hpp"

using Catch::Matchers::WithinRel;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::Termination;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& item : json.items()) keys.push_back(item.key());
  return keys;
}

/// n x 2 inputs, n x 3 targets of different sizes.
template <class Scalar>
mgdl::Dataset<Scalar> samples(Index n, std::uint64_t stream) {
  mgdl::RandomStream random(mgdl::test::seed(), stream);
  mgdl::Matrix<Scalar> X(n, 2);
  mgdl::Matrix<Scalar> Y(n, 3);
  for (Index i = 0; i < n; ++i) {
    X(i, 0) = static_cast<Scalar>(random.uniform());
    X(i, 1) = static_cast<Scalar>(random.uniform());
    Y.row(i) << std::sin(5 * X(i, 0)), 10 * X(i, 1) * X(i, 0) + 7, X(i, 1) - 3;
  }
  return {X, Y};
}

template <class Scalar>
mgdl::MultigradeFit<Scalar> fit(const mgdl::DataSplit<Scalar>& data, mgdl::Observer observer = {}) {
  mgdl::GradientOptions gradient;
  gradient.width = 6;
  gradient.hidden_layers = 1;
  gradient.epochs = 4;
  mgdl::MultigradeOptions options;
  options.max_grades = 3;
  options.patience = 3;
  options.observer = std::move(observer);
  mgdl::MultigradeTrainer<Scalar> trainer(mgdl::GradientTrainer<Scalar>(gradient), options);
  return trainer.fit(data);
}

}  // namespace

TEST_CASE("a report holds every field of its summary", "[io/report_json]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  mgdl::FitSummary summary;
  summary.grades.resize(2);
  mgdl::GradeReport& grade = summary.grades[0];
  grade.fit.trainer = "Adam 2x7";
  grade.train_rse = 1.0 / 3;
  grade.validation_rse = 0.25;
  grade.test_rse = 0.125;
  grade.train_r2 = 0.875;
  grade.validation_r2 = 0.625;
  grade.test_r2 = -0.5;
  grade.train_output_rmse = {1.5, 2.5};
  grade.validation_output_rmse = {3.5, 4.5};
  grade.test_output_rmse = {5.5};
  grade.train_psnr = 11.5;
  grade.test_psnr = 12.5;
  grade.seconds = 13.5;
  grade.parameters = 14;
  grade.fit.termination = Termination::TimeLimit;
  mgdl::GradeReport& other = summary.grades[1];
  other.train_rse = 0.5;
  other.train_psnr = std::numeric_limits<double>::infinity();
  other.parameters = 15;
  mgdl::Certificate certificate;
  certificate.primal = 4;
  certificate.dual = 3;
  certificate.lambda = 0.125;
  certificate.lambda_max = 8;
  certificate.cone_violation = 0.0625;
  certificate.rounding = 0.03125;
  certificate.scope = mgdl::PatternScope::AllPatterns;
  certificate.bound = mgdl::DualBound::SpectralRelaxation;
  grade.train_max_error = 22.5;
  grade.validation_max_error = 23.5;
  summary.grades[0].pointwise_growth = -0.25;
  summary.grades[0].pointwise_drop = 0.5;
  summary.grades[0].fit.message = "It went well.";
  summary.grades[0].fit.certificate = certificate;
  summary.grades[0].fit.trials = {{"sampled 1x8", 0.75, 24.5}, {"Adam 2x7", nan, 25.5}};
  mgdl::GradeReport& rejected = summary.discarded_grades.emplace_back();
  rejected.fit.trainer = "L-BFGS 1x3";
  rejected.seconds = 16.5;
  rejected.parameters = 17;
  rejected.fit.termination = Termination::NumericalFailure;
  summary.termination = Termination::NoProgress;
  summary.message = "It is \"over\".";
  summary.initial_rse = 0.75;
  summary.seconds = 18.5;
  summary.parameters = 19;
  summary.multiply_adds = 20;
  summary.seed = 18446744073709551615u;
  summary.idle_folds = 2;
  summary.validation_fraction = 0.375;
  summary.options["width"] = 21;
  summary.options["csv"] = "caf\xe9.csv";  // not UTF-8, as names of files may be

  const fs::path path =
      fs::temp_directory_path() / ("mgdl-report-" + std::to_string(std::random_device()()));
  mgdl::write_report(path, summary);
  const Json json = Json::parse(mgdl::read_file(path));
  fs::remove(path);

  CHECK(keys_of(json) == std::vector<std::string>{"grades", "discarded_grades", "termination",
                                                  "message", "initial_rse", "seconds", "parameters",
                                                  "multiply_adds", "seed", "validation_fraction",
                                                  "idle_folds", "options", "version", "build"});
  const Json proof = {{"primal", 4.0},
                      {"dual", 3.0},
                      {"lambda", 0.125},
                      {"lambda_max", 8.0},
                      {"scope", "AllPatterns"},
                      {"bound", "SpectralRelaxation"},
                      {"cone_violation", 0.0625},
                      {"rounding", 0.03125},
                      {"relative_gap", 0.25}};
  const Json trials = {{{"trainer", "sampled 1x8"}, {"objective", 0.75}, {"seconds", 24.5}},
                       {{"trainer", "Adam 2x7"}, {"objective", nullptr}, {"seconds", 25.5}}};
  const Json first = {{"trainer", "Adam 2x7"},
                      {"train_rse", 1.0 / 3},
                      {"validation_rse", 0.25},
                      {"test_rse", 0.125},
                      {"train_r2", 0.875},
                      {"validation_r2", 0.625},
                      {"test_r2", -0.5},
                      {"train_output_rmse", {1.5, 2.5}},
                      {"validation_output_rmse", {3.5, 4.5}},
                      {"test_output_rmse", Json::array({5.5})},
                      {"train_psnr", 11.5},
                      {"test_psnr", 12.5},
                      {"seconds", 13.5},
                      {"parameters", 14},
                      {"termination", "TimeLimit"},
                      {"train_max_error", 22.5},
                      {"validation_max_error", 23.5},
                      {"pointwise_growth", -0.25},
                      {"pointwise_drop", 0.5},
                      {"message", "It went well."},
                      {"certificate", proof},
                      {"trials", trials}};
  const Json second = {{"trainer", nullptr},
                       {"train_rse", 0.5},
                       {"validation_rse", nullptr},
                       {"test_rse", nullptr},
                       {"test_r2", nullptr},
                       {"test_output_rmse", Json::array()},
                       {"train_psnr", nullptr},
                       {"test_psnr", nullptr},
                       {"seconds", nullptr},
                       {"parameters", 15},
                       {"termination", "NotRun"},
                       {"train_max_error", nullptr},
                       {"validation_max_error", nullptr},
                       {"pointwise_growth", nullptr},
                       {"message", nullptr},
                       {"certificate", nullptr},
                       {"trials", Json::array()}};
  CHECK(json["grades"] == Json::array({first, second}));
  REQUIRE(json["discarded_grades"].size() == 1);
  const Json& discarded = json["discarded_grades"][0];
  CHECK(keys_of(discarded) == keys_of(second));
  CHECK(discarded["trainer"] == "L-BFGS 1x3");
  CHECK(discarded["train_rse"].is_null());
  CHECK(discarded["parameters"] == 17);
  CHECK(discarded["termination"] == "NumericalFailure");
  CHECK(json["termination"] == "NoProgress");
  CHECK(json["message"] == "It is \"over\".");
  CHECK(json["initial_rse"] == 0.75);
  CHECK(json["seconds"] == 18.5);
  CHECK(json["parameters"] == 19);
  CHECK(json["multiply_adds"] == 20);
  CHECK(json["seed"] == 18446744073709551615u);
  CHECK(json["validation_fraction"] == 0.375);
  CHECK(json["options"]["width"] == 21);
  CHECK(json["options"]["csv"] == "caf\xef\xbf\xbd.csv");
  CHECK(json["version"] == mgdl::version());
  CHECK(keys_of(json["build"]) ==
        std::vector<std::string>{"compiler", "simd", "optimised", "assertions"});
  CHECK(json["build"]["compiler"].get<std::string>().size() > 4);

  // What a model file keeps: no wall times, no test samples, nothing of the program.
  const Json kept = mgdl::model_report(summary);
  CHECK(keys_of(kept) == std::vector<std::string>{"grades", "discarded_grades", "termination",
                                                  "message", "initial_rse", "seed",
                                                  "validation_fraction", "idle_folds", "options"});
  CHECK(keys_of(kept["grades"][0]) ==
        std::vector<std::string>{"trainer", "train_rse", "validation_rse", "train_r2",
                                 "validation_r2", "train_output_rmse", "validation_output_rmse",
                                 "parameters", "termination", "train_max_error",
                                 "validation_max_error", "pointwise_growth", "pointwise_drop",
                                 "message", "certificate", "trials"});
  CHECK(kept["grades"][0]["certificate"] == proof);
  CHECK(kept["grades"][0]["trials"][0] == Json{{"trainer", "sampled 1x8"}, {"objective", 0.75}});
  CHECK(kept["discarded_grades"][0]["trainer"] == "L-BFGS 1x3");
  CHECK(kept["termination"] == "NoProgress");
  CHECK(kept["initial_rse"] == 0.75);
}

TEST_CASE("a gated grade has the certificate of its network, a raw model the range of its inputs",
          "[io/report_json]") {
  mgdl::FitSummary summary;
  summary.grades.resize(2);
  mgdl::Certificate& own = summary.grades[0].fit.network_certificate.emplace();
  own.primal = 5;
  own.dual = 2;
  own.lambda = 0.5;
  mgdl::RowMatrix<double> X(3, 2);
  X << 1950, -1, 1960, -1, 1970, -1;
  summary.inputs = mgdl::input_range<double>(X, mgdl::Vector<double>::Ones(X.rows()));
  const Json kept = mgdl::model_report(summary);
  CHECK(kept["grades"][0]["network_certificate"]["relative_gap"] == 0.6);
  CHECK_FALSE(kept["grades"][1].contains("network_certificate"));
  CHECK(kept["input_lower"] == Json{1950.0, -1.0});

  mgdl::FitSummary read;
  const std::string file = "file";
  const Json text = Json::parse(kept.dump());
  mgdl::detail::read_fields(mgdl::detail::JsonPart(file, text, "report"), read);
  REQUIRE(read.grades.size() == 2);
  REQUIRE(read.grades[0].fit.network_certificate);
  CHECK(read.grades[0].fit.network_certificate->primal == 5);
  CHECK(read.grades[0].fit.network_certificate->lambda == 0.5);
  CHECK_FALSE(read.grades[1].fit.network_certificate);
  CHECK(read.inputs.mean == std::vector<double>{1960, -1});
  CHECK(read.inputs.deviation == summary.inputs.deviation);
  CHECK(read.inputs.deviation[1] == 1);  // of a constant column
  CHECK(read.inputs.lower == std::vector<double>{1950, -1});
  CHECK(read.inputs.upper == std::vector<double>{1970, -1});
}

TEMPLATE_TEST_CASE("a summary agrees with errors computed anew", "[io/report_json]", float,
                   double) {
  const mgdl::DataSplit<TestType> data = mgdl::split(samples<TestType>(90, 1), 0.2, 3);
  const auto test = samples<TestType>(41, 2);
  const auto fitted = fit(data);
  const double peak = 12;
  const mgdl::FitSummary summary = mgdl::summarise(fitted, &test, peak);
  REQUIRE(fitted.model.grades() > 1);
  REQUIRE(static_cast<Index>(summary.grades.size()) == fitted.model.grades());
  CHECK(summary.parameters == fitted.model.parameters());
  CHECK(summary.multiply_adds == fitted.model.multiply_adds());
  CHECK(summary.termination == fitted.report.termination);
  CHECK(summary.message == fitted.report.message);
  CHECK(summary.initial_rse == fitted.report.initial_rse);
  CHECK(summary.seconds == fitted.report.elapsed_seconds);
  for (Index k = 1; k <= fitted.model.grades(); ++k) {
    const auto errors = [&](const mgdl::Dataset<TestType>& part) {
      const mgdl::Matrix<TestType> X = part.inputs();
      return mgdl::compute_metrics(fitted.model.predict(X, k), part.targets(), part.weights(), peak,
                                   fitted.model.output_standardizer().scale());
    };
    const auto& line = summary.grades[static_cast<std::size_t>(k - 1)];
    const auto& grade = fitted.report.grades[static_cast<std::size_t>(k - 1)];
    CHECK_THAT(line.train_rse, WithinRel(errors(data.train).rse, 1e-3));
    CHECK_THAT(line.train_psnr, WithinRel(errors(data.train).psnr, 1e-3));
    CHECK_THAT(line.validation_rse, WithinRel(errors(*data.validation).rse, 1e-3));
    CHECK(line.test_rse == errors(test).rse);
    CHECK(line.test_psnr == errors(test).psnr);
    CHECK_THAT(line.train_r2, WithinRel(errors(data.train).r2, 1e-3));
    CHECK_THAT(line.validation_r2, WithinRel(errors(*data.validation).r2, 1e-3));
    CHECK(line.test_r2 == errors(test).r2);
    CHECK(line.test_output_rmse == errors(test).output_rmse);
    const auto outputs = static_cast<std::size_t>(fitted.model.outputs());
    REQUIRE(line.train_output_rmse.size() == outputs);
    REQUIRE(line.validation_output_rmse.size() == outputs);
    for (std::size_t j = 0; j < outputs; ++j) {
      CHECK_THAT(line.train_output_rmse[j], WithinRel(errors(data.train).output_rmse[j], 1e-3));
      CHECK_THAT(line.validation_output_rmse[j],
                 WithinRel(errors(*data.validation).output_rmse[j], 1e-3));
    }
    CHECK(line.fit.trainer == grade.fit.trainer);
    CHECK(line.fit.termination == grade.fit.termination);
    CHECK(line.parameters == fitted.model.grade(k).network.parameters());
    CHECK(line.seconds == grade.seconds);
    CHECK(line.fit.message == grade.fit.message);
    CHECK_FALSE(line.fit.certificate);
    const auto largest = [&](const mgdl::Dataset<TestType>& part) {
      const mgdl::Matrix<TestType> X = part.inputs();
      return static_cast<double>(
          (fitted.model.predict(X, k) - part.targets()).cwiseAbs().maxCoeff());
    };
    CHECK_THAT(line.train_max_error, WithinRel(largest(data.train), 1e-3));
    CHECK_THAT(line.validation_max_error, WithinRel(largest(*data.validation), 1e-3));
    CHECK(line.pointwise_growth == grade.pointwise_growth);
    CHECK(line.pointwise_drop == grade.pointwise_drop);
    CHECK(std::isfinite(line.pointwise_growth));
  }
  const mgdl::FitSummary plain = mgdl::summarise(fitted);
  CHECK(std::isnan(plain.grades[0].test_rse));
  CHECK(std::isnan(plain.grades[0].test_psnr));
  CHECK_THAT(plain.grades[0].train_psnr,
             WithinRel(summary.grades[0].train_psnr - 20 * std::log10(peak), 1e-9));
  const mgdl::Dataset<TestType> wrong(mgdl::Matrix<TestType>::Ones(3, 1),
                                      mgdl::Matrix<TestType>::Ones(3, 3));
  CHECK_THROWS_AS(mgdl::summarise(fitted, &wrong), mgdl::InvalidArgument);
}

TEST_CASE("a summary has the certificates and the trials", "[io/report_json]") {
  const mgdl::DataSplit<double> data{samples<double>(60, 1), std::nullopt};
  auto fitted = fit(data);
  fitted.report.grades[1].fit.certificate.emplace().primal = 5;
  fitted.report.grades[1].fit.witness.emplace().unit = 8;
  fitted.report.grades[1].fit.trials = {{"one", 0.5, 1}, {"other", 0.25, 2}};
  const auto summary = mgdl::summarise(fitted);
  REQUIRE(summary.grades[1].fit.certificate);
  CHECK(summary.grades[1].fit.certificate->primal == 5);
  CHECK(summary.grades[1].fit.witness->unit == 8);
  REQUIRE(summary.grades[1].fit.trials.size() == 2);
  CHECK(summary.grades[1].fit.trials[1].trainer == "other");
  CHECK_FALSE(summary.grades[2].fit.certificate);
  CHECK(summary.grades[2].fit.trials.empty());
}

TEST_CASE("grades that are not kept are listed apart", "[io/report_json]") {
  const mgdl::DataSplit<double> data{samples<double>(60, 1), std::nullopt};
  auto fitted = fit(data);
  REQUIRE(fitted.model.grades() == 3);
  // As if a validation part had judged so.
  fitted.model.truncate(1);
  fitted.report.grades[1].kept = false;
  fitted.report.grades[2].kept = false;
  const auto summary = mgdl::summarise(fitted, &data.train);
  REQUIRE(summary.grades.size() == 1);
  REQUIRE(summary.discarded_grades.size() == 2);
  CHECK(summary.grades[0].train_rse == fitted.report.grades[0].train_rse);
  CHECK(std::isfinite(summary.grades[0].test_rse));
  CHECK(summary.discarded_grades[1].train_rse == fitted.report.grades[2].train_rse);
  CHECK(std::isnan(summary.discarded_grades[1].test_rse));
  CHECK(summary.parameters == fitted.model.grade(1).network.parameters());
}

TEST_CASE("a resumed model's earlier grades are in the summary", "[io/report_json]") {
  const mgdl::DataSplit<double> data{samples<double>(60, 1), std::nullopt};
  auto first = fit(data);
  first.model.truncate(2);
  mgdl::GradientOptions gradient;
  gradient.width = 5;
  gradient.epochs = 3;
  mgdl::MultigradeOptions options;
  options.max_grades = 1;
  mgdl::MultigradeTrainer<double> trainer(mgdl::GradientTrainer<double>(gradient), options);
  const auto resumed = trainer.resume(first.model, data);
  REQUIRE(resumed.model.grades() == 3);
  const auto summary = mgdl::summarise(resumed, &data.train);
  REQUIRE(summary.grades.size() == 3);
  CHECK(summary.grades[0].fit.trainer.empty());
  CHECK(summary.grades[1].train_rse == first.report.grades[1].train_rse);
  CHECK(summary.grades[1].parameters == first.model.grade(2).network.parameters());
  CHECK(summary.grades[1].fit.termination == Termination::NotRun);
  CHECK(summary.grades[2].fit.trainer == resumed.report.grades[0].fit.trainer);
  CHECK(std::isfinite(summary.grades[0].test_rse));
}
