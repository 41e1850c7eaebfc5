#include <cmath>
#include <string>
#include <vector>

#include "mgdl/core/metrics.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/model_metrics.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

template <class Scalar>
struct KindOfSamples {
  mgdl::Matrix<Scalar> X;
  mgdl::Matrix<Scalar> Y;
  mgdl::Vector<Scalar> weights;
  std::string kind;
};

/// Problem number `i`: sizes that differ pairwise, with one difficulty each.
template <class Scalar>
KindOfSamples<Scalar> random_problem(Index i, mgdl::RandomStream& random) {
  const Index d = 1 + static_cast<Index>(random.below(9));
  Index c = 1 + static_cast<Index>(random.below(4));
  if (c == d) ++c;
  Index n = 3 + static_cast<Index>(random.below(90));
  while (n == d || n == c) ++n;
  KindOfSamples<Scalar> s{mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, d, random),
                          mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, c, random),
                          mgdl::Vector<Scalar>::Ones(n), ""};
  switch (i % 10) {
    case 0: s.kind = "plain"; break;
    case 1:
      s.kind = "duplicated rows";
      for (Index r = 1; r < n; r += 2) s.X.row(r) = s.X.row(r - 1);
      break;
    case 2:
      s.kind = "constant columns";
      s.X.col(0).setConstant(Scalar(7));
      s.Y.col(0).setConstant(Scalar(-3));
      break;
    case 3:
      s.kind = "collinear inputs";
      for (Index j = 1; j < d; ++j) s.X.col(j) = s.X.col(0) * static_cast<Scalar>(j);
      break;
    case 4:
      s.kind = "weights with zeros";
      for (Index r = 0; r < n; ++r) s.weights[r] = r % 3 == 1 ? 0 : static_cast<Scalar>(r + 1);
      break;
    case 5:
      s.kind = "all inputs alike";
      s.X.rowwise() = s.X.row(0).eval();
      break;
    case 6:
      s.kind = "huge offset";
      s.X.array() += Scalar(1000);
      s.Y.array() += Scalar(1000);
      break;
    case 7:
      s.kind = "tiny targets";
      s.Y *= Scalar(1e-12);
      break;
    case 8:
      s.kind = "one outlier";
      s.Y(n / 2, 0) = Scalar(1e6);
      break;
    default:
      s.kind = "targets that a grade fits exactly";
      for (Index j = 0; j < c; ++j) s.Y.col(j) = s.X.col(0).cwiseMax(Scalar(0));
      break;
  }
  return s;
}

/// A grade trainer that cannot be trusted: a good fit, times a random factor between -3 and 3.
template <class Scalar_>
struct UnreliableTrainer {
  using Scalar = Scalar_;

  mgdl::GradeFit<Scalar> fit(const mgdl::GradeProblem<Scalar>& problem) {
    auto fit = mgdl::GradientTrainer<Scalar>{options}.fit(problem);
    mgdl::RandomStream random(problem.seed, 100 + static_cast<std::uint64_t>(problem.grade));
    fit.network = fit.network.scaled(static_cast<Scalar>(random.uniform(-3, 3)));
    return fit;
  }

  mgdl::GradientOptions options;
};

}  // namespace

TEMPLATE_TEST_CASE("The training residual never grows on 200 random problems",
                   "[training/multigrade_trainer]", float, double) {
  using Scalar = TestType;
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  Index narrower_than_samples = 0;
  Index accepted = 0;
  Index unreliable = 0;
  Index rejected = 0;
  for (Index i = 0; i < 200; ++i) {
    const auto s = random_problem<Scalar>(i, random);
    CAPTURE(i, s.kind, s.X.rows(), s.X.cols(), s.Y.cols());
    mgdl::GradientOptions options;
    options.width = 2 + i % 29;
    options.hidden_layers = 1 + i % 3;
    options.epochs = 6;
    options.batch_size = 16;
    // A rate far too high: the driver must keep its promise whatever the optimiser does.
    if (i % 7 == 3) options.learning_rate = 10;
    if (i % 5 == 4) options.optimizer = mgdl::Optimizer::Lbfgs;
    if (s.X.rows() < options.width) ++narrower_than_samples;
    using AnyTrainer = mgdl::AnyGradeTrainer<Scalar>;
    const bool reliable = i % 4 != 2;
    if (!reliable) ++unreliable;
    mgdl::MultigradeTrainer<Scalar> trainer(
        {reliable ? AnyTrainer(mgdl::GradientTrainer<Scalar>{options})
                  : AnyTrainer(UnreliableTrainer<Scalar>{options})},
        {.max_grades = 3, .seed = static_cast<std::uint64_t>(i)});
    const auto [model, report] = trainer.fit(s.X, s.Y, s.weights);

    // From the raw data: the errors of all prefixes, in double.
    const double rounding = 1e-3 * std::numeric_limits<Scalar>::epsilon();
    double before = mgdl::test::metrics_of(model, 0, s.X, s.Y, s.weights).rse;
    for (Index k = 1; k <= model.grades(); ++k) {
      const double rse = mgdl::test::metrics_of(model, k, s.X, s.Y, s.weights).rse;
      CAPTURE(k, before, rse);
      REQUIRE(std::isfinite(rse));
      // Where targets have an offset, predictions in their unit are rounded to Scalar.
      REQUIRE(rse <= before + rounding);
      // What the model says of itself is what it does.
      REQUIRE(model.grade(k).train_rse == Approx(rse).epsilon(2e-2).margin(10 * rounding));
      before = rse;
      ++accepted;
    }
    REQUIRE(is_usable(report.termination));
    if (!reliable && report.termination == mgdl::Termination::NoProgress) ++rejected;
  }
  // The problems were not all trivial.
  CHECK(narrower_than_samples > 5);
  CHECK(accepted > 300);
  CHECK(unreliable == 50);
  CHECK(rejected > 10);
}
