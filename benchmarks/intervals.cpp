// Prediction intervals: how often fresh targets lie within limits of level 0.9, and how wide these
// are, on functions with noise that is alike everywhere and with noise that is not. Few epochs; the
// held out samples choose trainer, iterate, shrinkage and number of grades, as in `mgdl fit`.
//
//   benchmark_intervals [--seeds N]

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/mgdl.hpp"

namespace {

using mgdl::Index;
using mgdl::IntervalWidth;
using Row = Eigen::RowVectorXd;

constexpr double kLevel = 0.9;

/// A function of variables that are uniform in [0, 1], with noise of the given deviation.
struct Problem {
  std::string name;
  Index samples;
  Index inputs;
  std::function<double(const Row&)> value;
  std::function<double(const Row&)> deviation;
  bool equally;              ///< the same everywhere
  bool heavy_tails = false;  ///< Student's t with 3 degrees of freedom instead of normal noise
};

/// 5 frequencies, as in benchmarks/problems.hpp, up to 7 cycles.
double sines(const Row& x) {
  double sum = 0;
  for (int k = 0; k < 5; ++k) sum += std::sin(2 * std::numbers::pi * (1 + 1.5 * k) * x[0]);
  return sum;
}

/// Friedman, "Multivariate adaptive regression splines" (1991).
double friedman(const Row& x) {
  return 10 * std::sin(std::numbers::pi * x[0] * x[1]) + 20 * (x[2] - 0.5) * (x[2] - 0.5) +
         10 * x[3] + 5 * x[4];
}

/// Flow of water through a borehole (Worley, ORNL/TM-10295, 1987), in its usual ranges.
double borehole(const Row& u) {
  const double lower[] = {0.05, 100, 63070, 990, 63.1, 700, 1120, 9855};
  const double upper[] = {0.15, 50000, 115600, 1110, 116, 820, 1680, 12045};
  double x[8];
  for (int j = 0; j < 8; ++j) x[j] = lower[j] + (upper[j] - lower[j]) * u[j];
  const double log_ratio = std::log(x[1] / x[0]);
  return 2 * std::numbers::pi * x[2] * (x[3] - x[5]) /
         (log_ratio * (1 + 2 * x[6] * x[2] / (log_ratio * x[0] * x[0] * x[7]) + x[2] / x[4]));
}

double waves(const Row& x) { return std::sin(6 * x[0]) * std::cos(4 * x[1]) + 2 * x[1]; }

std::function<double(const Row&)> always(double value) {
  return [value](const Row&) { return value; };
}

std::vector<Problem> problems() {
  return {
      {"sines, noise 0.3", 300, 1, sines, always(0.3), true},
      {"sines, noise 0.1 to 1.1", 600, 1, sines, [](const Row& x) { return 0.1 + x[0]; }, false},
      {"Friedman 1, noise 1", 500, 10, friedman, always(1), true},
      {"Friedman 1, noise 0.3 to 3", 1000, 10, friedman,
       [](const Row& x) { return 0.3 * std::pow(10, x[3]); }, false},
      {"borehole, no noise", 1000, 8, borehole, always(0), true},
      {"waves, t3 noise 0.1 to 0.5", 2000, 2, waves,
       [](const Row& x) { return 0.1 * std::pow(5, x[1]); }, false, true},
  };
}

struct Samples {
  Eigen::MatrixXd X;
  Eigen::MatrixXd y;
  std::vector<bool> hard;  ///< of the half with more noise; where it is alike, far from the middle
};

Samples draw(const Problem& problem, Index n, mgdl::RandomStream& random) {
  Samples samples{Eigen::MatrixXd(n, problem.inputs), Eigen::MatrixXd(n, 1), {}};
  std::vector<double> difficulty;
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < problem.inputs; ++j) samples.X(i, j) = random.uniform(0, 1);
    const Row x = samples.X.row(i);
    double noise = random.normal();
    if (problem.heavy_tails) {
      double square = 0;
      for (int k = 0; k < 3; ++k) square += std::pow(random.normal(), 2);
      noise /= std::sqrt(square / 3);
    }
    const double deviation = problem.deviation(x);
    samples.y(i, 0) = problem.value(x) + deviation * noise;
    difficulty.push_back(problem.equally ? (x.array() - 0.5).matrix().norm() : deviation);
  }
  auto sorted = difficulty;
  std::sort(sorted.begin(), sorted.end());
  const double middle = sorted[sorted.size() / 2];
  for (const double value : difficulty) samples.hard.push_back(value >= middle);
  return samples;
}

