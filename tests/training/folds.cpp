#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/network/model_average.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "mgdl/training/verify_model.hpp"
#include "support/factorisations.hpp"
#include "support/folds.hpp"
#include "support/model_metrics.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;

namespace {

/// Of three inputs, with noise.
template <class Scalar>
mgdl::Dataset<Scalar> samples(Index n, double noise, std::uint64_t stream, bool weighted = false) {
  mgdl::RandomStream random(mgdl::test::seed(), stream);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, 3, random);
  mgdl::Matrix<Scalar> Y(n, 2);
  mgdl::Vector<Scalar> weights = mgdl::Vector<Scalar>::Ones(n);
  for (Index i = 0; i < n; ++i) {
    const auto x = X.row(i).template cast<double>();
    Y(i, 0) = static_cast<Scalar>(std::sin(2 * x[0]) + x[1] + noise * random.normal());
    Y(i, 1) = static_cast<Scalar>(x[0] * x[2] + noise * random.normal());
    if (weighted) weights[i] = static_cast<Scalar>(random.uniform(0.2, 2));
  }
  return {X, Y, weights};
}

template <class Scalar>
mgdl::GradientOptions quick_fold() {
  return {.width = 10, .hidden_layers = 1, .epochs = 40};
}

}  // namespace

TEST_CASE("Every sample is held out once", "[core/dataset]") {
  const auto data = samples<double>(23, 0, 1, /*weighted=*/true);
  const auto dealt = mgdl::folds(data, 5, 7);
  REQUIRE(dealt.size() == 5);
  std::multiset<Index> seen;
  for (Index k = 0; k < 5; ++k) {
    const auto& rows = dealt.held_out[static_cast<std::size_t>(k)];
    const auto& fold = dealt.folds[static_cast<std::size_t>(k)];
    CHECK((std::ssize(rows) == 4 || std::ssize(rows) == 5));
    CHECK(fold.train.size() + fold.validation->size() == 23);
    REQUIRE(fold.validation->size() == std::ssize(rows));
    for (Index i = 0; i < std::ssize(rows); ++i) {
      CHECK(fold.validation->inputs().row(i) ==
            data.inputs().row(rows[static_cast<std::size_t>(i)]));
    }
    seen.insert(rows.begin(), rows.end());
  }
  CHECK(seen.size() == 23);
  CHECK(std::set<Index>(seen.begin(), seen.end()).size() == 23);
  CHECK(dealt.held_out_weights().sum() == Approx(1));
  CHECK(mgdl::folds(data, 5, 7).held_out == dealt.held_out);
  CHECK(mgdl::folds(data, 5, 8).held_out != dealt.held_out);
  CHECK_THAT(mgdl::test::error_of([&] { mgdl::folds(data, 24, 0); }),
             ContainsSubstring("folds: expected a value from 2 to 23, the samples, found 24"));
  CHECK_THAT(mgdl::test::error_of([&] { mgdl::folds(data, 1, 0); }), ContainsSubstring("found 1"));
}

