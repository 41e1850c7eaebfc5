#include "mgdl/training/sampled_trainer.hpp"

#include <cmath>
#include <fstream>
#include <limits>
#include <string>

#include "mgdl/core/metrics.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

/// Samples that a view can refer to.
struct SampledSamples {
  mgdl::RowMatrix<double> X, Y;
  mgdl::Vector<double> w;
  mgdl::GradeProblem<double> problem() const { return {{X, Y, w}}; }
};

/// n samples of 3 inputs; the target is steep at x_0 = 0 and flat elsewhere, and two-fold.
SampledSamples steep_samples(Index n) {
  mgdl::RandomStream random(mgdl::test::seed(), 51);
  SampledSamples s;
  s.X = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(n, 3, random);
  s.Y.resize(n, 2);
  s.Y.col(0) = (20 * s.X.col(0).array()).tanh();
  s.Y.col(1).setConstant(0.25);
  s.w = mgdl::Vector<double>::Constant(n, 1 / static_cast<double>(n));
  return s;
}

/// Ridge regression on the features by a QR decomposition of [sqrt(w) Z; sqrt(shift) I].
Eigen::MatrixXd ridge_readout(const Eigen::MatrixXd& features, const SampledSamples& s,
                              double ridge) {
  const Index m = features.cols();
  const Index n = features.rows();
  const double square = (s.w.asDiagonal() * features.cwiseAbs2()).sum() / static_cast<double>(m);
  Eigen::MatrixXd A = Eigen::MatrixXd::Zero(n + m, m + 1);
  A.topRows(n) << features, Eigen::VectorXd::Ones(n);
  A.topRows(n) = s.w.cwiseSqrt().asDiagonal() * A.topRows(n).eval();
  A.bottomLeftCorner(m, m).diagonal().setConstant(std::sqrt(ridge * square));
  Eigen::MatrixXd b = Eigen::MatrixXd::Zero(n + m, s.Y.cols());
  b.topRows(n) = s.w.cwiseSqrt().asDiagonal() * s.Y;
  return mgdl::test::least_squares(A, b);
}

}  // namespace

TEST_CASE("Units of a sampled grade come from pairs of samples", "[training/sampled_trainer]") {
  const SampledSamples s = steep_samples(200);
  const auto fit = mgdl::SampledTrainer<double>({.width = 40}).fit(s.problem());
  const auto& hidden = fit.network.layers().front();
  REQUIRE(hidden.outputs() == 40);
  Index steep = 0;
  for (Index j = 0; j < 40; ++j) {
    const Eigen::VectorXd values = (s.X * hidden.weights().col(j)).array() + hidden.bias()[j];
    // The kink is at a sample, and the direction is that to another one.
    Index a = 0;
    CHECK(values.cwiseAbs().minCoeff(&a) < 1e-12);
    const Eigen::RowVectorXd direction = hidden.weights().col(j).transpose().normalized();
    double nearest = 2;
    Index b = 0;
    for (Index i = 0; i < 200; ++i) {
      if (i == a) continue;
      const double gap = ((s.X.row(i) - s.X.row(a)).normalized() - direction).norm();
      if (gap < nearest) {
        nearest = gap;
        b = i;
      }
    }
    CHECK(nearest < 1e-12);
    CHECK(values.cwiseMax(0).squaredNorm() / 200 == Approx(1).epsilon(1e-10));
    steep += std::abs(s.Y(a, 0) - s.Y(b, 0)) > 1 ? 1 : 0;
  }
  // Half of all pairs are on different sides of the step; those that were drawn nearly all.
  CHECK(steep > 34);
}

