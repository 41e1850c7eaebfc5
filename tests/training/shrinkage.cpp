#include <cmath>

#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/samples.hpp"

using mgdl::Index;

namespace {

/// Samples that a view can refer to: planes in much noise, of which a grade learns too much.
struct NoisySamples {
  NoisySamples(Index n, mgdl::RandomStream& random)
      : X(mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(n, 4, random)),
        Y(mgdl::test::normal_matrix<mgdl::RowMatrix<double>>(n, 2, random)),
        w(mgdl::Vector<double>::Constant(n, 1 / static_cast<double>(n))) {
    Y.col(0) += 2 * X.col(1);
    Y.col(1) += X.col(2);
  }
  mgdl::SampleView<double> view() const { return {X, Y, w}; }

  mgdl::RowMatrix<double> X, Y;
  mgdl::Vector<double> w;
};

/// The factor of the network's outputs that fits the samples best, with equal weights.
double best_factor(const mgdl::ReluNetwork<double>& network, const NoisySamples& s) {
  const mgdl::Matrix<double> g = network.predict(s.X);
  return (g.array() * s.Y.array()).sum() / g.squaredNorm();
}

/// Whether the grade had learnt noise.
template <class Trainer>
bool check(Trainer trainer, Index seed) {
  mgdl::RandomStream random(mgdl::test::seed(), 90 + static_cast<std::uint64_t>(seed));
  const NoisySamples train(150, random), held_out(90, random);
  mgdl::GradeProblem<double> problem{train.view()};
  const auto alone = trainer.fit(problem);
  problem.validation.emplace(held_out.view());
  const auto fit = trainer.fit(problem);
  const double before = best_factor(alone.network, held_out);
  CAPTURE(fit.report.trainer, seed, before);
  REQUIRE(before > 0);
  const double after = best_factor(fit.network, held_out);
  // No shorter step is better. A longer one may be, if another ridge was chosen with the step 1.
  CHECK(after > 1 - 1e-9);
  CHECK(after < 1.1);
  // What the report says is what the network does, and the training error has fallen all the same.
  const auto loss = [&](const NoisySamples& s) {
    return (fit.network.predict(s.X) - s.Y).squaredNorm() / s.Y.squaredNorm();
  };
  CHECK(std::abs(fit.report.validation - loss(held_out)) < 1e-12);
  CHECK(std::abs(fit.report.final_objective - loss(train)) < 1e-12);
  CHECK(loss(train) < 1);
  CHECK(loss(held_out) < 1);
  return before < 0.99;
}

}  // namespace

TEST_CASE("With a validation part, what a grade has learnt of noise is left out",
          "[training/shrinkage]") {
  Index noisy = 0;
  for (Index seed = 0; seed < 3; ++seed) {
    // Without cross-validation of the ridge, which would find the noise by itself.
    noisy += check(mgdl::SampledTrainer<double>({.width = 50, .ridge = 1e-6}), seed);
    noisy += check(
        mgdl::GradientTrainer<double>(
            {.width = 16, .hidden_layers = 1, .optimizer = mgdl::Optimizer::Lbfgs, .epochs = 60}),
        seed);
  }
  CHECK(noisy >= 4);
}
