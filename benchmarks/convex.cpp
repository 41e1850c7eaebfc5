// The convex solvers on samples of a random two-layer ReLU network plus noise: seconds until the
// duality gap is at most 1e-6 of the objective, by the working set method and by the accelerated
// proximal gradient in the same run, beside what scnn needs. Then problems of one input over all
// patterns, with their errors on other samples.
//
//   benchmark_convex [<rounds> [<time limit of the baseline, s> [<row of the first table>]]]

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "measure.hpp"
#include "mgdl/convex.hpp"
#include "mgdl/mgdl.hpp"
#include "problems.hpp"

namespace {

using mgdl::Index;
using mgdl::RowMatrix;

/// A row of the table. scnn: seconds of scnn 0.0.10 (R-FISTA, PyTorch, float64) on a machine of two
/// cores to come within 1e-6 of the optimum, for 0.1, 0.01 and 0.001 lambda_max; negative: it had
/// not arrived after that time.
struct Case {
  Index n, d, P, c;
  double condition;
  std::array<double, 3> scnn;
};

constexpr std::array<Case, 6> kCases{{{200, 5, 50, 1, 1, {0.09, 0.30, 0.64}},
                                      {1000, 20, 500, 1, 1, {1.1, 4.5, 12.3}},
                                      {5000, 50, 1000, 1, 1, {7.9, 22, -50}},
                                      {1000, 20, 300, 5, 1, {1.1, 3.0, 11.1}},
                                      {400, 10, 200, 1, 1e6, {0.18, 3.7, -20}},
                                      {20000, 10, 2000, 1, 1, {48, -76, -76}}}};
constexpr std::array<double, 3> kRatios{0.1, 0.01, 0.001};

RowMatrix<double> normal(Index rows, Index cols, mgdl::RandomStream& random) {
  RowMatrix<double> values(rows, cols);
  for (double& value : values.reshaped<Eigen::RowMajor>()) value = random.normal();
  return values;
}

/// Ten hidden neurons without bias, 10 % noise; columns scaled from 1 to 1 / condition.
mgdl::Dataset<double> teacher(const Case& size, mgdl::RandomStream& random) {
  RowMatrix<double> X = normal(size.n, size.d, random);
  for (Index j = 0; j < size.d; ++j) {
    const double position = static_cast<double>(j) / static_cast<double>(size.d - 1);
    X.col(j) *= std::pow(size.condition, -position);
  }
  const RowMatrix<double> hidden = normal(size.d, 10, random);
  const RowMatrix<double> output = normal(10, size.c, random);
  RowMatrix<double> Y = (X * hidden).cwiseMax(0) * output;
  Y += 0.1 * std::sqrt(Y.array().square().mean()) * normal(size.n, size.c, random);
  return {X, Y};
}

/// Memory that a call takes on top of what there was, in bytes: by Linux' count of the resident
/// set, elsewhere 0. What earlier calls have freed but not given back to the system is not counted.
class MemoryMeter {
 public:
  MemoryMeter() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    std::ofstream("/proc/self/clear_refs") << 5;  // peak = present
    m_before = status("VmRSS:");
  }
  double peak() const { return status("VmHWM:") - m_before; }

 private:
  static double status(const std::string& key) {
    std::ifstream file("/proc/self/status");
    for (std::string word; file >> word;) {
      double kibibytes = 0;
      if (word == key && file >> kibibytes) return 1024 * kibibytes;
    }
    return 0;
  }
  double m_before = 0;
};

std::string text(const char* format, double value) {
  std::array<char, 32> buffer;
  std::snprintf(buffer.data(), buffer.size(), format, value);
  return buffer.data();
}

/// Seconds as a limit if the tolerance was not reached.
std::string seconds_text(double seconds, bool reached) {
  return (reached ? "" : "> ") + text("%.3g", seconds);
}

