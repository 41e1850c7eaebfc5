// Losses of the gated problem: CPU seconds of Huber's loss and of a quantile beside those of the
// squared loss, to a gap of 1e-6, one thread, in turns; errors of Huber's loss where 10 % of the
// targets are gross outliers beside those of the squared loss on targets without any; and how many
// fresh targets lie below a quantile of level 0.9. Penalties of the last two by 5 folds.
//
//   benchmark_losses [<rounds of the first table>]

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/convex.hpp"

namespace {

using mgdl::Dataset;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Loss;
using mgdl::RowMatrix;

RowMatrix<double> normal(Index rows, Index cols, mgdl::RandomStream& random) {
  RowMatrix<double> values(rows, cols);
  for (double& value : values.reshaped<Eigen::RowMajor>()) value = random.normal();
  return values;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Time

struct Size {
  Index n, d, P;
  double ratio;
};
constexpr std::array<Size, 7> kSizes{{{300, 2, 60, 0.01},
                                      {1000, 4, 100, 0.01},
                                      {1000, 4, 100, 0.05},
                                      {3000, 2, 40, 0.02},
                                      {500, 10, 500, 0.02},
                                      {2000, 8, 300, 0.02},
                                      {1000, 20, 400, 0.1}}};

void time_table(int rounds) {
  std::printf(
      "CPU seconds to a gap of 1e-6 (medians of %d), and relative to the squared loss\n"
      "     n   d    P  ratio   squared     huber  times  quantile 0.5  times  quantile 0.9  "
      "times\n",
      rounds);
  for (const Size& size : kSizes) {
    mgdl::RandomStream random(7, static_cast<std::uint64_t>(size.n + size.d));
    const auto X = normal(size.n, size.d, random);
    const RowMatrix<double> u = X * normal(size.d, 2, random) / std::sqrt(double(size.d));
    RowMatrix<double> Y = u.col(0).cwiseAbs() + (2 * u.col(1)).array().sin().matrix();
    Y += 0.3 * normal(size.n, 1, random);
    const Dataset<double> data(X, Y);
    const Gates gates = mgdl::sample_gaussian_gates(X, size.P, 3);
    const std::array<Loss, 4> losses{Loss{}, Loss::huber(0.4), Loss::quantile(0.5),
                                     Loss::quantile(0.9)};
    std::array<std::vector<double>, 4> seconds;
    std::array<bool, 4> reached{true, true, true, true};
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t k = 0; k < losses.size(); ++k) {
        const double start = cpu_seconds();
        const auto result =
            mgdl::GatedReluSolver(
                {.lambda_ratio = size.ratio, .loss = losses[k], .output_bias = true, .threads = 1})
                .solve(data, gates);
        seconds[k].push_back(cpu_seconds() - start);
        reached[k] = reached[k] && result.report.certificate.relative_gap() <= 1e-6;
      }
    }
    std::printf("%6td %3td %4td %6.2g", size.n, size.d, size.P, size.ratio);
    const double squared = mgdl_benchmark::median(seconds[0]);
    for (std::size_t k = 0; k < losses.size(); ++k) {
      const double taken = mgdl_benchmark::median(seconds[k]);
      std::printf(k < 2 ? "%10.4f" : "%14.4f", taken);
      if (k > 0) std::printf(" %6.1f", taken / squared);
      if (!reached[k]) std::printf(" (gap!)");
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

// Errors

double value_of(int k, double x, double y) {
  switch (k) {
    case 0: return std::sin(2 * x) + y;
    case 1: return std::abs(x) - std::abs(y);
    case 2: return x * y;
    case 3: return 3 * std::exp(-x * x - y * y);
    case 4: return std::max(0.0, x + y) - std::max(0.0, x - 2 * y);
    default: return std::cos(x + y) + x;
  }
}
constexpr std::array<const char*, 6> kNames{"sin 2x + y",      "|x| - |y|",  "x y",
                                            "3 exp(-x^2-y^2)", "two hinges", "cos(x + y) + x"};

RowMatrix<double> values_of(int k, const RowMatrix<double>& X) {
  RowMatrix<double> Y(X.rows(), 1);
  for (Index i = 0; i < X.rows(); ++i) Y(i, 0) = value_of(k, X(i, 0), X(i, 1));
  return Y;
}

double median_of(const RowMatrix<double>& values) {
  return mgdl_benchmark::median({values.data(), values.data() + values.size()});
}

/// The fit whose penalty is the best on the samples that its fold has not seen.
mgdl::GatedSolution fit(const Dataset<double>& data, const Gates& gates, const Loss& loss) {
  mgdl::PathOptions options;
  options.solver = {.lambda_ratio = 1e-3, .loss = loss, .output_bias = true, .threads = 1};
  options.count = 16;
  options.folds = 5;
  auto [solutions, report] = mgdl::RegularizationPath(options).solve_gated(data, gates);
  if (!report.best) return {};
  return solutions[static_cast<std::size_t>(*report.best)];
}

/// 1.345 deviations of the noise, 95 % as efficient as squares for normal noise (Huber 1981;
/// Holland & Welsch 1977); the deviation is 1.4826 times the median of |residual|.
double delta_of(const RowMatrix<double>& residuals) {
  return 1.345 * 1.4826 * median_of(residuals.cwiseAbs());
}

/// Huber's loss, with delta from the residuals of the fit before until it hardly falls any more;
/// that of the first fit is from the targets themselves.
mgdl::GatedSolution robust_fit(const Dataset<double>& data, const Gates& gates) {
  const RowMatrix<double>& Y = data.targets();
  double delta = delta_of(Y.array() - median_of(Y));
  while (true) {
    auto solution = fit(data, gates, Loss::huber(delta));
    const double next = delta_of(Y - predict(solution, gates, data.inputs()));
    if (next > 0.95 * delta) return solution;
    delta = next;
  }
}

void outlier_table() {
  std::printf(
      "\n10 %% outliers of 5 to 20 among 500 targets with noise of 0.1: root mean squared error on "
      "10000 others\n"
      "                  against the function               against targets without outliers\n"
      "                   clean    huber  times  squared     clean    huber  times\n");
  for (int k = 0; k < 6; ++k) {
    mgdl::RandomStream random(11, static_cast<std::uint64_t>(k));
    const auto X = normal(500, 2, random);
    const RowMatrix<double> clean = values_of(k, X) + 0.1 * normal(500, 1, random);
    RowMatrix<double> Y = clean;
    for (Index i = 0; i < 500; i += 10) {
      Y(i, 0) += random.uniform(5, 20) * (random.uniform() < 0.5 ? -1 : 1);
    }
    const auto fresh = normal(10000, 2, random);
    const RowMatrix<double> truth = values_of(k, fresh);
    const RowMatrix<double> targets = truth + 0.1 * normal(10000, 1, random);
    const Gates gates = mgdl::sample_gaussian_gates(X, 60, 3);
    const auto errors = [&](const mgdl::GatedSolution& solution) {
      const RowMatrix<double> f = predict(solution, gates, fresh);
      return std::pair(std::sqrt((f - truth).array().square().mean()),
                       std::sqrt((f - targets).array().square().mean()));
    };
    const auto of_clean = errors(fit({X, clean}, gates, {}));
    const auto of_huber = errors(robust_fit({X, Y}, gates));
    const auto of_squares = errors(fit({X, Y}, gates, {}));
    std::printf("%-16s %7.4f  %7.4f  %5.2f  %7.4f   %7.4f  %7.4f  %5.2f\n",
                kNames[static_cast<std::size_t>(k)], of_clean.first, of_huber.first,
                of_huber.first / of_clean.first, of_squares.first, of_clean.second, of_huber.second,
                of_huber.second / of_clean.second);
    std::fflush(stdout);
  }
}

void coverage_table() {
  std::printf(
      "\nlevel 0.9, 2000 targets with noise of 0.2 + 0.1 |x|: part of 20000 others below the "
      "fit\n");
  for (int k = 0; k < 6; ++k) {
    mgdl::RandomStream random(12, static_cast<std::uint64_t>(k));
    const auto sample = [&](Index n) {
      const auto X = normal(n, 2, random);
      RowMatrix<double> Y = values_of(k, X);
      Y.array() += (0.2 + 0.1 * X.col(0).cwiseAbs().array()) * normal(n, 1, random).array();
      return Dataset<double>(X, Y);
    };
    const auto data = sample(2000);
    const auto test = sample(20000);
    const Gates gates = mgdl::sample_gaussian_gates(data.inputs(), 40, 3);
    const auto solution = fit(data, gates, Loss::quantile(0.9));
    const RowMatrix<double> above = test.targets() - predict(solution, gates, test.inputs());
    std::printf("%-16s %.4f\n", kNames[static_cast<std::size_t>(k)],
                (above.array() <= 0).cast<double>().mean());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  time_table(argc > 1 ? std::atoi(argv[1]) : 3);
  outlier_table();
  coverage_table();
}
