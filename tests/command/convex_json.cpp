// `mgdl convex`: what it writes against objectives and bounds that are computed here from the
// files, and what it says about bad input.

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/json_keys.hpp"
#include "command/refused.hpp"
#include "command/run_command.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/version.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Json = nlohmann::ordered_json;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::test::Arguments;
using mgdl::test::check_all_refused;
using mgdl::test::keys_of;
using mgdl::test::normal_matrix;
using mgdl::test::Outcome;
using mgdl::test::run;
using mgdl::test::operator+;
namespace fs = std::filesystem;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A folder with samples (X.npy, Y.npy, both.csv), their first input alone (x.npy, y.npy), and
/// gates.
class ConvexFolder : public mgdl::test::TemporaryFolder {
 public:
  explicit ConvexFolder(Index n = 80) {
    RandomStream random(mgdl::test::seed());
    X = normal_matrix<Matrix<double>>(n, 2, random);
    Y.resize(n, 2);
    Y.col(0) = (X.col(0) + X.col(1)).cwiseAbs() + 0.2 * normal_matrix<Matrix<double>>(n, 1, random);
    Y.col(1) = X.col(0).cwiseMax(0.3) + 0.2 * normal_matrix<Matrix<double>>(n, 1, random);
    G = normal_matrix<Matrix<double>>(12, 3, random);
    G.row(4) = 3 * G.row(2);         // the same pattern again
    G.row(7) << 0.01, -0.01, -1000;  // without an active sample
    save("X.npy", X);
    save("Y.npy", Y);
    save("x.npy", X.col(0));
    save("y.npy", Y.col(0));
    save("G.npy", G);
    Matrix<double> both(n, 4);
    both << X.col(0), Y.col(0), X.col(1), Y.col(1);
    mgdl::write_csv(*this / "both.csv", both, {"a", "u", "b", "v"});
  }

  void save(const std::string& name, const Matrix<double>& values) const {
    mgdl::write_npy(fs::path(*this / name), values);
  }
  Arguments samples() const { return {"--input", *this / "X.npy", "--target", *this / "Y.npy"}; }
  Arguments single_output() const {
    return {"--input", *this / "X.npy", "--target", *this / "y.npy"};
  }
  Arguments line() const { return {"--input", *this / "x.npy", "--target", *this / "y.npy"}; }
  Arguments gates() const { return {"--gates", *this / "G.npy"}; }
  Arguments results() const { return {"--report", *this / "r", "--output", *this / "m"}; }
  Arguments solution() const { return {"--solution", *this / "U.npy"}; }

  Json report() const { return Json::parse(mgdl::read_file(*this / "r")); }
  Matrix<double> prediction(const std::string& input) const {
    const Outcome outcome = run(
        {"predict", "--model", *this / "m", "--input", *this / input, "--output", *this / "P.npy"});
    INFO(outcome.errors);
    REQUIRE(outcome.code == 0);
    return mgdl::read_npy<double>(fs::path(*this / "P.npy"));
  }

  Matrix<double> X, Y, G;
};

Outcome convex(const Arguments& arguments) {
  const Outcome outcome = run(Arguments{"convex"} + arguments);
  INFO(outcome.errors);
  REQUIRE(outcome.code == 0);
  return outcome;
}

/// The gated problem by its definition.
struct GatedProblem {
  Matrix<double> X;  ///< with the column of ones, if there is one
  Matrix<double> Y;
  Matrix<double> G;

  Matrix<double> masked(Index gate) const {
    Matrix<double> result = X;
    for (Index i = 0; i < X.rows(); ++i) {
      if (X.row(i).dot(G.row(gate)) < 0) result.row(i).setZero();
    }
    return result;
  }
  Matrix<double> block(const mgdl::NpyArray<double>& U, Index gate) const {
    Matrix<double> result(U.shape[1], U.shape[2]);
    for (Index r = 0; r < result.rows(); ++r) {
      for (Index o = 0; o < result.cols(); ++o) {
        result(r, o) = U.data[static_cast<std::size_t>((gate * U.shape[1] + r) * U.shape[2] + o)];
      }
    }
    return result;
  }
  Matrix<double> prediction(const mgdl::NpyArray<double>& U) const {
    Matrix<double> f = Matrix<double>::Zero(Y.rows(), Y.cols());
    for (Index j = 0; j < G.rows(); ++j) f += masked(j) * block(U, j);
    return f;
  }
  double primal(const mgdl::NpyArray<double>& U, double lambda) const {
    double penalty = 0;
    for (Index j = 0; j < G.rows(); ++j) penalty += block(U, j).norm();
    return 0.5 / static_cast<double>(Y.rows()) * (Y - prediction(U)).squaredNorm() +
           lambda * penalty;
  }
  double largest(const Matrix<double>& N) const {
    double result = 0;
    for (Index j = 0; j < G.rows(); ++j) {
      result = std::max(result, (masked(j).transpose() * N).norm());
    }
    return result;
  }
  /// The best multiple of W R that is feasible.
  double dual(const mgdl::NpyArray<double>& U, double lambda) const {
    const double n = static_cast<double>(Y.rows());
    const Matrix<double> R = Y - prediction(U);
    const double s =
        std::min(lambda / largest(R / n), (R.array() * Y.array()).sum() / R.squaredNorm());
    return s * (R.array() * Y.array()).sum() / n - 0.5 * s * s * R.squaredNorm() / n;
  }
};

