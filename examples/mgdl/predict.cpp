#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "command.hpp"
#include "files.hpp"
#include "intervals.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

struct PredictOptions {
  std::string model;
  std::string input;
  std::string csv;
  CsvFlags table;
  std::string output;
  std::optional<Index> grades;
  IntervalFlags interval;
  int threads = 0;
};

/// Predictions, each with its limits: n x 3c.
template <class Scalar>
Matrix<Scalar> with_limits(const Matrix<Scalar>& predictions,
                           const IntervalLimits<Scalar>& limits) {
  Matrix<Scalar> result(predictions.rows(), 3 * predictions.cols());
  for (Index j = 0; j < predictions.cols(); ++j) {
    result.col(3 * j) = predictions.col(j);
    result.col(3 * j + 1) = limits.lower.col(j);
    result.col(3 * j + 2) = limits.upper.col(j);
  }
  return result;
}

/// Names of its columns: y, y_lower, y_upper, or y1, y1_lower, y1_upper, y2, ...; with the names of
/// the targets instead, if they have any.
std::vector<std::string> limit_names(Index outputs, const std::vector<std::string>& targets) {
  std::vector<std::string> names;
  for (Index j = 1; j <= outputs; ++j) {
    std::string name = outputs == 1 ? "y" : "y" + std::to_string(j);
    if (!targets.empty()) name = targets[static_cast<std::size_t>(j - 1)];
    for (const char* end : {"", "_lower", "_upper"}) names.push_back(name + end);
  }
  return names;
}

template <class Scalar>
void predict(const SavedModel<Scalar>& saved, const PredictOptions& options) {
  const auto& model = saved.model;
  const Index grades = options.grades.value_or(model.grades());
  if (grades < 0 || grades > model.grades()) {
    throw InvalidArgument("--grades", "a value from 0 to " + std::to_string(model.grades()),
                          std::to_string(grades));
  }
  if (options.interval.level) {
    options.interval.require_of(saved, options.model);
    if (grades != model.grades()) {
      throw InvalidArgument("--interval", "all " + std::to_string(model.grades()) + " grades",
                            std::to_string(grades), "--grades");
    }
  }
  std::string taken;
  const auto X = read_inputs<Scalar>(options.input, options.csv, options.table, saved, taken);
  if (!taken.empty()) complain("predict", taken);
  Matrix<Scalar> result(X.rows(), model.outputs());
  model.predictor(options.threads).predict_into(X, result, grades);
  std::vector<std::string> names;
  if (options.interval.level) {
    result =
        with_limits(result, saved.intervals->predict(X, *options.interval.level,
                                                     options.interval.kind(), options.threads));
    names = limit_names(model.outputs(), saved.names.targets);
  }
  if (extension_of(options.output) == ".csv") {
    write_csv(options.output, result, names);
  } else {
    write_npy(options.output, result);
  }
}

ExitCode run(const PredictOptions& options) {
  if (options.model.empty()) throw InvalidArgument("--model", "a value", "none");
  if (options.input.empty() == options.csv.empty()) {
    throw InvalidArgument("samples", "--input or --csv", options.csv.empty() ? "neither" : "both");
  }
  require_csv(options.table, !options.csv.empty());
  detail::require_threads("--threads", options.threads);
  const std::string extension = extension_of(options.output);
  if (extension != ".npy" && extension != ".csv") {
    throw InvalidArgument("--output", "a name that ends in .npy or .csv", options.output);
  }
  options.interval.require();
  check_outputs({{"--output", options.output}}, {options.model, options.input, options.csv});
  std::visit([&](const auto& saved) { predict(saved, options); }, load_any_model(options.model));
  return kOk;
}

}  // namespace

Command add_predict(CLI::App& app) {
  Flags flags(app, "predict", "Evaluates a model");
  auto options = std::make_shared<PredictOptions>();
  flags.add("--model", &options->model, "model that mgdl fit or mgdl convex has written", "FILE");
  flags.add("--input", &options->input, "inputs: a .npy file, n x d", "FILE");
  flags.add("--csv", &options->csv, "inputs: a CSV file instead of --input", "FILE");
  add_csv_flags(flags, options->table);
  flags.add("--output", &options->output, "predictions: a .npy or .csv file", "FILE");
  flags.add("--grades", &options->grades, "use the first N grades only [all]", "N");
  add_interval_flags(flags, options->interval,
                     "level in (0, 1): write limits between which a target is with this "
                     "probability, a lower and an upper column after each prediction");
  flags.add("--threads", &options->threads, "0 uses all; the result does not depend on it",
            "N [0]");
  flags.footer(
      "Examples:\n"
      "  mgdl predict --model model.mgdl --input X.npy --output Y.npy\n"
      "  mgdl predict --model houses.mgdl --csv houses.csv --grades 2 --output prices.csv\n"
      "  mgdl predict --model model.mgdl --input X.npy --interval 0.9 --output Y.csv");
  return {"predict", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
