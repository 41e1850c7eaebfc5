#include <iostream>

#include "mgdl/mgdl.hpp"

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(500, 0, 1);  // 500 samples, one input
  const Eigen::VectorXd y = (30 * x.array().square()).sin();        // and one target

  mgdl::GradientTrainer<double> grades({.width = 32, .epochs = 100});
  mgdl::MultigradeTrainer trainer(grades, {.max_grades = 3, .seed = 1});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report << "at 0.5: " << model.predict(Eigen::VectorXd::Constant(1, 0.5)) << '\n';
  return report.grades.back().train_rse < 1e-3 ? 0 : 1;
}