Matrix<double> with_ones(const Matrix<double>& X) {
  Matrix<double> result(X.rows(), X.cols() + 1);
  result << X, Matrix<double>::Ones(X.rows(), 1);
  return result;
}

/// Sum over neurons of |hidden weights and bias| |output weights|, one output's weights at a time.
double penalty_of(const mgdl::MultigradeModel<double>& model) {
  const auto& layers = model.grade(1).network.layers();
  double penalty = 0;
  for (Index k = 0; k < layers[0].outputs(); ++k) {
    const double hidden = std::hypot(layers[0].weights().col(k).norm(), layers[0].bias()[k]);
    penalty += hidden * layers[1].weights().row(k).lpNorm<1>();
  }
  return penalty;
}

}  // namespace

TEST_CASE("a gated solution, its certificate and its report", "[command/convex]") {
  const ConvexFolder folder;
  for (const bool bias : {true, false}) {
    const GatedProblem problem{bias ? with_ones(folder.X) : folder.X, folder.Y,
                               bias ? folder.G : Matrix<double>(folder.G.leftCols(2))};
    folder.save("G.npy", problem.G);
    Arguments arguments = folder.samples() + folder.gates() + folder.results() + folder.solution() +
                          Arguments{"--formulation", "gated", "--lambda", "0.01",
                                    "--gap",         "1e-7",  "--seed",   "18446744073709551615"};
    if (!bias) arguments.push_back("--no-bias");
    const Outcome outcome = convex(arguments);
    CHECK_THAT(outcome.errors, ContainsSubstring("80 samples, 2 inputs, 2 outputs, "));
    CHECK_THAT(outcome.output, ContainsSubstring("ToleranceReached"));

    const Json report = folder.report();
    CHECK(keys_of(report) == std::vector<std::string>{"formulation",
                                                      "n",
                                                      "d",
                                                      "p",
                                                      "c",
                                                      "P",
                                                      "given_gates",
                                                      "loss",
                                                      "loss_parameter",
                                                      "scope",
                                                      "lambda",
                                                      "lambda_max",
                                                      "primal",
                                                      "dual",
                                                      "bound",
                                                      "relative_gap",
                                                      "cone_violation",
                                                      "active_groups",
                                                      "train_rse",
                                                      "validation_rse",
                                                      "iterations",
                                                      "covariance",
                                                      "seconds",
                                                      "termination",
                                                      "message",
                                                      "recovery",
                                                      "network",
                                                      "path",
                                                      "chosen",
                                                      "best",
                                                      "one_standard_error",
                                                      "seed",
                                                      "options",
                                                      "version",
                                                      "build"});
    const Index p = bias ? 3 : 2;
    CHECK(report["formulation"] == "gated");
    CHECK(report["n"] == 80);
    CHECK(report["d"] == 2);
    CHECK(report["p"] == p);
    CHECK(report["c"] == 2);
    // The repeated gate, and with bias the empty one, are no patterns of their own.
    CHECK(report["P"].get<Index>() <= (bias ? 10 : 11));
    CHECK(report["given_gates"] == 12);
    CHECK(report["scope"] == "SampledPatterns");
    CHECK(report["bound"] == "Exact");
    CHECK(report["lambda"] == 0.01);
    CHECK(report["cone_violation"] == 0);
    CHECK(report["iterations"] > 0);
    CHECK(report["seconds"] > 0);
    CHECK(report["termination"] == "ToleranceReached");
    CHECK(report["seed"] == 18446744073709551615u);
    CHECK(report["version"] == mgdl::version());
    CHECK(report["validation_rse"].is_null());
    CHECK(report["best"].is_null());
    CHECK(report["options"]["gates"] == folder / "G.npy");
    CHECK(report["options"]["lambda_ratio"].is_null());
    CHECK(report["options"]["no_bias"] == !bias);
    REQUIRE(report["path"].size() == 1);
    for (const char* key : {"lambda", "primal", "dual", "relative_gap", "train_rse",
                            "active_groups", "iterations", "termination"}) {
      CHECK(report["path"][0][key] == report[key]);
    }

    const auto U = mgdl::read_npy_array<double>(fs::path(folder / "U.npy"));
    REQUIRE(U.shape == std::vector<Index>{12, p, 2});
    CHECK(problem.block(U, 4).isZero(0));
    if (bias) CHECK(problem.block(U, 7).isZero(0));
    Index active = 0;
    for (Index j = 0; j < 12; ++j) active += !problem.block(U, j).isZero(0);
    CHECK(active > 0);
    CHECK(report["active_groups"] == active);
    const double primal = problem.primal(U, 0.01);
    const double dual = problem.dual(U, 0.01);
    CHECK_THAT(report["primal"].get<double>(), WithinRel(primal, 1e-12));
    CHECK_THAT(report["dual"].get<double>(), WithinRel(dual, 1e-10));
    CHECK_THAT(report["lambda_max"].get<double>(),
               WithinRel(problem.largest(folder.Y / 80), 1e-12));
    CHECK_THAT(report["relative_gap"].get<double>(), WithinAbs((primal - dual) / primal, 1e-12));
    CHECK(report["relative_gap"] <= 1e-7);
    const Matrix<double> f = problem.prediction(U);
    CHECK_THAT(report["train_rse"].get<double>(),
               WithinRel(mgdl::compute_metrics(f, folder.Y).rse, 1e-10));

    // The network is the solution, at the samples.
    CHECK((folder.prediction("X.npy") - f).cwiseAbs().maxCoeff() < 1e-6);
    const Json& recovery = report["recovery"];
    CHECK(recovery["difference"] < 1e-8);
    CHECK(recovery["violation"] < 1e-9);
    CHECK(recovery["approximated"] == 0);
    CHECK_THAT(recovery["objective_gated"].get<double>(), WithinRel(primal, 1e-9));
    CHECK(recovery["objective_relu"] >= primal * (1 - 1e-9));
    CHECK(recovery["neurons"] >= active);
    CHECK(recovery["method"] == "Shortest");
    CHECK(recovery["same_values"] == true);
    // The network is a point of the ReLU problem, too.
    CHECK_THAT(report["network"]["primal"].get<double>(),
               WithinRel(recovery["objective_relu"].get<double>(), 1e-6));
    CHECK(report["network"]["dual"] <= report["network"]["primal"]);
    CHECK_THAT(outcome.output, ContainsSubstring("gated problem: objective "));
    CHECK_THAT(outcome.output, ContainsSubstring("network, as a point of the ReLU problem: "));
  }
}

