#include <vector>

#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/gradient/backpropagation.hpp"
#include "mgdl/training/gradient/whitening.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

struct ScaledSamples {
  mgdl::Matrix<double> X;
  mgdl::Matrix<double> Y;
};

ScaledSamples wave(Index n) {
  ScaledSamples s{mgdl::Matrix<double>(n, 2), mgdl::Matrix<double>(n, 3)};
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  s.X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(n, 2, random);
  s.Y.col(0) = (3 * s.X.col(0)).array().sin();
  s.Y.col(1) = s.X.col(1).array().square();
  s.Y.col(2) = s.X.rowwise().sum();
  return s;
}

mgdl::GradientOptions smooth_grade() {
  mgdl::GradientOptions options;
  options.width = 7;
  options.hidden_layers = 1;
  options.optimizer = mgdl::Optimizer::Lbfgs;
  options.epochs = 4;  // rounding differs between the two sums, so few steps
  return options;
}

}  // namespace

TEST_CASE("A weight counts like that many copies of the sample", "[training/multigrade_trainer]") {
  // The units start at randomly chosen samples, which replication shuffles. A grade of given hidden
  // units shows the weighted sums alone: standardisation, whitening, L-BFGS, readout.
  const Index n = 41;
  const ScaledSamples s = wave(n);
  mgdl::Vector<double> weights(n);
  std::vector<Index> copies;
  for (Index i = 0; i < n; ++i) {
    const Index count = i % 4;  // also 0: as if it were not there
    weights[i] = static_cast<double>(count);
    for (Index k = 0; k < count; ++k) copies.push_back(i);
  }
  const mgdl::Matrix<double> X = s.X(copies, mgdl::detail::kAll);
  const mgdl::Matrix<double> Y = s.Y(copies, mgdl::detail::kAll);

  const mgdl::Dataset<double> weighted(s.X, s.Y, weights);
  const mgdl::Dataset<double> replicated(X, Y);
  const auto standard_weighted =
      mgdl::Standardizer<double>::fit(weighted.inputs(), weighted.weights());
  const auto standard_replicated =
      mgdl::Standardizer<double>::fit(replicated.inputs(), replicated.weights());
  CHECK(standard_weighted.mean().isApprox(standard_replicated.mean(), 1e-13));
  CHECK(standard_weighted.scale().isApprox(standard_replicated.scale(), 1e-13));

  mgdl::detail::ThreadPool pool(2);
  const auto view = [](const mgdl::Dataset<double>& data) {
    return mgdl::SampleView<double>{data.inputs(), data.targets(), data.weights()};
  };
  const mgdl::detail::Whitening<double> white_weighted(view(weighted), 1e-9, pool);
  const mgdl::detail::Whitening<double> white_replicated(view(replicated), 1e-9, pool);
  const auto z_weighted = white_weighted.apply(s.X, pool);
  const auto z_replicated = white_replicated.apply(s.X, pool);
  // Principal components are unique up to their signs.
  CHECK(z_weighted.cwiseAbs().isApprox(z_replicated.cwiseAbs(), 1e-10));

  // The same start, then a few quasi-Newton steps and the readout.
  mgdl::RandomStream random(mgdl::test::seed(), 4);
  mgdl::detail::PanelNetwork<double> start({2, 9, 3});
  for (auto& value : start.parameters()) value = 0;
  for (Index j = 0; j < 9; ++j) {
    for (Index i = 0; i < 2; ++i) start.weight(0, i, j) = random.normal();
    start.bias(0)[j] = random.normal();
    for (Index k = 0; k < 3; ++k) start.weight(1, j, k) = random.normal();
  }
  const auto descend = [&](const mgdl::Dataset<double>& data) {
    auto network = start;
    const auto samples = view(data);
    mgdl::detail::Backpropagation<double> pass(network, data.size(), pool);
    for (int step = 0; step < 20; ++step) {
      pass.run(samples, {nullptr, 0, data.size()}, 1.0, false, [](Index, Index) {});
      network.parameters() -= 0.01 * pass.gradient();
      pass.refresh();
    }
    const auto moments = mgdl::detail::readout_moments<double>(network, samples, pool);
    mgdl::detail::set_readout(network, mgdl::detail::solve_ridge(moments, 1e-9).readout);
    return network.parameters();
  };
  const auto a = descend(weighted);
  const auto b = descend(replicated);
  CHECK(a.isApprox(b, 1e-7));
  CHECK_FALSE(a.isApprox(descend(mgdl::Dataset<double>(s.X, s.Y)), 1e-3));
}

