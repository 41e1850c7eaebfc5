#include "mgdl/training/auto_trainer.hpp"

#include <Eigen/Dense>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/metrics.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::Termination;

namespace {

/// Predicts a constant, whatever the problem.
struct Pretender {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    mgdl::GradeFitReport report;
    report.trainer = "pretender " + std::to_string(value);
    report.termination = termination;
    report.iterations = 7;
    if (limit != nullptr) *limit = problem.time_limit_seconds;
    const Index d = problem.train.inputs.cols();
    const Index c = problem.train.targets.cols();
    return {mgdl::ReluNetwork<double>(
                {mgdl::DenseLayer<double>(mgdl::RowMatrix<double>::Zero(d, 1),
                                          mgdl::RowVector<double>::Ones(1)),
                 mgdl::DenseLayer<double>(mgdl::RowMatrix<double>::Constant(1, c, value),
                                          mgdl::RowVector<double>::Zero(c))}),
            report};
  }

  double value = 0;
  Termination termination = Termination::MaxIterations;
  double* limit = nullptr;  // where to leave the time limit
};

/// What is chosen for 100 samples of targets +-1, of which the part `ones` is 1.
mgdl::GradeFit<double> choose(std::vector<Pretender> pretenders, double ones,
                              bool validation = false,
                              double limit = std::numeric_limits<double>::infinity()) {
  std::vector<mgdl::AnyGradeTrainer<double>> candidates(pretenders.begin(), pretenders.end());
  const mgdl::RowMatrix<double> X = mgdl::RowMatrix<double>::Ones(100, 1);
  const mgdl::Vector<double> w = mgdl::Vector<double>::Constant(100, 0.01);
  mgdl::RowMatrix<double> Y(100, 1);
  for (Index i = 0; i < 100; ++i) Y(i, 0) = static_cast<double>(i) < 100 * ones ? 1 : -1;
  const mgdl::RowMatrix<double> other = -Y;
  mgdl::GradeProblem<double> problem{{X, validation ? other : Y, w}};
  problem.time_limit_seconds = limit;
  if (validation) problem.validation.emplace(mgdl::SampleView<double>{X, Y, w});
  return mgdl::AutoTrainer<double>(candidates).fit(problem);
}

double value_of(const mgdl::GradeFit<double>& fit) { return fit.network.readout().weights()(0, 0); }

}  // namespace

TEST_CASE("Of the trainers tried the best is kept, of equally good ones the first",
          "[training/auto_trainer]") {
  for (const bool validation : {false, true}) {
    const auto fit = choose({{0}, {0.5}, {0.9}, {2}}, 0.9, validation);
    CHECK(value_of(fit) == 0.9);
    REQUIRE(fit.report.trials.size() == 4);
    CHECK(fit.report.trials[1].trainer == "pretender 0.500000");
    // 90 of 100 are off by 1/2, the others by 3/2.
    CHECK(fit.report.trials[1].objective == Approx(0.9 * 0.25 + 0.1 * 2.25));
    CHECK(fit.report.trials[1].iterations == 7);
    CHECK_THAT(fit.report.message, ContainsSubstring("Chosen of 4 tried"));
  }
  // The mean, 0.02, is the best constant, but 100 samples cannot tell it from 0.
  CHECK(value_of(choose({{0}, {0.02}}, 0.51)) == 0);
  CHECK(value_of(choose({{0.02}, {0}}, 0.51)) == 0.02);
  // One that cannot be compared is worse than any other.
  const double huge = std::numeric_limits<double>::max();
  CHECK(value_of(choose({{huge}, {1}}, 0.5)) == 1);
  CHECK(value_of(choose({{1}, {huge}}, 0.5)) == 1);
}

TEST_CASE("Auto shares the time limit, and ends when a candidate is stopped",
          "[training/auto_trainer]") {
  double first = 0;
  double second = 0;
  const auto usual = Termination::MaxIterations;
  choose({{0, usual, &first}, {1, usual, &second}}, 0.5, false, 100);
  CHECK(first <= 50);
  CHECK(first > 49);
  CHECK(second <= 100);
  CHECK(second > 99);

  const auto fit = choose({{0.5}, {0.1, Termination::StoppedByObserver}, {1}}, 1);
  CHECK(fit.report.trials.size() == 2);
  CHECK(value_of(fit) == 0.5);
  CHECK(fit.report.termination == Termination::StoppedByObserver);
}

