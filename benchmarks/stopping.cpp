// Knowing when to stop: the test error of the model that the driver keeps, against that of the best
// prefix it could have kept. 5000 samples of smooth functions of 8 to 10 variables, with and
// without noise; a fifth of them choose the prefix.
//
//   benchmark_stopping [--seeds N]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numbers>
#include <string>
#include <vector>

#include "measure.hpp"
#include "mgdl/mgdl.hpp"

namespace {

using mgdl::Index;

/// A function of uniform variables.
struct Function {
  std::string name;
  std::vector<std::pair<double, double>> ranges;
  std::function<double(const Eigen::RowVectorXd&)> value;
};

/// Flow of water through a borehole, m^3 / year (Worley, ORNL/TM-10295, 1987).
Function borehole() {
  return {
      "borehole",
      {{0.05, 0.15},
       {100, 50000},
       {63070, 115600},
       {990, 1110},
       {63.1, 116},
       {700, 820},
       {1120, 1680},
       {9855, 12045}},
      [](const Eigen::RowVectorXd& x) {
        const double log_ratio = std::log(x[1] / x[0]);
        return 2 * std::numbers::pi * x[2] * (x[3] - x[5]) /
               (log_ratio * (1 + 2 * x[6] * x[2] / (log_ratio * x[0] * x[0] * x[7]) + x[2] / x[4]));
      }};
}

/// Weight of a light aircraft's wing, lb (Forrester, Sobester & Keane, "Engineering Design via
/// Surrogate Modelling", 2008).
Function wing_weight() {
  return {"wing weight",
          {{150, 200},
           {220, 300},
           {6, 10},
           {-10, 10},
           {16, 45},
           {0.5, 1},
           {0.08, 0.18},
           {2.5, 6},
           {1700, 2500},
           {0.025, 0.08}},
          [](const Eigen::RowVectorXd& x) {
            const double cosine = std::cos(x[3] * std::numbers::pi / 180);
            return 0.036 * std::pow(x[0], 0.758) * std::pow(x[1], 0.0035) *
                       std::pow(x[2] / (cosine * cosine), 0.6) * std::pow(x[4], 0.006) *
                       std::pow(x[5], 0.04) * std::pow(100 * x[6] / cosine, -0.3) *
                       std::pow(x[7] * x[8], 0.49) +
                   x[0] * x[9];
          }};
}

/// Friedman, "Multivariate adaptive regression splines" (1991): 10 variables, 5 of them without
/// effect.
Function friedman() {
  return {"Friedman 1", std::vector<std::pair<double, double>>(10, {0, 1}),
          [](const Eigen::RowVectorXd& x) {
            return 10 * std::sin(std::numbers::pi * x[0] * x[1]) +
                   20 * (x[2] - 0.5) * (x[2] - 0.5) + 10 * x[3] + 5 * x[4];
          }};
}

Eigen::MatrixXd draw(const Function& f, Index n, mgdl::RandomStream& random) {
  Eigen::MatrixXd X(n, std::ssize(f.ranges));
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      const auto& [low, high] = f.ranges[static_cast<std::size_t>(j)];
      X(i, j) = random.uniform(low, high);
    }
  }
  return X;
}

Eigen::VectorXd values(const Function& f, const Eigen::MatrixXd& X) {
  Eigen::VectorXd y(X.rows());
  for (Index i = 0; i < X.rows(); ++i) y[i] = f.value(X.row(i));
  return y;
}

/// Passes a problem on, and keeps a copy of the model so far, also of grades that the driver will
/// drop in the end.
struct Recorder {
  using Scalar = double;

  mgdl::GradeFit<double> fit(const mgdl::GradeProblem<double>& problem) {
    models->push_back(*problem.model);
    return trainer.fit(problem);
  }

  mgdl::AnyGradeTrainer<double> trainer;
  std::vector<mgdl::MultigradeModel<double>>* models;
};

/// Relative to the variance of the test targets: the mean has 1.
double test_error(const mgdl::MultigradeModel<double>& model, const Eigen::MatrixXd& X,
                  const Eigen::VectorXd& y) {
  return (model.predict(X) - y).squaredNorm() / (y.array() - y.mean()).matrix().squaredNorm();
}

