#include "mgdl/training/prediction_intervals.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/network/model_average.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/folds.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Index;
using mgdl::IntervalWidth;

namespace {

/// A model without grades, which predicts the means.
template <class Scalar>
mgdl::MultigradeModel<Scalar> constant_model(Index inputs, const mgdl::RowVector<Scalar>& means) {
  return {mgdl::Standardizer<Scalar>::identity(inputs),
          mgdl::Standardizer<Scalar>(means, mgdl::RowVector<Scalar>::Ones(means.size()))};
}

template <class Scalar>
mgdl::RowMatrix<Scalar> any_scores(Index rows, Index cols, mgdl::RandomStream& random) {
  mgdl::Matrix<Scalar> scores(rows, cols);
  // Multiples of 1/8, so that some are equal.
  for (auto& score : scores.reshaped()) {
    score = static_cast<Scalar>(std::round(8 * std::abs(random.normal())) / 8);
  }
  for (auto column : scores.colwise()) std::sort(column.begin(), column.end());
  return scores;
}

template <class Scalar>
mgdl::ResidualScale<Scalar> any_scale(Index inputs, Index outputs, mgdl::RandomStream& random) {
  using Rows = mgdl::RowMatrix<Scalar>;
  using Row = mgdl::RowVector<Scalar>;
  using mgdl::test::normal_matrix;
  return {mgdl::ReluNetwork<Scalar>(
              {{normal_matrix<Rows>(inputs, 4, random), normal_matrix<Row>(1, 4, random)},
               {normal_matrix<Rows>(4, outputs, random), normal_matrix<Row>(1, outputs, random)}}),
          Row::Constant(outputs, Scalar(-0.5)), Row::Constant(outputs, Scalar(0.75))};
}

/// Of three inputs and two outputs: three parts of 3, 1 and 5 samples.
template <class Scalar>
mgdl::PredictionIntervals<Scalar> any_intervals(bool folds, mgdl::RandomStream& random) {
  std::vector<mgdl::MultigradeModel<Scalar>> members;
  std::vector<mgdl::CalibrationPart<Scalar>> parts;
  for (const Index rows : {3, 1, 5}) {
    if (folds || members.empty()) {
      members.push_back(
          constant_model(3, mgdl::test::normal_matrix<mgdl::RowVector<Scalar>>(1, 2, random)));
    }
    auto residuals = any_scores<Scalar>(rows, 2, random);
    auto scale = any_scale<Scalar>(3, 2, random);
    parts.push_back({std::move(residuals), std::move(scale), any_scores<Scalar>(rows, 2, random)});
  }
  return {std::move(members), std::move(parts)};
}

/// The r-th smallest.
template <class Scalar>
Scalar smallest(std::vector<Scalar> values, Index r) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<std::size_t>(r - 1));
}

/// Two inputs, of which the first decides on the noise, from 0.2 at -1 to 4.5 at 1.
template <class Scalar>
mgdl::Dataset<Scalar> noisy(Index n, mgdl::RandomStream& random, bool equally = false) {
  mgdl::Matrix<Scalar> X(n, 2);
  mgdl::Matrix<Scalar> Y(n, 1);
  for (Index i = 0; i < n; ++i) {
    const double a = random.uniform(-1, 1);
    const double b = random.uniform(-1, 1);
    const double deviation = equally ? 0.5 : std::exp(1.5 * a);
    X(i, 0) = static_cast<Scalar>(a);
    X(i, 1) = static_cast<Scalar>(b);
    Y(i, 0) = static_cast<Scalar>(2 * a - b + deviation * random.normal());
  }
  return {X, Y};
}

/// Counts of targets within the limits, for inputs with little and with much noise.
struct Coverage {
  double inside[2] = {0, 0};
  double all[2] = {0, 0};

