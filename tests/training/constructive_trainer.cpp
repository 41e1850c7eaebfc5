#include "mgdl/training/constructive_trainer.hpp"

#include <cmath>
#include <functional>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/training/chain/residual_chain.hpp"
#include "mgdl/training/constructive/hat_network.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/verify_model.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::ConstructiveTrainer;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::Termination;

namespace {

/// Number i of a family of continuous functions of d variables, by turns: waves, kinks, smooth
/// jumps, constants, and waves that change sign between most samples.
std::function<double(const Eigen::RowVectorXd&)> random_function(Index i, Index d,
                                                                 mgdl::RandomStream& random) {
  Eigen::RowVectorXd a(d);
  for (Index k = 0; k < d; ++k) a[k] = random.uniform(-2, 2);
  const double b = random.uniform(-1, 1);
  switch (i % 5) {
    case 0: return [=](const auto& x) { return std::sin(3 * a.dot(x) + b); };
    case 1: return [=](const auto& x) { return std::abs(a.dot(x) + b) - std::abs(x[0]); };
    case 2: return [=](const auto& x) { return std::tanh(20 * (a.dot(x) + b)); };
    case 3: return [=](const auto&) { return b; };
    default: return [=](const auto& x) { return std::sin(40 * a.dot(x) + b); };
  }
}

struct GridSamples {
  Matrix<double> X;
  Matrix<double> Y;
};

GridSamples samples_of(Index i, Index d, mgdl::RandomStream& random) {
  const Index n = d == 1 ? 81 : 144;
  GridSamples s{Matrix<double>(n, d), Matrix<double>(n, 1)};
  for (Index r = 0; r < n; ++r) {
    for (Index k = 0; k < d; ++k) {
      // Every other problem on a grid.
      const Index side = d == 1 ? 81 : d == 2 ? 12 : 5;
      const Index at = k == 0 ? r % side : k == 1 ? r / side % side : r / (side * side);
      s.X(r, k) = i % 2 == 0 ? random.uniform(-1, 1) : static_cast<double>(at) / 7;
    }
  }
  const auto f = random_function(i, d, random);
  for (Index r = 0; r < n; ++r) s.Y(r, 0) = f(s.X.row(r));
  return s;
}

mgdl::MultigradeFit<double> fit(const GridSamples& s, mgdl::ConstructiveOptions options,
                                mgdl::MultigradeOptions driver) {
  driver.minimum_progress = 0;
  return mgdl::MultigradeTrainer{ConstructiveTrainer<double>{options}, driver}.fit(s.X, s.Y);
}

}  // namespace