TEMPLATE_TEST_CASE("With folds, the model is the mean of members that each have not seen a part",
                   "[training/folds]", float, double) {
  using Scalar = TestType;
  const double rounding = 200 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
    const auto data = samples<Scalar>(150, 0.1, 2, /*weighted=*/true);
    mgdl::MultigradeTrainer trainer{
        mgdl::GradientTrainer<Scalar>{quick_fold<Scalar>()},
        {.max_grades = 3, .patience = 3, .folds = 3, .link = link, .seed = 5}};
    const auto fit =
        trainer.fit(mgdl::Matrix<Scalar>(data.inputs()), mgdl::Matrix<Scalar>(data.targets()),
                    mgdl::Vector<Scalar>(data.weights()));
    CAPTURE(fit.report);
    REQUIRE(fit.report.folds == 3);
    REQUIRE(fit.model.grades() >= 1);
    const auto members = mgdl::test::members_of(fit);
    const auto dealt = mgdl::folds(data, 3, 5);
    for (Index k = 1; k <= fit.model.grades(); ++k) {
      const auto& line = fit.report.grades[static_cast<std::size_t>(k - 1)];
      // The mean of the members.
      mgdl::Matrix<double> mean = mgdl::Matrix<double>::Zero(150, 2);
      for (const auto& member : members) {
        mean += member.predict(data.inputs(), k).template cast<double>() / 3;
      }
      const mgdl::Matrix<Scalar> predictions = fit.model.predict(data.inputs(), k);
      CHECK((mean - predictions.template cast<double>()).cwiseAbs().maxCoeff() < 10 * rounding);
      // The errors that are reported, from the samples.
      const auto& scale = fit.model.output_standardizer().scale();
      CHECK(mgdl::compute_metrics(predictions, data.targets(), data.weights(), 1, scale).rse ==
            Approx(line.train_rse).epsilon(rounding));
      double error = 0;
      double square = 0;
      for (std::size_t b = 0; b < 3; ++b) {
        const auto prediction = members[b].predict(data.inputs(), k);
        for (const Index row : dealt.held_out[b]) {
          const auto w = static_cast<double>(data.weights()[row]);
          const auto y = data.targets().row(row).template cast<double>();
          const auto s = scale.template cast<double>();
          const auto e = y - prediction.row(row).template cast<double>();
          error += w * e.cwiseQuotient(s).squaredNorm();
          square += w * y.cwiseQuotient(s).squaredNorm();
        }
      }
      CHECK(error / square == Approx(line.validation_rse).epsilon(rounding));
      if (k > 1) {
        CHECK(line.train_rse <= fit.report.grades[static_cast<std::size_t>(k - 2)].train_rse);
      }
    }
    // The members' own residuals never grow either.
    for (std::size_t b = 0; b < 3; ++b) {
      const auto& part = dealt.folds[b].train;
      double before = 1;
      for (Index k = 1; k <= fit.model.grades(); ++k) {
        const double rse =
            mgdl::test::metrics_of(members[b], k, part.inputs(), part.targets(), part.weights())
                .rse;
        CHECK(rse <= before * (1 + rounding));
        before = rse;
      }
    }

    // All of it is what verify_model() says, too; of other folds, or without the biases, it is not.
    const auto claims = mgdl::test::kept_grades(fit);
    CHECK(mgdl::verify_model(fit.model, dealt, claims).valid());
    CHECK_FALSE(mgdl::verify_model(fit.model, mgdl::folds(data, 3, 6), claims).valid());
    auto forged = claims;
    forged[0].member_biases[1][0] += 0.01;
    CHECK_FALSE(mgdl::verify_model(fit.model, dealt, forged).valid());
    forged[0].member_biases.clear();
    const auto unknown = mgdl::verify_model(fit.model, dealt, forged);
    CHECK_FALSE(unknown.valid());
    CHECK_THAT(unknown.grades[0].message, ContainsSubstring("member_biases"));
  }
}

TEST_CASE("Members whose grades differ in width are made equal", "[training/folds]") {
  // A trainer that knows nothing of folds, of another width for each problem.
  struct Growing {
    using Scalar = double;
    mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
      width += 3;
      return mgdl::SampledTrainer<double>({.width = width}).fit(problem);
    }
    Index width = 5;
  };
  const auto data = samples<double>(90, 0.1, 3);
  mgdl::MultigradeTrainer trainer{Growing{}, {.max_grades = 2, .patience = 2, .folds = 3}};
  const auto fit = trainer.fit(data.inputs(), data.targets());
  REQUIRE(fit.report.grades.size() == 2);
  CHECK(fit.model.grade(1).network.width() == 3 * 14);
  const auto claims = mgdl::test::kept_grades(fit);
  CHECK(mgdl::verify_model(fit.model, mgdl::folds(data, 3, 0), claims).valid());
}

