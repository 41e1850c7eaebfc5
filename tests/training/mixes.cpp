#include <cmath>
#include <vector>

#include "mgdl/convex.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/mgdl.hpp"
#include "support/model_metrics.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

template <class Scalar>
using Trainers = std::vector<mgdl::AnyGradeTrainer<Scalar>>;

/// A trainer of every kind, small.
template <class Scalar>
mgdl::AnyGradeTrainer<Scalar> trainer_of(std::uint64_t kind) {
  switch (kind) {
    case 0:
      return mgdl::GradientTrainer<Scalar>({.width = 9,
                                            .hidden_layers = 1,
                                            .epochs = 10,
                                            .initialization = mgdl::Initialization::Sampled,
                                            .batch_size = 16});
    case 1: return mgdl::SampledTrainer<Scalar>({.width = 14});
    case 2: return mgdl::SampledTrainer<Scalar>({.width = 8, .hidden_layers = 2});
    case 3: return mgdl::ConvexTrainer<Scalar>({.patterns = 7, .max_inputs = 6});
    case 4:
      return mgdl::ConvexTrainer<Scalar>({.problem = mgdl::ConvexProblem::Relu,
                                          .patterns = 4,
                                          .max_inputs = 4,
                                          .polish_iterations = 5});
    case 5: return mgdl::ConstructiveTrainer<Scalar>({.hats = 11});
    default: return mgdl::ConstructiveTrainer<Scalar>({.hats = 6, .balanced = true});
  }
}

constexpr std::uint64_t kKinds = 7;

template <class Scalar>
struct Mix {
  mgdl::Matrix<Scalar> X, Y;
  mgdl::Vector<Scalar> weights;
  Trainers<Scalar> trainers;
  mgdl::MultigradeOptions options;
};

template <class Scalar>
Mix<Scalar> random_mix(Index i) {
  mgdl::RandomStream random(mgdl::test::seed(), 300 + static_cast<std::uint64_t>(i));
  Mix<Scalar> mix;
  const Index n = 40 + static_cast<Index>(random.below(60));
  const Index d = 1 + static_cast<Index>(random.below(3));
  const Index c = 1 + static_cast<Index>(random.below(2));
  mix.X = mgdl::test::normal_matrix<mgdl::Matrix<Scalar>>(n, d, random);
  mix.Y.resize(n, c);
  for (Index r = 0; r < n; ++r) {
    for (Index j = 0; j < c; ++j) {
      mix.Y(r, j) = std::sin(3 * mix.X(r, 0) + static_cast<Scalar>(j)) + std::abs(mix.X(r, d - 1)) +
                    Scalar(0.1) * static_cast<Scalar>(random.normal());
    }
  }
  mix.weights = mgdl::Vector<Scalar>::Ones(n);
  if (i % 3 == 1) {
    for (Index r = 0; r < n; ++r) mix.weights[r] = static_cast<Scalar>(r % 4);
  }
  for (int k = 0; k < 4; ++k) mix.trainers.push_back(trainer_of<Scalar>(random.below(kKinds)));
  mix.options.max_grades = 4;
  mix.options.seed = random.below(1000);
  mix.options.link =
      i % 4 == 3 ? mgdl::FeatureLink::LastHidden : mgdl::FeatureLink::LastHiddenAndInput;
  return mix;
}

template <class Scalar>
void check_errors(const Mix<Scalar>& mix, const mgdl::MultigradeFit<Scalar>& fit) {
  const double rounding = 10 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
  double before = mgdl::test::metrics_of(fit.model, 0, mix.X, mix.Y, mix.weights).rse;
  for (Index k = 1; k <= fit.model.grades(); ++k) {
    const auto metrics = mgdl::test::metrics_of(fit.model, k, mix.X, mix.Y, mix.weights);
    const auto& line = fit.report.grades[static_cast<std::size_t>(k - 1)];
    CAPTURE(k, before, metrics.rse, line.fit.trainer);
    REQUIRE(metrics.rse <= before + rounding);
    REQUIRE(line.train_rse == Approx(metrics.rse).epsilon(1e-2).margin(100 * rounding));
    REQUIRE(line.train_max_error == Approx(metrics.max).epsilon(1e-2).margin(100 * rounding));
    before = metrics.rse;
  }
}

}  // namespace

TEMPLATE_TEST_CASE("50 random mixes of trainers keep the promises of the driver",
                   "[training/multigrade_trainer]", float, double) {
  using Scalar = TestType;
  Index grades = 0;
  Index proven = 0;
  for (Index i = 0; i < mgdl::test::draws(50, 500); ++i) {
    const auto mix = random_mix<Scalar>(i);
    CAPTURE(i, mix.X.rows(), mix.X.cols(), mix.Y.cols(), mgdl::to_string(mix.options.link));
    mgdl::MultigradeTrainer<Scalar> trainer(mix.trainers, mix.options);
    const auto fit = trainer.fit(mix.X, mix.Y, mix.weights);
    REQUIRE(is_usable(fit.report.termination));
    check_errors(mix, fit);
    grades += fit.model.grades();
    for (const auto& line : fit.report.grades) proven += line.fit.certificate ? 1 : 0;

    // The same bits on another number of threads.
    auto options = mix.options;
    options.threads = 1 + static_cast<int>(i % 3);
    mgdl::MultigradeTrainer<Scalar> again(mix.trainers, options);
    REQUIRE(again.fit(mix.X, mix.Y, mix.weights).model == fit.model);

    // And when the grades come in two runs; what was there stays as it is.
    const Index first = fit.model.grades() / 2;
    if (first == 0) continue;
    options.max_grades = first;
    mgdl::MultigradeTrainer<Scalar> start(mix.trainers, options);
    const auto part = start.fit(mix.X, mix.Y, mix.weights);
    options.max_grades = 4 - first;
    mgdl::MultigradeTrainer<Scalar> rest(mix.trainers, options);
    const auto resumed = rest.resume(part.model, mix.X, mix.Y, mix.weights);
    REQUIRE(resumed.model == fit.model);
    REQUIRE(resumed.model.predict(mix.X, first) == part.model.predict(mix.X));
  }
  // The mixes were not all over at once.
  CHECK(grades > 120);
  CHECK(proven > 20);
}
