#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "csv_flags.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

namespace mgdl::command {

/// The flags of `mgdl fit`. Defaults are those of the library; flags whose default depends on the
/// trainer, or that belong to some trainers only, are unset.
struct FitOptions {
  std::string input;
  std::string target;
  std::string csv;
  std::vector<std::string> target_columns;
  std::string test_input;
  std::string test_target;
  std::string test_csv;
  CsvFlags table;
  std::optional<double> validation;
  std::optional<Index> folds;

  Index grades = MultigradeOptions{}.max_grades;
  std::optional<Index> width;
  std::optional<Index> hidden_layers;
  std::string link = "last-hidden";
  std::string output_scale = "own";
  std::string scalar = "float64";

  std::vector<std::string> trainers{"auto"};
  std::string optimizer;
  std::string initialization;
  std::optional<Index> epochs;
  std::optional<Index> batch;
  std::optional<double> learning_rate;
  std::optional<double> weight_decay;
  double tolerance = MultigradeOptions{}.tolerance;
  std::string measure = "rse";
  bool tolerance_on_training = false;
  double time_limit = std::numeric_limits<double>::infinity();
  std::string memory;
  std::uint64_t seed = MultigradeOptions{}.seed;
  int threads = MultigradeOptions{}.threads.requested();

  std::string convex_problem;
  std::optional<Index> patterns;
  std::optional<double> lambda_ratio;
  std::string penalty;
  std::optional<Index> polish;
  std::optional<Index> hats;
  bool balanced = false;

  std::string resume;
  std::string checkpoint;
  std::string output;
  std::string report;
  std::string plot;
  double peak = 1;
  bool quiet = false;

