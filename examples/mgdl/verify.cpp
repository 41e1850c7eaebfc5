#include <algorithm>
#include <concepts>
#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "command.hpp"
#include "flags.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/split_source.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/verify_model.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

struct VerifyOptions {
  std::string model;
  FileList input;
  FileList target;
  FileList csv;
  std::vector<std::string> target_columns;
  CsvFlags table;
  int threads = 0;
};

template <class Options, class Visit>
void for_each_option(Options& options, Visit&& visit) requires
    std::same_as<std::remove_const_t<Options>, VerifyOptions> {
  const char* group = "Options";
  visit(group, "--model", options.model, "model that mgdl fit or mgdl convex has written");
  visit(group, "--input", options.input,
        "inputs of the fit: a .npy file, n x d; once for each set of samples");
  visit(group, "--target", options.target, "targets of the fit: a .npy file, n x c; as often");
  visit(
      group, "--csv", options.csv,
      "inputs and targets: a CSV file instead of --input, --target; once for each set of samples");
  visit(group, "--target-columns", options.target_columns,
        "names or numbers (from 1) of the target columns of the CSV file [those of the fit]");
  for_each_csv_flag(options.table, group, visit);
  visit(group, "--threads", options.threads, "0 uses all; the result does not depend on it");
}

/// \param k  which set of samples, from 0
template <class Scalar>
Dataset<Scalar> read_samples(const VerifyOptions& options, std::size_t k,
                             const SavedModel<Scalar>& saved) {
  const auto& model = saved.model;
  const bool npy = options.csv.empty();
  NamedSamples<Scalar> samples =
      npy ? NamedSamples<Scalar>{read_npy_samples<Scalar>(options.input[k], options.target[k])}
          : read_csv_samples<Scalar>(options.csv[k], options.table, options.target_columns,
                                     saved.names);
  Dataset<Scalar>& data = samples.data;
  const auto require = [](const std::string& file, const char* what, Index expected, Index found) {
    if (expected == found) return;
    throw InvalidArgument(file, std::to_string(expected) + what, std::to_string(found));
  };
  require(npy ? options.input[k] : options.csv[k], " inputs, as in the model", model.inputs(),
          data.inputs().cols());
  require(npy ? options.target[k] : options.csv[k], " targets, as in the model", model.outputs(),
          data.targets().cols());
  if (!npy) complain("verify", samples.text);
  return std::move(data);
}

/// One line for each output, then the answer.
template <class Scalar>
void print(const PredictionIntervals<Scalar>& intervals, const IntervalVerification& found) {
  std::vector<std::vector<std::string>> rows{
      {"output", "half width", "held out inside", "scaled: inside"}};
  const bool known = found.level <= intervals.largest_level();
  for (Index j = 0; j < found.coverage.size(); ++j) {
    const bool scaled = j < found.scaled_coverage.size();
    rows.push_back(
        {std::to_string(j + 1),
         known ? detail::error_text(static_cast<double>(intervals.half_width(found.level)[j]))
               : "-",
         detail::error_text(found.coverage[j]),
         scaled ? detail::error_text(found.scaled_coverage[j]) : "-"});
  }
  std::cout << "\nintervals of level " << found.level << ", " << intervals.samples()
            << " held out samples\n";
  if (rows.size() > 1) std::cout << detail::table_text(rows);
  std::cout << (found.valid ? "the scores hold\n" : "no: " + found.message + '\n');
}

/// What the answer is not about.
template <class Scalar>
void print_unchecked(const SavedModel<Scalar>& saved, bool intervals_passed_over) {
  std::cout << "\nnot checked, because nothing shows it:";
  const char* separator = " ";
  for (const std::string& place : unchecked_claims()) {
    std::cout << std::exchange(separator, "; ") << place;
  }
  if (saved.intervals && intervals_passed_over) {
    std::cout << separator << "the prediction intervals, which are of other samples";
  }
  std::cout << '\n';
}

