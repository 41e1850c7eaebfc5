#include "mgdl/training/convex_trainer.hpp"

#include <cmath>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

/// Samples that a view can refer to, and a validation part like them.
struct ConvexSamples {
  mgdl::RowMatrix<double> X, Y;
  mgdl::Vector<double> w;
  mgdl::SampleView<double> view() const { return {X, Y, w}; }
};

ConvexSamples wavy_samples(Index n, Index d, Index c, std::uint64_t stream) {
  mgdl::RandomStream random(mgdl::test::seed(), stream);
  ConvexSamples s;
  s.X = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(n, d, random);
  s.Y.resize(n, c);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < c; ++j) {
      s.Y(i, j) = std::sin(2 * s.X(i, 0) + static_cast<double>(j)) + 0.5 * std::abs(s.X(i, d - 1));
    }
  }
  s.w = mgdl::Vector<double>::LinSpaced(n, 1, 2);
  s.w /= s.w.sum();
  return s;
}

mgdl::Dataset<double> dataset(const ConvexSamples& s, const std::vector<Index>& columns) {
  return {s.X(mgdl::detail::kAll, columns), s.Y, s.w};
}

/// The penalised objective of a network by its definition, with separate outputs.
double objective(const mgdl::ReluNetwork<double>& network, const ConvexSamples& s, double lambda) {
  const mgdl::RowMatrix<double> error = s.Y - network.predict(s.X);
  double value = 0.5 * s.w.dot(error.rowwise().squaredNorm());
  const auto& hidden = network.layers().front();
  for (Index k = 0; k < network.width(); ++k) {
    const double square = hidden.weights().col(k).squaredNorm() + std::pow(hidden.bias()[k], 2);
    value += lambda * std::sqrt(square) * network.readout().weights().row(k).lpNorm<1>();
  }
  return value;
}

}  // namespace

TEST_CASE("The certificate of a convex grade is true of its network", "[training/convex_trainer]") {
  for (const Index d : {1, 3, 9}) {
    const ConvexSamples s = wavy_samples(90, d, 2, 60);
    mgdl::ConvexTrainerOptions options;
    options.problem = mgdl::ConvexProblem::Relu;
    options.patterns = 8;
    options.max_inputs = 5;
    const mgdl::ConvexTrainer<double> trainer(options);
    mgdl::GradeProblem<double> problem{s.view()};
    problem.grade = 3;
    problem.seed = 11;
    const auto fit = mgdl::ConvexTrainer<double>(options).fit(problem);
    CAPTURE(d, fit.report.message);
    REQUIRE(fit.report.certificate);
    const auto& certificate = *fit.report.certificate;
    CHECK(fit.report.termination == mgdl::Termination::ToleranceReached);
    CHECK(certificate.relative_gap() <= 1e-6);
    CHECK(certificate.primal ==
          Approx(objective(fit.network, s, certificate.lambda)).epsilon(1e-9));
    CHECK(certificate.lambda == Approx(1e-3 * certificate.lambda_max));

    // Anyone can recompute it from the samples, the seed and the number of the grade.
    const auto columns = trainer.columns(problem.train);
    CHECK(std::ssize(columns) == std::min<Index>(d, 5));
    auto layers = fit.network.layers();
    layers.front() = {layers.front().weights()(columns, mgdl::detail::kAll), layers.front().bias()};
    // Other inputs have no weight.
    CHECK(layers.front().weights().norm() ==
          Approx(fit.network.layers().front().weights().norm()).epsilon(1e-14));
    const auto point = mgdl::to_solution(
        mgdl::ReluNetwork<double>(layers),
        {.lambda = certificate.lambda, .output_bias = true, .separate_outputs = true});
    const auto data = dataset(s, columns);
    const auto again = d == 1
                           ? mgdl::certify_all_patterns(data, point)
                           : mgdl::certify(data, trainer.gates(data.inputs(), s.Y, 11, 3), point);
    CHECK(again.primal == Approx(certificate.primal).epsilon(1e-9));
    CHECK(again.relative_gap() <= 2e-6);
    CHECK((certificate.scope == mgdl::PatternScope::AllPatterns) == (d == 1));
  }
}

