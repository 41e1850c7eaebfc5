// Learns a function of one variable from 1000 samples and looks at it between them.

#include <cmath>
#include <iomanip>
#include <iostream>

#include "mgdl/mgdl.hpp"

namespace {

/// A smooth wave whose frequency grows, with a kink at 1/3.
double f(double x) { return std::sin(25 * x * x) + std::abs(x - 1.0 / 3); }

}  // namespace

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(1000, 0, 1);
  const Eigen::VectorXd y = x.unaryExpr(&f);

  // Every grade is a network with one hidden layer of 48 units. L-BFGS suits small problems: it
  // uses all samples in every step.
  mgdl::GradientTrainer<double> grades(
      {.width = 48, .hidden_layers = 1, .optimizer = mgdl::Optimizer::Lbfgs, .epochs = 150});
  mgdl::MultigradeTrainer trainer(grades, {.max_grades = 4, .tolerance = 1e-8, .seed = 1});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report;

  // Between the samples, with the first 1, 2, ... grades: any prefix of a model is a model.
  const Eigen::VectorXd between = Eigen::VectorXd::LinSpaced(3001, 0, 1);
  const Eigen::VectorXd truth = between.unaryExpr(&f);
  mgdl::Metrics metrics;
  for (mgdl::Index k = 1; k <= model.grades(); ++k) {
    metrics = mgdl::compute_metrics(model.predict(between, k), truth);
    std::cout << "grades 1-" << k << " between the samples: RSE " << std::scientific
              << std::setprecision(2) << metrics.rse << ", largest error " << metrics.max << '\n';
  }

  // The derivative is at hand, too: 50 x cos(25 x^2) + 1 at 1/2.
  const double slope = model.jacobian(Eigen::VectorXd::Constant(1, 0.5))(0, 0);
  std::cout << std::fixed << "slope at 0.5: " << slope << ", in truth " << 25 * std::cos(6.25) + 1
            << '\n';

  return metrics.rse < 1e-4 ? 0 : 1;
}