TEST_CASE("other losses, from the flags to a file that is verified", "[command/convex]") {
  const ConvexFolder folder;
  const GatedProblem problem{with_ones(folder.X), folder.Y, folder.G};
  struct Case {
    Arguments flags;
    std::string kind;
    double parameter;
  };
  for (const Case& each : {Case{{"--loss", "huber", "--delta", "0.2"}, "Huber", 0.2},
                           Case{{"--loss", "quantile", "--level", "0.9"}, "Quantile", 0.9},
                           Case{{"--loss", "squared"}, "Squared", 0.0}}) {
    const Outcome outcome = convex(folder.samples() + folder.gates() + folder.results() +
                                   folder.solution() + each.flags + Arguments{"--lambda", "0.01"});
    const Json report = folder.report();
    CHECK(report["termination"] == "ToleranceReached");
    CHECK(report["loss"] == each.kind);
    CHECK(report["loss_parameter"] == each.parameter);
    const auto U = mgdl::read_npy_array<double>(fs::path(folder / "U.npy"));
    double sum = 0, of_targets = 0, penalty = 0;
    const auto cost = [&](double r) {
      const double t = each.parameter;
      if (each.kind == "Squared") return r * r / 2;
      if (each.kind == "Quantile") return r > 0 ? t * r : (t - 1) * r;
      return std::abs(r) <= t ? r * r / 2 : t * std::abs(r) - t * t / 2;
    };
    const Matrix<double> R = folder.Y - problem.prediction(U);
    for (const double r : R.reshaped()) sum += cost(r) / 80;
    for (const double y : folder.Y.reshaped()) of_targets += cost(y) / 80;
    for (Index j = 0; j < 12; ++j) penalty += problem.block(U, j).norm();
    CHECK_THAT(report["primal"].get<double>(), WithinRel(sum + 0.01 * penalty, 1e-10));
    CHECK_THAT(report["train_rse"].get<double>(), WithinRel(sum / of_targets, 1e-6));

    const std::string file = mgdl::read_file(folder / "m");
    const bool squared = each.kind == "Squared";
    // Files about squares are those of earlier versions, to the byte.
    CHECK((file.find(R"("format_version":"1")") != std::string::npos) == squared);
    CHECK((file.find("loss") == std::string::npos) == squared);
    const auto saved = mgdl::load_model<double>(folder / "m");
    REQUIRE(saved.report);
    const auto& certificate = saved.report->grades.front().fit.certificate;
    REQUIRE(certificate);
    CHECK(to_string(certificate->loss.kind) == each.kind);
    CHECK(certificate->loss.parameter == each.parameter);
    const auto save = [&](const mgdl::FitSummary& summary) {
      mgdl::save_model(fs::path(folder / "m"), saved.model, &summary, nullptr, &saved.names);
    };
    save(*saved.report);
    CHECK(mgdl::read_file(folder / "m") == file);
    const Arguments verify{"verify", "--model", folder / "m"};
    const Outcome found = run(verify + folder.samples());
    INFO(found.output << found.errors);
    CHECK(found.code == 0);
    folder.save("other.npy", folder.Y + Matrix<double>::Constant(80, 2, 0.01));
    CHECK(run(verify + Arguments{"--input", folder / "X.npy", "--target", folder / "other.npy"})
              .code != 0);
    if (squared) continue;
    CHECK_THAT(outcome.output, ContainsSubstring("loss " + each.kind));
    // Another loss than the one of the certificate is found out.
    auto forged = *saved.report;
    forged.grades.front().fit.certificate->loss.parameter *= 1.01;
    save(forged);
    CHECK(run(verify + folder.samples()).code != 0);
  }
}