TEST_CASE("The readout of a sampled grade is ridge regression", "[training/sampled_trainer]") {
  const SampledSamples s = steep_samples(300);
  for (const double ridge : {1e-6, 1e-2}) {
    const auto fit = mgdl::SampledTrainer<double>({.width = 30, .hidden_layers = 2, .ridge = ridge})
                         .fit(s.problem());
    CHECK(fit.network.hidden_layers() == 2);
    const Eigen::MatrixXd expected = ridge_readout(fit.network.features(s.X), s, ridge);
    const auto& readout = fit.network.readout();
    CHECK((readout.weights() - expected.topRows(fit.network.width())).norm() <
          1e-7 * expected.norm());
    CHECK((readout.bias() - expected.bottomRows(1)).norm() < 1e-7 * expected.norm());
    const double loss = (fit.network.predict(s.X) - s.Y).squaredNorm() / s.Y.squaredNorm();
    CHECK(fit.report.final_objective == Approx(loss).epsilon(1e-9));
  }
}

TEST_CASE("Generalised cross-validation finds the best of its ridges",
          "[training/sampled_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 52);
  SampledSamples s = steep_samples(120);
  for (auto& y : s.Y.reshaped()) y += 0.3 * random.normal();
  const auto chosen = mgdl::SampledTrainer<double>({.width = 60}).fit(s.problem());
  // The criterion by its definition, from the covariance of the features.
  double best = std::numeric_limits<double>::infinity();
  double best_ridge = 0;
  const Eigen::MatrixXd features = chosen.network.features(s.X);
  for (int exponent = -14; exponent <= 1; ++exponent) {
    const double ridge = std::pow(10.0, exponent);
    const Eigen::MatrixXd centred = features.rowwise() - features.colwise().mean();
    const Eigen::MatrixXd covariance = centred.transpose() * centred / 120;
    const Eigen::VectorXd squares = mgdl::test::symmetric_eigenvalues(covariance).cwiseMax(0);
    const double shift =
        ridge * features.squaredNorm() / 120 / static_cast<double>(features.cols());
    const double degrees = 1 + (squares.array() / (squares.array() + shift)).sum();
    const Eigen::MatrixXd readout = ridge_readout(features, s, ridge);
    const double loss =
        (((features * readout.topRows(features.cols())).rowwise() + readout.row(features.cols())) -
         s.Y)
            .squaredNorm();
    const double score = loss / std::pow(1 - degrees / 120, 2);
    if (score < best) {
      best = score;
      best_ridge = ridge;
    }
  }
  CHECK(best_ridge > 1e-14);
  CHECK(best_ridge < 10);
  CHECK_THAT(chosen.report.message,
             ContainsSubstring("ridge " + mgdl::detail::to_text(best_ridge) + "."));
}

TEST_CASE("Repeated pairs and samples make no repeated units", "[training/sampled_trainer]") {
  SampledSamples s;
  s.X.resize(12, 1);
  s.Y.resize(12, 1);
  for (Index i = 0; i < 12; ++i) {
    s.X(i, 0) = static_cast<double>(i / 3);  // four different inputs
    s.Y(i, 0) = static_cast<double>(i * i);
  }
  s.w = mgdl::Vector<double>::Constant(12, 1.0 / 12);
  const auto fit = mgdl::SampledTrainer<double>({.width = 50}).fit(s.problem());
  // In one dimension a unit is a kink and a side: 4 kinks, less the two that look away from all.
  CHECK(fit.network.width() == 6);

  s.X.setConstant(2);
  const auto alike = mgdl::SampledTrainer<double>({.width = 50}).fit(s.problem());
  CHECK(alike.network.width() == 1);
  CHECK(alike.network.predict(s.X)(3, 0) == Approx(s.Y.mean()));
}

TEST_CASE("Gradient training can start from sampled units", "[training/gradient_trainer]") {
  const SampledSamples s = steep_samples(400);
  const auto initial = [&](mgdl::Initialization initialization) {
    mgdl::GradientTrainer<double> trainer(
        {.width = 24, .hidden_layers = 2, .epochs = 3, .initialization = initialization});
    return trainer.fit(s.problem()).report.initial_objective;
  };
  const double sampled = initial(mgdl::Initialization::Sampled);
  const double he = initial(mgdl::Initialization::He);
  CAPTURE(sampled, he, initial(mgdl::Initialization::WhiteNoise));
  CHECK(sampled < he);
  CHECK(he != initial(mgdl::Initialization::WhiteNoise));
}

