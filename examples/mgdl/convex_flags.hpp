#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "csv_flags.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::command {

/// The flags of `mgdl convex`. Defaults are those of the library.
struct ConvexFlags {
  std::string input;
  std::string target;
  std::string csv;
  std::vector<std::string> target_columns;
  CsvFlags table;
  double validation = 0;

  std::string formulation = "gated";
  std::string gates;
  std::optional<Index> gate_count;
  bool all_patterns = false;
  bool no_bias = false;
  bool output_bias = false;
  std::string loss = "squared";
  std::optional<double> delta;
  std::optional<double> level;

  std::optional<double> lambda;
  std::optional<double> lambda_ratio;
  Index path = 1;
  Index folds = 0;
  bool one_standard_error = false;
  double explained = std::numeric_limits<double>::infinity();
  double gap = ConvexOptions{}.relative_tolerance;
  double time_limit = std::numeric_limits<double>::infinity();
  std::uint64_t seed = 0;
  int threads = ConvexOptions{}.threads.requested();

  std::string output;
  std::string solution;
  std::string dual;
  std::string report;
  bool quiet = false;

  bool is_relu() const { return formulation == "relu"; }
};

/// Gates that are sampled where no flag says which ones to use.
inline constexpr Index kDefaultGates = 500;

/// As for the other subcommands: the one list of all flags.
template <class Flags, class Visit>
void for_each_option(Flags& flags,
                     Visit&& visit) requires std::same_as<std::remove_const_t<Flags>, ConvexFlags> {
  const char* data = "Data";
  visit(data, "--input", flags.input, "inputs: a .npy file, n x d, without a column of ones");
  visit(data, "--target", flags.target, "targets: a .npy file, n x c");
  visit(data, "--csv", flags.csv, "inputs and targets: a CSV file instead of --input, --target");
  visit(data, "--target-columns", flags.target_columns,
        "names or numbers (from 1) of the target columns of the CSV file; the others are inputs");
  for_each_csv_flag(flags.table, data, visit);
  visit(data, "--validation", flags.validation,
        "part of the samples, in [0, 1), that is held out to choose the penalty of a path by");

  const char* problem = "Problem";
  visit(problem, "--formulation", flags.formulation,
        "gated: group lasso over the gates; relu: the convex form of a ReLU network");
  visit(
      problem, "--gates", flags.gates,
      "gate vectors: a .npy file, P x (d + 1), the last column for the bias; with --no-bias P x d");
  visit(problem, "--gate-count", flags.gate_count,
        "instead, so many Gaussian gates [500, if no other flag says which gates]");
  visit(problem, "--all-patterns", flags.all_patterns,
        "instead, every pattern that the samples have (one or two inputs)");
  visit(problem, "--no-bias", flags.no_bias, "neurons and gates without a bias");
  visit(problem, "--output-bias", flags.output_bias, "an output bias that is not penalised");
  visit(
      problem, "--loss", flags.loss,
      "what residuals cost; huber: straight beyond --delta, against outliers; quantile: the fit is "
      "the quantile of --level (both: gated)");
  visit(problem, "--delta", flags.delta, "of --loss huber, in the unit of the targets");
  visit(problem, "--level", flags.level, "of --loss quantile, in (0, 1)");

  const char* solver = "Solver";
  visit(solver, "--lambda", flags.lambda, "the penalty");
  visit(solver, "--lambda-ratio", flags.lambda_ratio,
        "the penalty relative to the smallest one whose solution is zero [0.01]");
  visit(solver, "--path", flags.path,
        "solve for so many penalties, falling to the given one; the result is the best on the held "
        "out samples or over the folds, without these the last");
  visit(solver, "--folds", flags.folds,
        "choose the penalty of a path by K-fold cross-validation, instead of --validation");
  visit(solver, "--one-standard-error", flags.one_standard_error,
        "of a path, take the largest penalty within one standard error of the best");
  visit(solver, "--enough-explained", flags.explained,
        "end the path with the first penalty that explains this part of the targets' deviance");
  visit(solver, "--gap", flags.gap, "stop at this relative duality gap");
  visit(solver, "--time-limit", flags.time_limit, "seconds for all penalties together");
  visit(solver, "--seed", flags.seed, "fixes all random numbers, and so the result");
  visit(solver, "--threads", flags.threads, "0 uses all; the result does not depend on it");

  const char* results = "Results";
  visit(results, "--output", flags.output, "file for the network, a model for mgdl predict");
  visit(results, "--solution", flags.solution,
        "gated: .npy file for the solution, P x p x c in the order of the given gates");
  visit(
      results, "--dual", flags.dual,
      "relu, all patterns of one input: .npy file for the dual point that proves the bound, n x c");
  visit(results, "--report", flags.report, "JSON file for the certificate, times and sizes");
  visit(results, "--quiet", flags.quiet, "print nothing but errors");
}

inline Loss loss_of(const ConvexFlags& flags) {
  if (flags.loss == "huber") return Loss::huber(flags.delta.value_or(0));
  if (flags.loss == "quantile") return Loss::quantile(flags.level.value_or(0));
  return {};
}

/// The library's options that belong to the flags, without observers.
inline PathOptions path_options(const ConvexFlags& flags) {
  PathOptions options;
  options.count = flags.path;
  options.folds = flags.folds;
  options.seed = flags.seed;
  options.enough_explained = flags.explained;
  options.solver.lambda = flags.lambda;
  options.solver.lambda_ratio = flags.lambda_ratio.value_or(ConvexOptions{}.lambda_ratio);
  options.solver.relative_tolerance = flags.gap;
  options.solver.output_bias = flags.output_bias;
  options.solver.loss = loss_of(flags);
  options.solver.time_limit_seconds = flags.time_limit;
  options.solver.threads = flags.threads;
  return options;
}

}  // namespace mgdl::command
