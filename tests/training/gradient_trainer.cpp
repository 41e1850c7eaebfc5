#include "mgdl/training/gradient_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/training/gradient/initialisation.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

/// 120 samples of a smooth function of 2 variables with 3 outputs, and 50 to validate on.
struct SplitSamples {
  SplitSamples() : train(make(120, 0)), validation(make(50, 1)) {}

  static mgdl::Dataset<double> make(Index n, std::uint64_t stream) {
    mgdl::RandomStream random(mgdl::test::seed(), 10 + stream);
    const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(n, 2, random);
    mgdl::Matrix<double> Y(n, 3);
    Y.col(0) = (2 * X.col(0)).array().sin();
    Y.col(1) = X.col(1).array().abs();
    Y.col(2) = X.rowwise().sum();
    return {X, Y};
  }

  mgdl::GradeProblem<double> problem(bool validate) const {
    const auto view = [](const mgdl::Dataset<double>& data) {
      return mgdl::SampleView<double>{data.inputs(), data.targets(), data.weights()};
    };
    mgdl::GradeProblem<double> result{view(train)};
    if (validate) result.validation.emplace(view(validation));
    result.threads = 2;
    return result;
  }

  /// Error relative to the zero function, from the raw data.
  static double relative_error(const mgdl::ReluNetwork<double>& network,
                               const mgdl::Dataset<double>& data) {
    return (network.predict(data.inputs()) - data.targets()).squaredNorm() /
           data.targets().squaredNorm();
  }

  mgdl::Dataset<double> train;
  mgdl::Dataset<double> validation;
};

mgdl::GradientOptions small(mgdl::Optimizer optimizer) {
  mgdl::GradientOptions options;
  options.width = 21;
  options.hidden_layers = 2;
  options.optimizer = optimizer;
  options.epochs = 30;
  options.batch_size = 32;
  return options.fixed();
}

}  // namespace

TEST_CASE("Both optimisers lower the objective they report", "[training/gradient_trainer]") {
  const SplitSamples s;
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    const auto fit = mgdl::GradientTrainer<double>(small(optimizer)).fit(s.problem(true));
    CHECK(fit.network.inputs() == 2);
    CHECK(fit.network.outputs() == 3);
    CHECK(fit.network.width() == 21);
    CHECK(fit.network.hidden_layers() == 2);
    CHECK(fit.report.final_objective < 0.5 * fit.report.initial_objective);
    CHECK(fit.report.final_objective ==
          Approx(SplitSamples::relative_error(fit.network, s.train)).epsilon(1e-9));
    CHECK(fit.report.validation ==
          Approx(SplitSamples::relative_error(fit.network, s.validation)).epsilon(1e-9));
    CHECK(fit.report.termination == mgdl::Termination::MaxIterations);
    CHECK(fit.report.iterations == 30);
    CHECK(fit.report.elapsed_seconds > 0);
  }
}

TEST_CASE("The final readout is a least squares solution", "[training/gradient_trainer]") {
  const SplitSamples s;
  const auto fit =
      mgdl::GradientTrainer<double>(small(mgdl::Optimizer::Adam)).fit(s.problem(false));
  // Its residual is orthogonal to every feature and to the constant.
  const auto features = fit.network.features(s.train.inputs());
  const mgdl::RowMatrix<double> residual =
      s.train.targets() - fit.network.predict(s.train.inputs());
  const double size = features.norm() * residual.norm();
  // Not exactly: of solutions within 1 % of the best error the most regularised one is taken.
  CHECK((features.transpose() * residual).norm() < 2e-2 * size);
  CHECK(residual.colwise().sum().norm() < 1e-8 * residual.norm());
}

