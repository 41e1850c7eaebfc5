#include <cmath>
#include <iostream>
#include <string>

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
  const mgdl::Matrix<double> x = mgdl::Matrix<double>::Constant(3, 2, 1.5);
  try {
    throw mgdl::InvalidArgument("X", "at least 4 rows", std::to_string(x.rows()));
  } catch (const std::exception& error) {
    std::cout << "mgdl " << mgdl::version() << ": " << error.what() << '\n';
  }
  if (!is_usable(mgdl::Termination::ToleranceReached) || x.sum() != 9) return 1;

  const double error = largest_error();
  std::cout << "largest error: " << error << '\n';
  return error < 0.05 ? 0 : 1;
}
