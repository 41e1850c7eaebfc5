#include "fit_options.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "files.hpp"
#include "flags.hpp"
#include "mgdl/core/error.hpp"
#include "ranks.hpp"

namespace mgdl::command {

GradientOptions gradient_options(const FitOptions& options) {
  GradientOptions result;
  result.width = options.width.value_or(result.width);
  if (options.hidden_layers) result.hidden_layers = options.hidden_layers;
  if (options.optimizer == "adam") result.optimizer = Optimizer::Adam;
  if (options.optimizer == "lbfgs") result.optimizer = Optimizer::Lbfgs;
  if (options.initialization == "rich") result.initialization = Initialization::Rich;
  if (options.initialization == "white-noise") result.initialization = Initialization::WhiteNoise;
  if (options.initialization == "sampled") result.initialization = Initialization::Sampled;
  if (options.initialization == "he") result.initialization = Initialization::He;
  result.epochs = options.epochs;
  result.batch_size = options.batch;
  result.learning_rate = options.learning_rate;
  result.weight_decay = options.weight_decay;
  return result;
}

SampledOptions sampled_options(const FitOptions& options) {
  SampledOptions result;
  result.width = options.width.value_or(result.width);
  result.hidden_layers = options.hidden_layers.value_or(result.hidden_layers);
  return result;
}

ConvexTrainerOptions convex_options(const FitOptions& options) {
  ConvexTrainerOptions result;
  if (options.convex_problem == "relu") result.problem = ConvexProblem::Relu;
  // Without a number, one input gets all patterns, which cost nothing there.
  if (options.patterns) result.source = PatternSource::Pairs;
  result.patterns = options.patterns.value_or(result.patterns);
  result.solver.lambda_ratio = options.lambda_ratio.value_or(result.solver.lambda_ratio);
  if (options.penalty == "validation") result.penalty = PenaltyChoice::Validation;
  if (options.penalty == "width") result.penalty = PenaltyChoice::Width;
  result.width = options.width.value_or(result.width);
  result.polish_iterations = options.polish.value_or(result.polish_iterations);
  return result;
}

ConstructiveOptions constructive_options(const FitOptions& options) {
  ConstructiveOptions result;
  result.hats = options.hats.value_or(result.hats);
  result.balanced = options.balanced;
  return result;
}

/// More grades than that are worth the wait to few.
constexpr double kMinimumGain = 0.02;

MultigradeOptions multigrade_options(const FitOptions& options) {
  MultigradeOptions result;
  result.max_grades = options.grades;
  result.tolerance = options.tolerance;
  if (options.measure == "rmse") result.measure = ErrorMeasure::Rmse;
  if (options.measure == "max-error") result.measure = ErrorMeasure::MaxError;
  result.tolerance_on_training = options.tolerance_on_training;
  // A pass of many narrow constructive grades goes on, however little each of them does; the zero
  // grade that comes when nothing is left is still rejected.
  if (options.uses("constructive")) result.minimum_progress = 1e-12;
  result.validation_fraction = options.validation.value_or(0);
  result.folds = options.folds.value_or(0);
  result.fewer_folds = !options.folds;
  result.minimum_gain = kMinimumGain;
  result.time_limit_seconds = options.time_limit;
  result.link =
      options.link == "last-hidden" ? FeatureLink::LastHidden : FeatureLink::LastHiddenAndInput;
  if (options.output_scale == "common") result.output_scale = OutputScale::Common;
  if (!options.memory.empty()) result.memory_limit_bytes = memory_bytes(options.memory);
  result.seed = options.seed;
  result.threads = options.threads == 0 ? threads_of_rank() : options.threads;
  result.ranks = ranks();
  return result;
}

bool reads_blocks(const FitOptions& options) { return !options.memory.empty() || ranks(); }

double memory_bytes(const std::string& text) {
  constexpr std::string_view kUnits = "KMGT";
  std::string number = text;
  double unit = 1;
  if (!number.empty()) {
    const auto power = kUnits.find(static_cast<char>(std::toupper(number.back())));
    if (power != std::string_view::npos) {
      unit = std::pow(1000, static_cast<double>(power) + 1);
      number.pop_back();
    }
  }
  double value = 0;
  const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = problem == std::errc() && end == number.data() + number.size();
  if (whole && value > 0 && std::isfinite(value * unit)) return value * unit;
  throw InvalidArgument("--memory", "a number > 0, with K, M, G or T behind it or without", text);
}

HeldOut held_out(const FitOptions& options, Index samples) {
  if (options.validation || options.folds) {
    return {options.validation.value_or(0), options.folds.value_or(0)};
  }
  // Certificates are about all samples, and the members of folds have none in common.
  if (options.uses("convex") || options.uses("constructive")) return {};
  constexpr Index kFolds = 5;
  constexpr Index kFewest = 4 * kFolds;
  constexpr Index kMany = 10000;
  // Where samples are few, members need every one of them, and twice as many are cheap.
  constexpr Index kEnoughForTen = 100;
  constexpr Index kFew = 1500;
  if (samples < kFewest) return {};
  const bool whole = !reads_blocks(options) && options.resume.empty() && options.checkpoint.empty();
  if (samples >= kMany || !whole) return {0.1, 0};
  return {0, samples >= kEnoughForTen && samples < kFew ? 2 * kFolds : kFolds};
}

namespace {

/// A flag that no trainer in use looks at is a mistake.
void check_belongings(const FitOptions& options) {
  std::string names;
  for (const auto& name : options.trainers) names += (names.empty() ? "" : ",") + name;
  const auto require = [&](bool given, const char* flag, const char* trainers, bool used) {
    if (!given || used) return;
    throw InvalidArgument(flag, std::string("--trainer ") + trainers + " with it", names);
  };
  const bool convex = options.uses("convex") || options.uses("auto");
  require(!options.convex_problem.empty(), "--convex-problem", "convex or auto", convex);
  require(options.patterns.has_value(), "--patterns", "convex or auto", convex);
  require(options.lambda_ratio.has_value(), "--lambda-ratio", "convex or auto", convex);
  require(!options.penalty.empty(), "--penalty", "convex or auto", convex);
  require(options.polish.has_value(), "--polish", "convex or auto", convex);
  const bool constructive = options.uses("constructive");
  require(options.hats.has_value(), "--hats", "constructive", constructive);
  require(options.balanced, "--balanced", "constructive", constructive);
  const bool gradient = options.uses("gradient") || options.uses("auto");
  require(!options.optimizer.empty(), "--optimizer", "gradient or auto", gradient);
  require(!options.initialization.empty(), "--initialization", "gradient or auto", gradient);
  require(options.epochs.has_value(), "--epochs", "gradient or auto", gradient);
  require(options.batch.has_value(), "--batch", "gradient or auto", gradient);
  require(options.learning_rate.has_value(), "--learning-rate", "gradient or auto", gradient);
  require(options.weight_decay.has_value(), "--weight-decay", "gradient or auto", gradient);
  if (options.polish.value_or(0) > 0 && options.convex_problem != "relu") {
    throw InvalidArgument("--polish", "--convex-problem relu with it", "gated");
  }
}

/// The grades before a constructive one have to hand the inputs on, as only its own kind does by
/// itself.
void check_link(const FitOptions& options) {
  const auto& names = options.trainers;
  const auto other = std::ranges::find_if(names, [](auto& name) { return name != "constructive"; });
  if (options.link == "last-hidden" && std::find(other, names.end(), "constructive") != names.end())
    throw InvalidArgument("--link", "last-hidden-and-input for constructive grades after others",
                          "last-hidden");
}

}  // namespace

void check_options(const FitOptions& options) {
  const std::vector<std::pair<std::string, std::string>> flags{
      {"GradientOptions.width", "--width"},
      {"GradientOptions.hidden_layers", "--hidden-layers"},
      {"GradientOptions.epochs", "--epochs"},
      {"GradientOptions.batch_size", "--batch"},
      {"GradientOptions.learning_rate", "--learning-rate"},
      {"GradientOptions.weight_decay", "--weight-decay"},
      {"ConvexTrainerOptions.patterns", "--patterns"},
      {"ConvexTrainerOptions.polish_iterations", "--polish"},
      {"ConvexTrainerOptions.solver", "--lambda-ratio"},
      {"ConvexOptions.lambda_ratio", "--lambda-ratio"},
      {"ConstructiveOptions.hats", "--hats"},
      {"MultigradeOptions.max_grades", "--grades"},
      {"MultigradeOptions.tolerance", "--tolerance"},
      {"MultigradeOptions.validation_fraction", "--validation"},
      {"MultigradeOptions.folds", "--folds"},
      {"MultigradeOptions.time_limit_seconds", "--time-limit"},
      {"MultigradeOptions.threads", "--threads"}};
  check_belongings(options);
  check_link(options);
  with_flag_names(flags, [&] {
    gradient_options(options).validate();
    sampled_options(options).validate();
    convex_options(options).validate();
    constructive_options(options).validate();
    multigrade_options(options).validate();
  });
  if (!(options.peak > 0 && std::isfinite(options.peak))) {
    throw InvalidArgument("--peak", "a finite value > 0", detail::to_text(options.peak));
  }
  const bool npy = given(options.input, options.target, options.test_input, options.test_target);
  const bool csv = given(options.csv, options.target_columns, options.test_csv);
  require_samples(options, npy, csv);
  require_csv(options.table, csv);
  if (given(options.test_input, options.test_target)) {
    require_given("--test-input", options.test_input);
    require_given("--test-target", options.test_target);
  }
  require_given("--output", options.output);
  for (const auto& [flag, value] :
       {std::pair{"--resume", options.resume}, std::pair{"--checkpoint", options.checkpoint}}) {
    if (value.empty() || options.folds.value_or(0) == 0) continue;
    throw InvalidArgument(flag, "--validation instead of --folds", "--folds");
  }
  if (reads_blocks(options)) {
    const char* what = options.memory.empty() ? "several processes" : "--memory";
    if (csv) {
      throw InvalidArgument(what, "samples in .npy files (mgdl convert makes them)", options.csv);
    }
    if (options.folds.value_or(0) > 0) {
      throw InvalidArgument(what, "--validation instead of --folds", "--folds");
    }
    for (const char* trainer : {"convex", "constructive"}) {
      if (!options.uses(trainer)) continue;
      throw InvalidArgument(what, "--trainer auto, affine, gradient or sampled", trainer);
    }
  }
  if (!options.plot.empty() && extension_of(options.plot) != ".svg") {
    throw InvalidArgument("--plot", "a name that ends in .svg", options.plot);
  }
}

namespace {

/// Bytes that training takes at least, and the flag that has the largest part in them. In double,
/// which sizes do not exceed.
std::pair<double, const char*> least_memory(const FitOptions& options, Index inputs, Index outputs,
                                            Index samples) {
  const double scalar = options.scalar == "float32" ? sizeof(float) : sizeof(double);
  const auto d = static_cast<double>(inputs);
  const auto c = static_cast<double>(outputs);
  const auto n = static_cast<double>(samples);
  const auto parameters = [&](double width, double layers) {
    return width * (d + c) + (layers - 1) * width * width;
  };
  std::pair<double, const char*> most{0, "--width"};
  const auto add = [&](double bytes, const char* flag) {
    if (bytes > most.first) most = {bytes, flag};
  };
  if (options.uses("gradient") || options.uses("auto")) {
    const GradientOptions gradient = gradient_options(options);
    const auto width = static_cast<double>(gradient.width);
    const auto layers = static_cast<double>(*gradient.fixed().hidden_layers);
    // Weights, their gradient and two moments.
    add(4 * scalar * parameters(width, layers), layers > width ? "--hidden-layers" : "--width");
  }
  if (options.uses("sampled") || options.uses("auto")) {
    const SampledOptions sampled = sampled_options(options);
    const auto width = static_cast<double>(sampled.width);
    // The normal equations, their factor and its inverse.
    add(3 * sizeof(double) * (width + 1) * (width + 1) +
            scalar * parameters(width, static_cast<double>(sampled.hidden_layers)),
        static_cast<double>(sampled.hidden_layers) > width ? "--hidden-layers" : "--width");
  }
  if (options.uses("convex") && options.patterns) {
    const auto patterns = static_cast<double>(*options.patterns);
    add(patterns * (sizeof(double) * (d + 1) + n / 8), "--patterns");
  }
  if (options.uses("constructive")) {
    // One to three inputs; a unit has a bias and d weights, and there are at most as many as
    // samples have nodes around them.
    const auto hats = static_cast<double>(constructive_options(options).hats);
    add(std::min(hats, (d + 1) * n) * sizeof(double) * (d + 1), "--hats");
  }
  return most;
}

std::string bytes_text(double bytes) {
  const char* unit = "bytes";
  for (const char* larger : {"KB", "MB", "GB", "TB", "PB", "EB"}) {
    if (bytes < 1000) break;
    bytes /= 1000;
    unit = larger;
  }
  return detail::to_text(std::round(10 * bytes) / 10) + " " + unit;
}

}  // namespace

void require_memory(const char* flag, double bytes) {
  const double pages = static_cast<double>(sysconf(_SC_PHYS_PAGES));
  const double memory = pages * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  if (!(memory > 0) || bytes <= memory) return;
  throw InvalidArgument(flag, "a size that fits into the " + bytes_text(memory) + " of memory",
                        "one that needs at least " + bytes_text(bytes));
}

void check_samples(const FitOptions& options, Index inputs, Index outputs, Index samples,
                   bool validation) {
  if (options.folds.value_or(0) > samples) {
    throw InvalidArgument("--folds", "at most " + std::to_string(samples) + ", the samples",
                          std::to_string(*options.folds));
  }
  if (options.uses("constructive") && inputs > 3) {
    throw InvalidArgument("--trainer", "1 to 3 inputs for constructive", std::to_string(inputs));
  }
  const auto [bytes, flag] = least_memory(options, inputs, outputs, samples);
  require_memory(flag, bytes);
  if (options.penalty == "validation" && !validation) {
    throw InvalidArgument("--penalty", "--validation with validation", "no held out samples");
  }
}

}  // namespace mgdl::command