TEST_CASE("a ReLU solution is the network of its report", "[command/convex]") {
  const ConvexFolder folder;
  for (const bool output_bias : {false, true}) {
    Arguments arguments = folder.samples() + folder.gates() + folder.results() +
                          Arguments{"--formulation", "relu", "--lambda-ratio", "0.05"};
    if (output_bias) arguments.push_back("--output-bias");
    convex(arguments);
    const Json report = folder.report();
    CHECK(report["formulation"] == "relu");
    CHECK(report["scope"] == "SampledPatterns");
    CHECK(report["relative_gap"] <= 1e-6);
    CHECK(report["cone_violation"] < 1e-9);
    CHECK(report["recovery"].is_null());
    const double lambda = report["lambda"];
    CHECK_THAT(report["lambda_max"].get<double>(), WithinRel(20 * lambda, 1e-9));
    const auto model = mgdl::load_model<double>(folder / "m").model;
    REQUIRE(model.grades() == 1);
    CHECK(model.grade(1).network.hidden_layers() == 1);
    CHECK_THAT(model.grade(1).train_rse, WithinRel(report["train_rse"].get<double>(), 1e-9));
    const Matrix<double> error = folder.Y - folder.prediction("X.npy");
    CHECK_THAT(report["primal"].get<double>(),
               WithinRel(0.5 * error.squaredNorm() / 80 + lambda * penalty_of(model), 1e-9));
    CHECK((std::abs(model.grade(1).network.readout().bias()[0]) > 0.01) == output_bias);
  }
}

TEST_CASE("all patterns of one and of two inputs", "[command/convex]") {
  const ConvexFolder folder(25);
  struct Case {
    Arguments arguments;
    Index patterns;
  };
  const Case cases[] = {
      {folder.line() + Arguments{"--formulation", "relu"}, 49},
      {folder.line() + Arguments{"--formulation", "gated"}, 49},
      {folder.line() + Arguments{"--formulation", "relu", "--no-bias"}, 2},
      // n (n - 1) + 2 ways to separate points in general position, without that of none.
      {folder.single_output() + Arguments{"--formulation", "relu"}, 601},
  };
  for (const Case& each : cases) {
    convex(each.arguments + folder.results() + Arguments{"--all-patterns", "--lambda", "0.01"});
    const Json report = folder.report();
    CHECK(report["scope"] == "AllPatterns");
    CHECK(report["P"] == each.patterns);
    CHECK(report["termination"] == "ToleranceReached");
    CHECK(report["relative_gap"] <= 1e-6);
    CHECK(report["dual"] > 0);
  }
  // The point that proves the bound: <N, y> - n / 2 |N|^2 is what the report says.
  const Arguments dual{"--dual", folder / "N.npy", "--all-patterns", "--lambda", "0.01"};
  convex(cases[0].arguments + folder.results() + dual);
  const Matrix<double> N = mgdl::read_npy<double>(fs::path(folder / "N.npy"));
  REQUIRE(N.rows() == 25);
  CHECK_THAT(N.cwiseProduct(folder.Y.col(0)).sum() - 12.5 * N.squaredNorm(),
             WithinRel(folder.report()["dual"].get<double>(), 1e-6));
  CHECK_THAT(run(Arguments{"convex"} + cases[3].arguments + dual).errors,
             ContainsSubstring("--dual: expected"));
}

