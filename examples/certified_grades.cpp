// Grades that are proven: each is the solution of a convex problem, and its certificate bounds how
// far it can be from the optimum. The first is the best network with one hidden layer of any width;
// the second is the best over patterns that are drawn where the first one left the most.

#include <cmath>
#include <iostream>

#include "mgdl/convex.hpp"
#include "mgdl/mgdl.hpp"

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(300, -1, 1);
  const Eigen::VectorXd y = (12 * x.array()).sin() * x.array().abs() + 0.3 * (40 * x.array()).cos();

  mgdl::ConvexTrainerOptions first;
  first.solver.lambda_ratio = 1e-3;
  mgdl::ConvexTrainerOptions second;
  second.problem = mgdl::ConvexProblem::Gated;
  second.patterns = 40;
  mgdl::MultigradeTrainer<double> trainer(
      {mgdl::ConvexTrainer<double>(first), mgdl::ConvexTrainer<double>(second)},
      {.max_grades = 2, .link = mgdl::FeatureLink::LastHiddenAndInput, .seed = 1});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report;

  bool proven = model.grades() == 2;
  for (const auto& grade : report.grades) {
    std::cout << "\ngrade " << grade.grade << ": " << grade.fit.message << '\n'
              << *grade.fit.certificate;
    proven = proven && grade.fit.certificate->relative_gap() < 1e-6;
  }
  // The first claim is about all networks of one hidden layer, not only about sampled patterns.
  proven =
      proven && report.grades.front().fit.certificate->scope == mgdl::PatternScope::AllPatterns;

  // What is known of the model itself: its steepest piece, and its values, from all of its pieces.
  const auto pieces = mgdl::to_spline(model, -1.0, 1.0);
  std::cout << "\nslope at most " << mgdl::lipschitz_bound(model) << ", outputs on [-1, 1] from "
            << pieces.values.minCoeff() << " to " << pieces.values.maxCoeff() << ", "
            << pieces.knots() << " knots\n";
  return proven ? 0 : 1;
}