namespace {

/// Leaves half of the residual of the samples that it is fitted to, and adds `overshoot` times that
/// of the others to them: hats around every sample of one input, which are far enough apart.
struct Overshoot {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    const Index n = problem.train.size() + problem.validation->size();
    // A hat of width 2 h around x is (relu(t + h) - 2 relu(t) + relu(t - h)) / h, t = . - x.
    constexpr double h = 1e-3;
    mgdl::RowMatrix<double> weights =
        mgdl::RowMatrix<double>::Zero(problem.train.inputs.cols(), 3 * n);
    mgdl::RowVector<double> bias = mgdl::RowVector<double>::Zero(3 * n);
    mgdl::RowMatrix<double> readout = mgdl::RowMatrix<double>::Zero(3 * n, 1);
    Index unit = 0;
    const auto add = [&](const mgdl::SampleView<double>& samples, double factor) {
      for (Index i = 0; i < samples.size(); ++i) {
        for (const int side : {1, 0, -1}) {
          weights(0, unit) = 1;
          bias[unit] = side * h - samples.inputs(i, 0);
          readout(unit++, 0) = factor * samples.targets(i, 0) * (side == 0 ? -2 : 1) / h;
        }
      }
    };
    add(problem.train, 0.5);
    add(*problem.validation, overshoot);
    return {
        mgdl::ReluNetwork<double>({{weights, bias}, {readout, mgdl::RowVector<double>::Zero(1)}}),
        {}};
  }

  double overshoot = 0;
};

}  // namespace

TEST_CASE("A grade that raises the mean's residual is scaled once, or left out",
          "[training/folds]") {
  constexpr Index n = 20;
  mgdl::Matrix<double> X(n, 1);
  mgdl::Matrix<double> Y(n, 1);
  mgdl::RandomStream random(mgdl::test::seed(), 4);
  for (Index i = 0; i < n; ++i) {
    X(i, 0) = static_cast<double>(i);
    Y(i, 0) = random.normal();
  }
  const auto fit = [&](double overshoot) {
    mgdl::MultigradeTrainer trainer{Overshoot{overshoot},
                                    {.max_grades = 1, .patience = 5, .folds = 2}};
    return trainer.fit(X, Y);
  };
  // Every sample is seen by one of two members: the mean is (0.5 + overshoot) / 2 of the residual.
  // 0.5 leaves half of it.
  const auto plain = fit(0.5);
  REQUIRE(plain.report.grades.size() == 1);
  CHECK(plain.report.grades[0].train_rse == Approx(0.25 * plain.report.initial_rse).epsilon(1e-6));
  // 10.5 is 5.5 times too much, and scaled to fit: nothing is left. The members keep what 1 / 5.5
  // of 0.5 leaves of what they have seen.
  const auto scaled = fit(10.5);
  REQUIRE(scaled.report.grades.size() == 1);
  CHECK(scaled.report.grades[0].train_rse < 1e-6 * scaled.report.initial_rse);
  const auto dealt = mgdl::folds(mgdl::Dataset<double>(X, Y), 2, 0);
  const auto member =
      mgdl::test::members_of(mgdl::MultigradeFit<double>{scaled.model, scaled.report})[0];
  const auto& seen = dealt.folds[0].train;
  const double left = (member.predict(seen.inputs(), 1) - seen.targets()).norm() /
                      (member.predict(seen.inputs(), 0) - seen.targets()).norm();
  CHECK(left == Approx(1 - 0.5 / 5.5).epsilon(1e-6));
  // -10.5 is in the wrong direction: there is no such step.
  const auto rejected = fit(-10.5);
  CHECK(rejected.model.grades() == 0);
  CHECK(rejected.report.termination == mgdl::Termination::NoProgress);
}