void gated_table(int rounds, double limit, int row) {
  std::printf(
      "gated ReLU, double, %d threads, seconds until the relative gap is <= 1e-6 (medians of %d)\n"
      "     n   d     P  c  ratio  active   steps     mgdl        gap    FISTA   times     scnn   "
      "times    MB  bound\n",
      mgdl::detail::thread_count(0), rounds);
  for (const Case& size : kCases) {
    if (row >= 0 && &size != &kCases[static_cast<std::size_t>(row)]) continue;
    mgdl::RandomStream random(1);
    const mgdl::Dataset<double> data = teacher(size, random);
    const mgdl::Gates gates(data.inputs(), normal(size.P, size.d + 1, random));
    for (std::size_t k = 0; k < kRatios.size(); ++k) {
      std::vector<double> ours;
      mgdl::GatedReluResult result;
      double memory = 0;
      for (int round = 0; round < rounds; ++round) {
        const MemoryMeter meter;
        result = mgdl::GatedReluSolver({.lambda_ratio = kRatios[k]}).solve(data, gates);
        ours.push_back(result.report.elapsed_seconds);
        memory = std::max(memory, meter.peak());
      }
      // Twice the bits, the samples and the Gram blocks of the active groups.
      const auto p = static_cast<double>(size.d + 1);
      const double block = p * static_cast<double>(result.report.active_groups);
      const double bound = 2 * (static_cast<double>(size.n * size.P) / 8 +
                                8 * static_cast<double>(size.n) * p + 8 * block * block);
      const auto baseline = mgdl::GatedReluSolver({.lambda_ratio = kRatios[k],
                                                   .max_iterations = 100000000,
                                                   .time_limit_seconds = limit,
                                                   .method = mgdl::ConvexMethod::ProximalGradient})
                                .solve(data, gates);
      const bool ok = result.report.termination == mgdl::Termination::ToleranceReached;
      const bool baseline_ok = baseline.report.termination == mgdl::Termination::ToleranceReached;
      const double seconds = mgdl_benchmark::median(ours);
      std::printf("%6td %3td %5td %2td %6g %7td %7td %8s %10.1e %8s %7.1f %8s %7.1f %5.0f %6.0f\n",
                  size.n, size.d, size.P, size.c, kRatios[k], result.report.active_groups,
                  result.report.iterations, seconds_text(seconds, ok).c_str(),
                  result.report.certificate.relative_gap(),
                  seconds_text(baseline.report.elapsed_seconds, baseline_ok).c_str(),
                  baseline.report.elapsed_seconds / seconds,
                  seconds_text(std::abs(size.scnn[k]), size.scnn[k] > 0).c_str(),
                  std::abs(size.scnn[k]) / seconds, memory / 1e6, bound / 1e6);
      std::fflush(stdout);
    }
  }
}

void relu_table(int rounds) {
  std::printf(
      "\nReLU, 200 samples, 5 inputs, 50 gates (scnn: 3 s and infeasible by 5e-4; cvxopt: 12 s)\n"
      " ratio  neurons   steps     mgdl        gap  cone violation\n");
  const Case size{200, 5, 50, 1, 1, {}};
  mgdl::RandomStream random(1);
  const mgdl::Dataset<double> data = teacher(size, random);
  const mgdl::Gates gates(data.inputs(), normal(size.P, size.d + 1, random));
  for (const double ratio : kRatios) {
    std::vector<double> ours;
    mgdl::ReluResult result;
    for (int round = 0; round < rounds; ++round) {
      result = mgdl::ReluSolver({.lambda_ratio = ratio}).solve(data, gates);
      ours.push_back(result.report.elapsed_seconds);
    }
    std::printf("%6g %8td %7td %8.3g %10.1e %15.1e\n", ratio, result.report.active_groups,
                result.report.iterations, mgdl_benchmark::median(ours),
                result.report.certificate.relative_gap(), result.report.certificate.cone_violation);
  }
}

/// One input, all patterns: seconds, certificate and error on the test samples.
void all_patterns_table(int rounds) {
  std::printf(
      "\nall patterns of one input, and linear interpolation of the samples\n"
      "                 samples  lambda / max  neurons  seconds        gap  test MSE  test RSE  "
      "interpolation: MSE, RSE\n");
  const auto line = [&](const mgdl_benchmark::Problem& problem, double ratio, bool interpolates) {
    std::vector<double> seconds;
    mgdl::ReluResult result;
    for (int round = 0; round < rounds; ++round) {
      result = mgdl::ReluSolver({.lambda_ratio = ratio})
                   .solve_all_patterns({problem.train_input, problem.train_target});
      seconds.push_back(result.report.elapsed_seconds);
    }
    const auto metrics = mgdl::compute_metrics(mgdl::predict(result.solution, problem.test_input),
                                               mgdl::RowMatrix<double>(problem.test_target));
    std::printf("%-16s %7td %13g %8td %8.3g %10.1e %9.2e %9.2e", problem.name.c_str(),
                problem.train_input.rows(), ratio, result.report.active_groups,
                mgdl_benchmark::median(seconds), result.report.certificate.relative_gap(),
                metrics.rmse * metrics.rmse, metrics.rse);
    if (interpolates) {
      const auto yardstick =
          mgdl::compute_metrics(mgdl::RowMatrix<double>(mgdl_benchmark::interpolated(problem)),
                                mgdl::RowMatrix<double>(problem.test_target));
      std::printf(" %9.2e %9.2e", yardstick.rmse * yardstick.rmse, yardstick.rse);
    }
    std::printf("\n");
  };
  line(mgdl_benchmark::gd_synthetic(), 1e-8, true);
  line(mgdl_benchmark::spectral(mgdl_benchmark::SpectralKind::Decrease), 1e-9, true);
  mgdl::RandomStream random(1);
  for (const Index n : {1000, 10000, 100000}) {
    const RowMatrix<double> x = normal(n, 1, random);
    const RowMatrix<double> y = (3 * x.array()).sin().matrix() + 0.3 * normal(n, 1, random);
    line({"noisy sine", x, y, x, y}, 1e-3, false);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 3;
  const double limit = argc > 2 ? std::atof(argv[2]) : 60;
  const int row = argc > 3 ? std::atoi(argv[3]) : -1;
  gated_table(rounds, limit, row);
  if (row >= 0) return 0;
  relu_table(rounds);
  all_patterns_table(rounds);
  return 0;
}
