#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "files.hpp"
#include "fit_options.hpp"
#include "fit_outcome.hpp"
#include "flags.hpp"
#include "mgdl/core/error.hpp"
#include "plot.hpp"
#include "table.hpp"

namespace mgdl::command {

GradientOptions gradient_options(const FitOptions& options) {
  GradientOptions result;
  result.width = options.width;
  result.hidden_layers = options.hidden_layers;
  result.optimizer = options.optimizer == "adam" ? Optimizer::Adam : Optimizer::Lbfgs;
  result.epochs = options.epochs;
  result.batch_size = options.batch;
  result.learning_rate = options.learning_rate;
  return result;
}

MultigradeOptions multigrade_options(const FitOptions& options) {
  MultigradeOptions result;
  result.max_grades = options.grades;
  result.tolerance = options.tolerance;
  result.validation_fraction = options.validation;
  result.time_limit_seconds = options.time_limit;
  result.link =
      options.link == "last-hidden" ? FeatureLink::LastHidden : FeatureLink::LastHiddenAndInput;
  result.seed = options.seed;
  result.threads = options.threads;
  return result;
}

namespace {

/// Checks the values of the flags by the library's own rules, under the names of the flags.
void check_options(const FitOptions& options) {
  const std::vector<std::pair<std::string, std::string>> flags{
      {"GradientOptions.width", "--width"},
      {"GradientOptions.hidden_layers", "--hidden-layers"},
      {"GradientOptions.epochs", "--epochs"},
      {"GradientOptions.batch_size", "--batch"},
      {"GradientOptions.learning_rate", "--learning-rate"},
      {"MultigradeOptions.max_grades", "--grades"},
      {"MultigradeOptions.tolerance", "--tolerance"},
      {"MultigradeOptions.validation_fraction", "--validation"},
      {"MultigradeOptions.time_limit_seconds", "--time-limit"},
      {"MultigradeOptions.threads", "--threads"}};
  with_flag_names(flags, [&] {
    gradient_options(options).validate();
    multigrade_options(options).validate();
  });
  if (!(options.peak > 0 && std::isfinite(options.peak))) {
    throw InvalidArgument("--peak", "a finite value > 0", detail::to_text(options.peak));
  }
  const bool npy = given(options.input, options.target, options.test_input, options.test_target);
  const bool csv = given(options.csv, options.target_columns, options.test_csv);
  require_samples(options, npy, csv);
  if (given(options.test_input, options.test_target)) {
    require_given("--test-input", options.test_input);
    require_given("--test-target", options.test_target);
  }
  require_given("--output", options.output);
  if (!options.plot.empty() && extension_of(options.plot) != ".svg") {
    throw InvalidArgument("--plot", "a name that ends in .svg", options.plot);
  }
}

void print_summary(std::ostream& out, const FitSummary& summary) {
  std::vector<std::vector<std::string>> rows{{"grade", "trainer", "train RSE", "valid. RSE",
                                              "test RSE", "test PSNR", "parameters", "seconds",
                                              "stopped"}};
  const auto add = [&](const GradeSummary& grade, const char* remark) {
    rows.push_back({std::to_string(rows.size()), grade.trainer, error_text(grade.train_rse),
                    error_text(grade.validation_rse), error_text(grade.test_rse),
                    fixed_text(grade.test_psnr, 2), std::to_string(grade.parameters),
                    fixed_text(grade.seconds, 1),
                    to_string(grade.termination) + std::string(remark)});
  };
  for (const auto& grade : summary.grades) add(grade, "");
  for (const auto& grade : summary.discarded_grades) add(grade, " (not kept)");
  print_table(out, std::move(rows));
  out << to_string(summary.termination) << " after " << fixed_text(summary.seconds, 1)
      << " s: " << summary.message << '\n';
}

bool failed_numerically(const FitSummary& summary) {
  const auto failed = [](const auto& x) { return x.termination == Termination::NumericalFailure; };
  return failed(summary) || std::ranges::any_of(summary.grades, failed) ||
         std::ranges::any_of(summary.discarded_grades, failed);
}

ExitCode run(const FitOptions& options) {
  check_options(options);
  check_outputs(
      {{"--output", options.output}, {"--report", options.report}, {"--plot", options.plot}},
      {options.input, options.target, options.csv, options.test_input, options.test_target,
       options.test_csv});
  FitOutcome outcome = options.scalar == "float32" ? fit<float>(options) : fit<double>(options);
  FitSummary& summary = outcome.summary;
  summary.seed = options.seed;
  summary.options = flags_json(options);

  ResultFiles results("fit");
  results.write(options.output, outcome.write_model);
  results.write(options.report, [&](const std::string& path) { write_report(path, summary); });
  results.write(options.plot, [&](const std::string& path) {
    std::string problem;
    if (!write_plot(path, outcome, problem)) complain("fit", problem + ", so there is no " + path);
  });
  if (!options.quiet) print_summary(std::cout, summary);
  if (failed_numerically(summary)) {
    complain("fit",
             "numerical failure; the model is what was reached before. Scale the data, or lower "
             "--learning-rate");
    if (!results.failed()) return kNumericalFailure;
  }
  return results.failed() ? kBadInput : kOk;
}

}  // namespace

Command add_fit(CLI::App& app) {
  CLI::App* flags = app.add_subcommand("fit", "Trains a model on samples");
  auto options = std::make_shared<FitOptions>();
  add_flags(flags, *options);
  add_choices(flags, "--link", {"last-hidden", "last-hidden-and-input"});
  add_choices(flags, "--scalar", {"float64", "float32"});
  add_choices(flags, "--optimizer", {"adam", "lbfgs"});
  flags->footer(
      "Examples:\n"
      "  mgdl fit --input X.npy --target Y.npy --validation 0.1 --output model.mgdl\n"
      "  mgdl fit --csv houses.csv --target-columns price --width 32 --output houses.mgdl\n"
      "  mgdl fit --input X.npy --target Y.npy --test-input Xt.npy --test-target Yt.npy \\\n"
      "    --scalar float32 --width 128 --report r.json --plot r.svg --output model.mgdl\n"
      "\n"
      "Ctrl-C ends training after the current epoch and keeps what there is; twice ends at once.");
  return {flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
