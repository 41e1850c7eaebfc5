// The gated problem and the ReLU problem over the same gates. In the gated one a gate alone decides
// where its linear function counts; in the ReLU one this function must have the signs of the
// gate, so that it is a neuron. Fewer functions are allowed, so the optimum is not lower.

#include <cmath>
#include <iomanip>
#include <iostream>

#include "mgdl/convex.hpp"
#include "mgdl/mgdl.hpp"

namespace {

void print(const char* name, const mgdl::ConvexReport& report) {
  const mgdl::Certificate& certificate = report.certificate;
  std::cout << std::left << std::setw(7) << name << "objective " << std::setprecision(8)
            << certificate.primal << ", relative gap " << std::setprecision(2)
            << certificate.relative_gap() << ", active " << report.active_groups << " of "
            << report.patterns << " gates, " << report.iterations << " iterations\n";
}

}  // namespace

int main() {
  mgdl::RandomStream random(3);
  Eigen::MatrixXd X(200, 3);
  Eigen::VectorXd y(200);
  for (mgdl::Index i = 0; i < X.rows(); ++i) {
    X.row(i) << random.normal(), random.normal(), random.normal();
    y[i] = std::abs(X(i, 0)) + X(i, 1) * X(i, 2);
  }
  const mgdl::Dataset<double> data(X, y);
  const auto gates = mgdl::sample_gaussian_gates(data.inputs(), 100, /*seed=*/1);

  const mgdl::ConvexOptions options{.lambda = 1e-2, .relative_tolerance = 1e-6};
  const auto gated = mgdl::GatedReluSolver(options).solve(data, gates);
  const auto relu = mgdl::ReluSolver(options).solve(data, gates);
  print("gated", gated.report);
  print("relu", relu.report);

  const mgdl::Certificate& lower = gated.report.certificate;
  const mgdl::Certificate& upper = relu.report.certificate;
  const bool solved = lower.relative_gap() <= 1e-6 && upper.relative_gap() <= 1e-6;
  return solved && lower.dual <= upper.primal && upper.cone_violation < 1e-9 ? 0 : 1;
}