  template <class Scalar>
  void add(const mgdl::IntervalLimits<Scalar>& limits, const mgdl::Dataset<Scalar>& data) {
    for (Index i = 0; i < data.size(); ++i) {
      const int half = data.inputs()(i, 0) < 0 ? 0 : 1;
      const Scalar y = data.targets()(i, 0);
      all[half] += 1;
      if (limits.lower(i, 0) <= y && y <= limits.upper(i, 0)) inside[half] += 1;
    }
  }
  double of(int half) const { return inside[half] / all[half]; }
  double total() const { return (inside[0] + inside[1]) / (all[0] + all[1]); }
};

/// Of two outputs.
template <class Scalar>
mgdl::Dataset<Scalar> two_outputs(Index n) {
  mgdl::RandomStream random(mgdl::test::seed(), 40);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, 3, random);
  mgdl::Matrix<Scalar> Y(n, 2);
  for (Index i = 0; i < n; ++i) {
    const auto x = X.row(i).template cast<double>();
    Y(i, 0) = static_cast<Scalar>(5 + std::sin(2 * x[0]) + 0.3 * random.normal());
    Y(i, 1) = static_cast<Scalar>(100 * x[1] + 10 * std::exp(x[0]) * random.normal());
  }
  return {X, Y};
}

mgdl::MultigradeOptions in_folds(Index count) {
  return {.max_grades = 2, .patience = 2, .folds = count, .seed = 3, .threads = 1};
}

}  // namespace