/// Of one kind of intervals, over all seeds.
struct Tally {
  std::vector<double> coverage;  ///< of each seed
  double inside[2] = {0, 0};     ///< in the easy and the hard half
  double all[2] = {0, 0};
  double width = 0;

  void add(const mgdl::IntervalLimits<double>& limits, const Samples& fresh) {
    double count = 0;
    for (Index i = 0; i < fresh.y.rows(); ++i) {
      const double y = fresh.y(i, 0);
      const int half = fresh.hard[static_cast<std::size_t>(i)] ? 1 : 0;
      all[half] += 1;
      width += limits.upper(i, 0) - limits.lower(i, 0);
      if (!(limits.lower(i, 0) <= y && y <= limits.upper(i, 0))) continue;
      inside[half] += 1;
      count += 1;
    }
    coverage.push_back(count / static_cast<double>(fresh.y.rows()));
  }

  void print() const {
    const auto n = static_cast<double>(coverage.size());
    double mean = 0;
    double square = 0;
    for (const double value : coverage) mean += value / n;
    for (const double value : coverage) square += (value - mean) * (value - mean);
    std::printf(" %.3f +- %.3f | %.3f, %.3f | %.3g |", mean,
                n > 1 ? std::sqrt(square / (n - 1) / n) : 0, inside[0] / all[0], inside[1] / all[1],
                width / (all[0] + all[1]));
  }
};

/// \param own  with the trainers and settings of `mgdl fit` instead of small ones
void study(const Problem& problem, bool folds, bool own, int seeds) {
  Tally constant, scaled;
  const double start = mgdl_benchmark::now_seconds();
  for (int seed = 0; seed < seeds; ++seed) {
    mgdl::RandomStream random(static_cast<std::uint64_t>(seed), 0xC0FE);
    const Samples samples = draw(problem, problem.samples, random);
    const Samples fresh = draw(problem, 2000, random);
    mgdl::GradientOptions gradient{.width = 32, .epochs = 150};
    gradient.feature_floor = 1e-2;
    const mgdl::AutoTrainer<double> trainer(
        {mgdl::AffineTrainer<double>(),
         mgdl::SampledTrainer<double>({.width = own ? mgdl::SampledOptions{}.width : 128}),
         mgdl::GradientTrainer<double>(own ? mgdl::GradientOptions{} : gradient.fixed())});
    mgdl::MultigradeTrainer driver{trainer,
                                   {.max_grades = own ? mgdl::MultigradeOptions{}.max_grades : 3,
                                    .minimum_gain = 0.02,
                                    .seed = static_cast<std::uint64_t>(seed)}};
    const mgdl::Dataset<double> data(samples.X, samples.y);
    const auto intervals = [&] {
      if (folds) {
        const auto parts = mgdl::folds(data, 5, driver.options().seed);
        return mgdl::calibrate(driver.fit(parts), parts);
      }
      const auto parts = mgdl::split(data, 0.2, driver.options().seed);
      return mgdl::calibrate(driver.fit(parts), parts);
    }();
    constant.add(intervals.predict(fresh.X, kLevel), fresh);
    scaled.add(intervals.predict(fresh.X, kLevel, IntervalWidth::Scaled), fresh);
  }
  std::printf("| %s%s | %td | %s |", problem.name.c_str(), own ? ", as mgdl fit" : "",
              problem.samples, folds ? "5 folds" : "0.2 held out");
  constant.print();
  scaled.print();
  std::printf(" %.1f |\n", (mgdl_benchmark::now_seconds() - start) / seeds);
}

}  // namespace

int main(int argc, char** argv) {
  int seeds = 20;
  if (argc == 3 && std::strcmp(argv[1], "--seeds") == 0) seeds = std::max(1, std::atoi(argv[2]));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::printf(
      "Coverage of intervals of level %g: means over %d seeds of 2000 fresh targets each, with "
      "the\n"
      "standard error; then in the half with less and with more noise (where it is alike: near "
      "the\n"
      "middle and far from it), and the mean width.\n\n"
      "| problem | samples | calibration | constant | easy, hard | width | scaled | easy, hard | "
      "width | seconds |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n",
      kLevel, seeds);
  const auto all = problems();
  for (const auto& problem : all) {
    for (const bool folds : {true, false}) study(problem, folds, /*own=*/false, seeds);
  }
  // The one in which what is held out has most to choose among.
  for (const bool folds : {true, false}) study(all[2], folds, /*own=*/true, seeds);
}