TEST_CASE("With a validation part the best iterate is restored", "[training/gradient_trainer]") {
  // Few noisy samples and many units: the validation error falls and then rises for good.
  const auto noisy = [](Index n, std::uint64_t stream) {
    mgdl::RandomStream random(mgdl::test::seed(), stream);
    const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(n, 3, random);
    const auto noise = mgdl::test::normal_matrix<mgdl::Matrix<double>>(n, 1, random);
    return mgdl::Dataset<double>(X, X.col(0) + 0.5 * noise);
  };
  const auto train = noisy(100, 14);
  const auto validation = noisy(400, 15);
  const auto view = [](const mgdl::Dataset<double>& data) {
    return mgdl::SampleView<double>{data.inputs(), data.targets(), data.weights()};
  };
  mgdl::GradeProblem<double> problem{view(train)};
  problem.validation.emplace(view(validation));
  std::vector<double> seen;
  problem.observer = [&](const mgdl::Progress& progress) {
    seen.push_back(progress.validation);
    return mgdl::Action::Continue;
  };
  auto options = small(mgdl::Optimizer::Adam);
  options.hidden_layers = 1;
  options.width = 40;
  options.epochs = 1500;
  options.learning_rate = 0.03;
  options.schedule = mgdl::LearningRateSchedule::Constant;
  const auto fit = mgdl::GradientTrainer<double>(options).fit(problem);
  REQUIRE(seen.size() == 1500);
  const double best = *std::min_element(seen.begin(), seen.end());
  REQUIRE(seen.back() > 1.2 * best);
  // The readout was solved anew, but only a better one on the validation part replaces it. Folding
  // the whitening rounds.
  CHECK(SplitSamples::relative_error(fit.network, validation) <= best * (1 + 1e-9));
}

TEST_CASE("Patience ends training", "[training/gradient_trainer]") {
  const SplitSamples s;
  auto options = small(mgdl::Optimizer::Adam);
  options.epochs = 5000;
  options.learning_rate = 0.03;
  options.schedule = mgdl::LearningRateSchedule::Constant;
  options.patience = 5;
  const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(true));
  CHECK(fit.report.termination == mgdl::Termination::ValidationStop);
  CHECK(fit.report.iterations < 5000);
}

TEST_CASE("An observer stops training and the best iterate is returned",
          "[training/gradient_trainer]") {
  const SplitSamples s;
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    auto problem = s.problem(false);
    Index calls = 0;
    problem.observer = [&](const mgdl::Progress& progress) {
      ++calls;
      CHECK(progress.event == mgdl::Progress::Event::Iteration);
      CHECK(progress.iteration == calls);
      CHECK(progress.max_iterations == 30);
      CHECK(progress.samples_per_second > 0);
      return calls == 4 ? mgdl::Action::Stop : mgdl::Action::Continue;
    };
    const auto fit = mgdl::GradientTrainer<double>(small(optimizer)).fit(problem);
    CHECK(calls == 4);
    CHECK(fit.report.termination == mgdl::Termination::StoppedByObserver);
    CHECK(fit.report.iterations == 4);
    CHECK(SplitSamples::relative_error(fit.network, s.train) < 1);
  }
}

TEST_CASE("The time limit ends training", "[training/gradient_trainer]") {
  const SplitSamples s;
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    auto options = small(optimizer);
    options.epochs = 100000000;
    options.relative_tolerance = 0;
    options.time_limit_seconds = 0.02;  // far from convergence, whatever the machine
    const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(false));
    CHECK(fit.report.termination == mgdl::Termination::TimeLimit);
    CHECK(fit.report.iterations >= 1);
    CHECK(fit.report.final_objective < fit.report.initial_objective);
  }
}