TEST_CASE("Residuals never grow at any sample, and a pass halves the largest",
          "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 41);
  Index passes = 0;
  Index grades = 0;
  for (Index i = 0; i < 50; ++i) {
    const Index d = 1 + i % 3;
    const GridSamples s = samples_of(i, d, random);
    const auto link = i % 4 < 2 ? FeatureLink::LastHidden : FeatureLink::LastHiddenAndInput;
    const auto [model, report] =
        fit(s, {.hats = 16}, {.max_grades = 60, .tolerance = 1e-12, .link = link, .threads = 1});
    CAPTURE(i, d, model.grades(), report.message);
    // Constants, and jumps beyond the samples, are met without a grade.
    REQUIRE((model.grades() > 0 || report.termination == Termination::ToleranceReached));
    Matrix<double> before = s.Y - model.predict(s.X, 0);
    const double scale = s.Y.cwiseAbs().maxCoeff();
    double start = before.cwiseAbs().maxCoeff();
    auto predictor = model.predictor(1);
    Matrix<double> after(s.X.rows(), 1);
    for (Index k = 1; k <= model.grades(); ++k) {
      predictor.predict_into(s.X, after, k);
      after = s.Y - after;
      REQUIRE((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() <= 1e-12 * scale);
      before = after;
      ++grades;
      for (std::size_t l = 0; l < model.grade(k).network.layers().size(); ++l) {
        REQUIRE(model.grade(k).network.layers()[l].outputs() ==
                model.grade(1).network.layers()[l].outputs());
      }
      if (report.grades[static_cast<std::size_t>(k - 1)].fit.termination !=
          Termination::ToleranceReached) {
        continue;
      }
      const double now = after.cwiseAbs().maxCoeff();
      REQUIRE(now <= start / 2 + 1e-12 * scale);
      start = now;
      ++passes;
    }
    // Samples that all differ are fitted in the end, if there are grades enough.
    if (report.termination != Termination::MaxIterations) CHECK(start <= 2e-5 * scale);
  }
  CHECK(passes > 80);
  CHECK(grades > 400);
}

// Weights and residuals of the chain, so that no rounding of predictions is between them.
TEST_CASE("Every L^p norm of the residual falls strictly", "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 49);
  Index claims = 0;
  Index grades = 0;
  for (Index i = 0; i < 50; ++i) {
    const Index d = 1 + i % 3;
    const GridSamples s = samples_of(i, d, random);
    Eigen::VectorXd weights(s.X.rows());
    for (auto& weight : weights) weight = random.below(5) == 0 ? 0 : random.uniform(0.1, 2);
    mgdl::MultigradeTrainer trainer{
        ConstructiveTrainer<double>{{.hats = 16}},
        {.max_grades = 30, .tolerance = 1e-12, .minimum_progress = 0, .threads = 1}};
    const mgdl::Dataset<double> data(s.X, s.Y, weights);
    const auto [model, report] = trainer.fit(s.X, s.Y, weights);
    mgdl::detail::ResidualChain<double> chain(data, model);
    mgdl::detail::ThreadPool pool(1);
    for (Index k = 1; k <= model.grades(); ++k) {
      CAPTURE(i, k);
      const auto& line = report.grades[static_cast<std::size_t>(k - 1)];
      const mgdl::RowMatrix<double> before = chain.problem(1).targets;
      chain.try_grade(model.grade(k).network);
      chain.accept();
      const mgdl::RowMatrix<double> after = chain.problem(1).targets;
      ++grades;
      CHECK((line.pointwise_drop > 0) == (line.pointwise_growth <= 0));
      if (!(line.pointwise_drop > 0)) continue;
      ++claims;
      const double largest = before.cwiseAbs().maxCoeff();
      for (const int p : {1, 2, 4, 16}) {
        CAPTURE(p);
        // Difference by difference: no term is lost beside a larger one.
        double change = 0;
        for (Index row = 0; row < before.rows(); ++row) {
          const double term = std::pow(std::abs(after(row, 0)) / largest, p) -
                              std::pow(std::abs(before(row, 0)) / largest, p);
          change += data.weights()[row] * term;
        }
        CHECK(change < 0);
      }
    }
  }
  // Rounding takes the claim from few grades, if from any.
  std::cout << "grades whose L^p norms all fall: " << claims << " of " << grades << '\n';
  CHECK(grades > 300);
  CHECK(100 * claims >= 95 * grades);
}

TEST_CASE("A claim that all norms fall is verified", "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 50);
  const GridSamples s = samples_of(5, 2, random);
  const auto fitted = fit(s, {.hats = 16}, {.max_grades = 6, .threads = 1});
  const mgdl::DataSplit<double> data{mgdl::Dataset<double>(s.X, s.Y), std::nullopt};
  REQUIRE(fitted.model.grades() == 6);
  const auto verify = [&](Index grade, double drop) {
    auto claims = fitted.report.grades;
    claims[static_cast<std::size_t>(grade - 1)].pointwise_drop = drop;
    return mgdl::verify_model(fitted.model, data, claims)
        .grades[static_cast<std::size_t>(grade - 1)];
  };
  for (Index k = 1; k <= 6; ++k) {
    CAPTURE(k);
    const double drop = fitted.report.grades[static_cast<std::size_t>(k - 1)].pointwise_drop;
    REQUIRE(drop > 0);
    const auto line = verify(k, drop);
    CHECK(line.valid());
    CHECK(line.pointwise_drop == drop);
    for (const double forged :
         {1.001 * drop, 0.999 * drop, -drop, drop + 1e-9, std::numeric_limits<double>::quiet_NaN(),
          std::numeric_limits<double>::infinity()}) {
      CAPTURE(forged);
      CHECK_FALSE(verify(k, forged).norms_fall);
      CHECK_THAT(verify(k, forged).message, ContainsSubstring("pointwise drop"));
    }
    CHECK(verify(k, 0).valid());  // claims nothing
  }
  // A grade that has made some residual grow must not claim it.
  auto claims = fitted.report.grades;
  claims.resize(1);
  mgdl::MultigradeModel<double> model = fitted.model;
  model.truncate(1);
  const auto good = model.grade(1);
  const mgdl::RowMatrix<double> twice = 3 * good.network.readout().weights();
  const auto network = good.network.with_readout({twice, good.network.readout().bias()});
  model.truncate(0);
  model.add_grade({network, good.train_rse, good.validation_rse});
  mgdl::detail::ResidualChain<double> chain(data.train, model);
  mgdl::detail::ThreadPool pool(1);
  chain.try_grade(network);
  chain.accept();
  REQUIRE(chain.pointwise_growth() > 0);
  claims[0].pointwise_drop = chain.pointwise_fall();
  CHECK_FALSE(mgdl::verify_model(model, data, claims).grades[0].norms_fall);
}

TEST_CASE("The balanced variant is nonincreasing from pass to pass",
          "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 42);
  Index hats[2] = {0, 0};
  Index passes[2] = {0, 0};
  for (Index i = 0; i < 12; ++i) {
    const GridSamples s = samples_of(i, 1 + i % 2, random);
    for (const bool balanced : {false, true}) {
      const auto [model, report] =
          fit(s, {.hats = 16, .balanced = balanced}, {.max_grades = 60, .tolerance = 1e-3});
      CAPTURE(i, balanced, report.message);
      REQUIRE(report.termination == Termination::ToleranceReached);
      Matrix<double> before = s.Y - model.predict(s.X, 0);
      const double scale = s.Y.cwiseAbs().maxCoeff();
      for (Index k = 1; k <= model.grades(); ++k) {
        const auto& line = report.grades[static_cast<std::size_t>(k - 1)].fit;
        hats[balanced] += line.iterations;
        const Matrix<double> after = s.Y - model.predict(s.X, k);
        // Inside a pass the largest residual does not grow either, but some others may.
        REQUIRE(after.cwiseAbs().maxCoeff() <= before.cwiseAbs().maxCoeff() + 1e-12 * scale);
        if (line.termination != Termination::ToleranceReached) continue;
        ++passes[balanced];
        REQUIRE((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() <= 1e-12 * scale);
        before = after;
      }
    }
  }
  std::cout << "hats and passes to an RSE of 1e-3: " << hats[0] << ", " << passes[0]
            << "; balanced " << hats[1] << ", " << passes[1] << '\n';
  CHECK(10 * hats[1] < 11 * hats[0]);
}

TEST_CASE("The network of hats is the formula", "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 43);
  for (Index d = 1; d <= 3; ++d) {
    mgdl::detail::HatGrade<double> grade;
    grade.spacing = 0.25;
    grade.hats = 7;
    grade.position = 3;
    grade.values = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(5, 2, random);
    for (int j = 0; j < 5; ++j) {
      mgdl::detail::KuhnNode node{};
      for (Index k = 0; k < d; ++k) {
        node[static_cast<std::size_t>(k)] = static_cast<int>(random.below(9)) - 4;
      }
      node[0] = j - 2;  // all different
      grade.nodes.push_back(node);
    }
    const auto coordinates = mgdl::detail::CarriedCoordinates::plain(d);
    const auto network = mgdl::detail::hat_network(coordinates, grade);
    mgdl::RowMatrix<double> X(400, d);
    for (Index i = 0; i < 400; ++i) {
      for (Index k = 0; k < d; ++k) X(i, k) = random.uniform(-1.25, 1.25);
    }
    mgdl::RowMatrix<double> expected = mgdl::RowMatrix<double>::Zero(400, 2);
    for (Index i = 0; i < 400; ++i) {
      for (Index j = 0; j < 5; ++j) {
        double high = 0;
        double low = 0;
        for (Index k = 0; k < d; ++k) {
          const auto node = static_cast<double>(
              grade.nodes[static_cast<std::size_t>(j)][static_cast<std::size_t>(k)]);
          high = std::max(high, X(i, k) / 0.25 - node);
          low = std::min(low, X(i, k) / 0.25 - node);
        }
        expected.row(i) += std::max(0.0, 1 - high + low) * grade.values.row(j);
      }
    }
    CAPTURE(d);
    CHECK(expected.cwiseAbs().maxCoeff() > 0.1);
    CHECK((network.predict(X) - expected).cwiseAbs().maxCoeff() < 1e-13);
    CHECK(network.features(X).leftCols(d) == X.cwiseMax(0.0));
    CHECK(network.features(X).middleCols(d, d) == (-X).cwiseMax(0.0));
    // And it can be read again.
    const auto read = mgdl::detail::read_hats(coordinates, network);
    REQUIRE(read);
    CHECK(read->nodes == grade.nodes);
    CHECK(read->position == 3);
    CHECK(read->values == grade.values);
    CHECK_FALSE(mgdl::detail::read_hats(
        coordinates, network.with_readout({network.readout().weights(),
                                           mgdl::RowVector<double>::Constant(2, 0.5)})));
  }
}

TEST_CASE("A pass goes on in a stored model as in one run", "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 44);
  for (const Index d : {1, 2, 3}) {
    const GridSamples s = samples_of(10 + d % 2, d, random);  // waves
    for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
      const auto whole = fit(s, {.hats = 5}, {.max_grades = 12, .link = link, .threads = 1});
      REQUIRE(whole.model.grades() == 12);
      Index inside = 0;
      for (Index first = 1; first < 12; ++first) {
        inside += whole.report.grades[static_cast<std::size_t>(first - 1)].fit.termination ==
                  Termination::MaxIterations;
        auto model = whole.model;
        model.truncate(first);
        mgdl::MultigradeTrainer rest{ConstructiveTrainer<double>{{.hats = 5}},
                                     {.max_grades = 12 - first,
                                      .minimum_progress = 0,
                                      .link = link,
                                      .threads = 1 + static_cast<int>(first % 3)}};
        CAPTURE(d, first);
        REQUIRE(rest.resume(model, s.X, s.Y).model == whole.model);
      }
      CHECK(inside > 3);
      // A pass is carried through, not begun anew with every grade.
      Index passes = 0;
      for (const auto& line : whole.report.grades) {
        passes += line.fit.message.find("Grade 1 of a pass") == 0;
      }
      CHECK(passes < 8);
      CHECK(fit(s, {.hats = 5}, {.max_grades = 12, .link = link, .threads = 3}).model ==
            whole.model);
    }
  }
}

TEST_CASE("Several outputs have signs of their own", "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 45);
  GridSamples s = samples_of(0, 2, random);
  s.Y.conservativeResize(Eigen::NoChange, 3);
  s.Y.col(1) = -3 * s.Y.col(0).reverse();
  s.Y.col(2) = (s.X.col(0) - s.X.col(1)).cwiseAbs();
  const auto [model, report] = fit(s, {.hats = 64}, {.max_grades = 40, .tolerance = 1e-10});
  Eigen::RowVectorXd start = (s.Y - model.predict(s.X, 0)).cwiseAbs().colwise().maxCoeff();
  Matrix<double> before = s.Y - model.predict(s.X, 0);
  Index passes = 0;
  for (Index k = 1; k <= model.grades(); ++k) {
    const Matrix<double> after = s.Y - model.predict(s.X, k);
    REQUIRE((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() <= 1e-12);
    before = after;
    if (report.grades[static_cast<std::size_t>(k - 1)].fit.termination !=
        Termination::ToleranceReached) {
      continue;
    }
    const Eigen::RowVectorXd now = after.cwiseAbs().colwise().maxCoeff();
    REQUIRE((now.array() <= start.array() / 2 + 1e-12).all());
    start = now;
    ++passes;
  }
  CHECK(passes >= 3);
}

TEST_CASE("Single precision keeps the promise up to its rounding",
          "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 46);
  const GridSamples s = samples_of(5, 3, random);
  const Matrix<float> X = s.X.cast<float>();
  const Matrix<float> Y = s.Y.cast<float>();
  mgdl::MultigradeTrainer trainer{ConstructiveTrainer<float>{{.hats = 24}}, {.max_grades = 40}};
  const auto [model, report] = trainer.fit(X, Y);
  REQUIRE(model.grades() > 3);
  Matrix<float> before = Y - model.predict(X, 0);
  for (Index k = 1; k <= model.grades(); ++k) {
    const Matrix<float> after = Y - model.predict(X, k);
    REQUIRE((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() <= 1e-6f);
    before = after;
  }
}

TEST_CASE("What cannot be done is said", "[training/constructive_trainer]") {
  CHECK_THAT(mgdl::test::error_of([] { ConstructiveTrainer<double>{{.hats = 0}}; }),
             ContainsSubstring("ConstructiveOptions.hats: expected a value >= 1, found 0"));
  mgdl::RandomStream random(mgdl::test::seed(), 47);
  GridSamples four{mgdl::test::normal_matrix<Matrix<double>>(9, 4, random),
                   mgdl::test::normal_matrix<Matrix<double>>(9, 1, random)};
  CHECK_THAT(mgdl::test::error_of([&] { fit(four, {}, {}); }),
             ContainsSubstring("X: expected 1 to 3 columns") && ContainsSubstring("found 4"));
  // Equal inputs with opposite targets.
  GridSamples twice{Matrix<double>::Ones(2, 1), Matrix<double>(2, 1)};
  twice.Y << -1, 1;
  const auto contradiction =
      mgdl::MultigradeTrainer{ConstructiveTrainer<double>{}}.fit(twice.X, twice.Y);
  CHECK(contradiction.model.grades() == 0);
  CHECK(contradiction.report.termination == Termination::NoProgress);
  REQUIRE(contradiction.report.grades.size() == 1);
  CHECK(contradiction.report.grades[0].fit.termination == Termination::NoProgress);
  CHECK_THAT(contradiction.report.grades[0].fit.message, ContainsSubstring("equal inputs"));
  // A contradiction at one input does not keep the others from being fitted; a sample of weight 0
  // does not contradict.
  GridSamples mixed{Matrix<double>(5, 1), Matrix<double>(5, 1)};
  mixed.X << 0, 0, 1, 2, 3;
  mixed.Y << -1, 1, -0.5, 0.75, 2;
  const auto rest = fit(mixed, {}, {.max_grades = 20});
  CHECK((rest.model.predict(mixed.X) - mixed.Y).bottomRows(3).cwiseAbs().maxCoeff() < 1e-3);
  Eigen::VectorXd weights = Eigen::VectorXd::Ones(5);
  weights[1] = 0;
  mgdl::MultigradeTrainer trainer{ConstructiveTrainer<double>{}, {.max_grades = 20}};
  const auto ignored = trainer.fit(mixed.X, mixed.Y, weights).model.predict(mixed.X);
  CHECK(std::abs(ignored(0) + 1) < 1e-6);
  CHECK(std::abs(ignored(4) - 2) < 1e-6);
}

TEST_CASE("It follows a grade of another kind if the inputs are handed on",
          "[training/constructive_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 48);
  const GridSamples s = samples_of(5, 2, random);
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    mgdl::MultigradeTrainer<double> trainer(
        {mgdl::GradientTrainer<double>({.width = 8, .epochs = 10}), ConstructiveTrainer<double>{}},
        {.max_grades = 8, .link = link});
    const auto [model, report] = trainer.fit(s.X, s.Y);
    if (link == FeatureLink::LastHidden) {
      CHECK(model.grades() == 1);
      CHECK(report.termination == Termination::NoProgress);
      CHECK_THAT(report.grades.back().fit.message, ContainsSubstring("LastHiddenAndInput"));
    } else {
      REQUIRE(model.grades() == 8);
      const Matrix<double> before = s.Y - model.predict(s.X, 1);
      const Matrix<double> after = s.Y - model.predict(s.X, 8);
      CHECK((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() < 1e-12);
      CHECK(after.norm() < 0.7 * before.norm());
    }
  }
}
