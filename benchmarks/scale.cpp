// Training on samples that are not in memory: seconds and memory of each kind of grade by the
// number of samples, beside the same samples in memory, and what the formulas of docs/scale.md
// predict.
//
//   benchmark_scale [--most ROWS] [--inputs D] [--width M] [--memory BYTES] [--threads T]
//
// Each fit runs in a process of its own, whose largest resident memory is printed.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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
      "| rows | memory | sampled, s | gradient, s | times read | resident, MB | train RSE | bits "
      "|\n"
      "|---|---|---|---|---|---|---|---|\n");
  constexpr double kMuch = std::numeric_limits<double>::infinity();
  constexpr Index kInMemory = 10000000;
  for (Index n = 10000; n <= setting.most; n *= 10) {
    for (const double memory : {kMuch, setting.memory}) {
      if (memory == kMuch && n > kInMemory) continue;
      Outcome outcome;
      const double resident = run(setting, n, memory, outcome);
      std::printf("| %ld | %s | %.2f | %.2f | %.1f | %.0f | %.4e | %016lx |\n",
                  static_cast<long>(n), memory == kMuch ? "all kept" : "limited",
                  outcome.seconds[0], outcome.seconds[1], outcome.passes, resident, outcome.rse,
                  static_cast<unsigned long>(outcome.bits));
      std::fflush(stdout);
    }
  }
}