TEST_CASE("Settings, folds and candidates do not depend on the number of threads",
          "[training/folds]") {
  const auto data = samples<double>(200, 0.05, 5);
  const auto train = [&](int threads, Index folds) {
    const mgdl::GradientTrainer<double> gradient{{.width = 12, .epochs = 30}};
    std::vector<mgdl::AnyGradeTrainer<double>> candidates{
        mgdl::AffineTrainer<double>(), mgdl::SampledTrainer<double>({.width = 20}), gradient};
    mgdl::MultigradeTrainer trainer{mgdl::AutoTrainer<double>(candidates),
                                    {.max_grades = 2,
                                     .validation_fraction = folds > 0 ? 0 : 0.2,
                                     .folds = folds,
                                     .threads = threads}};
    return trainer.fit(data.inputs(), data.targets());
  };
  for (const Index folds : {0, 4}) {
    const auto one = train(1, folds);
    REQUIRE(one.model.grades() >= 1);
    CHECK(one.report.grades[0].fit.trials.size() > 4);
    for (const int threads : {2, 3}) {
      const auto more = train(threads, folds);
      CHECK(more.model == one.model);
      REQUIRE(more.report.grades.size() == one.report.grades.size());
      for (std::size_t k = 0; k < one.report.grades.size(); ++k) {
        const auto& a = one.report.grades[k].fit.trials;
        const auto& b = more.report.grades[k].fit.trials;
        REQUIRE(a.size() == b.size());
        for (std::size_t i = 0; i < a.size(); ++i) {
          CHECK(a[i].trainer == b[i].trainer);
          CHECK(a[i].objective == b[i].objective);
        }
      }
    }
  }
}

namespace {

/// Has no time for more than `most` problems, if it may leave some out.
struct Hurried {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    return mgdl::SampledTrainer<double>({.width = 12}).fit(problem);
  }
  std::vector<mgdl::GradeFit<double>> fit_all(
      const std::vector<mgdl::GradeProblem<double>>& problems) {
    CHECK_FALSE(problems.front().optional);
    std::vector<mgdl::GradeFit<double>> fits;
    for (const auto& problem : problems) {
      if (std::ssize(fits) >= most && problem.optional) break;
      fits.push_back(fit(problem));
    }
    return fits;
  }

  Index most = 1;
};

/// The folds that have members.
mgdl::DataFolds<double> without_idle(mgdl::DataFolds<double> dealt, Index idle) {
  dealt.keep_first(dealt.size() - idle);
  return dealt;
}

}  // namespace

TEST_CASE("Folds that there is no time for have no member", "[training/folds]") {
  const auto data = samples<double>(83, 0.1, 8, /*weighted=*/true);
  const auto dealt = mgdl::folds(data, 5, 3);
  for (const Index most : {1, 2, 4}) {
    CAPTURE(most);
    mgdl::MultigradeOptions options{.max_grades = 3, .patience = 3, .seed = 3};
    // Only those who say that they may be left out are.
    CHECK(mgdl::MultigradeTrainer(Hurried{most}, options).fit(dealt).report.idle_folds == 0);
    options.fewer_folds = true;
    const auto fit = mgdl::MultigradeTrainer(Hurried{most}, options).fit(dealt);
    REQUIRE(fit.report.folds == 5);
    REQUIRE(fit.report.idle_folds == 5 - most);
    REQUIRE(fit.report.grades.size() == 3);
    // No grade after the first one is without a member.
    const auto members = mgdl::test::members_of(fit);
    REQUIRE(std::ssize(members) == most);
    mgdl::Matrix<double> mean = mgdl::Matrix<double>::Zero(83, 2);
    for (const auto& member : members) mean += member.predict(data.inputs());
    mean /= static_cast<double>(most);
    CHECK(fit.model.predict(data.inputs()).isApprox(mean, 1e-10));
    // The residual is that of all samples; it does not grow.
    double before = fit.report.initial_rse;
    for (const auto& grade : fit.report.grades) {
      CHECK(grade.train_rse <= before);
      before = grade.train_rse;
    }
    // Validation errors are those of the samples that a member has not seen, and of no others.
    const auto rest = without_idle(dealt, fit.report.idle_folds);
    double square = 0;
    double zero = 0;
    const auto& unit = fit.model.output_standardizer();
    for (std::size_t k = 0; k < members.size(); ++k) {
      const auto& part = *rest.folds[k].validation;
      const mgdl::Matrix<double> prediction = members[k].predict(part.inputs());
      double weight = 0;
      for (const Index row : rest.held_out[k]) weight += data.weights()[row];
      for (Index i = 0; i < part.size(); ++i) {
        for (Index j = 0; j < 2; ++j) {
          const double scale = weight * part.weights()[i] / std::pow(unit.scale()[j], 2);
          square += scale * std::pow(prediction(i, j) - part.targets()(i, j), 2);
          zero += scale * std::pow(part.targets()(i, j), 2);
        }
      }
    }
    CHECK(fit.report.grades[static_cast<std::size_t>(fit.model.grades() - 1)].validation_rse ==
          Approx(square / zero));
    const auto claims = mgdl::test::kept_grades(fit);
    CHECK(mgdl::verify_model(fit.model, rest, claims).valid());
    CHECK_FALSE(mgdl::verify_model(fit.model, dealt, claims).valid());
    // Intervals have these samples, too.
    const auto intervals = mgdl::calibrate(fit, dealt);
    CHECK(std::ssize(intervals.members()) == most);
    CHECK(std::ssize(intervals.parts()) == most);
    Index held_out = 0;
    for (const auto& rows : rest.held_out) held_out += std::ssize(rows);
    CHECK(intervals.samples() == held_out);
    CHECK(mgdl::verify_intervals(intervals, rest).valid);
    CHECK_FALSE(mgdl::verify_intervals(intervals, dealt).valid);
  }
}

