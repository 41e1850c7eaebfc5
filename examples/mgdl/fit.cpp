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
#include "mgdl/core/table.hpp"
#include "mgdl/io/file.hpp"
#include "plot.hpp"
#include "ranks.hpp"

namespace mgdl::command {

namespace {

/// Errors of the model, in the unit of each output.
void print_errors(std::ostream& out, const GradeReport& grade,
                  const std::vector<std::string>& names) {
  constexpr std::size_t kLines = 20;
  std::vector<std::vector<std::string>> rows{{"training", "held out", "test", "error"}};
  rows.push_back({detail::fixed_text(grade.train_r2, 4), detail::fixed_text(grade.validation_r2, 4),
                  detail::fixed_text(grade.test_r2, 4), "R2"});
  const auto text = [](const std::vector<double>& errors, std::size_t j) {
    return detail::error_text(j < errors.size() ? errors[j] : NAN);
  };
  const std::size_t outputs = grade.train_output_rmse.size();
  for (std::size_t j = 0; j < std::min(outputs, kLines); ++j) {
    rows.push_back({text(grade.train_output_rmse, j), text(grade.validation_output_rmse, j),
                    text(grade.test_output_rmse, j),
                    outputs == 1       ? "RMSE"
                    : j < names.size() ? "RMSE of " + detail::printable(names[j])
                                       : "RMSE of output " + std::to_string(j + 1)});
  }
  out << detail::table_text(rows);
  if (outputs > kLines) out << "(" << outputs - kLines << " more outputs are in the report)\n";
}

void print_summary(std::ostream& out, const FitSummary& summary,
                   const std::vector<std::string>& targets) {
  std::vector<std::vector<std::string>> rows{{"grade", "trainer", "train RSE", "valid. RSE",
                                              "test RSE", "test PSNR", "gap", "parameters",
                                              "seconds", "stopped"}};
  const auto add = [&](const GradeReport& grade, const char* remark) {
    rows.push_back(
        {std::to_string(rows.size()), grade.fit.trainer, detail::error_text(grade.train_rse),
         detail::error_text(grade.validation_rse), detail::error_text(grade.test_rse),
         detail::fixed_text(grade.test_psnr, 2),
         detail::error_text(grade.fit.certificate ? grade.fit.certificate->relative_gap() : NAN),
         std::to_string(grade.parameters), detail::fixed_text(grade.seconds, 1),
         to_string(grade.fit.termination) + std::string(remark)});
  };
  for (const auto& grade : summary.grades) add(grade, "");
  for (const auto& grade : summary.discarded_grades) add(grade, " (not kept)");
  out << detail::table_text(rows);
  if (!summary.grades.empty()) print_errors(out, summary.grades.back(), targets);
  out << to_string(summary.termination) << " after " << detail::fixed_text(summary.seconds, 1)
      << " s: " << summary.message << '\n';
}

/// The other flags say where samples come from and results go to, which is nobody else's business,
/// or do not change the model: the same fit makes the same file.
bool decides_on_model(const std::string& group, const std::string& flag) {
  return group != "Data" && group != "Results" && flag != "--threads" && flag != "--memory" &&
         flag != "--resume";
}

bool failed_numerically(const FitSummary& summary) {
  const auto failed = [](const GradeReport& grade) {
    return grade.fit.termination == Termination::NumericalFailure;
  };
  return summary.termination == Termination::NumericalFailure ||
         std::ranges::any_of(summary.grades, failed) ||
         std::ranges::any_of(summary.discarded_grades, failed);
}

ExitCode run(FitOptions options) {
  check_options(options);
  const auto recorded = flags_json(options, decides_on_model);
  const auto reported = flags_json(options);
  if (!speaks()) {
    options.quiet = true;
    for (auto* file : {&options.output, &options.report, &options.plot, &options.checkpoint}) {
      file->clear();
    }
  }
  check_outputs({{"--output", options.output},
                 {"--report", options.report},
                 {"--plot", options.plot},
                 {"--checkpoint", options.checkpoint == options.resume ? "" : options.checkpoint}},
                {options.resume, options.input, options.target, options.csv, options.test_input,
                 options.test_target, options.test_csv});
  FitOutcome outcome =
      options.scalar == "float32" ? fit<float>(options, recorded) : fit<double>(options, recorded);
  FitSummary& summary = outcome.summary;

  ResultFiles results("fit");
  summary.options = recorded;
  results.write(options.output,
                [&](const std::string& path) { outcome.write_model(path, summary); });
  summary.options = reported;
  results.write(options.report, [&](const std::string& path) { write_report(path, summary); });
  results.write(options.plot, [&](const std::string& path) {
    std::string problem;
    if (!write_plot(path, outcome, problem)) complain("fit", problem + ", so there is no " + path);
  });
  if (!options.quiet) print_summary(std::cout, summary, outcome.targets);
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
  Flags flags(app, "fit", "Trains a model on samples");
  auto options = std::make_shared<FitOptions>();
  add_flags(flags, *options);
  suggest_csv(flags);
  flags.name_value("--memory", "SIZE");
  flags.restrict_to("--link", {"last-hidden", "last-hidden-and-input"});
  flags.restrict_to("--output-scale", {"own", "common"});
  flags.restrict_to("--scalar", {"float64", "float32"});
  flags.restrict_to("--trainer",
                    {"auto", "affine", "gradient", "sampled", "convex", "constructive"},
                    "NAMES [auto]");
  flags.restrict_to("--optimizer", {"adam", "lbfgs"}, "NAME");
  flags.restrict_to("--initialization", {"rich", "white-noise", "sampled", "he"}, "NAME");
  flags.restrict_to("--measure", {"rse", "rmse", "max-error"});
  flags.restrict_to("--convex-problem", {"gated", "relu"});
  flags.restrict_to("--penalty", {"ratio", "validation", "width"});
  flags.footer(
      "Examples:\n"
      "  mgdl fit --csv houses.csv --target-columns price --output houses.mgdl\n"
      "  mgdl fit --input X.npy --target Y.npy --validation 0.1 --output model.mgdl\n"
      "  mgdl fit --input X.npy --target Y.npy --test-input Xt.npy --test-target Yt.npy \\\n"
      "    --scalar float32 --width 128 --report r.json --plot r.svg --output model.mgdl\n"
      "  mgdl fit --csv curve.csv --target-columns y --trainer convex --grades 20 \\\n"
      "    --tolerance 0.01 --measure max-error --output curve.mgdl\n"
      "  mgdl fit --input X.npy --target Y.npy --trainer sampled,gradient --validation 0.1 \\\n"
      "    --output model.mgdl\n"
      "\n"
      "Trainers:\n"
      "  auto          for every grade the best of: affine (grade 1), convex (one input), "
      "sampled,\n"
      "                gradient, on the samples held out; of equally good ones the cheapest\n"
      "  affine        linear regression with ridge\n"
      "  gradient      Adam or L-BFGS on all weights, its settings chosen on the samples held out\n"
      "  sampled       hidden weights drawn from pairs of samples, the rest solved: fast\n"
      "  convex        one hidden layer, with a proven gap to the best one\n"
      "  constructive  written down, one to three inputs: the residual of no sample grows\n"
      "\n"
      "Ctrl-C ends training after the current epoch and keeps what there is; twice ends at once.");
  return {"fit", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
