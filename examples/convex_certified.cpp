// Fits a function of one variable by the convex form of a network with one hidden layer, over every
// activation pattern that the samples have: what comes out is the best of all such networks, of
// any width, and the certificate proves it.

#include <algorithm>
#include <cmath>
#include <iostream>

#include "mgdl/convex.hpp"
#include "mgdl/mgdl.hpp"

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(200, -1, 1);
  const Eigen::VectorXd y = (9 * x.array()).sin() * (-x.array().square()).exp();
  const mgdl::Dataset<double> data(x, y);

  // Minimises 1/2 mean |y - f(x)|^2 + lambda * sum over neurons of |hidden weights| |output
  // weight|.
  const mgdl::ReluSolver solver({.lambda = 1e-4, .relative_tolerance = 1e-6});
  const auto [solution, report] = solver.solve_all_patterns(data);
  const mgdl::Certificate& certificate = report.certificate;
  std::cout << report.message << '\n' << certificate;

  // The certificate is made from the samples and the network alone. So can you: the objective.
  double objective = 0;
  for (mgdl::Index i = 0; i < x.size(); ++i) {
    double f = 0;
    for (mgdl::Index k = 0; k < solution.hidden.rows(); ++k) {
      f += std::max(0.0, x[i] * solution.hidden(k, 0) + solution.hidden(k, 1)) *
           solution.output(k, 0);
    }
    objective += 0.5 * (y[i] - f) * (y[i] - f) / static_cast<double>(x.size());
  }
  for (mgdl::Index k = 0; k < solution.hidden.rows(); ++k) {
    objective += certificate.lambda * solution.hidden.row(k).norm() * solution.output.row(k).norm();
  }
  std::cout << solution.hidden.rows() << " neurons, objective " << objective << '\n';

  const bool proven =
      certificate.relative_gap() <= 1e-6 && certificate.scope == mgdl::PatternScope::AllPatterns;
  return proven && std::abs(objective / certificate.primal - 1) < 1e-9 ? 0 : 1;
}