TEST_CASE("Settings are chosen on folds that hold out enough samples, and serve all",
          "[training/folds]") {
  // Four folds of 600 samples: two decide.
  const auto data = samples<double>(2400, 0.05, 9);
  const auto dealt = mgdl::folds(data, 4, 1);
  std::vector<mgdl::GradeProblem<double>> problems;
  for (const auto& fold : dealt.folds) {
    const auto view = [](const mgdl::Dataset<double>& part) {
      return mgdl::SampleView<double>{part.inputs(), part.targets(), part.weights()};
    };
    problems.push_back({.train = view(fold.train), .validation = view(*fold.validation)});
  }
  const mgdl::GradientOptions options{.width = 6, .hidden_layers = 1, .epochs = 40};
  const auto fit = [&](double time_limit, int threads) {
    for (auto& problem : problems) {
      problem.time_limit_seconds = time_limit;
      problem.threads = threads;
    }
    return mgdl::GradientTrainer<double>(options).fit_all(problems);
  };
  const auto all = fit(std::numeric_limits<double>::infinity(), 1);
  REQUIRE(all.size() == 4);
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(all[k].report.trainer == all[0].report.trainer);
    CHECK(all[k].report.iterations == 40);
    CHECK(all[k].report.validation < 0.5);
  }
  // The others have no part in the choice.
  const auto two = [&] {
    std::vector<mgdl::GradeProblem<double>> first{problems[0], problems[1]};
    return mgdl::GradientTrainer<double>(options).fit_all(first);
  }();
  CHECK(two[1].network == all[1].network);
  // Neither threads nor a limit that does not bind change a bit; whether problems are optional
  // plays no part then.
  const auto same = [&](const std::vector<mgdl::GradeFit<double>>& fits) {
    REQUIRE(fits.size() == 4);
    for (std::size_t k = 0; k < 4; ++k) CHECK(fits[k].network == all[k].network);
  };
  same(fit(1e9, 2));
  for (std::size_t k = 1; k < 4; ++k) problems[k].optional = true;
  same(fit(1e9, 1));
  same(fit(std::numeric_limits<double>::infinity(), 2));
  // Without time, those that are optional are left out.
  CHECK(fit(1e-9, 1).size() == 1);
  for (auto& problem : problems) problem.optional = false;
  CHECK(fit(1e-9, 1).size() == 4);
}

