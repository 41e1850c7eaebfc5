// Limits between which 9 of 10 new targets lie, where the noise depends on the input.

#include <cmath>
#include <iostream>

#include "mgdl/mgdl.hpp"

int main() {
  mgdl::RandomStream random(1);
  const auto draw = [&](mgdl::Index n) {
    Eigen::MatrixXd X(n, 1);
    Eigen::MatrixXd Y(n, 1);
    for (mgdl::Index i = 0; i < n; ++i) {
      X(i, 0) = random.uniform(0, 1);
      Y(i, 0) = std::sin(6 * X(i, 0)) + (0.05 + X(i, 0)) * random.normal();
    }
    return mgdl::Dataset<double>(X, Y);
  };
  const auto folds = mgdl::folds(draw(1000), 5, /*seed=*/1);
  mgdl::MultigradeTrainer trainer{mgdl::SampledTrainer<double>({.width = 64}), {.max_grades = 2}};
  const auto fit = trainer.fit(folds);

  const auto intervals = mgdl::calibrate(fit, folds);
  const auto fresh = draw(2000);
  bool good = true;
  for (const auto width : {mgdl::IntervalWidth::Constant, mgdl::IntervalWidth::Scaled}) {
    const auto limits = intervals.predict(fresh.inputs(), 0.9, width);
    const auto& y = fresh.targets().array();
    const auto inside = limits.lower.array() <= y && y <= limits.upper.array();
    const double coverage = static_cast<double>(inside.count()) / 2000;
    const auto widths = limits.upper - limits.lower;
    std::cout << to_string(width) << ": " << 100 * coverage << " % inside, width from "
              << widths.minCoeff() << " to " << widths.maxCoeff() << '\n';
    good = good && std::abs(coverage - 0.9) < 0.04;
  }
  return good ? 0 : 1;
}