TEST_CASE("The unit of Y scales the prediction and nothing else", "[training/multigrade_trainer]") {
  const ScaledSamples s = wave(60);
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{smooth_grade()},
                                  {.max_grades = 2, .seed = 3}};
  const auto reference = trainer.fit(s.X, s.Y);
  REQUIRE(reference.model.grades() == 2);
  const auto prediction = reference.model.predict(s.X);
  for (const double factor : {1e8, 1e-8}) {
    const auto scaled = trainer.fit(s.X, s.Y * factor);
    CAPTURE(factor);
    REQUIRE(scaled.model.grades() == 2);
    CHECK((scaled.model.predict(s.X) / factor).isApprox(prediction, 1e-9));
    CHECK(scaled.report.grades[1].train_rse ==
          Approx(reference.report.grades[1].train_rse).epsilon(1e-9));
  }
}

TEST_CASE("The units of outputs scale their predictions and nothing else",
          "[training/multigrade_trainer]") {
  const ScaledSamples s = wave(60);
  mgdl::Matrix<double> Y = s.Y;
  Y.col(2).array() += 40;
  auto grade = smooth_grade();
  grade.width = 20;
  grade.epochs = 150;
  for (const mgdl::Index folds : {0, 3}) {
    const auto fit = [&](const auto& targets, mgdl::OutputScale scale) {
      mgdl::MultigradeTrainer trainer{
          mgdl::GradientTrainer<double>{grade},
          {.max_grades = 2, .folds = folds, .output_scale = scale, .seed = 3}};
      return trainer.fit(s.X, targets);
    };
    const auto reference = fit(Y, mgdl::OutputScale::Own);
    // Powers of two, so that nothing is rounded: a flow of 1e-3 beside a temperature of 300; a
    // pressure in Pa; the largest unit first or last; units whose squares are far apart.
    for (const mgdl::RowVector<double>& units :
         std::vector<mgdl::RowVector<double>>{mgdl::RowVector<double>{{0x1p-10, 0x1p8, 1}},
                                              mgdl::RowVector<double>{{0x1p-3, 0x1p17, 1}},
                                              mgdl::RowVector<double>{{0x1p20, 1, 0x1p-6}},
                                              mgdl::RowVector<double>{{0x1p-30, 0x1p-30, 0x1p30}},
                                              mgdl::RowVector<double>{{0x1p-100, 0x1p100, 1}}}) {
      CAPTURE(folds, units);
      const mgdl::Matrix<double> scaled_Y = Y.array().rowwise() * units.array();
      const auto scaled = fit(scaled_Y, mgdl::OutputScale::Own);
      REQUIRE(scaled.model.grades() == reference.model.grades());
      const mgdl::Matrix<double> expected =
          reference.model.predict(s.X).array().rowwise() * units.array();
      CHECK(scaled.model.predict(s.X) == expected);
      REQUIRE(scaled.report.grades.size() == reference.report.grades.size());
      for (std::size_t k = 0; k < scaled.report.grades.size(); ++k) {
        const auto& one = reference.report.grades[k];
        const auto& other = scaled.report.grades[k];
        CHECK(other.train_rse == one.train_rse);
        CHECK(other.train_r2 == one.train_r2);
        REQUIRE(one.train_output_rmse.size() == 3);
        for (std::size_t j = 0; j < 3; ++j) {
          const double unit = units[static_cast<mgdl::Index>(j)];
          CHECK(other.train_output_rmse[j] == unit * one.train_output_rmse[j]);
          if (folds > 0) {
            CHECK(other.validation_output_rmse[j] == unit * one.validation_output_rmse[j]);
          }
        }
        const auto metrics = mgdl::compute_metrics(scaled.model.predict(s.X, one.grade), scaled_Y);
        CHECK(other.train_r2 == Approx(metrics.r2).margin(1e-9));
      }
      // Every output is learnt; of one scale only the largest is.
      mgdl::Index small = 0;
      units.minCoeff(&small);
      const auto relative = [&](const auto& report) {
        const auto& errors = report.grades.back().train_output_rmse;
        const auto column = scaled_Y.col(small).array();
        return errors[static_cast<std::size_t>(small)] /
               ((column - column.mean()).matrix().norm() / std::sqrt(60.0));
      };
      CHECK(relative(scaled.report) < 0.25);
      // (The third is linear, and learnt by the way.)
      if (small != 0) continue;
      CHECK(relative(fit(scaled_Y, mgdl::OutputScale::Common).report) > 0.4);
    }
  }
}

TEST_CASE("The unit and origin of X change nothing", "[training/multigrade_trainer]") {
  const ScaledSamples s = wave(60);
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{smooth_grade()},
                                  {.max_grades = 2, .seed = 3}};
  const auto prediction = trainer.fit(s.X, s.Y).model.predict(s.X);
  const mgdl::Matrix<double> X = s.X.array() * 1e5 - 3e5;
  CHECK(trainer.fit(X, s.Y).model.predict(X).isApprox(prediction, 1e-9));
}