TEST_CASE("Auto trains all folds with what it has chosen on some", "[training/auto_trainer]") {
  // Linear targets: the first candidate wins.
  mgdl::RandomStream random(mgdl::test::seed(), 10);
  const auto X = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(2400, 2, random);
  const mgdl::RowMatrix<double> Y = X.col(0) - 2 * X.col(1);
  const auto dealt = mgdl::folds(mgdl::Dataset<double>(X, Y), 4, 1);
  std::vector<mgdl::GradeProblem<double>> problems;
  for (const auto& fold : dealt.folds) {
    const auto& validation = *fold.validation;
    problems.push_back({.train = {fold.train.inputs(), fold.train.targets(), fold.train.weights()},
                        .validation = mgdl::SampleView<double>{
                            validation.inputs(), validation.targets(), validation.weights()}});
  }
  const mgdl::SampledTrainer<double> other({.width = 4});
  const auto fits =
      mgdl::AutoTrainer<double>({mgdl::AffineTrainer<double>(), other}).fit_all(problems);
  REQUIRE(fits.size() == 4);
  for (std::size_t k = 0; k < 4; ++k) {
    CHECK(fits[k].network == mgdl::AffineTrainer<double>().fit(problems[k]).network);
    CHECK(fits[k].report.trials.size() == 2);
  }
}

TEST_CASE("The affine trainer is ridge regression", "[training/affine_trainer]") {
  mgdl::RandomStream random(mgdl::test::seed(), 6);
  const auto X = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(60, 4, random);
  const auto noise = mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(60, 2, random);
  mgdl::RowMatrix<double> Y(60, 2);
  Y.col(0) = 3 * X.col(0) - X.col(3) + 0.1 * noise.col(0);
  Y.col(1) = X.col(1) + mgdl::RowMatrix<double>::Constant(60, 1, 7.0) + 0.1 * noise.col(1);
  const mgdl::Dataset<double> data(X, Y);
  const mgdl::GradeProblem<double> problem{{data.inputs(), data.targets(), data.weights()}};
  const auto fit = mgdl::AffineTrainer<double>().fit(problem);
  // Least squares, up to a ridge that so little noise keeps small.
  mgdl::Matrix<double> A(60, 5);
  A.leftCols(4) = X;
  A.col(4).setOnes();
  const mgdl::Matrix<double> least = A * mgdl::test::least_squares(A, Y);
  const mgdl::RowMatrix<double> found = fit.network.predict(X);
  CHECK((found - least).cwiseAbs().maxCoeff() < 2e-2);
  // Affine everywhere, far from the samples, too.
  const mgdl::RowMatrix<double> far = 1e3 * X;
  const mgdl::RowMatrix<double> zero = fit.network.predict(mgdl::RowMatrix<double>::Zero(60, 4));
  CHECK(((fit.network.predict(far) - zero) - 1e3 * (found - zero)).cwiseAbs().maxCoeff() < 1e-7);
  CHECK(fit.report.final_objective < 1e-2);
  CHECK_THAT(fit.report.message, ContainsSubstring("ridge"));
  // Pure noise: the ridge takes nearly everything.
  const mgdl::Dataset<double> nothing(X, noise);
  const auto none =
      mgdl::AffineTrainer<double>().fit({{nothing.inputs(), nothing.targets(), nothing.weights()}});
  CHECK(none.network.predict(X).norm() < 0.6 * noise.norm());
}

TEST_CASE("Folds are checked", "[training/folds]") {
  const auto error = [](mgdl::MultigradeOptions options) {
    return mgdl::test::error_of(
        [&] { mgdl::MultigradeTrainer<double> t(mgdl::AffineTrainer<double>{}, options); });
  };
  CHECK_THAT(error({.folds = 1}), ContainsSubstring("MultigradeOptions.folds"));
  CHECK_THAT(error({.validation_fraction = 0.1, .folds = 3}),
             ContainsSubstring("MultigradeOptions.folds"));
  const auto data = samples<double>(30, 0, 7);
  mgdl::MultigradeTrainer<double> trainer(mgdl::AffineTrainer<double>(), {.folds = 3});
  const auto fit = trainer.fit(data.inputs(), data.targets());
  CHECK_THAT(
      mgdl::test::error_of([&] { trainer.resume(fit.model, data.inputs(), data.targets()); }),
      ContainsSubstring("MultigradeOptions.folds: expected 0 to resume"));
}
