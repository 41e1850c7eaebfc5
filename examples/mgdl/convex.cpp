#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "convex_flags.hpp"
#include "convex_outcome.hpp"
#include "files.hpp"
#include "flags.hpp"
#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/version.hpp"

namespace mgdl::command {
namespace {

using Json = nlohmann::ordered_json;

void require_penalty(const ConvexFlags& flags) {
  if (flags.lambda && flags.lambda_ratio) {
    throw InvalidArgument("penalty", "--lambda or --lambda-ratio", "both");
  }
  const double value = flags.lambda.value_or(flags.lambda_ratio.value_or(1));
  if (value == 0 && (flags.is_relu() || flags.path > 1)) {
    throw InvalidArgument(
        flags.lambda ? "--lambda" : "--lambda-ratio",
        flags.is_relu() ? "a value > 0 with --formulation relu" : "a value > 0 with --path", "0");
  }
}

void require_loss(const ConvexFlags& flags) {
  const auto require = [&](const char* loss, const char* flag, bool given) {
    if (given == (flags.loss == loss)) return;
    throw InvalidArgument(flag, given ? std::string("--loss ") + loss + " with it" : "a value",
                          given ? flags.loss : "none");
  };
  require("huber", "--delta", flags.delta.has_value());
  require("quantile", "--level", flags.level.has_value());
  if (flags.loss != "squared" && flags.is_relu()) {
    throw InvalidArgument("--loss", "squared with --formulation relu", flags.loss);
  }
  const double value = flags.lambda.value_or(flags.lambda_ratio.value_or(1));
  if (flags.loss != "squared" && value == 0) {
    throw InvalidArgument(flags.lambda ? "--lambda" : "--lambda-ratio",
                          "a value > 0 with --loss " + flags.loss, "0");
  }
}

/// Checks the values of the flags by the library's own rules, under the names of the flags.
void check_flags(const ConvexFlags& flags) {
  with_flag_names({{"ConvexOptions.lambda", "--lambda"},
                   {"ConvexOptions.lambda_ratio", "--lambda-ratio"},
                   {"ConvexOptions.loss.parameter", flags.loss == "huber" ? "--delta" : "--level"},
                   {"ConvexOptions.relative_tolerance", "--gap"},
                   {"ConvexOptions.time_limit_seconds", "--time-limit"},
                   {"ConvexOptions.threads", "--threads"},
                   {"PathOptions.count", "--path"},
                   {"PathOptions.enough_explained", "--enough-explained"},
                   {"PathOptions.folds", "--folds"}},
                  [&] {
                    require_penalty(flags);
                    require_loss(flags);
                    path_options(flags).validate();
                  });
  detail::require_option(flags.validation >= 0 && flags.validation < 1, "--validation",
                         "a value in [0, 1)", flags.validation);
  detail::require_option(flags.folds == 0 || flags.validation == 0, "--folds",
                         "0 with --validation", flags.folds);
  detail::require_option(!flags.one_standard_error || flags.folds > 0 || flags.validation > 0,
                         "--one-standard-error", "--folds or --validation with it", "neither");
  const bool csv = given(flags.csv, flags.target_columns);
  require_samples(flags, given(flags.input, flags.target), csv);
  require_csv(flags.table, csv);
  if (!flags.gates.empty() + flags.gate_count.has_value() + flags.all_patterns > 1) {
    throw InvalidArgument("gates", "one of --gates, --gate-count and --all-patterns", "several");
  }
  if (flags.gate_count) {
    detail::require_option(*flags.gate_count >= 1, "--gate-count", "a value >= 1",
                           *flags.gate_count);
  }
  if (!flags.solution.empty() && flags.is_relu()) {
    throw InvalidArgument("--solution", "--formulation gated with it", "relu");
  }
}

Json path_json(const PathReport& path) {
  auto list = Json::array();
  for (const PathPoint& point : path.points) {
    const Certificate& certificate = point.report.certificate;
    list.push_back({{"lambda", detail::report_number(certificate.lambda)},
                    {"primal", detail::report_number(certificate.primal)},
                    {"dual", detail::report_number(certificate.dual)},
                    {"relative_gap", detail::report_number(certificate.relative_gap())},
                    {"train_rse", detail::report_number(point.train_rse)},
                    {"explained", detail::report_number(point.explained)},
                    {"validation_rse", detail::report_number(point.validation_rse)},
                    {"standard_error", detail::report_number(point.standard_error)},
                    {"active_groups", point.report.active_groups},
                    {"iterations", point.report.iterations},
                    {"seconds", detail::report_number(point.report.elapsed_seconds)},
                    {"termination", to_string(point.report.termination)}});
  }
  return list;
}

/// Of the network in --output, as a point of the ReLU problem, where the certificate is about the
/// gated problem.
Json network_json(const ConvexOutcome& outcome) {
  if (outcome.summary.grades.empty()) return {};
  const auto& certificate = outcome.summary.grades.front().fit.network_certificate;
  return certificate ? detail::fields_json(*certificate, true) : Json();
}

/// The result is one point of the path; iterations and seconds are those of all of them.
Json report_json(const ConvexFlags& flags, const ConvexOutcome& outcome) {
  const PathPoint& point = outcome.point();
  const Certificate& certificate = point.report.certificate;
  Index iterations = 0;
  double seconds = 0;
  for (const PathPoint& each : outcome.path.points) {
    iterations += each.report.iterations;
    seconds += each.report.elapsed_seconds;
  }
  const auto number_or_null = [](const std::optional<Index>& value) {
    return value ? Json(*value) : Json();
  };
  return {{"formulation", flags.formulation},
          {"n", point.report.samples},
          {"d", outcome.inputs},
          {"p", point.report.dimension},
          {"c", point.report.outputs},
          {"P", outcome.patterns},
          {"given_gates", outcome.given},
          {"loss", to_string(certificate.loss.kind)},
          {"loss_parameter", detail::report_number(certificate.loss.parameter)},
          {"scope", to_string(certificate.scope)},
          {"lambda", detail::report_number(certificate.lambda)},
          {"lambda_max", detail::report_number(certificate.lambda_max)},
          {"primal", detail::report_number(certificate.primal)},
          {"dual", detail::report_number(certificate.dual)},
          {"bound", to_string(certificate.bound)},
          {"relative_gap", detail::report_number(certificate.relative_gap())},
          {"cone_violation", detail::report_number(certificate.cone_violation)},
          {"active_groups", point.report.active_groups},
          {"train_rse", detail::report_number(point.train_rse)},
          {"validation_rse", detail::report_number(point.validation_rse)},
          {"iterations", iterations},
          {"covariance", point.report.covariance},
          {"seconds", seconds},
          {"termination", to_string(outcome.path.termination)},
          {"message", outcome.path.message},
          {"recovery", outcome.recovery},
          {"network", network_json(outcome)},
          {"path", path_json(outcome.path)},
          {"chosen", outcome.chosen},
          {"best", number_or_null(outcome.path.best)},
          {"one_standard_error", number_or_null(outcome.path.one_standard_error)},
          {"seed", flags.seed},
          {"options", flags_json(flags)},
          {"version", version()},
          {"build", detail::build_json()}};
}

void print(const ConvexOutcome& outcome) {
  std::cout << outcome.path;
  if (!outcome.model || outcome.summary.grades.empty()) {
    std::cout << outcome.point().report.certificate;
    return;
  }
  const GradeFitReport& fit = outcome.summary.grades.front().fit;
  if (fit.network_certificate) std::cout << "gated problem: ";
  std::cout << *fit.certificate;
  if (fit.network_certificate) {
    std::cout << "network, as a point of the ReLU problem: " << *fit.network_certificate;
  }
}

ExitCode run(const ConvexFlags& flags) {
  check_flags(flags);
  check_outputs({{"--output", flags.output},
                 {"--solution", flags.solution},
                 {"--dual", flags.dual},
                 {"--report", flags.report}},
                {flags.input, flags.target, flags.csv, flags.gates});
  const ConvexOutcome outcome = solve_convex(flags);

  ResultFiles results("convex");
  if (outcome.is_usable()) {
    results.write(flags.output, [&](const std::string& path) {
      save_model(path, *outcome.model, &outcome.summary, nullptr, &outcome.names);
    });
    results.write(flags.solution,
                  [&](const std::string& path) { write_npy_array(path, outcome.solution); });
    results.write(flags.dual, [&](const std::string& path) { write_npy(path, outcome.dual); });
  }
  results.write(flags.report,
                [&](const std::string& path) { write_report(path, report_json(flags, outcome)); });
  if (!flags.quiet) print(outcome);
  if (!outcome.warning.empty()) complain("convex", "warning: " + outcome.warning);
  if (outcome.path.termination == Termination::NumericalFailure) {
    complain("convex", "numerical failure; scale the data");
    if (!results.failed()) return kNumericalFailure;
  }
  return results.failed() ? kBadInput : kOk;
}

}  // namespace

Command add_convex(CLI::App& app) {
  Flags flags(app, "convex", "Solves the convex form of a one-hidden-layer network");
  auto options = std::make_shared<ConvexFlags>();
  add_flags(flags, *options);
  suggest_csv(flags);
  flags.restrict_to("--formulation", {"gated", "relu"});
  flags.restrict_to("--loss", {"squared", "huber", "quantile"});
  flags.footer(
      "Minimises 1/2 sum_i |y_i - f(x_i)|^2 / n + lambda sum_j |U_j| to a duality gap that is\n"
      "computed from the samples afterwards. Nothing is standardised. With another --loss it is "
      "that\n"
      "loss instead of the squares, and so are the errors that a path is chosen by.\n"
      "  gated: f(x) = sum_j 1[x~ . g_j >= 0] x~ U_j, x~ = [x 1], g_j the gates\n"
      "  relu:  f(x) = sum_k max(0, x~ . v_k) o_k, |U_k| = |v_k| |o_k|, v_k in the cone of a "
      "gate;\n"
      "         several outputs are separate problems\n"
      "Seconds in the report are those of the solver, without reading files and making gates.\n"
      "\n"
      "Examples:\n"
      "  mgdl convex --input X.npy --target Y.npy --gate-count 1000 --lambda 1e-3 \\\n"
      "    --solution U.npy --report r.json --output model.mgdl\n"
      "  mgdl convex --csv curve.csv --target-columns y --formulation relu --all-patterns \\\n"
      "    --path 20 --lambda-ratio 1e-4 --validation 0.2 --output model.mgdl\n"
      "\n"
      "Ctrl-C ends it after the current iteration and keeps what there is; twice ends at once.");
  return {"convex", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