TEST_CASE("Dead units are noticed and revived", "[training/gradient_trainer]") {
  const SplitSamples s;
  mgdl::detail::PanelNetwork<double> network({2, 5, 4, 3});
  mgdl::RandomStream random(mgdl::test::seed(), 12);
  const auto problem = s.problem(false);
  mgdl::detail::UnitInitialiser<double> initialiser(network, problem.train, 1e-3, random);
  initialiser.start_all(network);
  for (auto& value : network.parameters().tail(network.layers()[2].shape.size())) value = 1;
  // Units of the second layer that no loss of one below can kill.
  for (Index j = 1; j < 4; ++j) network.bias(1)[j] = 100;
  CHECK(initialiser.revive(network, [](std::size_t, Index) {}) == 0);

  network.bias(0)[3] = -1e6;
  network.bias(1)[0] = -1e6;
  const auto before = mgdl::ReluNetwork<double>(network.to_layers()).predict(s.train.inputs());
  std::vector<std::pair<std::size_t, Index>> revived;
  CHECK(initialiser.revive(network, [&](std::size_t layer, Index unit) {
    revived.emplace_back(layer, unit);
  }) == 2);
  REQUIRE(revived.size() == 2);
  CHECK(revived[0] == std::pair<std::size_t, Index>{0, 3});
  CHECK(revived[1] == std::pair<std::size_t, Index>{1, 0});
  // They live again, and the output is what it was.
  CHECK(initialiser.revive(network, [](std::size_t, Index) {}) == 0);
  const mgdl::ReluNetwork<double> after(network.to_layers());
  CHECK(after.predict(s.train.inputs()).isApprox(before, 1e-12));
  CHECK(after.features(s.train.inputs()).col(0).maxCoeff() > 0);
}

TEST_CASE("A far too high learning rate is a termination, not an exception",
          "[training/gradient_trainer]") {
  const SplitSamples s;
  auto options = small(mgdl::Optimizer::Adam);
  options.learning_rate = 1e300;
  const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(false));
  CHECK(fit.report.termination == mgdl::Termination::NumericalFailure);
  // The iterate before the failure, with a solved readout: still a fit.
  CHECK(SplitSamples::relative_error(fit.network, s.train) < 1);
}

TEST_CASE("More starts are never worse on the part that chooses", "[training/gradient_trainer]") {
  const SplitSamples s;
  auto options = small(mgdl::Optimizer::Lbfgs);
  options.width = 3;
  // Start i is the same however many there are, so the best can only get better.
  std::vector<double> best;
  for (options.starts = 1; options.starts <= 8; ++options.starts) {
    const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(false));
    best.push_back(fit.report.final_objective);
    CHECK(fit.report.final_objective ==
          Approx(SplitSamples::relative_error(fit.network, s.train)).epsilon(1e-9));
  }
  CHECK(std::is_sorted(best.rbegin(), best.rend()));
  CHECK(best.back() < best.front());
}

TEST_CASE("Weight decay makes hidden weights smaller", "[training/gradient_trainer]") {
  const SplitSamples s;
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    auto options = small(optimizer);
    options.epochs = 200;
    options.learning_rate = 0.02;
    const auto hidden_norm = [&] {
      const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(false));
      return fit.network.layers()[1].weights().norm();
    };
    const double without = hidden_norm();
    options.weight_decay = 1e-2;
    CHECK(hidden_norm() < 0.7 * without);
  }
}