template <class Scalar>
ExitCode verify(const SavedModel<Scalar>& saved, const VerifyOptions& options) {
  if (!saved.report) {
    throw InvalidArgument(options.model, "a report, which says how the samples were split", "none");
  }
  const FitSummary& report = *saved.report;
  std::optional<IntervalVerification> intervals;
  const auto check = [&](const auto& data) {
    auto found = verify_model(saved.model, data, {report.grades, report.initial_rse, report.inputs},
                              options.threads);
    // They are about the samples of the last grade.
    const bool of_these = found.grades.empty() || found.grades.back().of_these_samples;
    if (saved.intervals && of_these && (!intervals || intervals->valid)) {
      constexpr double kLevel = 0.9;
      intervals = verify_intervals(*saved.intervals, data, kLevel, options.threads);
    }
    return found;
  };
  std::vector<ModelVerification> parts;
  for (std::size_t k = 0; k < std::max(options.input.size(), options.csv.size()); ++k) {
    Dataset<Scalar> samples = read_samples(options, k, saved);
    if (report.folds > 0) {
      auto dealt = folds(std::move(samples), report.folds, report.seed);
      dealt.keep_first(report.folds - report.idle_folds);
      parts.push_back(check(dealt));
    } else {
      parts.push_back(
          check(report.split_by_row
                    ? split_by_row(samples, report.validation_fraction, report.seed)
                    : split(std::move(samples), report.validation_fraction, report.seed)));
    }
  }
  const ModelVerification verification = combine(parts);
  std::cout << verification;
  if (intervals) print(*saved.intervals, *intervals);
  print_unchecked(saved, !intervals);
  if (verification.refuted() || (intervals && !intervals->valid)) return kRefuted;
  return verification.valid() ? kOk : kUnchecked;
}

ExitCode run(const VerifyOptions& options) {
  require_given("--model", options.model);
  const bool csv = given(options.csv, options.target_columns);
  for (const auto& [flag, files] : {std::pair("--input", &options.input),
                                    {"--target", &options.target},
                                    {"--csv", &options.csv}}) {
    for (const std::string& file : *files) require_given(flag, file);
  }
  require_samples(options, given(options.input, options.target), csv, /*named=*/true);
  if (options.input.size() != options.target.size()) {
    throw InvalidArgument("--target",
                          std::to_string(options.input.size()) + ", one for each --input",
                          std::to_string(options.target.size()));
  }
  require_csv(options.table, csv);
  detail::require_threads("--threads", options.threads);
  return std::visit([&](const auto& saved) { return verify(saved, options); },
                    load_any_model(options.model));
}

}  // namespace

Command add_verify(CLI::App& app) {
  Flags flags(app, "verify", "Checks what a model claims against the samples of its fit");
  auto options = std::make_shared<VerifyOptions>();
  add_flags(flags, *options);
  suggest_csv(flags);
  flags.footer(
      "Computes anew from the samples and the weights, and says yes or no for every grade:\n"
      "  errors       the model's errors on the samples of the fit, and on those held out\n"
      "  residual     that it does not grow from grade to grade, and how far that of a sample "
      "does\n"
      "  certificate  of a convex grade: objective, lower bound and with them the gap, what the\n"
      "               bound covers, and that the network is within\n"
      "  intervals    the errors of held out samples that prediction intervals are made of\n"
      "Shown are the recomputed values. Of a model that was resumed on other samples, give all "
      "sets\n"
      "of samples: grades that are about others are not checked. What nothing shows to be true,\n"
      "settings and messages of the fit, is listed. Exit code: 0 all claims hold, 4 one does not,\n"
      "5 none of those checked is false, but some grades are about samples that were not given.\n"
      "\n"
      "Examples:\n"
      "  mgdl verify --model model.mgdl --input X.npy --target Y.npy\n"
      "  mgdl verify --model houses.mgdl --csv houses.csv\n"
      "  mgdl verify --model resumed.mgdl --csv day1.csv --csv day2.csv");
  return {"verify", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
