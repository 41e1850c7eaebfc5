// Test error against time, ours and libtorch's in one run: medians over seeds.
//
//   benchmark_versus_torch [spectral|terrain|gd]... [--seeds N]
//
// spectral, terrain: 4 grades of 2x128, the same epochs and batch on both sides; for the peer also
// one network of 8x128 for as many epochs as one grade, as all grades, and for as long as our fit
// took. gd: 4 grades of 1x32 with the figures published for them (arXiv 2507.20351, its code).

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "measure.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/mgdl.hpp"
#include "problems.hpp"
#ifdef MGDL_HAVE_TORCH
#include "torch/torch_peer.hpp"
#endif

namespace {

using mgdl::Index;
using mgdl_benchmark::median;
using mgdl_benchmark::Problem;

/// Test errors after each grade, and seconds; one entry a seed.
struct Runs {
  std::vector<std::vector<double>> errors;
  std::vector<double> seconds;

  void add(const std::vector<double>& grade_errors, double time) {
    errors.resize(std::max(errors.size(), grade_errors.size()));
    for (std::size_t k = 0; k < grade_errors.size(); ++k) errors[k].push_back(grade_errors[k]);
    seconds.push_back(time);
  }

  void print(const char* name) const {
    std::printf("  %-44s %8.2f s  ", name, median(seconds));
    for (const auto& grade : errors) std::printf("  %.3g", median(grade));
    const auto& last = errors.back();
    std::printf("   (last: %.3g to %.3g)\n", *std::min_element(last.begin(), last.end()),
                *std::max_element(last.begin(), last.end()));
  }
};

/// Trains on the problem and returns the errors by `measure` of each prefix on the test samples.
template <class Scalar, class Measure>
void run_ours(const Problem& problem, const mgdl::GradientOptions& grade, Index grades,
              std::uint64_t seed, Runs& runs, const Measure& measure) {
  // Longitudes lose digits in single precision, so inputs are centred in double first.
  const Eigen::RowVectorXd centre = problem.train_input.colwise().mean();
  const mgdl::Matrix<Scalar> X = (problem.train_input.rowwise() - centre).template cast<Scalar>();
  const mgdl::Matrix<Scalar> Y = problem.train_target.template cast<Scalar>();
  const mgdl::Matrix<Scalar> test = (problem.test_input.rowwise() - centre).template cast<Scalar>();
  mgdl::MultigradeTrainer trainer{mgdl::GradientTrainer<Scalar>{grade},
                                  {.max_grades = grades, .seed = seed}};
  const double start = mgdl_benchmark::now_seconds();
  const auto fit = trainer.fit(X, Y);
  const double seconds = mgdl_benchmark::now_seconds() - start;
  std::vector<double> errors;
  for (Index k = 1; k <= fit.model.grades(); ++k) {
    const Eigen::MatrixXd prediction = fit.model.predict(test, k).template cast<double>();
    errors.push_back(measure(mgdl::compute_metrics(prediction, problem.test_target)));
  }
  runs.add(errors, seconds);
}

double rse(const mgdl::Metrics& metrics) { return metrics.rse; }

#ifdef MGDL_HAVE_TORCH

void run_torch(const Problem& problem, const mgdl_benchmark::TorchFitOptions& options, Runs& runs) {
  const auto train_input = mgdl_benchmark::row_major(problem.train_input);
  const auto train_target = mgdl_benchmark::row_major(problem.train_target);
  const auto test_input = mgdl_benchmark::row_major(problem.test_input);
  const auto test_target = mgdl_benchmark::row_major(problem.test_target);
  mgdl_benchmark::TorchData data;
  data.inputs = static_cast<int>(problem.train_input.cols());
  data.outputs = 1;
  data.train_samples = problem.train_input.rows();
  data.train_input = train_input.data();
  data.train_target = train_target.data();
  data.test_samples = problem.test_input.rows();
  data.test_input = test_input.data();
  data.test_target = test_target.data();
  const auto fit = mgdl_benchmark::torch_multigrade(data, options);
  std::vector<double> errors;
  for (const auto& grade : fit.grades) errors.push_back(grade.test_rse);
  runs.add(errors, fit.seconds);
}

#endif

void compare(const Problem& problem, const mgdl::GradientOptions& grade, int seeds) {
  std::printf(
      "\n%s: %ld training and %ld test samples, %ld epochs a grade, batch %ld; test RSE "
      "after each grade\n",
      problem.name.c_str(), static_cast<long>(problem.train_input.rows()),
      static_cast<long>(problem.test_input.rows()), static_cast<long>(*grade.epochs),
      static_cast<long>(*grade.batch_size));
  Runs ours;
  for (int seed = 0; seed < seeds; ++seed) {
    run_ours<float>(problem, grade, 4, static_cast<std::uint64_t>(seed), ours, rse);
  }
  ours.print("mgdl, 4 grades of 2x128");
#ifdef MGDL_HAVE_TORCH
  const bool spectral = problem.train_input.cols() == 1;
  const auto multigrade =
      spectral ? mgdl_benchmark::torch_spectral_options() : mgdl_benchmark::torch_terrain_options();
  const auto single = spectral ? mgdl_benchmark::torch_spectral_single_options()
                               : mgdl_benchmark::torch_terrain_single_options();
  const int all = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (int threads = 1; threads <= all; ++threads) {
    Runs peer;
    for (int seed = 0; seed < seeds; ++seed) {
      auto options = multigrade;
      options.epochs = static_cast<int>(*grade.epochs);
      options.batch = static_cast<int>(*grade.batch_size);
      options.threads = threads;
      options.seed = static_cast<std::uint64_t>(seed);
      run_torch(problem, options, peer);
    }
    peer.print(("torch, 4 grades of 2x128, threads: " + std::to_string(threads)).c_str());
    std::printf("  -> mgdl: %.2f of the time, %.2g of the error\n",
                median(ours.seconds) / median(peer.seconds),
                median(ours.errors.back()) / median(peer.errors.back()));
  }
  const auto run_single = [&](const char* name, int epochs, double time_limit) {
    Runs peer;
    for (int seed = 0; seed < seeds; ++seed) {
      auto options = single;
      options.grades = 1;
      options.hidden_layers = 8;
      options.epochs = epochs;
      options.time_limit_seconds = time_limit;
      options.batch = static_cast<int>(*grade.batch_size);
      options.threads = 1;
      options.seed = static_cast<std::uint64_t>(seed);
      run_torch(problem, options, peer);
    }
    peer.print(name);
  };
  run_single("torch, single 8x128, epochs of one grade", static_cast<int>(*grade.epochs), 0);
  run_single("torch, single 8x128, in mgdl's time", 1, median(ours.seconds));
  run_single("torch, single 8x128, epochs of all grades", 4 * static_cast<int>(*grade.epochs), 0);
#endif
  // Our own single network, so that the gain of grades is not confused with that of the trainer.
  Runs single_ours;
  auto deep = grade;
  deep.hidden_layers = 8;
  for (int seed = 0; seed < seeds; ++seed) {
    run_ours<float>(problem, deep, 1, static_cast<std::uint64_t>(seed), single_ours, rse);
  }
  single_ours.print("mgdl, single 8x128, epochs of one grade");
  Runs timed;
  deep.epochs = 1000000;
  deep.time_limit_seconds = median(ours.seconds);
  for (int seed = 0; seed < seeds; ++seed) {
    run_ours<float>(problem, deep, 1, static_cast<std::uint64_t>(seed), timed, rse);
  }
  timed.print("mgdl, single 8x128, in the time of 4 grades");
}

void narrow_grades(int seeds) {
  std::printf("\ngd synthetic: 4 grades of 1x32, double, test MSE after each grade\n");
  std::printf("  %-44s %8.2f s    0.440  0.112  3.19e-3  8.4e-5\n", "published (arXiv 2507.20351)",
              2680.0);
  const Problem problem = mgdl_benchmark::gd_synthetic();
  mgdl::GradientOptions grade;
  grade.width = 32;
  grade.hidden_layers = 1;
  grade.optimizer = mgdl::Optimizer::Lbfgs;
  grade.epochs = 2000;
  grade.starts = 16;
  grade.start_ridge = 0.1;
  grade.feature_floor = 1e-2;
  grade.weight_decay = 1e-7;
  Runs runs;
  for (int seed = 0; seed < seeds; ++seed) {
    run_ours<double>(problem, grade, 4, static_cast<std::uint64_t>(seed), runs,
                     [](const mgdl::Metrics& m) { return m.rmse * m.rmse; });
  }
  runs.print("mgdl, L-BFGS, best of 16 starts a grade");
}

}  // namespace

