// A grade trainer of your own: random hidden units and a least squares readout, nothing trained by
// gradients. The driver does the rest, and mixes it with any other trainer.

#include <Eigen/Dense>
#include <iostream>

#include "mgdl/mgdl.hpp"

class RandomFeatureTrainer {
 public:
  using Scalar = double;

  explicit RandomFeatureTrainer(mgdl::Index width) : m_width(width) {}

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    const auto& [X, Y, w] = problem.train;
    // A stream of its own for every grade: all randomness comes from the seed.
    mgdl::RandomStream random(problem.seed, static_cast<std::uint64_t>(problem.grade));
    mgdl::RowMatrix<double> weights(X.cols(), m_width);
    mgdl::RowVector<double> bias(m_width);
    for (mgdl::Index j = 0; j < m_width; ++j) {
      for (mgdl::Index i = 0; i < X.cols(); ++i) weights(i, j) = random.normal();
      // The kink goes through a sample.
      const auto sample = random.below(static_cast<std::uint64_t>(X.rows()));
      bias[j] = -X.row(static_cast<mgdl::Index>(sample)).dot(weights.col(j));
    }
    Eigen::MatrixXd features(X.rows(), m_width + 1);
    features << ((X * weights).rowwise() + bias).cwiseMax(0), Eigen::VectorXd::Ones(X.rows());
    const Eigen::VectorXd root = w.cwiseSqrt();
    const Eigen::MatrixXd readout =
        Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd>(root.asDiagonal() * features)
            .solve(root.asDiagonal() * Y);

    mgdl::GradeFitReport report;
    report.trainer = "random 1x" + std::to_string(m_width);
    report.termination = mgdl::Termination::ToleranceReached;
    report.message = "The readout is a least squares solution.";
    return {mgdl::ReluNetwork<double>(
                {mgdl::DenseLayer<double>(weights, bias),
                 mgdl::DenseLayer<double>(readout.topRows(m_width), readout.bottomRows(1))}),
            report};
  }

 private:
  mgdl::Index m_width;
};

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(400, -1, 1);
  const Eigen::VectorXd y = (5 * x.array()).sin() + 0.2 * (35 * x.array()).cos();
  // The first grade by hand, all further ones by Adam.
  mgdl::MultigradeTrainer<double> trainer(
      {RandomFeatureTrainer(20), mgdl::GradientTrainer<double>({.width = 24, .epochs = 80})},
      {.max_grades = 3, .seed = 5});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report;
  return model.grades() == 3 && model.grade(3).train_rse < 0.1 * model.grade(1).train_rse ? 0 : 1;
}
