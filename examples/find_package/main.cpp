// Learns a surface, elevation over the plane, from scattered samples.

#include <iostream>

#include "mgdl/mgdl.hpp"

namespace {

/// n random points in the unit square.
Eigen::MatrixXf points(mgdl::Index n, std::uint64_t seed) {
  mgdl::RandomStream random(seed);
  Eigen::MatrixXf X(n, 2);
  for (mgdl::Index i = 0; i < n; ++i) {
    for (mgdl::Index j = 0; j < 2; ++j) X(i, j) = static_cast<float>(random.uniform());
  }
  return X;
}

/// Rings around a corner.
Eigen::VectorXf elevation(const Eigen::MatrixXf& X) {
  return (15 * X.rowwise().squaredNorm().array()).sin();
}

}  // namespace

int main() {
  const Eigen::MatrixXf X = points(4000, 1);
  mgdl::GradientTrainer<float> grades({.width = 32, .epochs = 100});
  mgdl::MultigradeTrainer trainer(grades, {.max_grades = 3, .validation_fraction = 0.1, .seed = 1});
  const auto [model, report] = trainer.fit(X, elevation(X));
  std::cout << report;

  const Eigen::MatrixXf test = points(5000, 2);
  const double rse = mgdl::compute_metrics(model.predict(test), elevation(test)).rse;
  std::cout << "test RSE: " << rse << '\n';
  return rse < 0.02 ? 0 : 1;
}
