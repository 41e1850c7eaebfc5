// The convex solvers on samples of a random two-layer ReLU network plus noise: seconds until the
// duality gap is at most 1e-6 of the objective, by the working set method and by the accelerated
// proximal gradient in the same run, beside what scnn needs. Then problems of one input over all
// patterns, with their errors on other samples.
//
//   benchmark_convex [<rounds> [<time limit of the baseline, s> [<row of the first table>]]]
//
// Paths of 100 penalties, beside one solve for each that starts at the solution before it, and
// single penalties of many samples with few gates; one thread.
//
//   benchmark_convex --paths [<rounds> [<row>]]

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
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

/// A path of 100 penalties down to ratio lambda_max. adelie: seconds of that C++ library for group
/// elastic nets, with its own matrix class for this problem, to the same gaps, on one thread of
/// another machine; negative: it had not arrived after that time.
struct PathCase {
  Index n, d, P;
  double ratio, gap, adelie;
};

constexpr std::array<PathCase, 8> kPaths{{{1000, 20, 500, 0.1, 1e-2, 0.20},
                                          {1000, 20, 500, 0.1, 1e-3, 0.48},
                                          {1000, 20, 500, 0.1, 1e-6, 7.1},
                                          {1000, 20, 500, 0.01, 1e-2, 1.4},
                                          {1000, 20, 500, 0.01, 1e-3, 8.2},
                                          {1000, 20, 500, 0.01, 1e-6, -80},
                                          {20000, 10, 2000, 0.01, 1e-2, 22},
                                          {20000, 10, 2000, 0.01, 1e-6, -120}}};

/// One penalty, gap 1e-6.
constexpr std::array<PathCase, 9> kTall{{{50000, 5, 20, 0.1, 1e-6, 0.058},
                                         {50000, 5, 20, 0.01, 1e-6, 0.064},
                                         {50000, 5, 20, 0.001, 1e-6, 0.080},
                                         {20000, 2, 3, 0.1, 1e-6, 0.0045},
                                         {20000, 2, 3, 0.01, 1e-6, 0.0045},
                                         {20000, 2, 3, 0.001, 1e-6, 0.0045},
                                         {200000, 9, 30, 0.1, 1e-6, 0.84},
                                         {200000, 9, 30, 0.01, 1e-6, 0.99},
                                         {200000, 9, 30, 0.001, 1e-6, 1.39}}};

struct PathProblem {
  explicit PathProblem(const PathCase& size)
      : random(1),
        data(teacher({size.n, size.d, size.P, 1, 1, {}}, random)),
        gates(data.inputs(), normal(size.P, size.d + 1, random)) {}

  mgdl::RandomStream random;
  mgdl::Dataset<double> data;
  mgdl::Gates gates;
};

double worst_gap(const mgdl::PathReport& report) {
  double worst = 0;
  for (const auto& point : report.points) {
    worst = std::max(worst, point.report.certificate.relative_gap());
  }
  return worst;
}

/// Seconds of one solve for each penalty of a path, each from the solution before it.
double seconds_one_by_one(const PathProblem& problem, mgdl::ConvexOptions options,
                          const mgdl::PathReport& path) {
  double seconds = 0;
  std::optional<mgdl::GatedSolution> last;
  for (const auto& point : path.points) {
    options.lambda = point.report.certificate.lambda;
    auto result =
        mgdl::GatedReluSolver(options).solve(problem.data, problem.gates, last ? &*last : nullptr);
    seconds += result.report.elapsed_seconds;
    last = std::move(result.solution);
  }
  return seconds;
}

void path_table(int rounds, int row) {
  std::printf(
      "paths of 100 penalties, gated ReLU, double, 1 thread, seconds (medians of %d)\n"
      "     n   d     P  ratio    gap   steps  active     mgdl  worst gap  one by one   times   "
      "adelie   times\n",
      rounds);
  for (const PathCase& size : kPaths) {
    if (row >= 0 && &size != &kPaths[static_cast<std::size_t>(row)]) continue;
    const PathProblem problem(size);
    const mgdl::ConvexOptions options{
        .lambda_ratio = size.ratio, .relative_tolerance = size.gap, .threads = 1};
    std::vector<double> ours, singles;
    mgdl::PathResult<mgdl::GatedSolution> result;
    for (int round = 0; round < rounds; ++round) {
      result = mgdl::RegularizationPath<double>({.solver = options, .count = 100})
                   .solve_gated(problem.data, problem.gates);
      ours.push_back(result.report.elapsed_seconds);
      singles.push_back(seconds_one_by_one(problem, options, result.report));
    }
    Index steps = 0;
    for (const auto& point : result.report.points) steps += point.report.iterations;
    const bool ok = result.report.termination == mgdl::Termination::ToleranceReached;
    const double seconds = mgdl_benchmark::median(ours);
    std::printf("%6td %3td %5td %6g %6g %7td %7td %8s %10.1e %11.3g %7.1f %8s %7.1f\n", size.n,
                size.d, size.P, size.ratio, size.gap, steps,
                result.report.points.back().report.active_groups, seconds_text(seconds, ok).c_str(),
                worst_gap(result.report), mgdl_benchmark::median(singles),
                mgdl_benchmark::median(singles) / seconds,
                seconds_text(std::abs(size.adelie), size.adelie > 0).c_str(),
                std::abs(size.adelie) / seconds);
    std::fflush(stdout);
  }
}

void tall_table(int rounds) {
  std::printf(
      "\none penalty, many samples and few gates, gap 1e-6, 1 thread, seconds (medians of %d)\n"
      "     n   d     P  ratio  active   steps     mgdl        gap   adelie   times\n",
      rounds);
  for (const PathCase& size : kTall) {
    const PathProblem problem(size);
    std::vector<double> ours;
    mgdl::GatedReluResult result;
    for (int round = 0; round < rounds; ++round) {
      result = mgdl::GatedReluSolver({.lambda_ratio = size.ratio, .threads = 1})
                   .solve(problem.data, problem.gates);
      ours.push_back(result.report.elapsed_seconds);
    }
    const bool ok = result.report.termination == mgdl::Termination::ToleranceReached;
    const double seconds = mgdl_benchmark::median(ours);
    std::printf("%6td %3td %5td %6g %7td %7td %8s %10.1e %8.3g %7.1f\n", size.n, size.d, size.P,
                size.ratio, result.report.active_groups, result.report.iterations,
                seconds_text(seconds, ok).c_str(), result.report.certificate.relative_gap(),
                size.adelie, size.adelie / seconds);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--paths") {
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
    const int row = argc > 3 ? std::atoi(argv[3]) : -1;
    path_table(rounds, row);
    if (row < 0) tall_table(rounds);
    return 0;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 3;
  const double limit = argc > 2 ? std::atof(argv[2]) : 60;
  const int row = argc > 3 ? std::atoi(argv[3]) : -1;
  gated_table(rounds, limit, row);
  if (row >= 0) return 0;
  relu_table(rounds);
  all_patterns_table(rounds);
  return 0;
}
