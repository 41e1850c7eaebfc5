// How strong a penalty? Solves for many, from the one whose network is zero downwards, and judges
// each on samples that were held out.

#include <cmath>
#include <iostream>

#include "mgdl/convex.hpp"
#include "mgdl/mgdl.hpp"

namespace {

double truth(double a, double b) { return std::abs(a + b) + std::sin(3 * a); }

mgdl::Dataset<double> noisy_samples(mgdl::Index n, mgdl::RandomStream& random) {
  Eigen::MatrixXd X(n, 2);
  Eigen::VectorXd y(n);
  for (mgdl::Index i = 0; i < n; ++i) {
    X.row(i) << random.normal(), random.normal();
    y[i] = truth(X(i, 0), X(i, 1)) + 0.3 * random.normal();
  }
  return {X, y};
}

}  // namespace

int main() {
  mgdl::RandomStream random(7);
  const auto train = noisy_samples(150, random);
  const auto validation = noisy_samples(100, random);
  const auto gates = mgdl::sample_gaussian_gates(train.inputs(), 100, /*seed=*/1);

  const mgdl::RegularizationPath path({.solver = {.lambda_ratio = 1e-4}, .count = 15});
  const auto [solutions, report] = path.solve_gated(train, gates, &validation);
  std::cout << report;

  // The lowest validation error, and the simplest solution that is as good up to noise.
  const auto& best = report.points[static_cast<std::size_t>(*report.best)];
  const auto& simple = report.points[static_cast<std::size_t>(*report.one_standard_error)];
  std::cout << "best: lambda " << best.report.certificate.lambda << ", "
            << best.report.active_groups << " gates in use; within one standard error: lambda "
            << simple.report.certificate.lambda << ", " << simple.report.active_groups << '\n';

  // New samples are predicted from the gate vectors, here (1/2, 1/2).
  const Eigen::MatrixXd point = Eigen::MatrixXd::Constant(1, 2, 0.5);
  const auto& solution = solutions[static_cast<std::size_t>(*report.best)];
  std::cout << "f(0.5, 0.5) = " << mgdl::predict(solution, gates, point) << ", in truth "
            << truth(0.5, 0.5) << '\n';

  const bool chosen = best.validation_rse < 0.5 * report.points.back().validation_rse &&
                      simple.report.active_groups <= best.report.active_groups;
  return report.termination == mgdl::Termination::ToleranceReached && chosen ? 0 : 1;
}