TEST_CASE("A gated grade has the values of its gated model", "[training/convex_trainer]") {
  const ConvexSamples s = wavy_samples(120, 4, 1, 61);
  mgdl::ConvexTrainer<double> trainer({.patterns = 10});
  const mgdl::GradeProblem<double> problem{s.view()};
  const auto fit = trainer.fit(problem);
  CHECK(fit.report.certificate->relative_gap() <= 1e-6);
  // Without the penalty, the objective is what the network leaves.
  const double loss = 0.5 * s.w.dot((s.Y - fit.network.predict(s.X)).rowwise().squaredNorm());
  CHECK(loss < fit.report.certificate->primal);
  CHECK(fit.report.final_objective ==
        Approx(2 * loss / s.w.dot(s.Y.rowwise().squaredNorm())).epsilon(1e-9));
  CHECK(fit.report.final_objective < 0.3);
}

TEST_CASE("A penalty is chosen by validation or by width", "[training/convex_trainer]") {
  const ConvexSamples s = wavy_samples(100, 2, 1, 62);
  ConvexSamples validation = wavy_samples(300, 2, 1, 63);
  mgdl::RandomStream random(mgdl::test::seed(), 64);
  ConvexSamples noisy = s;
  for (auto& y : noisy.Y.reshaped()) y += 0.4 * random.normal();
  mgdl::GradeProblem<double> problem{noisy.view()};
  problem.validation.emplace(validation.view());
  mgdl::ConvexTrainerOptions options;
  options.patterns = 30;
  options.solver.lambda_ratio = 1e-5;
  const auto last = mgdl::ConvexTrainer<double>(options).fit(problem);
  options.penalty = mgdl::PenaltyChoice::Validation;
  const auto best = mgdl::ConvexTrainer<double>(options).fit(problem);
  CHECK(best.report.validation < 0.9 * last.report.validation);
  CHECK(best.report.certificate->lambda > last.report.certificate->lambda);

  options.penalty = mgdl::PenaltyChoice::Width;
  for (const Index width : {6, 20}) {
    options.width = width;
    const auto narrow = mgdl::ConvexTrainer<double>(options).fit(problem);
    CHECK(narrow.network.width() <= width);
    // A smaller penalty would have had more neurons.
    CHECK(narrow.report.certificate->lambda > last.report.certificate->lambda);
    CHECK(narrow.report.final_objective <= 1);
    // As many as are allowed are not too many.
    options.width = narrow.network.width();
    CHECK(mgdl::ConvexTrainer<double>(options).fit(problem).network.width() == options.width);
  }
  problem.validation.reset();
  options.penalty = mgdl::PenaltyChoice::Validation;
  CHECK(mgdl::test::error_of([&] { mgdl::ConvexTrainer<double>(options).fit(problem); }) ==
        "validation part: expected one, to choose the penalty by, found none");
}

TEST_CASE("Polishing lowers the objective or changes nothing", "[training/convex_trainer]") {
  const ConvexSamples s = wavy_samples(150, 3, 2, 65);
  mgdl::ConvexTrainerOptions options;
  options.problem = mgdl::ConvexProblem::Relu;
  options.patterns = 6;
  const mgdl::GradeProblem<double> problem{s.view()};
  const auto plain = mgdl::ConvexTrainer<double>(options).fit(problem);
  options.polish_iterations = 100;
  const auto polished = mgdl::ConvexTrainer<double>(options).fit(problem);
  const double lambda = plain.report.certificate->lambda;
  CHECK(objective(polished.network, s, lambda) < 0.95 * objective(plain.network, s, lambda));
  CHECK(polished.report.certificate->primal ==
        Approx(objective(polished.network, s, lambda)).epsilon(1e-9));
  CHECK(polished.network.width() == plain.network.width());
  CHECK_THAT(polished.report.message, ContainsSubstring("polished"));
  // One statement, about the network as it is: its gap, and not that of the solver before.
  CHECK_THAT(polished.report.message,
             ContainsSubstring("relative gap " +
                               mgdl::detail::to_text(polished.report.certificate->relative_gap())));
  CHECK_THAT(polished.report.message, !ContainsSubstring("solved"));
  CHECK((polished.report.termination == mgdl::Termination::ToleranceReached) ==
        (polished.report.certificate->relative_gap() <= options.solver.relative_tolerance));

  // The optimum over all patterns leaves nothing to gain.
  const ConvexSamples line = wavy_samples(60, 1, 1, 66);
  options.solver.relative_tolerance = 1e-9;
  const auto global = mgdl::ConvexTrainer<double>(options).fit({line.view()});
  CHECK(global.report.certificate->gap() <= 1e-8 * global.report.certificate->primal);
  CHECK(global.report.certificate->gap() >= -1e-9 * global.report.certificate->primal);
}

