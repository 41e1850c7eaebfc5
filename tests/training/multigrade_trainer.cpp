#include "mgdl/training/multigrade_trainer.hpp"

#include <chrono>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/metrics.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "support/model_metrics.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

struct SineSamples {
  SineSamples() : X(90, 1), Y(90, 1) {
    for (Index i = 0; i < 90; ++i) X(i, 0) = static_cast<double>(i) / 89;
    Y = (9 * X.array()).sin() + 2;
  }
  mgdl::Matrix<double> X;
  mgdl::Matrix<double> Y;
};

mgdl::GradientOptions quick() {
  mgdl::GradientOptions options;
  options.width = 6;
  options.hidden_layers = 1;
  options.optimizer = mgdl::Optimizer::Lbfgs;
  options.epochs = 15;
  return options.fixed();
}

/// A trainer of given behaviour: returns `factor` times the step function-like fit it is told.
struct FixedTrainer {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    mgdl::RowMatrix<double> weights = mgdl::RowMatrix<double>::Zero(problem.train.inputs.cols(), 2);
    mgdl::RowVector<double> bias(2);
    bias << 1, 0;  // the first feature is the constant 1
    mgdl::RowMatrix<double> readout = mgdl::RowMatrix<double>::Zero(2, 1);
    readout(0, 0) = output;
    mgdl::GradeFitReport report;
    report.trainer = "fixed";
    report.termination = mgdl::Termination::MaxIterations;
    return {
        mgdl::ReluNetwork<double>({{weights, bias}, {readout, mgdl::RowVector<double>::Zero(1)}}),
        report};
  }

  double output = 0;
};

static_assert(mgdl::GradeTrainer<FixedTrainer>);
static_assert(mgdl::GradeTrainer<mgdl::GradientTrainer<float>>);
static_assert(!mgdl::GradeTrainer<int>);

/// Passes problems on, and keeps a copy of the model that each grade is to be added to.
struct Recorder {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    prefixes->push_back(*problem.model);
    return trainer.fit(problem);
  }

  mgdl::GradientTrainer<double> trainer;
  std::vector<mgdl::MultigradeModel<double>>* prefixes;
};

}  // namespace

TEST_CASE("A fit reports the errors that its model has", "[training/multigrade_trainer]") {
  const SineSamples s;
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{quick()}, {.max_grades = 3}};
  const auto [model, report] = trainer.fit(s.X, s.Y);
  REQUIRE(model.grades() == 3);
  REQUIRE(report.grades.size() == 3);
  CHECK(report.termination == mgdl::Termination::MaxIterations);
  CHECK(report.initial_rse ==
        Approx(mgdl::test::metrics_of(model, 0, s.X, s.Y).rse).epsilon(1e-12));
  for (Index k = 1; k <= 3; ++k) {
    const auto& line = report.grades[static_cast<std::size_t>(k - 1)];
    CHECK(line.grade == k);
    CHECK(line.kept);
    CHECK(line.fit.trainer == "L-BFGS 1x6");
    CHECK(line.train_rse == Approx(mgdl::test::metrics_of(model, k, s.X, s.Y).rse).epsilon(1e-9));
    CHECK(std::isnan(line.validation_rse));
    CHECK(line.parameters == model.grade(k).network.parameters());
    CHECK(model.grade(k).train_rse == line.train_rse);
  }
  std::ostringstream out;
  out.precision(3);
  out << report << 1.23456;
  CHECK_THAT(out.str(), ContainsSubstring("L-BFGS 1x6") && ContainsSubstring("MaxIterations"));
  CHECK_THAT(out.str(), ContainsSubstring("1.23"));  // the stream's own format is left alone
}

TEST_CASE("Training stops at the tolerance", "[training/multigrade_trainer]") {
  const SineSamples s;
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{quick()},
                                  {.max_grades = 50, .tolerance = 1e-4}};
  const auto [model, report] = trainer.fit(s.X, s.Y);
  CHECK(report.termination == mgdl::Termination::ToleranceReached);
  CHECK(model.grades() < 50);
  CHECK(mgdl::test::metrics_of(model, model.grades(), s.X, s.Y).rse <= 1e-4 * (1 + 1e-9));
  // Nothing to do: the targets are constant, and the model says so.
  const auto constant = trainer.fit(s.X, mgdl::Matrix<double>::Constant(90, 1, 5.0));
  CHECK(constant.report.termination == mgdl::Termination::ToleranceReached);
  CHECK(constant.model.grades() == 0);
  CHECK(constant.model.predict(s.X).isApproxToConstant(5.0));
}