constexpr Index kGrades = 4;

void study(const Function& f, double noise, const std::string& name,
           const mgdl::AnyGradeTrainer<double>& trainer, int seeds) {
  std::vector<std::vector<double>> prefixes(kGrades + 1);
  std::vector<double> kept, excess, grades, seconds;
  for (int seed = 0; seed < seeds; ++seed) {
    mgdl::RandomStream random(static_cast<std::uint64_t>(seed), 0xBEEF);
    const Eigen::MatrixXd X = draw(f, 5000, random);
    Eigen::VectorXd y = values(f, X);
    const double spread = std::sqrt((y.array() - y.mean()).square().mean());
    for (auto& value : y) value += noise * spread * random.normal();
    const Eigen::MatrixXd T = draw(f, 20000, random);
    const Eigen::VectorXd t = values(f, T);

    mgdl::MultigradeOptions options{.max_grades = kGrades + 1,
                                    .validation_fraction = 0.2,
                                    .seed = static_cast<std::uint64_t>(seed)};
    const double start = mgdl_benchmark::now_seconds();
    const auto fit = mgdl::MultigradeTrainer<double>({trainer}, options).fit(X, y);
    seconds.push_back(mgdl_benchmark::now_seconds() - start);
    kept.push_back(test_error(fit.model, T, t));
    grades.push_back(static_cast<double>(fit.model.grades()));

    // The same run without an end, to see what the other prefixes are worth.
    std::vector<mgdl::MultigradeModel<double>> models;
    options.patience = kGrades + 2;
    mgdl::MultigradeTrainer<double>({Recorder{trainer, &models}}, options).fit(X, y);
    double best = kept.back();
    for (std::size_t k = 1; k < models.size(); ++k) {
      const double error = test_error(models[k], T, t);
      prefixes[k].push_back(error);
      best = std::min(best, error);
    }
    excess.push_back(kept.back() / best - 1);
  }
  std::printf("| %s | %.0f %% | %s |", f.name.c_str(), 100 * noise, name.c_str());
  for (std::size_t k = 1; k < prefixes.size(); ++k) {
    std::printf(" %.3g |", mgdl_benchmark::median(prefixes[k]));
  }
  std::printf(" %.0f | %.3g | %.1f %% | %.1f |\n", mgdl_benchmark::median(grades),
              mgdl_benchmark::median(kept), 100 * *std::max_element(excess.begin(), excess.end()),
              mgdl_benchmark::median(seconds));
}

}  // namespace

int main(int argc, char** argv) {
  int seeds = 5;
  if (argc == 3 && std::strcmp(argv[1], "--seeds") == 0) seeds = std::max(1, std::atoi(argv[2]));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "Test errors relative to the variance of the function, of models of 1, 2, ... grades and of\n"
      "the one that was kept; medians over %d seeds, but the excess over the best prefix is the\n"
      "worst.\n\n"
      "| function | noise | trainer | 1 | 2 | 3 | 4 | kept grades | kept | excess | seconds |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n",
      seeds);
  // A large floor: between the samples of so many variables, directions of little variance lead far
  // away from all of them.
  mgdl::GradientOptions smooth{.width = 64, .hidden_layers = 2, .epochs = 100, .patience = 20};
  smooth.feature_floor = 1e-2;
  smooth = smooth.fixed();
  mgdl::GradientOptions smooth_sampled = smooth;
  smooth_sampled.initialization = mgdl::Initialization::Sampled;
  for (const auto& f : {borehole(), wing_weight(), friedman()}) {
    for (const double noise : {0.0, 0.05}) {
      study(f, noise, "gradient 2x64", mgdl::GradientTrainer<double>(smooth), seeds);
      study(f, noise, "gradient 2x64, sampled start", mgdl::GradientTrainer<double>(smooth_sampled),
            seeds);
      study(f, noise, "sampled 1x512", mgdl::SampledTrainer<double>({.width = 512}), seeds);
    }
  }
}
