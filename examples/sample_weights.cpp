// Weights say how much a sample counts. Here two instruments have measured the same curve in turn,
// the second one ten times as noisily; weights of 1 / variance make the best of both.

#include <cmath>
#include <iomanip>
#include <iostream>

#include "mgdl/mgdl.hpp"

namespace {

double noise_of(mgdl::Index sample) { return sample % 2 == 0 ? 0.05 : 0.5; }

mgdl::MultigradeModel<double> train(const Eigen::VectorXd& x, const Eigen::VectorXd& y,
                                    const Eigen::VectorXd& weights) {
  mgdl::GradientTrainer<double> grade(
      {.width = 16, .hidden_layers = 1, .optimizer = mgdl::Optimizer::Lbfgs, .epochs = 200});
  return mgdl::MultigradeTrainer(grade, {.max_grades = 1, .seed = 3}).fit(x, y, weights).model;
}

}  // namespace

int main() {
  const mgdl::Index n = 400;
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(n, 0, 1);
  const Eigen::VectorXd truth = (12 * x.array()).sin();
  Eigen::VectorXd y = truth, weights(n);
  mgdl::RandomStream random(7);
  for (mgdl::Index i = 0; i < n; ++i) {
    y[i] += noise_of(i) * random.normal();
    weights[i] = 1 / (noise_of(i) * noise_of(i));
  }
  const Eigen::VectorXd alike = train(x, y, Eigen::VectorXd::Ones(n)).predict(x);
  const Eigen::VectorXd weighted = train(x, y, weights).predict(x);
  const double alike_rmse = mgdl::compute_metrics(alike, truth).rmse;
  const double weighted_rmse = mgdl::compute_metrics(weighted, truth).rmse;
  std::cout << std::setprecision(3) << "RMSE against the true curve: " << alike_rmse
            << " with equal weights, " << weighted_rmse << " with 1 / variance\n";

  // The weight 3 says the same as the sample three times.
  Eigen::VectorXd three = Eigen::VectorXd::Ones(n);
  three.head(100).setConstant(3);
  Eigen::VectorXd repeated(n + 200), repeated_truth(n + 200);
  repeated << weighted.head(100), weighted.head(100), weighted;
  repeated_truth << truth.head(100), truth.head(100), truth;
  const double once = mgdl::compute_metrics(weighted, truth, three).rse;
  const double thrice = mgdl::compute_metrics(repeated, repeated_truth).rse;
  std::cout << "RSE with weight 3: " << once << ", with three copies: " << thrice << '\n';

  const bool same = std::abs(once - thrice) < 1e-12 * thrice;
  return weighted_rmse < 0.5 * alike_rmse && same ? 0 : 1;
}
