#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/training/gradient_options.hpp"
#include "mgdl/training/multigrade_options.hpp"

namespace mgdl::command {

/// The flags of `mgdl fit`. Defaults are those of the library.
struct FitOptions {
  std::string input;
  std::string target;
  std::string csv;
  std::vector<std::string> target_columns;
  std::string test_input;
  std::string test_target;
  std::string test_csv;
  double validation = MultigradeOptions{}.validation_fraction;

  Index grades = MultigradeOptions{}.max_grades;
  Index width = GradientOptions{}.width;
  Index hidden_layers = GradientOptions{}.hidden_layers;
  std::string link = "last-hidden";
  std::string scalar = "float64";

  std::string optimizer = "adam";
  Index epochs = GradientOptions{}.epochs;
  Index batch = GradientOptions{}.batch_size;
  double learning_rate = GradientOptions{}.learning_rate;
  double tolerance = MultigradeOptions{}.tolerance;
  double time_limit = std::numeric_limits<double>::infinity();
  std::uint64_t seed = MultigradeOptions{}.seed;
  int threads = MultigradeOptions{}.threads;

  std::string output;
  std::string report;
  std::string plot;
  double peak = 1;
  bool quiet = false;
};

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
  visit(data, "--validation", options.validation,
        "part of the samples, in [0, 1), that is held out to choose the best grade by");

  const char* model = "Model";
  visit(model, "--grades", options.grades, "grades at most");
  visit(model, "--width", options.width, "units of each hidden layer");
  visit(model, "--hidden-layers", options.hidden_layers, "hidden layers of each grade");
  visit(model, "--link", options.link, "what a grade hands on: last-hidden, last-hidden-and-input");
  visit(model, "--scalar", options.scalar, "number type: float32, float64");

  const char* training = "Training";
  visit(training, "--optimizer", options.optimizer, "adam, lbfgs");
  visit(training, "--epochs", options.epochs,
        "passes over the samples for each grade; with lbfgs, iterations");
  visit(training, "--batch", options.batch, "samples in a step of adam");
  visit(training, "--learning-rate", options.learning_rate, "largest learning rate of adam");
  visit(training, "--tolerance", options.tolerance,
        "stop at this relative squared error (on the held out samples if there are any)");
  visit(training, "--time-limit", options.time_limit, "seconds for all grades together");
  visit(training, "--seed", options.seed, "fixes all random numbers, and so the result");
  visit(training, "--threads", options.threads, "0 uses all; the result does not depend on it");

  const char* results = "Results";
  visit(results, "--output", options.output, "file for the model (required)");
  visit(results, "--report", options.report, "JSON file for errors, times and sizes");
  visit(results, "--plot", options.plot, "SVG file for a plot of the errors; needs gnuplot");
  visit(results, "--peak", options.peak, "largest value that the PSNR is relative to");
  visit(results, "--quiet", options.quiet, "print nothing but errors");
}

/// The library's options that belong to the flags.
GradientOptions gradient_options(const FitOptions& options);
MultigradeOptions multigrade_options(const FitOptions& options);

}  // namespace mgdl::command
