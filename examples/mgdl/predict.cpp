#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "command.hpp"
#include "files.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

struct PredictOptions {
  std::string model;
  std::string input;
  std::string csv;
  std::vector<std::string> columns;
  std::string output;
  std::optional<Index> grades;
  int threads = 0;
};

template <class Scalar>
void predict(const MultigradeModel<Scalar>& model, const PredictOptions& options) {
  const Index grades = options.grades.value_or(model.grades());
  if (grades < 0 || grades > model.grades()) {
    throw InvalidArgument("--grades", "a value from 0 to " + std::to_string(model.grades()),
                          std::to_string(grades));
  }
  const auto X = read_inputs<Scalar>(options.input, options.csv, options.columns, model.inputs());
  Matrix<Scalar> result(X.rows(), model.outputs());
  model.predictor(options.threads).predict_into(X, result, grades);
  if (extension_of(options.output) == ".csv") {
    write_csv(options.output, result);
  } else {
    write_npy(options.output, result);
  }
}

ExitCode run(const PredictOptions& options) {
  if (options.model.empty()) throw InvalidArgument("--model", "a value", "none");
  if (options.input.empty() == options.csv.empty()) {
    throw InvalidArgument("samples", "--input or --csv", options.csv.empty() ? "neither" : "both");
  }
  if (!options.columns.empty() && options.csv.empty()) {
    throw InvalidArgument("--columns", "--csv with it", "none");
  }
  detail::require_threads("--threads", options.threads);
  const std::string extension = extension_of(options.output);
  if (extension != ".npy" && extension != ".csv") {
    throw InvalidArgument("--output", "a name that ends in .npy or .csv", options.output);
  }
  check_outputs({{"--output", options.output}}, {options.model, options.input, options.csv});
  std::visit([&](const auto& saved) { predict(saved.model, options); },
             load_any_model(options.model));
  return kOk;
}

}  // namespace

Command add_predict(CLI::App& app) {
  Flags flags(app, "predict", "Evaluates a model");
  auto options = std::make_shared<PredictOptions>();
  flags.add("--model", &options->model, "model that mgdl fit or mgdl convex has written", "FILE");
  flags.add("--input", &options->input, "inputs: a .npy file, n x d", "FILE");
  flags.add("--csv", &options->csv, "inputs: a CSV file instead of --input", "FILE");
  flags.add(
      "--columns", &options->columns,
      "names or numbers (from 1) of the input columns of the CSV file, in the order of the fit "
      "[all columns]",
      "NAMES");
  flags.add("--output", &options->output, "predictions: a .npy or .csv file", "FILE");
  flags.add("--grades", &options->grades, "use the first N grades only [all]", "N");
  flags.add("--threads", &options->threads, "0 uses all; the result does not depend on it",
            "N [0]");
  flags.footer(
      "Examples:\n"
      "  mgdl predict --model model.mgdl --input X.npy --output Y.npy\n"
      "  mgdl predict --model houses.mgdl --csv houses.csv --columns rooms,area --grades 2 \\\n"
      "    --output prices.csv");
  return {"predict", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