TEST_CASE("A kernel that cannot be factorised ends a grade, not the program",
          "[training/convex_trainer]") {
  // The second grade's residual is down to rounding, its penalty far below that.
  const mgdl::Vector<double> x = mgdl::Vector<double>::LinSpaced(50, 0, 1);
  const mgdl::Vector<double> y = (6.28 * x.array()).sin() + (9.2 * x.array()).sin();
  mgdl::ConvexTrainerOptions options;
  options.solver.lambda_ratio = 1e-9;
  options.patterns = 20;
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    const auto fit = mgdl::MultigradeTrainer<double>({mgdl::ConvexTrainer<double>(options)},
                                                     {.max_grades = 4, .seed = seed})
                         .fit(x, y);
    CHECK(fit.report.grades.at(0).train_rse < 1e-12);
    CHECK(fit.report.grades.size() > 1);
    CHECK(fit.report.termination != mgdl::Termination::NotRun);
  }
}

TEST_CASE("Convex grades of samples that are all alike", "[training/convex_trainer]") {
  ConvexSamples s = wavy_samples(10, 3, 1, 67);
  s.X.rowwise() = s.X.row(0).eval();
  const auto fit = mgdl::ConvexTrainer<double>().fit({s.view()});
  const double mean = s.w.dot(s.Y.col(0));
  CHECK(fit.network.predict(s.X)(4, 0) == Approx(mean).epsilon(1e-6));
  CHECK(fit.network.inputs() == 3);
}

TEST_CASE("Options of convex grades are refused by name", "[training/convex_trainer]") {
  const auto error = [](auto change) {
    mgdl::ConvexTrainerOptions options;
    change(options);
    return mgdl::test::error_of([&] { mgdl::ConvexTrainer<double> t(options); });
  };
  CHECK(error([](auto& o) { o.patterns = 0; }) ==
        "ConvexTrainerOptions.patterns: expected a value >= 1, found 0");
  CHECK_THAT(error([](auto& o) { o.max_inputs = 0; }), ContainsSubstring("max_inputs"));
  CHECK_THAT(error([](auto& o) { o.path_count = 1; }), ContainsSubstring("path_count"));
  CHECK_THAT(error([](auto& o) { o.width = 0; }), ContainsSubstring("width"));
  CHECK_THAT(error([](auto& o) { o.polish_iterations = 3; }), ContainsSubstring("Gated"));
  CHECK(
      error([](auto& o) { o.solver.loss = mgdl::Loss::huber(1); }) ==
      "ConvexTrainerOptions.solver.loss: expected the squared loss, which grades are about, found "
      "Huber");
  CHECK_THAT(error([](auto& o) {
               o.problem = mgdl::ConvexProblem::Relu;
               o.solver.lambda = 0;
             }),
             ContainsSubstring("a penalty > 0"));
  const ConvexSamples s = wavy_samples(20, 3, 1, 68);
  CHECK_THAT(mgdl::test::error_of([&] {
               mgdl::ConvexTrainer<double>({.source = mgdl::PatternSource::All}).fit({s.view()});
             }),
             ContainsSubstring("1 or 2 columns"));
}