TEST_CASE("a path chooses the best penalty on the held out samples", "[command/convex]") {
  const ConvexFolder folder;
  const Arguments path = folder.samples() + folder.gates() + folder.results() +
                         Arguments{"--path", "8", "--lambda-ratio", "1e-4"};
  const Outcome outcome = convex(path + folder.solution() + Arguments{"--validation", "0.25"});
  CHECK_THAT(outcome.errors, ContainsSubstring("60 samples and 20 to validate"));
  CHECK_THAT(outcome.errors, ContainsSubstring("penalty 8/8: lambda "));
  CHECK_THAT(outcome.output, ContainsSubstring("(best)"));
  Json report = folder.report();
  CHECK(report["n"] == 60);
  REQUIRE(report["path"].size() == 8);
  CHECK(report["path"][0]["active_groups"] == 0);
  CHECK_THAT(report["path"][7]["lambda"].get<double>(),
             WithinRel(1e-4 * report["lambda_max"].get<double>(), 1e-9));
  std::size_t best = 0;
  for (std::size_t k = 1; k < 8; ++k) {
    CHECK(report["path"][k]["lambda"] < report["path"][k - 1]["lambda"]);
    CHECK(report["path"][k]["train_rse"] <=
          report["path"][k - 1]["train_rse"].get<double>() + 1e-5);
    if (report["path"][k]["validation_rse"] < report["path"][best]["validation_rse"]) best = k;
  }
  CHECK(report["best"] == best);
  CHECK(report["chosen"] == best);
  CHECK(report["one_standard_error"] <= best);
  for (const char* key : {"lambda", "primal", "dual", "relative_gap", "train_rse", "validation_rse",
                          "active_groups"}) {
    CHECK(report[key] == report["path"][best][key]);
  }
  Index iterations = 0;
  for (const Json& point : report["path"]) iterations += point["iterations"].get<Index>();
  CHECK(report["iterations"] == iterations);
  // It is the chosen one that is written.
  const auto U = mgdl::read_npy_array<double>(fs::path(folder / "U.npy"));
  const GatedProblem problem{with_ones(folder.X), folder.Y, folder.G};
  Index active = 0;
  for (Index j = 0; j < 12; ++j) active += !problem.block(U, j).isZero(0);
  CHECK(report["active_groups"] == active);
  // The network has its values on the 60 samples; on those that were held out it may differ.
  const Matrix<double> difference = folder.prediction("X.npy") - problem.prediction(U);
  CHECK((difference.rowwise().norm().array() < 1e-9).count() >= 60);
  CHECK(mgdl::load_model<double>(folder / "m").model.grade(1).validation_rse > 0);

  convex(path);
  report = folder.report();
  CHECK(report["chosen"] == 7);
  CHECK(report["best"].is_null());

  convex(path + Arguments{"--formulation", "relu"});
  CHECK(folder.report()["path"].size() == 8);
}

TEST_CASE("CSV and npy files of the same numbers give the same solution", "[command/convex]") {
  const ConvexFolder folder;
  const Arguments solve = Arguments{"--lambda", "0.01"} + folder.gates() + folder.results();
  convex(folder.samples() + solve);
  const auto npy = mgdl::load_model<double>(folder / "m");
  const Outcome quiet =
      convex(Arguments{"--csv", folder / "both.csv", "--target-columns", "u,v", "--quiet"} + solve);
  const auto csv = mgdl::load_model<double>(folder / "m");
  CHECK(csv.names.targets == std::vector<std::string>{"u", "v"});
  CHECK(mgdl::save_model(csv.model, &*csv.report) == mgdl::save_model(npy.model, &*npy.report));
  CHECK(quiet.output.empty());
  CHECK(quiet.errors.empty());
}

