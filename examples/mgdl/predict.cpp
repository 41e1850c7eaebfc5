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
  CLI::App* flags = app.add_subcommand("predict", "Evaluates a model");
  auto options = std::make_shared<PredictOptions>();
  const auto add = [&](const char* flag, auto& field, const char* text, const char* help) {
    return flags->add_option(flag, field, help)->option_text(text);
  };
  add("--model", options->model, "FILE", "model that mgdl fit or mgdl convex has written");
  add("--input", options->input, "FILE", "inputs: a .npy file, n x d");
  add("--csv", options->csv, "FILE", "inputs: a CSV file instead of --input");
  add("--columns", options->columns, "NAMES",
      "names or numbers (from 1) of the input columns of the CSV file, in the order of the fit "
      "[all columns]")
      ->delimiter(',')
      ->allow_extra_args(false);
  add("--output", options->output, "FILE", "predictions: a .npy or .csv file");
  add("--grades", options->grades, "N", "use the first N grades only [all]");
  add("--threads", options->threads, "N [0]", "0 uses all; the result does not depend on it");
  flags->footer(
      "Examples:\n"
      "  mgdl predict --model model.mgdl --input X.npy --output Y.npy\n"
      "  mgdl predict --model houses.mgdl --csv houses.csv --columns rooms,area --grades 2 \\\n"
      "    --output prices.csv");
  return {flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
