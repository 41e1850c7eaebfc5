// Four grades of two hidden layers against one network of eight, with the same number of epochs in
// all: 4 x 100 and 1 x 400. The multigrade model has to be better on samples that neither has seen.

#include <cmath>
#include <iomanip>
#include <iostream>
#include <numbers>

#include "mgdl/mgdl.hpp"

namespace {

/// Five waves, the highest with 30 periods: the function of Fang & Xu (arXiv 2507.20351).
double f(double x) {
  double sum = 0;
  for (const double k : {1.0, 8.25, 15.5, 22.75, 30.0}) {
    sum += std::sin(2 * std::numbers::pi * k * x);
  }
  return sum;
}

struct Result {
  double test_rse;
  double seconds;
};

Result train(mgdl::Index grades, mgdl::Index hidden_layers, mgdl::Index epochs) {
  const Eigen::VectorXf x = Eigen::VectorXf::LinSpaced(1024, 0, 1);
  const Eigen::VectorXf y = x.cast<double>().unaryExpr(&f).cast<float>();
  mgdl::GradientTrainer<float> grade(
      {.width = 32, .hidden_layers = hidden_layers, .epochs = epochs, .batch_size = 128});
  mgdl::MultigradeTrainer trainer(grade, {.max_grades = grades, .seed = 1});
  const auto [model, report] = trainer.fit(x, y);
  std::cout << report;

  const Eigen::VectorXf test = Eigen::VectorXf::LinSpaced(10007, 0, 1);
  const Eigen::VectorXd truth = test.cast<double>().unaryExpr(&f);
  return {mgdl::compute_metrics(model.predict(test), truth).rse, report.elapsed_seconds};
}

void print(const char* name, const Result& result) {
  std::cout << std::scientific << std::setprecision(2) << name << result.test_rse << std::fixed
            << " in " << result.seconds << " s\n\n";
}

}  // namespace

int main() {
  const Result multigrade = train(/*grades=*/4, /*hidden_layers=*/2, /*epochs=*/100);
  print("4 grades of 2x32, test RSE: ", multigrade);
  const Result single = train(/*grades=*/1, /*hidden_layers=*/8, /*epochs=*/400);
  print("1 network of 8x32, test RSE: ", single);
  return multigrade.test_rse < single.test_rse ? 0 : 1;
}
