// "Give me an error of at most this": AutoTrainer tries cheap grades before expensive ones, the
// driver adds grades until the held out samples are within the tolerance, and the report says what
// was tried.

#include <cmath>
#include <iostream>

#include "mgdl/mgdl.hpp"

int main() {
  mgdl::RandomStream random(3);
  Eigen::MatrixXd X(3000, 3);
  for (auto& x : X.reshaped()) x = random.uniform(-1, 1);
  const Eigen::VectorXd y =
      (3 * X.col(0).array() * X.col(1).array()).sin() + (X.col(2).array() - 0.2).abs();

  const mgdl::AutoTrainer<double> grade(
      {mgdl::SampledTrainer<double>({.width = 200}), mgdl::GradientTrainer<double>({.width = 48})});
  constexpr double kTolerance = 0.05;  // root mean squared error, in the unit of y
  mgdl::MultigradeTrainer<double> trainer(grade, {.max_grades = 8,
                                                  .tolerance = kTolerance,
                                                  .measure = mgdl::ErrorMeasure::Rmse,
                                                  .validation_fraction = 0.2,
                                                  .seed = 1});
  const auto [model, report] = trainer.fit(X, y);
  std::cout << report;
  for (const auto& line : report.grades) {
    std::cout << "grade " << line.grade << " tried";
    for (const auto& trial : line.fit.trials) {
      std::cout << "; " << trial.trainer << ": " << trial.objective << " of the error left";
    }
    std::cout << '\n';
  }
  return report.termination == mgdl::Termination::ToleranceReached ? 0 : 1;
}