TEST_CASE("Auto takes the same candidate for several problems", "[training/auto_trainer]") {
  const mgdl::RowMatrix<double> X = mgdl::RowMatrix<double>::Ones(4, 1);
  const mgdl::Vector<double> w = mgdl::Vector<double>::Constant(4, 0.25);
  const mgdl::RowMatrix<double> one = mgdl::RowMatrix<double>::Constant(4, 1, 1.0);
  // In another unit: the errors are relative to those of zero, so that both count alike.
  const mgdl::RowMatrix<double> small = mgdl::RowMatrix<double>::Constant(4, 1, -0.5);
  std::vector<mgdl::GradeProblem<double>> problems{{{X, one, w}}, {{X, small, w}}};
  const auto fits =
      mgdl::AutoTrainer<double>({Pretender{1}, Pretender{-0.5}, Pretender{0.1}}).fit_all(problems);
  REQUIRE(fits.size() == 2);
  // Sums of relative squares: 9, 2.25, 0.81 + 1.44.
  CHECK(value_of(fits[0]) == -0.5);
  CHECK(value_of(fits[1]) == -0.5);
}

TEST_CASE("Auto trains a model", "[training/auto_trainer]") {
  mgdl::Matrix<double> X(600, 2);
  mgdl::RandomStream random(mgdl::test::seed(), 81);
  for (auto& x : X.reshaped()) x = random.uniform(-1, 1);
  const mgdl::Matrix<double> Y = (4 * X.col(0).array()).sin() * X.col(1).array();
  mgdl::MultigradeTrainer<double> trainer(
      {mgdl::AutoTrainer<double>({mgdl::SampledTrainer<double>({.width = 20}),
                                  mgdl::GradientTrainer<double>({.width = 24, .epochs = 60})})},
      {.max_grades = 8, .tolerance = 0.08, .patience = 3, .validation_fraction = 0.2});
  const auto [model, report] = trainer.fit(X, Y);
  CAPTURE(report);
  CHECK(report.termination == Termination::ToleranceReached);
  for (const auto& line : report.grades) CHECK_FALSE(line.fit.trials.empty());
}

TEST_CASE("Candidates of Auto are checked", "[training/auto_trainer]") {
  CHECK(mgdl::test::error_of([] { mgdl::AutoTrainer<double> t({}); }) ==
        "candidates: expected at least one trainer, found none");
}

TEST_CASE("Training stops at a tolerance in any measure", "[training/multigrade_trainer]") {
  mgdl::Matrix<double> X(300, 1);
  for (Index i = 0; i < 300; ++i) X(i, 0) = static_cast<double>(i) / 299;
  const mgdl::Matrix<double> Y = 50 * (12 * X.array()).sin() + 7;
  const auto fit = [&](mgdl::ErrorMeasure measure, double tolerance, bool on_training = false,
                       double fraction = 0) {
    mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<double>({.width = 16}),
                                    {.max_grades = 40,
                                     .tolerance = tolerance,
                                     .measure = measure,
                                     .tolerance_on_training = on_training,
                                     .patience = 40,
                                     .validation_fraction = fraction,
                                     .seed = 4}};
    return trainer.fit(X, Y);
  };
  const auto check = [&](mgdl::ErrorMeasure measure, double tolerance, auto error) {
    const auto [model, report] = fit(measure, tolerance);
    CAPTURE(to_string(measure), report);
    REQUIRE(report.termination == Termination::ToleranceReached);
    REQUIRE(model.grades() >= 2);
    CHECK(error(mgdl::compute_metrics(model.predict(X), Y)) <= tolerance * (1 + 1e-9));
    CHECK(error(mgdl::compute_metrics(model.predict(X, model.grades() - 1), Y)) > tolerance);
  };
  check(mgdl::ErrorMeasure::Rse, 3e-3, [](const auto& m) { return m.rse; });
  check(mgdl::ErrorMeasure::Rmse, 3, [](const auto& m) { return m.rmse; });
  check(mgdl::ErrorMeasure::MaxError, 10, [](const auto& m) { return m.max; });

  const auto on_training = fit(mgdl::ErrorMeasure::MaxError, 10, true, 0.3);
  REQUIRE(on_training.report.termination == Termination::ToleranceReached);
  CHECK(on_training.report.grades.back().train_max_error <= 10);
  const auto on_validation = fit(mgdl::ErrorMeasure::MaxError, 10, false, 0.3);
  REQUIRE(on_validation.report.termination == Termination::ToleranceReached);
  CHECK(on_validation.report.grades.back().validation_max_error <= 10);
}