TEST_CASE("without gates some are sampled, by the seed", "[command/convex]") {
  const ConvexFolder folder;
  const auto model_of = [&](const Arguments& arguments) {
    convex(folder.single_output() + folder.results() + arguments);
    return mgdl::read_file(folder / "m");
  };
  const std::string model = model_of({});
  Json report = folder.report();
  CHECK(report["given_gates"] == 500);
  CHECK(report["P"] > 100);
  CHECK_THAT(report["lambda"].get<double>(),
             WithinRel(0.01 * report["lambda_max"].get<double>(), 1e-9));
  CHECK(model_of({"--gate-count", "500", "--lambda-ratio", "0.01", "--threads", "1"}) == model);
  CHECK(model_of({"--seed", "1"}) != model);
  convex(folder.single_output() + folder.results() + folder.solution() +
         Arguments{"--gate-count", "30"});
  report = folder.report();
  CHECK(report["given_gates"] == 30);
  CHECK(mgdl::read_npy_array<double>(fs::path(folder / "U.npy")).shape ==
        std::vector<Index>{30, 3, 1});
}

TEST_CASE("without penalty it is least squares", "[command/convex]") {
  const ConvexFolder folder;
  convex(folder.samples() + folder.gates() + folder.results() + folder.solution() +
         Arguments{"--lambda", "0"});
  const Json report = folder.report();
  CHECK(report["lambda"] == 0);
  CHECK(report["termination"] == "NoProgress");  // there is no bound
  const GatedProblem problem{with_ones(folder.X), folder.Y, folder.G};
  const auto U = mgdl::read_npy_array<double>(fs::path(folder / "U.npy"));
  CHECK(problem.largest(folder.Y - problem.prediction(U)) < 1e-8);
}

TEST_CASE("what is printed of a gated fit is true of the network in the file", "[command/convex]") {
  // Inputs whose cones are thin: far from zero, of very different size, or nearly equal.
  const ConvexFolder folder(60);
  RandomStream random(mgdl::test::seed(), 8);
  for (int kind = 0; kind < 5; ++kind) {
    CAPTURE(kind);
    Matrix<double> X = folder.X;
    if (kind == 0) X.array() += 1000;
    if (kind == 1) X.col(0) *= 1e6;
    if (kind == 2) X.col(1) = X.col(0) + 1e-6 * X.col(1);
    if (kind == 3) X *= 1e9;
    if (kind == 4) X.col(0) = (1e9 + 100 * X.col(0).array()).matrix();
    folder.save("thin.npy", X);
    const Arguments samples{"--input", folder / "thin.npy", "--target", folder / "y.npy"};
    const Outcome outcome = convex(samples + folder.results() + Arguments{"--gate-count", "60"});
    const Json report = folder.report();
    const double rse =
        mgdl::compute_metrics(folder.prediction("thin.npy"), Matrix<double>(folder.Y.col(0))).rse;
    CHECK_THAT(report["train_rse"].get<double>(), WithinRel(rse, 1e-6) || WithinAbs(rse, 1e-12));
    const Outcome verified = run(Arguments{"verify", "--model", folder / "m"} + samples);
    INFO(verified.output);
    CHECK(verified.code == 0);
    const bool same = report["recovery"]["same_values"];
    CHECK(same == !report["network"].is_null());
    CHECK((outcome.errors.find("warning: ") != std::string::npos) == !same);
    // Where the inputs lie.
    const Json shown = Json::parse(run({"inspect", "--model", folder / "m", "--json"}).output);
    CHECK_THAT(shown["report"]["input_lower"][0].get<double>(),
               WithinRel(X.col(0).minCoeff(), 1e-15));
    CHECK_THAT(shown["report"]["input_mean"][0].get<double>(), WithinRel(X.col(0).mean(), 1e-9));
  }
}

TEST_CASE("a penalty that leaves nothing gives the zero network", "[command/convex]") {
  const ConvexFolder folder;
  for (const char* formulation : {"gated", "relu"}) {
    convex(folder.samples() + folder.gates() + folder.results() +
           Arguments{"--lambda-ratio", "2", "--formulation", formulation});
    CHECK(folder.report()["active_groups"] == 0);
    CHECK(folder.prediction("X.npy").isZero(0));
  }
}