  /// Whether a grade is trained by the trainer of this name.
  bool uses(const char* trainer) const { return std::ranges::count(trainers, trainer) > 0; }
};

/// Bytes of a text like 500M or 2G: a number and K, M, G, T (powers of 1000) or nothing.
/// Whether samples stay in their files and are read in blocks: with --memory, and where several
/// ranks share them.
bool reads_blocks(const FitOptions& options);

/// \throws InvalidArgument that names --memory
double memory_bytes(const std::string& text);

/// Calls visit(group, flag, field, help) for every flag: the one list that the command line, the
/// help and the report go by.
template <class Options, class Visit>
void for_each_option(Options& options, Visit&& visit) {
  const char* data = "Data";
  visit(data, "--input", options.input, "inputs: a .npy file, n x d");
  visit(data, "--target", options.target, "targets: a .npy file, n x c");
  visit(data, "--csv", options.csv, "inputs and targets: a CSV file instead of --input, --target");
  visit(data, "--target-columns", options.target_columns,
        "names or numbers (from 1) of the target columns of the CSV file; the others are inputs");
  visit(data, "--test-input", options.test_input, "inputs that every grade is tested on");
  visit(data, "--test-target", options.test_target, "their targets");
  visit(data, "--test-csv", options.test_csv, "both, as a CSV file with the columns of --csv");
  for_each_csv_flag(options.table, data, visit);
  visit(data, "--validation", options.validation,
        "part of the samples, in [0, 1), that is held out to choose by [without --folds: 0.1 from "
        "10000 samples on, if some grades are not convex or constructive]");
  visit(data, "--folds", options.folds,
        "parts of the samples, each of which is held out by one member of the model, the mean of "
        "as many; 0: none [without --validation: 10 from 100 samples on, else 5; 5 from 1500 to "
        "10000, in the same cases]");

  const char* model = "Model";
  visit(model, "--grades", options.grades, "grades at most");
  visit(model, "--width", options.width,
        "units of each hidden layer [64; sampled: 512]; convex, with --penalty width: units at "
        "most [64]");
  visit(model, "--hidden-layers", options.hidden_layers,
        "hidden layers of each grade [gradient: 2 or 3, chosen on the samples held out; with none: "
        "2; "
        "sampled: 1]; the other trainers have one");
  visit(model, "--link", options.link, "what a grade hands on: last-hidden, last-hidden-and-input");
  visit(model, "--output-scale", options.output_scale,
        "unit of several outputs' errors: own, that of each one's deviation, or common");
  visit(model, "--scalar", options.scalar, "number type: float32, float64");

  const char* training = "Training";
  visit(
      training, "--trainer", options.trainers,
      "how grades are trained: auto, affine, gradient, sampled, convex, constructive; of several, "
      "for grades 1, 2, ..., the last one is for all further grades");
  visit(training, "--optimizer", options.optimizer,
        "of gradient: adam, lbfgs [this and the next five: chosen on the samples held out; with "
        "none: adam]");
  visit(training, "--initialization", options.initialization,
        "what hidden units start as: rich (small), white-noise (large), sampled, he [white-noise]");
  visit(training, "--epochs", options.epochs,
        "passes over the samples for each grade at most; with lbfgs, iterations [200]");
  visit(training, "--batch", options.batch, "samples in a step of adam [256]");
  visit(training, "--learning-rate", options.learning_rate,
        "largest learning rate of adam [0.003]");
  visit(training, "--weight-decay", options.weight_decay,
        "factor of the sum of squared weights in the objective [0]");
  visit(training, "--tolerance", options.tolerance,
        "stop at this error (on the held out samples if there are any)");
  visit(training, "--measure", options.measure,
        "the error that the tolerance is about: rse (relative squared error), rmse, max-error (in "
        "the unit of the targets)");
  visit(training, "--tolerance-on-training", options.tolerance_on_training,
        "compare the training error with it, even with --validation");
  visit(training, "--time-limit", options.time_limit, "seconds for all grades together");
  visit(training, "--resume", options.resume,
        "goes on with the model in this file, on the same samples, up to --grades; not with folds");
  visit(training, "--memory", options.memory,
        "bytes for samples and features, such as 2G: what does not fit is read from the .npy files "
        "and computed again, block by block; not with folds");
  visit(training, "--seed", options.seed, "fixes all random numbers, and so the result");
  visit(training, "--threads", options.threads, "0 uses all; the result does not depend on it");

  const char* trainers = "Trainers";
  visit(trainers, "--convex-problem", options.convex_problem,
        "convex: gated, the faster one; relu, whose certificate is about the network itself");
  visit(trainers, "--patterns", options.patterns,
        "convex: activation patterns to draw [50; one input: all patterns]");
  visit(trainers, "--lambda-ratio", options.lambda_ratio,
        "convex: the penalty relative to the smallest one whose solution is zero [0.001]");
  visit(trainers, "--penalty", options.penalty,
        "convex: ratio, that penalty; or of a path down to it, validation: the best one on the "
        "held out samples, width: the smallest one with at most --width units");
  visit(trainers, "--polish", options.polish,
        "convex, with --convex-problem relu: iterations of lbfgs on the solution [0]");
  visit(trainers, "--hats", options.hats, "constructive: hat functions in each grade [32]");
  visit(trainers, "--balanced", options.balanced,
        "constructive: half of the error after each pass; residuals may grow within one");

  const char* results = "Results";
  visit(results, "--output", options.output, "file for the model (required)");
  visit(results, "--checkpoint", options.checkpoint,
        "file for the model after every grade, to go on from with --resume");
  visit(results, "--report", options.report, "JSON file for errors, times and sizes");
  visit(results, "--plot", options.plot, "SVG file for a plot of the errors; needs gnuplot");
  visit(results, "--peak", options.peak, "largest value that the PSNR is relative to");
  visit(results, "--quiet", options.quiet, "print nothing but errors");
}

/// The library's options that belong to the flags.
GradientOptions gradient_options(const FitOptions& options);
SampledOptions sampled_options(const FitOptions& options);
ConvexTrainerOptions convex_options(const FitOptions& options);
ConstructiveOptions constructive_options(const FitOptions& options);
MultigradeOptions multigrade_options(const FitOptions& options);

/// Which samples are held out: a part, or one after the other in folds, or none.
struct HeldOut {
  double fraction = 0;
  Index folds = 0;
};

/// By --validation and --folds or, without them, by the number of samples.
HeldOut held_out(const FitOptions& options, Index samples);

/// Checks the values of the flags by the library's own rules, under the names of the flags.
/// \throws InvalidArgument
void check_options(const FitOptions& options);

/// The same for what depends on the samples.
void check_samples(const FitOptions& options, Index inputs, Index outputs, Index samples,
                   bool validation);

}  // namespace mgdl::command