TEST_CASE("The place of a quantile is the smallest whole number that is not below it",
          "[training/prediction_intervals]") {
  // Levels p / q, so that whole numbers decide.
  for (const int q : {2, 3, 7, 10, 20, 100, 1000}) {
    for (int p = 1; p < q; ++p) {
      for (Index n = 1; n < 130; ++n) {
        const Index expected = (p * (n + 1) + q - 1) / q;
        const double level = static_cast<double>(p) / q;
        CAPTURE(p, q, n);
        if (expected <= n) {
          REQUIRE(mgdl::detail::quantile_rank(level, n) == expected);
        } else {
          REQUIRE_THROWS_AS(mgdl::detail::quantile_rank(level, n), mgdl::InvalidArgument);
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("Limits are the quantiles that define them", "[training/prediction_intervals]",
                   float, double) {
  using Scalar = TestType;
  mgdl::RandomStream random(mgdl::test::seed(), 41);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(20, 3, random);
  for (const bool folds : {false, true}) {
    const auto intervals = any_intervals<Scalar>(folds, random);
    REQUIRE(intervals.samples() == 9);
    REQUIRE(intervals.outputs() == 2);
    for (const auto width : {IntervalWidth::Constant, IntervalWidth::Scaled}) {
      for (Index r = 1; r <= 9; ++r) {
        const double level = static_cast<double>(r) / 10;
        const auto limits = intervals.predict(X, level, width);
        const auto half = intervals.half_width(level, width);
        for (Index j = 0; j < 2; ++j) {
          for (Index i = 0; i < X.rows(); ++i) {
            std::vector<Scalar> below, above, scores;
            for (Index k = 0; k < 3; ++k) {
              const auto& part = intervals.parts()[static_cast<std::size_t>(k)];
              const auto& member = intervals.members()[static_cast<std::size_t>(folds ? k : 0)];
              const Scalar mu = member.predict(X.row(i))(0, j);
              const bool scaled = width == IntervalWidth::Scaled;
              const Scalar sigma = scaled ? intervals.scale(X.row(i), k)(0, j) : Scalar(1);
              for (const Scalar s : (scaled ? part.scaled_residuals : part.residuals).col(j)) {
                below.push_back(mu - s * sigma);
                above.push_back(mu + s * sigma);
                scores.push_back(s);
              }
            }
            CHECK(limits.lower(i, j) == Approx(smallest(below, 10 - r)).margin(1e-6));
            CHECK(limits.upper(i, j) == Approx(smallest(above, r)).margin(1e-6));
            CHECK(half[j] == smallest(scores, r));
          }
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("Intervals of a validation part are those of split conformal prediction",
                   "[training/prediction_intervals]", float, double) {
  using Scalar = TestType;
  const auto parts = mgdl::split(two_outputs<Scalar>(300), 0.3, 2);
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<Scalar>({.width = 20}),
                                  {.max_grades = 2, .seed = 3, .threads = 1}};
  const auto fit = trainer.fit(parts);
  const auto intervals = mgdl::calibrate(fit, parts, {.threads = 1});
  CHECK(intervals.samples() == parts.validation->size());
  CHECK(intervals.grades() == fit.model.grades());
  REQUIRE(intervals.members().size() == 1);
  CHECK(intervals.members().front() == fit.model);
  const mgdl::Matrix<Scalar> X = parts.validation->inputs();
  const mgdl::Matrix<Scalar> prediction = fit.model.predict(X);
  const auto limits = intervals.predict(X, 0.8);
  for (Index j = 0; j < 2; ++j) {
    std::vector<Scalar> residuals;
    for (Index i = 0; i < X.rows(); ++i) {
      residuals.push_back(std::abs(parts.validation->targets()(i, j) - prediction(i, j)));
    }
    const Scalar half = smallest(residuals, 73);  // 0.8 of 91
    CHECK(intervals.half_width(0.8)[j] == half);
    for (Index i = 0; i < X.rows(); ++i) {
      CHECK(limits.lower(i, j) == prediction(i, j) - half);
      CHECK(limits.upper(i, j) == prediction(i, j) + half);
    }
  }
  // Every fifth sample is in the same part, and others fit its scale.
  REQUIRE(intervals.parts().size() == 5);
  for (Index k = 0; k < 5; ++k) {
    const auto& part = intervals.parts()[static_cast<std::size_t>(k)];
    const auto sigma = intervals.scale(X, k);
    for (Index j = 0; j < 2; ++j) {
      std::vector<Scalar> scores;
      for (Index i = k; i < X.rows(); i += 5) {
        scores.push_back(std::abs(parts.validation->targets()(i, j) - prediction(i, j)) /
                         sigma(i, j));
      }
      std::sort(scores.begin(), scores.end());
      REQUIRE(std::ssize(scores) == part.scaled_residuals.rows());
      for (Index i = 0; i < part.scaled_residuals.rows(); ++i) {
        CHECK(part.scaled_residuals(i, j) == Approx(scores[static_cast<std::size_t>(i)]));
      }
    }
    const auto& scale = *part.scale;
    CHECK((sigma.array() > 0).all());
    for (Index j = 0; j < 2; ++j) {
      CHECK(sigma.col(j).minCoeff() >= std::exp(scale.lower[j]) * Scalar(0.999));
      CHECK(sigma.col(j).maxCoeff() <= std::exp(scale.upper[j]) * Scalar(1.001));
      const auto far = intervals.scale(1000 * X, k);
      CHECK(far.col(j).maxCoeff() <= std::exp(scale.upper[j]) * Scalar(1.001));
    }
  }
}

TEMPLATE_TEST_CASE("Intervals of folds are those of CV+", "[training/prediction_intervals]", float,
                   double) {
  using Scalar = TestType;
  const auto data = two_outputs<Scalar>(103);
  const auto dealt = mgdl::folds(data, 4, 3);
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<Scalar>({.width = 20}), in_folds(4)};
  const auto fit = trainer.fit(dealt);
  const auto intervals = mgdl::calibrate(fit, dealt, {.threads = 1});
  REQUIRE(intervals.parts().size() == 4);
  CHECK(intervals.samples() == 103);
  const auto members = mgdl::test::members_of(fit);
  REQUIRE(intervals.members() == members);
  mgdl::RandomStream random(mgdl::test::seed(), 42);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(10, 3, random);
  for (const auto width : {IntervalWidth::Constant, IntervalWidth::Scaled}) {
    const auto limits = intervals.predict(X, 0.75, width, 1);
    for (Index x = 0; x < X.rows(); ++x) {
      for (Index j = 0; j < 2; ++j) {
        std::vector<Scalar> below, above;
        for (Index k = 0; k < 4; ++k) {
          const auto i = static_cast<std::size_t>(k);
          const Scalar mu = members[i].predict(X.row(x))(0, j);
          for (const Index row : dealt.held_out[i]) {
            const auto at = data.inputs().row(row);
            Scalar r = std::abs(data.targets()(row, j) - members[i].predict(at)(0, j));
            if (width == IntervalWidth::Scaled) {
              r *= intervals.scale(X.row(x), k)(0, j) / intervals.scale(at, k)(0, j);
            }
            below.push_back(mu - r);
            above.push_back(mu + r);
          }
        }
        // 0.75 of 104.
        CHECK(limits.lower(x, j) == Approx(smallest(below, 26)).epsilon(1e-4));
        CHECK(limits.upper(x, j) == Approx(smallest(above, 78)).epsilon(1e-4));
      }
    }
  }

  // The scale of a fold has not seen its residuals: with other targets there, it has the same bits.
  auto changed = dealt;
  auto& part = changed.folds[2].validation;
  part.emplace(part->inputs(), 3 * part->targets());
  const auto others = mgdl::calibrate(fit, changed, {.threads = 1});
  for (std::size_t k = 0; k < 4; ++k) {
    const bool same = intervals.parts()[k].scale->network == others.parts()[k].scale->network;
    CHECK(same == (k == 2));
  }
}

TEST_CASE("Fresh targets are within the limits as often as the level says",
          "[training/prediction_intervals]") {
  const int seeds = mgdl::test::draws(30, 200);
  constexpr Index kFresh = 400;
  for (const bool equally : {true, false}) {
    for (const bool folds : {false, true}) {
      Coverage constant, scaled;
      for (int seed = 0; seed < seeds; ++seed) {
        mgdl::RandomStream random(mgdl::test::seed() + static_cast<std::uint64_t>(seed), 43);
        const auto data = noisy<double>(400, random, equally);
        const auto fresh = noisy<double>(kFresh, random, equally);
        mgdl::MultigradeTrainer trainer{mgdl::AffineTrainer<double>(),
                                        {.max_grades = 1, .threads = 1}};
        const auto intervals = [&] {
          if (folds) {
            const auto parts = mgdl::folds(data, 5, 1);
            return mgdl::calibrate(trainer.fit(parts), parts, {.threads = 1});
          }
          const auto parts = mgdl::split(data, 0.5, 1);
          return mgdl::calibrate(trainer.fit(parts), parts, {.threads = 1});
        }();
        const mgdl::Matrix<double> X = fresh.inputs();
        constant.add(intervals.predict(X, 0.9), fresh);
        scaled.add(intervals.predict(X, 0.9, IntervalWidth::Scaled), fresh);
      }
      CAPTURE(equally, folds);
      // Four standard deviations: of the fresh samples, and of the quantile of n held out ones.
      const double n = folds ? 400 : 200;
      const double limit =
          4 * std::sqrt(0.09 * (1.0 / static_cast<double>(kFresh) + 1 / (n + 2)) / seeds);
      CHECK(std::abs(constant.total() - 0.9) < limit + 1 / n);
      CHECK(std::abs(scaled.total() - 0.9) < limit + 1 / n);
      for (const int half : {0, 1}) {
        CAPTURE(half, constant.of(half), scaled.of(half));
        CHECK(std::abs(scaled.of(half) - 0.9) < 0.035);
        if (!equally) CHECK(std::abs(constant.of(half) - 0.9) > 0.08);
      }
    }
  }
}

TEMPLATE_TEST_CASE("Forged scores are refuted", "[training/prediction_intervals]", float, double) {
  using Scalar = TestType;
  const auto data = two_outputs<Scalar>(90);
  const auto check = [&](const auto& parts, const auto& fit) {
    const auto intervals = mgdl::calibrate(fit, parts, {.parts = 3, .threads = 1});
    const auto found = mgdl::verify_intervals(intervals, parts, 0.8, 1);
    CAPTURE(found.message);
    CHECK(found.valid);
    CHECK(found.level == 0.8);
    for (Index j = 0; j < 2; ++j) {
      CHECK(found.coverage[j] ==
            Approx(0.8).margin(2.0 / static_cast<double>(intervals.samples())));
      CHECK(found.scaled_coverage[j] ==
            Approx(0.8).margin(2.0 / static_cast<double>(intervals.samples())));
    }
    const auto refuted = [&](const auto& forge, const std::string& message) {
      auto forged = intervals.parts();
      forge(forged[1]);
      const auto result = mgdl::verify_intervals(
          mgdl::PredictionIntervals<Scalar>(intervals.members(), forged), parts, 0.8, 1);
      CAPTURE(message, result.message);
      CHECK(!result.valid);
      CHECK_THAT(result.message, ContainsSubstring(message));
    };
    using Part = mgdl::CalibrationPart<Scalar>;
    const Scalar less = 1 - 2000 * std::numeric_limits<Scalar>::epsilon();
    refuted([](Part& part) { part.residuals.bottomRows(1) *= Scalar(1.01); }, "residual: stated");
    refuted([](Part& part) { part.residuals *= Scalar(0.5); }, "residual: stated");
    refuted([&](Part& part) { part.scaled_residuals *= less * less * less; },
            "scaled residual: stated");
    refuted([](Part& part) { part.scale->network = part.scale->network.scaled(Scalar(0.9)); },
            "scaled residual: stated");
    refuted([](Part& part) { part.scale->lower.array() = part.scale->upper.array(); },
            "scaled residual: stated");
    refuted(
        [](Part& part) {
          const Index rows = part.residuals.rows() - 1;
          part.residuals.conservativeResize(rows, 2);
          part.scaled_residuals.conservativeResize(rows, 2);
        },
        "residual: stated");
    auto fewer = intervals.parts();
    fewer.pop_back();
    auto members = intervals.members();
    if (members.size() > 1) members.pop_back();
    const auto result =
        mgdl::verify_intervals(mgdl::PredictionIntervals<Scalar>(members, fewer), parts, 0.8, 1);
    CHECK(!result.valid);
    CHECK(!mgdl::verify_intervals(intervals, mgdl::split(data, 0, 2), 0.8, 1).valid);
  };
  const auto split = mgdl::split(data, 0.4, 2);
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<Scalar>({.width = 20}),
                                  {.max_grades = 1, .threads = 1}};
  check(split, trainer.fit(split));
  const auto dealt = mgdl::folds(data, 3, 3);
  check(dealt, trainer.fit(dealt));
}

TEST_CASE("What cannot be calibrated or predicted is refused", "[training/prediction_intervals]") {
  using mgdl::test::error_of;
  const auto data = two_outputs<double>(40);
  const auto dealt = mgdl::folds(data, 4, 3);
  const auto split = mgdl::split(data, 0.5, 3);
  mgdl::MultigradeTrainer trainer{mgdl::AffineTrainer<double>(), {.max_grades = 1, .threads = 1}};
  const auto of_folds = trainer.fit(dealt);
  const auto of_split = trainer.fit(split);
  const auto intervals = mgdl::calibrate(of_split, split, {.scaled = false});
  const mgdl::Matrix<double> X = data.inputs();
  const auto level_error = [&](double level) {
    return error_of([&] { intervals.predict(X, level); });
  };
  for (const double level : {0.0, 1.0, -0.5, 1.5}) {
    CHECK_THAT(level_error(level), ContainsSubstring("level: expected a value in (0, 1), found"));
  }
  CHECK_THAT(level_error(std::nan("")), ContainsSubstring("found nan"));
  CHECK(intervals.largest_level() == 20.0 / 21);
  intervals.predict(X, 20.0 / 21);
  CHECK_THAT(level_error(0.953),
             ContainsSubstring("expected at most 0.952381 with 20 held out samples, found 0.953"));
  CHECK_THAT(error_of([&] { intervals.half_width(0.5, IntervalWidth::Scaled); }),
             ContainsSubstring("width: expected Constant, without scale, found Scaled"));
  CHECK_THAT(error_of([&] { intervals.scale(X, 0); }), ContainsSubstring("scale"));
  CHECK_THAT(error_of([&] { intervals.predict(X.leftCols(2), 0.5); }), ContainsSubstring("X"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_folds, split); }),
             ContainsSubstring("data: expected the folds of the fit, found a DataSplit"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_split, dealt); }), ContainsSubstring("0 folds"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_folds, mgdl::folds(data, 5, 3)); }),
             ContainsSubstring("data: expected 4 folds, as the fit has, found 5"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_split, mgdl::split(data, 0, 3)); }),
             ContainsSubstring("data: expected a validation part, found none"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_split, split, {.parts = 1}); }),
             ContainsSubstring("IntervalOptions.parts: expected a value >= 2, found 1"));
  CHECK_THAT(error_of([&] { mgdl::calibrate(of_split, split, {.scale = {.width = 0}}); }),
             ContainsSubstring("SampledOptions.width"));

  mgdl::RandomStream random(mgdl::test::seed(), 44);
  const auto good = any_intervals<double>(true, random);
  const auto part_error = [&](const auto& spoil) {
    return error_of([&] {
      auto parts = good.parts();
      spoil(parts[2]);
      mgdl::PredictionIntervals<double>(good.members(), parts);
    });
  };
  using Part = mgdl::CalibrationPart<double>;
  CHECK_THAT(part_error([](Part& part) { part.residuals(0, 1) = -1; }),
             ContainsSubstring("residuals: expected values >= 0 in ascending order"));
  CHECK_THAT(part_error([](Part& part) { part.residuals(1, 1) = 100; }),
             ContainsSubstring("ascending"));
  CHECK_THAT(part_error([](Part& part) { part.scaled_residuals(4, 0) = std::nan(""); }),
             ContainsSubstring("scaled_residuals: expected finite values"));
  CHECK_THAT(part_error([](Part& part) { part.scaled_residuals.conservativeResize(4, 2); }),
             ContainsSubstring("scaled_residuals: expected 5 rows"));
  CHECK_THAT(part_error([](Part& part) { part.residuals.conservativeResize(5, 1); }),
             ContainsSubstring("residuals: expected 2 columns"));
  CHECK_THAT(part_error([](Part& part) { part.scale.reset(); }),
             ContainsSubstring("scale: expected one in all parts or none"));
  CHECK_THAT(part_error([](Part& part) { part.scale->lower[1] = 2; }),
             ContainsSubstring("lower limits"));
  CHECK_THAT(part_error([](Part& part) { part.scale->upper.conservativeResize(1); }),
             ContainsSubstring("limits of 2 outputs"));
  CHECK_THAT(
      error_of([&] {
        mgdl::PredictionIntervals<double>({good.members()[0], good.members()[1]}, good.parts());
      }),
      ContainsSubstring("members: expected 1 or 3"));
}

TEST_CASE("Few or perfectly fitted held out samples make intervals, too",
          "[training/prediction_intervals]") {
  mgdl::RandomStream random(mgdl::test::seed(), 45);
  const auto X = mgdl::test::normal_matrix<mgdl::Matrix<double>>(30, 2, random);
  const mgdl::Matrix<double> Y = mgdl::Matrix<double>::Constant(30, 1, 7.0);
  mgdl::MultigradeTrainer trainer{mgdl::AffineTrainer<double>(), {.max_grades = 1, .threads = 1}};
  for (const double fraction : {0.04, 0.07, 0.5}) {  // 1, 2 and 15 samples
    const auto parts = mgdl::split(mgdl::Dataset<double>(X, Y), fraction, 1);
    const auto intervals = mgdl::calibrate(trainer.fit(parts), parts, {.threads = 1});
    for (const auto width : {IntervalWidth::Constant, IntervalWidth::Scaled}) {
      const auto limits = intervals.predict(X, 0.5, width);
      CHECK((limits.lower.array() == 7).all());
      CHECK((limits.upper.array() == 7).all());
    }
    CHECK(mgdl::verify_intervals(intervals, parts).valid);
  }
}