TEST_CASE("Options that break their rule are named", "[training/gradient_options]") {
  const auto error = [](auto change) {
    mgdl::GradientOptions options;
    change(options);
    return mgdl::test::error_of([&] { mgdl::GradientTrainer<double> trainer(options); });
  };
  CHECK(error([](auto& o) { o.width = 0; }) ==
        "GradientOptions.width: expected a value >= 1, found 0");
  CHECK(error([](auto& o) { o.learning_rate = -1; }) ==
        "GradientOptions.learning_rate: expected a finite value > 0, found -1");
  CHECK_THAT(error([](auto& o) { o.learning_rate = std::nan(""); }),
             ContainsSubstring("learning_rate") && ContainsSubstring("nan"));
  CHECK_THAT(error([](auto& o) { o.hidden_layers = 0; }), ContainsSubstring("hidden_layers"));
  CHECK_THAT(error([](auto& o) { o.epochs = 0; }), ContainsSubstring("epochs"));
  CHECK_THAT(error([](auto& o) { o.starts = 0; }), ContainsSubstring("starts"));
  CHECK_THAT(error([](auto& o) { o.batch_size = -3; }), ContainsSubstring("batch_size"));
  CHECK_THAT(error([](auto& o) {
               o.grade_learning_rates = {1e-3, 0};
             }),
             ContainsSubstring("grade_learning_rates"));
  CHECK_THAT(error([](auto& o) { o.warmup_fraction = 1; }), ContainsSubstring("warmup_fraction"));
  CHECK_THAT(error([](auto& o) { o.final_learning_rate_fraction = 0; }),
             ContainsSubstring("final_learning_rate_fraction"));
  CHECK_THAT(error([](auto& o) { o.beta1 = 1; }), ContainsSubstring("beta1"));
  CHECK_THAT(error([](auto& o) { o.beta2 = -0.1; }), ContainsSubstring("beta2"));
  CHECK_THAT(error([](auto& o) { o.epsilon = 0; }), ContainsSubstring("epsilon"));
  CHECK_THAT(error([](auto& o) { o.history = 0; }), ContainsSubstring("history"));
  CHECK_THAT(error([](auto& o) { o.relative_tolerance = -1; }),
             ContainsSubstring("relative_tolerance"));
  CHECK_THAT(error([](auto& o) { o.weight_decay = -1; }), ContainsSubstring("weight_decay"));
  CHECK_THAT(error([](auto& o) { o.feature_floor = 1; }), ContainsSubstring("feature_floor"));
  CHECK_THAT(error([](auto& o) { o.start_ridge = 0; }), ContainsSubstring("start_ridge"));
  CHECK_THAT(error([](auto& o) { o.ridge = 0; }), ContainsSubstring("GradientOptions.ridge"));
  CHECK_THAT(error([](auto& o) { o.patience = -1; }), ContainsSubstring("patience"));
  CHECK_THAT(error([](auto& o) { o.time_limit_seconds = 0; }),
             ContainsSubstring("time_limit_seconds"));
}

TEST_CASE("Each grade has its learning rate, the last one serves the rest",
          "[training/gradient_options]") {
  mgdl::GradientOptions options;
  options.learning_rate = 0.5;
  CHECK(options.learning_rate_of(3) == 0.5);
  options.grade_learning_rates = {0.1, 0.2};
  CHECK(options.learning_rate_of(1) == 0.1);
  CHECK(options.learning_rate_of(2) == 0.2);
  CHECK(options.learning_rate_of(7) == 0.2);
}

TEST_CASE("With a validation part, what is left open is chosen on it",
          "[training/gradient_trainer]") {
  const SplitSamples s;
  mgdl::GradientOptions options{.width = 12, .hidden_layers = 1};
  auto problem = s.problem(true);
  Index most = 0;
  problem.observer = [&](const mgdl::Progress& progress) {
    CHECK(progress.iteration <= progress.max_iterations);
    most = progress.max_iterations;
    return mgdl::Action::Continue;
  };
  const auto fit = mgdl::GradientTrainer<double>(options).fit(problem);
  const auto& trials = fit.report.trials;
  Index work = 0;
  for (const auto& trial : trials) work += trial.iterations;
  CHECK(work <= most);
  CHECK(work > most / 8);  // unless it was flat soon, most of it was done
  REQUIRE(trials.size() >= 4);
  // The winner comes first; whoever got far was better than those who did not. Cycles double, so
  // that one more of them is twice the iterations; within one, L-BFGS does not count a search along
  // a direction that it gives up, of which rounding decides.
  CHECK_THAT(trials.front().trainer, ContainsSubstring(fit.report.trainer));
  for (std::size_t k = 1; k < trials.size(); ++k) {
    CHECK(2 * trials[k].iterations < 3 * trials[k - 1].iterations);
    CHECK(trials.front().objective < trials[k].objective);
  }
  CHECK(trials.front().iterations == fit.report.iterations);
  CHECK(trials.back().iterations < fit.report.iterations);
  CHECK(fit.report.validation <= trials.front().objective * (1 + 1e-9));
  CHECK(fit.report.validation ==
        Approx(SplitSamples::relative_error(fit.network, s.validation)).epsilon(1e-9));
  // The same bits again, also with a time limit that does not bind.
  options.time_limit_seconds = 1e6;
  CHECK(mgdl::GradientTrainer<double>(options).fit(problem).network == fit.network);

  // What is given is taken; a cap on the epochs is one.
  options.initialization = mgdl::Initialization::Rich;
  options.optimizer = mgdl::Optimizer::Adam;
  options.epochs = 50;
  const auto given = mgdl::GradientTrainer<double>(options).fit(problem);
  CHECK(given.report.iterations <= 50);
  for (const auto& trial : given.report.trials) {
    CHECK_THAT(trial.trainer, ContainsSubstring("Adam 1x12, Rich"));
  }
  // Nothing left to choose: one training, no trials.
  const auto fixed = mgdl::GradientTrainer<double>(options.fixed()).fit(problem);
  CHECK(fixed.report.trials.empty());
  CHECK(fixed.report.iterations == 50);
  // Without a validation part there is nothing to choose by.
  const auto without = mgdl::GradientTrainer<double>({.width = 12}).fit(s.problem(false));
  const mgdl::GradientOptions usual{.width = 12};
  CHECK(without.network ==
        mgdl::GradientTrainer<double>(usual.fixed()).fit(s.problem(false)).network);
  CHECK(without.report.iterations == 200);
}