TEST_CASE("a gap that is out of reach is reported as it is", "[command/convex]") {
  const ConvexFolder folder(2000);
  const Outcome outcome = convex(folder.samples() + folder.results() +
                                 Arguments{"--lambda-ratio", "1e-5", "--gap", "0", "--gate-count",
                                           "400", "--time-limit", "0.001"});
  const Json report = folder.report();
  CHECK(report["termination"] == "TimeLimit");
  CHECK(report["relative_gap"] > 1e-6);
  CHECK(report["relative_gap"] < 1);
  CHECK(report["primal"] > report["dual"]);
  CHECK_THAT(outcome.output, ContainsSubstring("TimeLimit"));
  CHECK(folder.prediction("X.npy").allFinite());
}

TEST_CASE("Ctrl-C ends the solver and keeps what there is", "[command/convex]") {
  for (const int signal : {SIGINT, SIGTERM}) {
    const ConvexFolder folder;
    mgdl::test::Process process(Arguments{"convex"} + folder.samples() + folder.gates() +
                                folder.results() + folder.solution() +
                                Arguments{"--path", "1000000"});
    REQUIRE(process.wait_for("penalty 2/1000000: "));
    process.kill(signal);
    const Outcome outcome = process.wait();
    INFO(outcome.errors);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.errors, ContainsSubstring("stopping"));
    CHECK_THAT(outcome.output, ContainsSubstring("StoppedByObserver"));
    const Json report = folder.report();
    CHECK(report["termination"] == "StoppedByObserver");
    CHECK(report["path"].size() >= 2);
    CHECK(report["chosen"] == report["path"].size() - 1);
    CHECK(fs::exists(folder / "U.npy"));
    CHECK(folder.prediction("X.npy").allFinite());
  }
}

TEST_CASE("convex refuses bad flags", "[command/convex]") {
  const ConvexFolder folder;
  const Arguments good = folder.samples() + folder.results();
  const auto with = [&](const std::string& flag, const std::string& value) {
    return good + Arguments{flag, value};
  };
  const Arguments relu = good + Arguments{"--formulation", "relu"};
  const std::string nowhere = folder / "missing/file";
  check_all_refused(
      folder, "convex",
      {
          {with("--lambda", "-1"), {"--lambda: ", ">= 0", "found -1"}},
          {with("--lambda", "nan"), {"--lambda: ", "found nan"}},
          {with("--lambda", "inf"), {"--lambda: ", "found inf"}},
          {with("--lambda", "1e-3x"), {"--lambda", "1e-3x"}},
          {with("--lambda-ratio", "-1"), {"--lambda-ratio: ", ">= 0", "found -1"}},
          {with("--lambda", "1") + Arguments{"--lambda-ratio", "1"},
           {"--lambda or --lambda-ratio", "both"}},
          {relu + Arguments{"--lambda", "0"}, {"--lambda: ", "> 0", "relu", "found 0"}},
          {relu + Arguments{"--lambda-ratio", "0"}, {"--lambda-ratio: ", "> 0", "found 0"}},
          {with("--lambda", "0") + Arguments{"--path", "2"}, {"--lambda: ", "--path"}},
          {with("--loss", "absolute"), {"--loss", "absolute"}},
          {with("--loss", "huber"), {"--delta: ", "a value", "found none"}},
          {with("--loss", "quantile"), {"--level: ", "a value", "found none"}},
          {with("--delta", "1"), {"--delta: ", "--loss huber", "found squared"}},
          {with("--level", "0.5"), {"--level: ", "--loss quantile", "found squared"}},
          {with("--loss", "huber") + Arguments{"--delta", "0"}, {"--delta: ", "> 0", "found 0"}},
          {with("--loss", "quantile") + Arguments{"--level", "1"}, {"--level: ", "in (0, 1)"}},
          {with("--loss", "huber") + Arguments{"--delta", "1", "--lambda", "0"},
           {"--lambda: ", "> 0", "--loss huber", "found 0"}},
          {relu + Arguments{"--loss", "huber", "--delta", "1"},
           {"--loss: ", "squared with --formulation relu", "found huber"}},
          {with("--gap", "-1e-6"), {"--gap: ", ">= 0", "found -1e-06"}},
          {with("--gap", "nan"), {"--gap: ", "found nan"}},
          {with("--time-limit", "0"), {"--time-limit: ", "> 0", "found 0"}},
          {with("--path", "0"), {"--path: ", ">= 1", "found 0"}},
          {with("--path", "2.5"), {"--path", "2.5"}},
          {with("--validation", "1"), {"--validation: ", "[0, 1)", "found 1"}},
          {with("--threads", "-1"), {"--threads", "found -1"}},
          {with("--seed", "-1"), {"--seed"}},
          {with("--gate-count", "0"), {"--gate-count: ", ">= 1", "found 0"}},
          {with("--gate-count", "many"), {"--gate-count", "many"}},
          {with("--gate-count", "10abc"), {"--gate-count", "10abc"}},
          {with("--gate-count", "3") + folder.gates(), {"--gates, --gate-count", "several"}},
          {good + folder.gates() + Arguments{"--all-patterns"}, {"--all-patterns", "several"}},
          {with("--formulation", "deep"), {"--formulation", "deep"}},
          {relu + folder.solution(), {"--solution: ", "--formulation gated", "found relu"}},
          {with("--no-such-flag", "1"), {"--no-such-flag"}},
          {good + Arguments{"stray"}, {"stray"}},
          {{}, {"--input", "--csv", "neither"}},
          {{"--input", folder / "X.npy"}, {"--target"}},
          {good + Arguments{"--csv", folder / "both.csv"}, {"--csv", "both"}},
          {folder.samples() + Arguments{"--report", nowhere}, {nowhere, "--report", "writable"}},
          {folder.samples() + Arguments{"--output", nowhere}, {nowhere, "--output", "writable"}},
          {folder.samples() + Arguments{"--solution", nowhere}, {nowhere, "--solution"}},
          {folder.samples() + Arguments{"--report", folder / "X.npy"}, {"one of the inputs"}},
          {folder.samples() + folder.gates() + Arguments{"--solution", folder / "G.npy"},
           {"one of the inputs"}},
          {good + Arguments{"--solution", folder / "m"}, {"--solution", "the file of --output"}},
      });
}