TEST_CASE("A grade that does not lower the residual is rejected", "[training/multigrade_trainer]") {
  const SineSamples s;
  for (const double output : {0.0, 1.0, -1.0, 1e300}) {
    CAPTURE(output);
    mgdl::MultigradeTrainer trainer{FixedTrainer{output}, {.max_grades = 5}};
    const auto [model, report] = trainer.fit(s.X, s.Y);
    // The centred residual has mean zero: no constant can lower it.
    CHECK(model.grades() == 0);
    CHECK(report.termination == mgdl::Termination::NoProgress);
    REQUIRE(report.grades.size() == 1);
    CHECK_FALSE(report.grades.front().kept);
  }
}

TEST_CASE("A list of trainers serves grade by grade", "[training/multigrade_trainer]") {
  const SineSamples s;
  auto wide = quick();
  wide.width = 9;
  wide.optimizer = mgdl::Optimizer::Adam;
  mgdl::MultigradeTrainer<double> trainer({mgdl::GradientTrainer<double>{quick()},
                                           mgdl::GradientTrainer<double>{wide}, FixedTrainer{0.5}},
                                          {.max_grades = 3});
  const auto [model, report] = trainer.fit(s.X, s.Y);
  REQUIRE(report.grades.size() == 3);
  CHECK(report.grades[0].fit.trainer == "L-BFGS 1x6");
  CHECK(report.grades[1].fit.trainer == "Adam 1x9");
  CHECK(report.grades[2].fit.trainer == "fixed");
  CHECK(model.grades() == 2);
  CHECK_THAT(mgdl::test::error_of([] {
               mgdl::MultigradeTrainer<double> none(std::vector<mgdl::AnyGradeTrainer<double>>{});
             }),
             ContainsSubstring("trainers: expected at least one trainer"));
}

TEST_CASE("A grade that gains little is the last one", "[training/multigrade_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 22);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(300, 2, random);
  const mgdl::Matrix<double> Y = (2 * X.col(0).array()).sin() + X.col(1).array().cos();
  const auto fit = [&](double minimum_gain) {
    mgdl::MultigradeTrainer trainer{
        mgdl::GradientTrainer<double>{quick()},
        {.max_grades = 12, .minimum_gain = minimum_gain, .validation_fraction = 0.3}};
    return trainer.fit(X, Y);
  };
  const auto patient = fit(0);
  const auto& lines = patient.report.grades;
  // The first grade that gains less than a third; there is one, but it is not the last.
  std::size_t small = 1;
  const auto gain = [&](std::size_t k) {
    return 1 - lines[k].validation_rse / lines[k - 1].validation_rse;
  };
  while (small < lines.size() && gain(small) >= 0.33) ++small;
  REQUIRE(small + 1 < lines.size());
  REQUIRE(lines[small].kept);
  const auto hasty = fit(0.33);
  CHECK(hasty.report.grades.size() == small + 1);
  CHECK(hasty.model.grades() == static_cast<Index>(small) + 1);
  CHECK(hasty.report.termination == mgdl::Termination::Plateau);
  CHECK_THAT(hasty.report.message, ContainsSubstring("by little; it was kept"));
}

TEST_CASE("With a validation part the best prefix is kept", "[training/multigrade_trainer]") {
  // Noise that many narrow grades can learn by heart.
  mgdl::RandomStream random(mgdl::test::seed(), 20);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(60, 3, random);
  const auto noise = mgdl::test::normal_matrix<mgdl::Matrix<double>>(60, 1, random);
  const mgdl::Matrix<double> Y = X.col(0) + 0.7 * noise;
  auto options = quick();
  options.width = 20;
  options.epochs = 100;
  std::vector<mgdl::MultigradeModel<double>> prefixes;
  mgdl::MultigradeTrainer trainer{Recorder{mgdl::GradientTrainer<double>{options}, &prefixes},
                                  {.max_grades = 30, .patience = 3, .validation_fraction = 0.3}};
  const auto [model, report] = trainer.fit(X, Y);
  CAPTURE(report);
  CHECK((report.termination == mgdl::Termination::ValidationStop ||
         report.termination == mgdl::Termination::Plateau));
  REQUIRE(report.grades.size() == prefixes.size());
  REQUIRE(report.grades.size() >= 3);
  CHECK(static_cast<Index>(report.grades.size()) == model.grades() + 3);
  for (const auto& line : report.grades) CHECK(line.kept == (line.grade <= model.grades()));

  // The choice, made once more from the samples; the last grade was seen by no trainer.
  const auto held_out = *mgdl::split(mgdl::Dataset<double>(X, Y), 0.3, 0).validation;
  const auto errors = [&](const mgdl::MultigradeModel<double>& prefix) {
    return mgdl::Vector<double>(
        (prefix.predict(held_out.inputs()) - held_out.targets()).rowwise().norm());
  };
  mgdl::Vector<double> best = errors(prefixes.front());
  Index chosen = 0;
  for (std::size_t k = 1; k < prefixes.size(); ++k) {
    const auto now = errors(prefixes[k]);
    const auto comparison = mgdl::detail::compare_errors(best, now, held_out.weights());
    const double square = held_out.targets().squaredNorm() / static_cast<double>(best.size());
    const auto& line = report.grades[k - 1];
    CHECK(std::abs(line.validation_gain - comparison.gain / square) < 1e-10);
    CHECK(std::abs(line.validation_gain_error - comparison.gain_error / square) < 1e-10);
    if (comparison.verdict != mgdl::detail::PairedComparison::Verdict::Better) continue;
    best = now;
    chosen = static_cast<Index>(k);
  }
  CHECK(model.grades() == chosen);
}