TEST_CASE("A time limit ends the race, and the rest of the time goes to the best",
          "[training/gradient_trainer]") {
  const SplitSamples s;
  mgdl::GradientOptions options{.width = 200};
  options.time_limit_seconds = 0.05;
  const auto fit = mgdl::GradientTrainer<double>(options).fit(s.problem(true));
  CHECK(fit.report.validation < 1);
  CHECK(fit.report.elapsed_seconds < 5);  // a race without limit takes longer on any machine
}

TEST_CASE("An observer stops a race, and is called by the thread that called fit",
          "[training/gradient_trainer]") {
  const SplitSamples s;
  auto problem = s.problem(true);
  problem.threads = 3;
  Index calls = 0;
  Index last = 0;
  const auto caller = std::this_thread::get_id();
  problem.observer = [&](const mgdl::Progress& progress) {
    CHECK(std::this_thread::get_id() == caller);
    CHECK(progress.iteration > last);
    CHECK(progress.iteration <= progress.max_iterations);
    last = progress.iteration;
    return ++calls == 20 ? mgdl::Action::Stop : mgdl::Action::Continue;
  };
  const auto fit = mgdl::GradientTrainer<double>({.width = 12}).fit(problem);
  CHECK(calls == 20);
  CHECK(fit.report.termination == mgdl::Termination::StoppedByObserver);
  CHECK(fit.report.validation < 1);
}

TEST_CASE("Units that start rich are small", "[training/gradient_trainer]") {
  mgdl::detail::PanelNetwork<double> network({30, 400, 50, 2});
  mgdl::RandomStream random(mgdl::test::seed(), 13);
  mgdl::detail::start_rich(network, 0.25, 0.3, random);
  const auto deviation = [&](std::size_t layer) {
    double sum = 0;
    const auto& l = network.layers()[layer];
    for (Index i = 0; i < l.inputs(); ++i) {
      for (Index j = 0; j < l.outputs(); ++j) sum += std::pow(network.weight(layer, i, j), 2);
    }
    for (Index j = 0; j < l.outputs(); ++j) CHECK(network.bias(layer)[j] == 0);
    return std::sqrt(sum / static_cast<double>(l.inputs() * l.outputs()));
  };
  // Standard deviations of scale * sqrt(2 / inputs), within five standard errors.
  CHECK(deviation(0) == Approx(0.25 * std::sqrt(2.0 / 30)).epsilon(5 / std::sqrt(2 * 12000.0)));
  CHECK(deviation(1) == Approx(0.25 * std::sqrt(2.0 / 400)).epsilon(5 / std::sqrt(2 * 20000.0)));
  CHECK(deviation(2) == Approx(0.3 * std::sqrt(2.0 / 50)).epsilon(5 / std::sqrt(2 * 100.0)));
}