int main(int argc, char** argv) {
  int seeds = 5;
  std::vector<std::string> problems;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
      seeds = std::max(1, std::atoi(argv[++i]));
    } else {
      problems.emplace_back(argv[i]);
    }
  }
  if (problems.empty()) problems = {"spectral", "terrain", "gd"};
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // lines appear as they come, in a file too
  std::printf("medians over %d seeds\n", seeds);
  for (const auto& name : problems) {
    mgdl::GradientOptions grade;
    grade.width = 128;
    grade.hidden_layers = 2;
    grade.batch_size = 256;
    if (name == "spectral") {
      grade.epochs = 500;
      grade.learning_rate = 1e-3;  // at 3e-3 the last grade gains nothing
      compare(mgdl_benchmark::spectral(mgdl_benchmark::SpectralKind::Decrease), grade, seeds);
    } else if (name == "terrain") {
      grade.epochs = 30;
      compare(mgdl_benchmark::terrain(
                  mgdl::read_npy<double>(MGDL_DATA_DIR "/jacksboro_fault_elevation.npy")),
              grade, seeds);
    } else if (name == "gd") {
      narrow_grades(seeds);
    } else {
      std::fprintf(stderr, "benchmark_versus_torch: unknown problem %s\n", name.c_str());
      return 2;
    }
  }
}
