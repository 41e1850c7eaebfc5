#include <cmath>

#include "mgdl/core/metrics.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/model_metrics.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

template <class Scalar>
struct FixedSamples {
  mgdl::Matrix<Scalar> X;
  mgdl::Matrix<Scalar> Y;
};

/// 700 samples of 3 variables: more rows than any block of the kernels.
template <class Scalar>
FixedSamples<Scalar> fixed_samples() {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  FixedSamples<Scalar> s{mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(700, 3, random),
                         mgdl::Matrix<Scalar>(700, 2)};
  s.Y.col(0) = (s.X.col(0).array() * 2).sin() + s.X.col(1).array().abs();
  s.Y.col(1) = s.X.col(2).array().square();
  return s;
}

mgdl::GradientOptions small_grade(mgdl::Optimizer optimizer) {
  mgdl::GradientOptions options;
  options.width = 150;  // more than one panel and more than one chunk of the weight gradient
  options.hidden_layers = 2;
  options.optimizer = optimizer;
  options.epochs = 5;
  options.batch_size = 200;
  return options.fixed();
}

template <class Scalar>
mgdl::MultigradeFit<Scalar> train_small(const FixedSamples<Scalar>& s, mgdl::Optimizer optimizer,
                                        int threads, Index grades, std::uint64_t seed = 5,
                                        mgdl::FeatureLink link = mgdl::FeatureLink::LastHidden,
                                        double validation_fraction = 0) {
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<Scalar>{small_grade(optimizer)},
                                  {.max_grades = grades,
                                   .patience = 10,
                                   .validation_fraction = validation_fraction,
                                   .link = link,
                                   .seed = seed,
                                   .threads = threads}};
  return trainer.fit(s.X, s.Y);
}

}  // namespace

TEMPLATE_TEST_CASE("One seed gives the same bits for any number of threads",
                   "[training/multigrade_trainer]", float, double) {
  const auto s = fixed_samples<TestType>();
  for (const auto optimizer : {mgdl::Optimizer::Adam, mgdl::Optimizer::Lbfgs}) {
    const auto one = train_small(s, optimizer, 1, 2);
    const auto two = train_small(s, optimizer, 2, 2);
    const auto three = train_small(s, optimizer, 3, 2);
    REQUIRE(one.model.grades() == 2);
    CHECK(one.model == two.model);
    CHECK(one.model == three.model);
    CHECK_FALSE(one.model == train_small(s, optimizer, 1, 2, /*seed=*/6).model);

    // The same with a validation part, which also chooses how many grades to keep.
    const auto link = mgdl::FeatureLink::LastHidden;
    const auto held_out = train_small(s, optimizer, 1, 2, 5, link, 0.2);
    REQUIRE(held_out.model.grades() >= 1);
    CHECK_FALSE(std::isnan(held_out.model.grade(1).validation_rse));
    CHECK(held_out.model == train_small(s, optimizer, 2, 2, 5, link, 0.2).model);
  }
}

TEMPLATE_TEST_CASE("Grades added by resume have the bits of one long run",
                   "[training/multigrade_trainer]", float, double) {
  const auto s = fixed_samples<TestType>();
  for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
    const auto whole = train_small(s, mgdl::Optimizer::Adam, 2, 3, 5, link);
    REQUIRE(whole.model.grades() == 3);
    const auto first = train_small(s, mgdl::Optimizer::Adam, 2, 1, 5, link);
    const auto first_prediction = first.model.predict(s.X);
    mgdl::MultigradeTrainer trainer{
        mgdl::GradientTrainer<TestType>{small_grade(mgdl::Optimizer::Adam)},
        {.max_grades = 2, .link = link, .seed = 5}};
    const auto resumed = trainer.resume(first.model, s.X, s.Y);
    CHECK(resumed.model == whole.model);
    REQUIRE(resumed.report.grades.size() == 2);
    CHECK(resumed.report.grades.front().grade == 2);
    CHECK(resumed.report.initial_rse == first.report.grades.back().train_rse);
    // Earlier grades have not moved by a bit.
    CHECK(resumed.model.predict(s.X, 1) == first_prediction);
  }
}

TEST_CASE("Resume on new samples lowers the error there", "[training/multigrade_trainer]") {
  const auto s = fixed_samples<double>();
  const auto first = train_small(s, mgdl::Optimizer::Adam, 1, 1);
  const mgdl::Matrix<double> X = s.X.topRows(300).array() + 0.3;
  const mgdl::Matrix<double> Y = X.leftCols(2).array().sin();
  const double before = mgdl::test::metrics_of(first.model, 1, X, Y).rse;
  auto options = small_grade(mgdl::Optimizer::Adam);
  options.epochs = 60;
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<double>{options}, {.max_grades = 1}};
  const auto resumed = trainer.resume(first.model, X, Y);
  REQUIRE(resumed.model.grades() == 2);
  CHECK(resumed.report.initial_rse == Approx(before).epsilon(1e-9));
  CHECK(mgdl::test::metrics_of(resumed.model, 2, X, Y).rse < 0.2 * before);
  CHECK(resumed.model.input_standardizer() == first.model.input_standardizer());
}
