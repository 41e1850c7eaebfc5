// Adds grades to a trained model: first on the same samples, which gives the same bits as one long
// run; then on new samples, which leaves the old grades as they are.

#include <cmath>
#include <iostream>

#include "mgdl/mgdl.hpp"

namespace {

double f(double x) { return std::sin(3 * x) + 0.3 * std::cos(40 * x); }

mgdl::MultigradeTrainer<double> trainer(mgdl::Index grades) {
  mgdl::GradientTrainer<double> grade({.width = 24, .epochs = 60});
  return mgdl::MultigradeTrainer(grade, {.max_grades = grades, .seed = 11});
}

double rse(const mgdl::MultigradeModel<double>& model, const Eigen::VectorXd& x) {
  return mgdl::compute_metrics(model.predict(x), x.unaryExpr(&f)).rse;
}

}  // namespace

int main() {
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(300, 0, 2);
  const Eigen::VectorXd y = x.unaryExpr(&f);

  const auto whole = trainer(4).fit(x, y).model;
  const auto half = trainer(2).fit(x, y).model;
  const auto continued = trainer(2).resume(half, x, y).model;
  const bool same_bits = continued == whole;
  std::cout << "2 grades, then 2 more: " << (same_bits ? "the same bits as" : "not the same as")
            << " 4 grades at once\n";

  // New samples, ten times as many and further to the right than the model has ever looked.
  const Eigen::VectorXd x_new = Eigen::VectorXd::LinSpaced(3000, 0, 2.2);
  const auto [refined, report] = trainer(2).resume(half, x_new, x_new.unaryExpr(&f));
  std::cout << "\nResumed on new samples, RSE " << report.initial_rse << " at first:\n" << report;

  const Eigen::VectorXd test = Eigen::VectorXd::LinSpaced(7001, 0, 2.2);
  std::cout << "On test samples: RSE " << rse(half, test) << " before, " << rse(refined, test)
            << " after\n";
  const bool old_grades_stay = refined.predict(test, 2) == half.predict(test);
  return same_bits && old_grades_stay && rse(refined, test) < 0.5 * rse(half, test) ? 0 : 1;
}