TEST_CASE("An observer sees grades and iterations and can stop", "[training/multigrade_trainer]") {
  const SineSamples s;
  Index grade_events = 0;
  Index iterations = 0;
  double last_time = 0;
  mgdl::MultigradeTrainer trainer{
      mgdl::GradientTrainer<double>{quick()},
      {.max_grades = 9, .observer = [&](const mgdl::Progress& progress) {
         CHECK(progress.max_grades == 9);
         CHECK(progress.elapsed_seconds >= last_time);
         last_time = progress.elapsed_seconds;
         if (progress.event == mgdl::Progress::Event::Iteration) {
           ++iterations;
           CHECK(progress.grade == grade_events + 1);
           return mgdl::Action::Continue;
         }
         ++grade_events;
         CHECK(progress.grade == grade_events);
         return grade_events == 2 ? mgdl::Action::Stop : mgdl::Action::Continue;
       }}};
  const auto [model, report] = trainer.fit(s.X, s.Y);
  CHECK(report.termination == mgdl::Termination::StoppedByObserver);
  CHECK(model.grades() == 2);
  CHECK(iterations == 30);
}

TEST_CASE("The time limit ends training and keeps the grades", "[training/multigrade_trainer]") {
  // A trainer that takes 50 ms whatever it is told, on noise, where every grade finds something.
  struct SlowTrainer {
    using Scalar = double;
    mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      limits->push_back(problem.time_limit_seconds);
      return mgdl::GradientTrainer<double>{quick()}.fit(problem);
    }
    std::vector<double>* limits;
  };
  mgdl::RandomStream random(mgdl::test::seed(), 21);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(200, 5, random);
  const auto Y = mgdl::test::normal_matrix<mgdl::Matrix<double>>(200, 1, random);
  std::vector<double> limits;
  mgdl::MultigradeTrainer trainer{SlowTrainer{&limits},
                                  {.max_grades = 20, .time_limit_seconds = 0.3}};
  const auto [model, report] = trainer.fit(X, Y);
  CHECK(report.termination == mgdl::Termination::TimeLimit);
  CHECK(model.grades() >= 1);
  CHECK(model.grades() < 20);
  CHECK(report.elapsed_seconds >= 0.3);
  // Each grade is offered half of what is left.
  REQUIRE_FALSE(limits.empty());
  CHECK(limits.front() > 0);
  CHECK(limits.front() <= 0.3 / 2);
}

TEST_CASE("A network that does not fit the problem is refused", "[training/multigrade_trainer]") {
  struct WrongTrainer {
    using Scalar = double;
    mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>&) {
      const auto layer = [](Index in, Index out) {
        return mgdl::DenseLayer<double>(mgdl::RowMatrix<double>::Ones(in, out),
                                        mgdl::RowVector<double>::Zero(out));
      };
      return {mgdl::ReluNetwork<double>({layer(inputs, 4), layer(4, outputs)}), {}};
    }
    Index inputs;
    Index outputs;
  };
  const SineSamples s;
  const auto error = [&](Index inputs, Index outputs) {
    mgdl::MultigradeTrainer trainer{WrongTrainer{inputs, outputs}};
    return mgdl::test::error_of([&] { trainer.fit(s.X, s.Y); });
  };
  CHECK(error(3, 1) == "network of the grade's trainer: expected 1 inputs, found 3");
  CHECK(error(1, 2) == "network of the grade's trainer: expected 1 outputs, found 2");
}