namespace {

/// Largest memory that this program has had, in kB; 0 where the system does not say.
long peak_memory() {
  std::ifstream status("/proc/self/status");
  std::string word;
  long value = 0;
  while (status >> word) {
    if (word == "VmHWM:") status >> value;
  }
  return value;
}

}  // namespace

TEST_CASE("A sampled grade does not hold the features of all samples",
          "[training/sampled_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 53);
  const Index n = 100000;
  mgdl::Matrix<double> X(n, 2);
  for (auto& x : X.reshaped()) x = random.uniform(-1, 1);
  const mgdl::Matrix<double> Y = (3 * X.col(0).array()).sin() * (2 * X.col(1).array()).cos();
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<double>({.width = 400}), {.max_grades = 1}};
  const long before = peak_memory();
  const auto fit = trainer.fit(X, Y);
  CHECK(fit.model.grade(1).train_rse < 1e-3);
  // They would take 320 MB.
  CHECK(peak_memory() - before < 80000);
}

TEST_CASE("Options of sampled grades are refused by name", "[training/sampled_trainer]") {
  const auto error = [](mgdl::SampledOptions options) {
    return mgdl::test::error_of([&] { mgdl::SampledTrainer<double> t(options); });
  };
  CHECK(error({.width = 0}) == "SampledOptions.width: expected a value >= 1, found 0");
  CHECK_THAT(error({.hidden_layers = 0}), ContainsSubstring("hidden_layers"));
  CHECK_THAT(error({.ridge = -1.0}), ContainsSubstring("ridge"));
}

TEST_CASE("A sampled grade asks between its steps whether to go on", "[training/sampled_trainer]") {
  const SampledSamples s = steep_samples(20000);
  const mgdl::SampledOptions options{.width = 200, .hidden_layers = 2};
  mgdl::Index calls = 0;
  auto problem = s.problem();
  problem.threads = 1;
  problem.observer = [&](const mgdl::Progress& progress) {
    CHECK(progress.iteration == ++calls);
    CHECK(progress.iteration <= progress.max_iterations);
    return mgdl::Action::Continue;
  };
  mgdl::SampledTrainer<double> trainer(options);
  const auto whole = trainer.fit(problem);
  CHECK(whole.report.termination == mgdl::Termination::ToleranceReached);
  const mgdl::Index steps = calls;
  CHECK(steps > 20);

  // Stopped anywhere, the network is usable, and it is the whole one or one that lowers the error.
  for (mgdl::Index last = 1; last <= steps; last += 3) {
    calls = 0;
    problem.observer = [&](const mgdl::Progress&) {
      return ++calls == last ? mgdl::Action::Stop : mgdl::Action::Continue;
    };
    const auto fit = trainer.fit(problem);
    CHECK(calls == last);
    CHECK(fit.report.termination == mgdl::Termination::StoppedByObserver);
    CHECK(fit.report.final_objective <= 1);
    CHECK(fit.network.inputs() == 3);
    CHECK(fit.network.outputs() == 2);
    const auto Y = fit.network.predict(s.X);
    const double loss = (s.w.asDiagonal() * (Y - s.Y).cwiseAbs2()).sum() /
                        (s.w.asDiagonal() * s.Y.cwiseAbs2()).sum();
    CHECK(std::abs(loss - fit.report.final_objective) <= 1e-9);
  }

  problem.observer = {};
  problem.time_limit_seconds = 0;
  const auto fit = trainer.fit(problem);
  CHECK(fit.report.termination == mgdl::Termination::TimeLimit);
  CHECK(fit.report.final_objective == 1);
}