TEST_CASE("A noise plateau is named as such", "[training/multigrade_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 82);
  Index plateaus = 0;  // of 85 % of such fits, seen in 600 of them
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    mgdl::Matrix<double> X(800, 2);
    for (auto& x : X.reshaped()) x = random.uniform(-1, 1);
    mgdl::Matrix<double> Y = (2 * X.col(0).array()).sin() + X.col(1).array();
    for (auto& y : Y.reshaped()) y += 0.3 * random.normal();
    mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<double>({.width = 30}),
                                    {.max_grades = 20, .validation_fraction = 0.25, .seed = seed}};
    const auto [model, report] = trainer.fit(X, Y);
    const auto& last = report.grades.back();
    if (report.termination != Termination::Plateau) continue;
    ++plateaus;
    CHECK(std::abs(last.validation_gain) <= last.validation_gain_error);
    CHECK(last.grade < 20);
  }
  CHECK(plateaus >= 28);
}

namespace {

/// A least squares readout on random units, by somebody who says nothing of the errors, or lies.
struct Stranger {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    const auto& [X, Y, w] = problem.train;
    mgdl::RandomStream random(problem.seed, static_cast<std::uint64_t>(width));
    mgdl::RowMatrix<double> weights(X.cols(), width);
    mgdl::RowVector<double> bias(width);
    for (auto& value : weights.reshaped()) value = random.normal();
    for (Index j = 0; j < width; ++j) {
      const auto i = static_cast<Index>(random.below(static_cast<std::uint64_t>(X.rows())));
      bias[j] = -X.row(i).dot(weights.col(j));
    }
    Eigen::MatrixXd features(X.rows(), width + 1);
    features << ((X * weights).rowwise() + bias).cwiseMax(0), Eigen::VectorXd::Ones(X.rows());
    const Eigen::MatrixXd readout =
        Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd>(features).solve(Y);
    mgdl::GradeFitReport report;
    report.trainer = "random 1x" + std::to_string(width);
    report.termination = Termination::ToleranceReached;
    report.final_objective = said;
    report.validation = said;
    return {mgdl::ReluNetwork<double>(
                {{weights, bias}, {readout.topRows(width), readout.bottomRows(1)}}),
            report};
  }

  Index width = 60;
  double said = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace

TEST_CASE("Auto judges trainers by errors of its own", "[training/auto_trainer]") {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(400, -1, 1);
  const Eigen::VectorXd y = (9 * x.array()).sin();
  const auto chosen = [&](std::vector<mgdl::AnyGradeTrainer<double>> candidates, double fraction) {
    mgdl::MultigradeTrainer<double> trainer(
        {mgdl::AutoTrainer<double>(std::move(candidates))},
        {.max_grades = 1, .validation_fraction = fraction, .seed = 3});
    const auto [model, report] = trainer.fit(x, y);
    REQUIRE(report.grades.size() == 1);
    for (const auto& trial : report.grades[0].fit.trials) {
      CAPTURE(trial.trainer);
      CHECK(trial.objective > 1e-12);  // not what the trainer said
      CHECK(trial.objective < 2);
    }
    return report.grades[0].fit.trainer;
  };
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  for (const double fraction : {0.0, 0.25}) {
    CAPTURE(fraction);
    const mgdl::SampledTrainer<double> few({.width = 3});
    for (const double said : {nothing, 1.0, 0.0, -1.0, std::numeric_limits<double>::infinity()}) {
      CAPTURE(said);
      // The better one wins, whatever it says, before or after the other.
      CHECK(chosen({Stranger{60, said}, few}, fraction) == "random 1x60");
      CHECK(chosen({few, Stranger{60, said}}, fraction) == "random 1x60");
    }
    // The worse one does not win by saying that it has no error.
    CHECK(chosen({Stranger{60, 1.0}, Stranger{2, 0.0}}, fraction) == "random 1x60");
    CHECK(chosen({Stranger{2, 0.0}, Stranger{60, 1.0}}, fraction) == "random 1x60");
  }
}

TEST_CASE("Auto that was moved from throws", "[training/auto_trainer]") {
  mgdl::AutoTrainer<double> trainer({Pretender{1}});
  const auto taken = std::move(trainer);
  const mgdl::RowMatrix<double> X = mgdl::RowMatrix<double>::Ones(4, 1);
  const mgdl::GradeProblem<double> problem{{X, X, mgdl::Vector<double>::Constant(4, 0.25)}};
  CHECK(mgdl::test::error_of([&] { trainer.fit(problem); }) ==
        "candidates: expected at least one trainer, found none");
}