TEST_CASE("Bad samples and options are refused by name", "[training/multigrade_trainer]") {
  const SineSamples s;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Index trained = 0;
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{quick()},
                                  {.observer = [&](const mgdl::Progress&) {
                                    ++trained;
                                    return mgdl::Action::Continue;
                                  }}};
  const auto error = [&](mgdl::Matrix<double> X, mgdl::Matrix<double> Y,
                         mgdl::Vector<double> w = {}) {
    return mgdl::test::error_of([&] { trainer.fit(X, Y, w); });
  };
  auto bad = s.X;
  bad(7, 0) = nan;
  CHECK_THAT(error(bad, s.Y), ContainsSubstring("X: expected finite values, found") &&
                                  ContainsSubstring("at row 7, column 0"));
  bad(7, 0) = -std::numeric_limits<double>::infinity();
  CHECK_THAT(error(s.X, bad), ContainsSubstring("Y: ") && ContainsSubstring("-inf at row 7"));
  CHECK(error(s.X, s.Y.topRows(89)) == "Y: expected 90 rows, found 89");
  CHECK_THAT(error(mgdl::Matrix<double>(0, 3), mgdl::Matrix<double>(0, 1)),
             ContainsSubstring("X: expected at least one row"));
  mgdl::Vector<double> weights = mgdl::Vector<double>::Ones(90);
  weights[4] = -0.5;
  CHECK_THAT(error(s.X, s.Y, weights),
             ContainsSubstring("weights: expected values >= 0, found -0.5 at row 4"));
  CHECK_THAT(error(s.X, s.Y, mgdl::Vector<double>::Zero(90)),
             ContainsSubstring("weights: expected a positive sum, found all zero"));
  CHECK_THAT(error(s.X, s.Y, mgdl::Vector<double>::Ones(3)), ContainsSubstring("weights"));
  CHECK(trained == 0);

  const auto option_error = [](auto change) {
    mgdl::MultigradeOptions options;
    change(options);
    return mgdl::test::error_of([&] { mgdl::MultigradeTrainer t(FixedTrainer{}, options); });
  };
  CHECK(option_error([](auto& o) { o.max_grades = 0; }) ==
        "MultigradeOptions.max_grades: expected a value >= 1, found 0");
  CHECK_THAT(option_error([](auto& o) { o.tolerance = -1; }), ContainsSubstring("tolerance"));
  CHECK_THAT(option_error([](auto& o) { o.minimum_progress = 1; }),
             ContainsSubstring("minimum_progress"));
  CHECK_THAT(option_error([](auto& o) { o.patience = 0; }), ContainsSubstring("patience"));
  CHECK_THAT(option_error([](auto& o) { o.validation_fraction = 1; }),
             ContainsSubstring("validation_fraction"));
  CHECK_THAT(option_error([](auto& o) { o.time_limit_seconds = -1; }),
             ContainsSubstring("time_limit_seconds"));
  CHECK_THAT(option_error([](auto& o) { o.threads = -1; }), ContainsSubstring("threads"));

  const auto fit = trainer.fit(s.X, s.Y);
  CHECK_THAT(mgdl::test::error_of([&] {
               trainer.resume(fit.model, mgdl::Matrix<double>::Ones(5, 2), s.Y.topRows(5));
             }),
             ContainsSubstring("X: expected 1 columns, found 2"));
}

TEST_CASE("Trainers that were moved from throw", "[training/multigrade_trainer]") {
  const SineSamples s;
  const std::string none = "trainers: expected at least one trainer, found none";
  mgdl::MultigradeTrainer trainer(FixedTrainer{}, {.max_grades = 1});
  const mgdl::MultigradeModel<double> model = trainer.fit(s.X, s.Y).model;
  auto taken = std::move(trainer);
  CHECK(mgdl::test::error_of([&] { trainer.fit(s.X, s.Y); }) == none);
  CHECK(mgdl::test::error_of([&] { trainer.fit(mgdl::split(mgdl::Dataset(s.X, s.Y), 0.2, 1)); }) ==
        none);
  CHECK(mgdl::test::error_of([&] { trainer.fit(mgdl::folds(mgdl::Dataset(s.X, s.Y), 3, 1)); }) ==
        none);
  CHECK(mgdl::test::error_of([&] { trainer.resume(model, s.X, s.Y); }) == none);
  CHECK_THAT(mgdl::test::error_of([&] { taken.resume({}, s.X, s.Y); }),
             ContainsSubstring("model: expected a model with inputs"));
  trainer = std::move(taken);
  CHECK(trainer.fit(s.X, s.Y).model == model);

  mgdl::AnyGradeTrainer<double> any = FixedTrainer{};
  const auto other = std::move(any);
  const mgdl::GradeProblem<double> problem{
      {s.X, s.Y, mgdl::Vector<double>::Constant(90, 1.0 / 90)}};
  CHECK(mgdl::test::error_of([&] { any.fit(problem); }) ==
        "trainer: expected a trainer, found one that was moved from");
  CHECK(mgdl::test::error_of([&] { any.fit_all({problem}); }) ==
        "trainer: expected a trainer, found one that was moved from");
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(std::move(trainer).options())>);
}
