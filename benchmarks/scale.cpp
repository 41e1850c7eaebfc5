// Training on samples that are not in memory: seconds and memory of each kind of grade by the
// number of samples, beside the same samples in memory, and what the formulas of docs/scale.md
// predict.
//
//   benchmark_scale [--most ROWS] [--inputs D] [--width M] [--memory BYTES] [--threads T]
//
// Each fit runs in a process of its own, whose largest resident memory is printed. In the end: what
// the seconds for a row make of 1e11 rows on up to 1000 ranks, by the formulas of docs/scale.md.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/mgdl.hpp"
#include "rows.hpp"

namespace {

using mgdl::Index;
using mgdl_benchmark::bits_of;
using mgdl_benchmark::Rows;

struct Setting {
  Index most = 1000000;
  Index inputs = 8;
  Index width = 64;
  double memory = 200e6;
  int threads = 1;
};

struct Outcome {
  double seconds[2] = {0, 0};  // of each grade
  double rse = 1;
  double passes = 0;
  std::uint64_t bits = 0;  // of the model
};

Outcome fit(const Setting& setting, Index n, double memory) {
  mgdl::GradientOptions gradient;
  gradient.width = setting.width;
  gradient.hidden_layers = 1;
  gradient.epochs = 1;
  gradient.batch_size = 256;
  std::vector<mgdl::AnyGradeTrainer<float>> trainers{
      mgdl::SampledTrainer<float>({.width = setting.width}),
      mgdl::GradientTrainer<float>(gradient)};
  mgdl::MultigradeOptions options;
  options.max_grades = 2;
  options.memory_limit_bytes = memory;
  options.threads = setting.threads;
  mgdl::MultigradeTrainer<float> trainer(trainers, options);
  const Rows rows(n, setting.inputs);
  const auto [model, report] = trainer.fit(rows);
  Outcome outcome;
  outcome.passes = rows.passes();
  for (std::size_t k = 0; k < report.grades.size(); ++k) {
    outcome.seconds[k] = report.grades[k].seconds;
    if (report.grades[k].kept) outcome.rse = report.grades[k].train_rse;
  }
  outcome.bits = bits_of(model);
  return outcome;
}

/// Operations for a row of what both grades do, without passes over the features of the first.
/// \{
double sampled_flops(const Setting& setting) {
  const auto d = static_cast<double>(setting.inputs), m = static_cast<double>(setting.width);
  constexpr double kRidges = 16;
  // Moments of [features, 1, target]; the losses of all ridges; the errors.
  return 2 * (m + 1) * (m + 2) + 3 * 2 * d * m + 2 * m * (kRidges + 1);
}
double epoch_flops(const Setting& setting) {
  const auto m = static_cast<double>(setting.width);
  return 3 * (2 * m * m + 2 * m) + 2 * m * m;  // of whitened features
}
double gradient_flops(const Setting& setting) {
  const auto m = static_cast<double>(setting.width);
  // Moments for whitening and of the readout; an epoch; four losses and the errors, whitened.
  return 4 * m * m + epoch_flops(setting) + 5 * (4 * m * m + 2 * m);
}
/// \}

/// Of `rows` on so many ranks, seconds for an iteration of L-BFGS and for an epoch of Adam.
void extrapolate(const Setting& setting, double seconds_per_row) {
  constexpr double kRows = 1e11, kLatency = 5e-6, kBandwidth = 1e10, kBatch = 1024, kSlots = 8;
  const auto m = static_cast<double>(setting.width);
  const double bytes = 4 * (m * m + 2 * m + 1);  // of a gradient
  std::printf(
      "\n%.0e rows, %.2g s for a row and pass, messages of %.0f us and %.0f GB/s:\n\n"
      "| ranks | L-BFGS, s an iteration | of it messages | Adam, batches of %.0f, s an epoch | of "
      "it "
      "messages |\n|---|---|---|---|---|\n",
      kRows, seconds_per_row, 1e6 * kLatency, 1e-9 * kBandwidth, kBatch);
  for (const double ranks : {1.0, 8.0, 64.0, 1000.0}) {
    const double rounds = std::ceil(std::log2(ranks));
    const double sum = 2 * rounds * (kLatency + bytes / kBandwidth);
    const double lbfgs = kRows / ranks * seconds_per_row;
    const double step = rounds * kLatency + (ranks > 1 ? kSlots * bytes / kBandwidth : 0);
    const double adam = kRows / std::min(ranks, kSlots) * seconds_per_row;
    const double steps = kRows / kBatch * step;
    std::printf("| %.0f | %.3g | %.2g %% | %.3g | %.2g %% |\n", ranks, lbfgs + sum,
                100 * sum / (lbfgs + sum), adam + steps, 100 * steps / (adam + steps));
  }
}

/// In a process of its own; megabytes that were resident at most.
double run(const Setting& setting, Index n, double memory, Outcome& outcome) {
  int ends[2];
  if (pipe(ends) != 0) std::exit(1);
  const pid_t child = fork();
  if (child == 0) {
    const Outcome found = fit(setting, n, memory);
    const bool sent = write(ends[1], &found, sizeof found) == sizeof found;
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  const bool received = read(ends[0], &outcome, sizeof outcome) == sizeof outcome;
  close(ends[0]);
  rusage usage{};
  int status = 0;
  wait4(child, &status, 0, &usage);
  if (!received) {
    std::fprintf(stderr, "benchmark_scale: a fit has failed\n");
    std::exit(1);
  }
  return static_cast<double>(usage.ru_maxrss) / 1000;
}

}  // namespace

int main(int argc, char** argv) {
  Setting setting;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const double value = std::atof(argv[i + 1]);
    if (flag == "--most") setting.most = static_cast<Index>(value);
    if (flag == "--inputs") setting.inputs = static_cast<Index>(value);
    if (flag == "--width") setting.width = static_cast<Index>(value);
    if (flag == "--memory") setting.memory = value;
    if (flag == "--threads") setting.threads = static_cast<int>(value);
  }
  std::printf(
      "float32, %ld inputs, a sampled grade and a gradient grade (one epoch) of %ld units, %d "
      "thread(s), memory limit %.0f MB\n\n",
      static_cast<long>(setting.inputs), static_cast<long>(setting.width), setting.threads,
      setting.memory / 1e6);
  std::printf(
      "a row takes %.0f operations in the first grade, %.0f in the second, and %.0f for each pass "
      "over\nfeatures that are not kept\n\n",
      sampled_flops(setting), gradient_flops(setting),
      2.0 * static_cast<double>(setting.inputs * setting.width));
  std::printf(
      "| rows | memory | sampled, s | GFLOP/s | gradient, s | GFLOP/s | times read | resident, MB "
      "| "
      "train RSE | bits |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n");
  double seconds_per_row = 0;
  constexpr double kMuch = std::numeric_limits<double>::infinity();
  constexpr Index kInMemory = 10000000;
  for (Index n = 10000; n <= setting.most; n *= 10) {
    for (const double memory : {kMuch, setting.memory}) {
      if (memory == kMuch && n > kInMemory) continue;
      Outcome outcome;
      const double resident = run(setting, n, memory, outcome);
      const double flops = 1e-9 * static_cast<double>(n);
      std::printf("| %ld | %s | %.2f | %.1f | %.2f | %.1f | %.1f | %.0f | %.4e | %016lx |\n",
                  static_cast<long>(n), memory == kMuch ? "all kept" : "limited",
                  outcome.seconds[0], flops * sampled_flops(setting) / outcome.seconds[0],
                  outcome.seconds[1], flops * gradient_flops(setting) / outcome.seconds[1],
                  outcome.passes, resident, outcome.rse, static_cast<unsigned long>(outcome.bits));
      std::fflush(stdout);
      const double part = epoch_flops(setting) / gradient_flops(setting);
      seconds_per_row = part * outcome.seconds[1] / static_cast<double>(n);
    }
  }
  extrapolate(setting, seconds_per_row);
}
