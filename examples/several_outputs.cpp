// Two outputs of very different size, a flow near 0.001 and a temperature near 300, of one model:
// each output counts in the unit of its own deviation, so both are learnt.

#include <iostream>

#include "mgdl/mgdl.hpp"

namespace {

/// Columns: flow in m^3/s, temperature in K.
Eigen::MatrixXd measure(const Eigen::MatrixXd& X) {
  Eigen::MatrixXd Y(X.rows(), 2);
  Y.col(0) = 1e-3 * X.col(0).array() * X.col(1).array().sqrt();
  Y.col(1) = 300 + 20 * X.col(0).array() - 5 * (4 * X.col(1).array()).sin();
  return Y;
}

}  // namespace

int main() {
  mgdl::RandomStream random(5);
  Eigen::MatrixXd X(800, 2);
  for (auto& x : X.reshaped()) x = random.uniform(0, 1);
  const Eigen::MatrixXd Y = measure(X);

  mgdl::GradientTrainer<double> grades({.width = 32, .epochs = 100});
  mgdl::MultigradeTrainer trainer(grades, {.max_grades = 2, .validation_fraction = 0.2});
  const auto [model, report] = trainer.fit(X, Y);
  std::cout << report;
  const auto& errors = report.grades.back().validation_output_rmse;  // each in its own unit
  std::cout << "flow: " << errors[0] << " m^3/s, temperature: " << errors[1] << " K\n";

  const Eigen::ArrayXd deviation =
      ((Y.rowwise() - Y.colwise().mean()).colwise().squaredNorm().array() / 800).sqrt();
  return errors[0] < 0.05 * deviation[0] && errors[1] < 0.05 * deviation[1] ? 0 : 1;
}