TEST_CASE("convex refuses bad files", "[command/convex]") {
  const ConvexFolder folder;
  folder.save("zero.npy", Matrix<double>::Zero(80, 2));
  folder.save("wide.npy", Matrix<double>::Ones(80, 3));
  folder.save("short.npy", folder.Y.topRows(79));
  folder.save("empty.npy", Matrix<double>::Zero(0, 3));
  folder.save("narrow.npy", folder.G.leftCols(2));
  folder.save("far.npy", Matrix<double>(folder.G.middleRows(7, 1)));
  Matrix<double> bad = folder.X;
  bad(7, 1) = kNaN;
  folder.save("nanX.npy", bad);
  bad = folder.Y;
  bad(3, 0) = -std::numeric_limits<double>::infinity();
  folder.save("infY.npy", bad);
  bad = folder.G;
  bad(2, 2) = kNaN;
  folder.save("nanG.npy", bad);
  folder.write("text.npy", "1 2 3");
  folder.write("text.csv", "a,y\n1,2\n3,4five\n");
  const auto samples = [&](const std::string& input, const std::string& target) {
    return Arguments{"--input", folder / input, "--target", folder / target} + folder.results();
  };
  const auto gates = [&](const std::string& file) {
    return folder.samples() + folder.results() + Arguments{"--gates", folder / file};
  };
  check_all_refused(
      folder, "convex",
      {
          {samples("zero.npy", "Y.npy"), {folder / "zero.npy", "not 0", "all zero"}},
          {samples("nanX.npy", "Y.npy"), {folder / "nanX.npy", "finite", "row 7, column 1"}},
          {samples("X.npy", "infY.npy"), {folder / "infY.npy", "-inf", "row 3, column 0"}},
          {samples("X.npy", "short.npy"), {folder / "short.npy", "80 rows", "found 79"}},
          {samples("missing.npy", "Y.npy"), {folder / "missing.npy", "readable file"}},
          {samples("text.npy", "Y.npy"), {folder / "text.npy"}},
          {samples("wide.npy", "Y.npy") + Arguments{"--all-patterns"},
           {"--all-patterns", "1 or 2 inputs", "found 3"}},
          {gates("nanG.npy"), {folder / "nanG.npy", "finite", "row 2, column 2"}},
          {gates("narrow.npy"),
           {folder / "narrow.npy", "3 columns", "one for the bias", "found 2"}},
          {gates("G.npy") + Arguments{"--no-bias"}, {folder / "G.npy", "2 columns", "3"}},
          {gates("empty.npy"), {folder / "empty.npy", "at least one row"}},
          {gates("far.npy"), {folder / "far.npy", "active sample"}},
          {gates("missing.npy"), {folder / "missing.npy", "readable file"}},
          {Arguments{"--csv", folder / "text.csv", "--target-columns", "y"},
           {folder / "text.csv", "4five", "line 3"}},
          {Arguments{"--csv", folder / "both.csv", "--target-columns", "z"}, {"\"z\""}},
      });
}
