#include <cmath>
#include <iostream>
#include <utility>

#include "mgdl/mgdl.hpp"

namespace {

/// Trains two small grades on sin(x) and says how far off they are between the samples.
double largest_error() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(65, -3, 3);
  const Eigen::VectorXd y = x.array().sin();
  mgdl::GradientTrainer<double> grades(
      {.width = 16, .hidden_layers = 1, .optimizer = mgdl::Optimizer::Lbfgs, .epochs = 50});
  mgdl::MultigradeTrainer trainer(std::move(grades), {.max_grades = 2, .seed = 7});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report;
  const Eigen::VectorXd between = x.head(64).array() + 3.0 / 64;
  return (model.predict(between).col(0).array() - between.array().sin()).abs().maxCoeff();
}

}  // namespace

int main() {
  const double error = largest_error();
  std::cout << "largest error: " << error << '\n';
  return error < 0.05 ? 0 : 1;
}
