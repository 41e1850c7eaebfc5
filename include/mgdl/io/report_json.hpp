#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/version.hpp"

/// \file
/// Reports of a fit as JSON text. Needs nlohmann_json.

namespace mgdl {

/// One grade in a FitSummary. Errors are those of the prefix that ends with this grade; NaN where
/// there is no such data.
struct GradeSummary {
  std::string trainer;  ///< e.g. "Adam 2x128"; empty if the grade was there before
  double train_rse = std::numeric_limits<double>::quiet_NaN();       ///< on the training part
  double validation_rse = std::numeric_limits<double>::quiet_NaN();  ///< on the validation part
  double test_rse = std::numeric_limits<double>::quiet_NaN();        ///< on the test samples
  double train_psnr = std::numeric_limits<double>::quiet_NaN();      ///< in dB
  double test_psnr = std::numeric_limits<double>::quiet_NaN();       ///< in dB
  double seconds = std::numeric_limits<double>::quiet_NaN();         ///< training and evaluation
  Index parameters = 0;                                              ///< of this grade alone
  Termination termination = Termination::NotRun;                     ///< why its training ended
  /// Largest absolute error of any output at any training sample, in the unit of the targets.
  double train_max_error = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part.
  double validation_max_error = std::numeric_limits<double>::quiet_NaN();
  /// See GradeReport::pointwise_growth.
  double pointwise_growth = std::numeric_limits<double>::quiet_NaN();
  std::string message = {};  ///< one sentence of its trainer
  std::optional<Certificate> certificate =
      {};                               ///< of its convex problem, if the trainer solves one
  std::vector<GradeTrial> trials = {};  ///< the trainers that were tried, if there were several
};

/// What a fit has made, in numbers: the content of a JSON report.
struct FitSummary {
  std::vector<GradeSummary> grades;  ///< of the model: entry k - 1 is the prefix of k grades
  /// Grades that were trained but are not in the model, because they did not lower the training
  /// error (their errors are NaN) or because a shorter prefix is better on the validation part.
  std::vector<GradeSummary> discarded_grades;
  Termination termination = Termination::NotRun;                  ///< why the whole fit ended
  std::string message;                                            ///< one sentence on that
  double initial_rse = std::numeric_limits<double>::quiet_NaN();  ///< before the first grade
  double seconds = 0;                                             ///< of the whole fit
  Index parameters = 0;                                           ///< of the model
  Index multiply_adds = 0;  ///< multiplications (each with an addition) for one sample
  std::uint64_t seed = 0;   ///< set by the caller
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  ///< set by the caller
};

/// Sums a fit up.
///
/// \param data  what the fit was made with
/// \param test  samples to test every prefix on, or null
/// \param peak  of the PSNR, in the unit of the targets, > 0
/// \param threads  for the predictions on `test`; 0: all available
/// \throws InvalidArgument if the columns of `test` are not the model's
template <std::floating_point Scalar>
FitSummary summarise(const MultigradeFit<Scalar>& fit, const DataSplit<Scalar>& data,
                     const Dataset<Scalar>* test = nullptr, double peak = 1, int threads = 0) {
  FitSummary summary;
  summary.termination = fit.report.termination;
  summary.message = fit.report.message;
  summary.initial_rse = fit.report.initial_rse;
  summary.seconds = fit.report.elapsed_seconds;
  summary.parameters = fit.model.parameters();
  summary.multiply_adds = fit.model.multiply_adds();

  // The RSE is relative to the sum of squares of the targets, the PSNR to their number.
  const auto& targets = data.train.targets();
  double target_square = 0;
  for (Index i = 0; i < targets.rows(); ++i) {
    target_square += static_cast<double>(data.train.weights()[i]) *
                     targets.row(i).template cast<double>().squaredNorm();
  }
  target_square /= static_cast<double>(targets.cols());

  // A resumed model has grades that this fit did not train.
  const Index trained = fit.report.grades.empty() ? 0 : fit.report.grades.front().grade;
  const Index before = trained == 0 ? fit.model.grades() : trained - 1;
  for (Index k = 1; k <= std::min(before, fit.model.grades()); ++k) {
    const auto& grade = fit.model.grade(k);
    GradeSummary line;
    line.train_rse = grade.train_rse;
    line.validation_rse = grade.validation_rse;
    line.parameters = grade.network.parameters();
    summary.grades.push_back(line);
  }
  for (const GradeReport& grade : fit.report.grades) {
    GradeSummary line;
    line.trainer = grade.fit.trainer;
    line.train_rse = grade.train_rse;
    line.validation_rse = grade.validation_rse;
    line.train_psnr = psnr(std::sqrt(grade.train_rse * target_square), peak);
    line.seconds = grade.seconds;
    line.parameters = grade.parameters;
    line.termination = grade.fit.termination;
    line.train_max_error = grade.train_max_error;
    line.validation_max_error = grade.validation_max_error;
    line.pointwise_growth = grade.pointwise_growth;
    line.message = grade.fit.message;
    line.certificate = grade.fit.certificate;
    line.trials = grade.fit.trials;
    (grade.kept ? summary.grades : summary.discarded_grades).push_back(line);
  }
  if (test == nullptr) return summary;
  auto predictor = fit.model.predictor(threads);
  const Matrix<Scalar> inputs = test->inputs();
  Matrix<Scalar> prediction(test->size(), fit.model.outputs());
  for (Index k = 1; k <= fit.model.grades(); ++k) {
    predictor.predict_into(inputs, prediction, k);
    const Metrics metrics = compute_metrics(prediction, test->targets(), test->weights(), peak);
    GradeSummary& line = summary.grades[static_cast<std::size_t>(k - 1)];
    line.test_rse = metrics.rse;
    line.test_psnr = metrics.psnr;
  }
  return summary;
}

namespace detail {

/// With what this program was compiled, as far as it decides on speed and on the last bits.
inline nlohmann::ordered_json build_json() {
#if defined(__clang__)
  const std::string compiler = "Clang " __clang_version__;
#elif defined(__GNUC__)
  const std::string compiler = "GCC " __VERSION__;
#elif defined(_MSC_FULL_VER)
  const std::string compiler = "MSVC " + std::to_string(_MSC_FULL_VER);
#else
  const std::string compiler = "unknown";
#endif
#if defined(__OPTIMIZE__)
  const bool optimised = true;
#else
  const bool optimised = false;
#endif
#if defined(NDEBUG)
  const bool assertions = false;
#else
  const bool assertions = true;
#endif
  return {{"compiler", compiler},
          {"simd", Eigen::SimdInstructionSetsInUse()},
          {"optimised", optimised},
          {"assertions", assertions}};
}

inline nlohmann::ordered_json report_number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

inline nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
}

inline nlohmann::ordered_json json_of(const std::optional<Certificate>& certificate) {
  if (!certificate) return {};
  return {{"primal", report_number(certificate->primal)},
          {"dual", report_number(certificate->dual)},
          {"relative_gap", report_number(certificate->relative_gap())},
          {"lambda", report_number(certificate->lambda)},
          {"lambda_max", report_number(certificate->lambda_max)},
          {"scope", to_string(certificate->scope)},
          {"bound", to_string(certificate->bound)},
          {"cone_violation", report_number(certificate->cone_violation)}};
}

inline nlohmann::ordered_json json_of(const std::vector<GradeTrial>& trials) {
  auto list = nlohmann::ordered_json::array();
  for (const GradeTrial& trial : trials) {
    list.push_back({{"trainer", trial.trainer},
                    {"objective", report_number(trial.objective)},
                    {"seconds", report_number(trial.elapsed_seconds)}});
  }
  return list;
}

inline nlohmann::ordered_json json_of(const std::vector<GradeSummary>& grades) {
  auto list = nlohmann::ordered_json::array();
  for (const GradeSummary& grade : grades) {
    list.push_back({{"trainer", text_or_null(grade.trainer)},
                    {"train_rse", report_number(grade.train_rse)},
                    {"validation_rse", report_number(grade.validation_rse)},
                    {"test_rse", report_number(grade.test_rse)},
                    {"train_psnr", report_number(grade.train_psnr)},
                    {"test_psnr", report_number(grade.test_psnr)},
                    {"seconds", report_number(grade.seconds)},
                    {"parameters", grade.parameters},
                    {"termination", to_string(grade.termination)},
                    {"train_max_error", report_number(grade.train_max_error)},
                    {"validation_max_error", report_number(grade.validation_max_error)},
                    {"pointwise_growth", report_number(grade.pointwise_growth)},
                    {"message", text_or_null(grade.message)},
                    {"certificate", json_of(grade.certificate)},
                    {"trials", json_of(grade.trials)}});
  }
  return list;
}

/// The same without what is not of the training alone: wall times, test samples, the PSNR's peak.
inline nlohmann::ordered_json lasting_json(const std::vector<GradeSummary>& grades) {
  auto list = json_of(grades);
  for (auto& grade : list) {
    for (const char* key : {"test_rse", "train_psnr", "test_psnr", "seconds"}) grade.erase(key);
    for (auto& trial : grade["trials"]) trial.erase("seconds");
  }
  return list;
}

}  // namespace detail

/// The report: the fields of FitSummary by their names, grades as lists of objects, with the
/// `version` of mgdl and the `build` of this program. What is not known or not finite is null (the
/// PSNR of a perfect fit, too).
inline nlohmann::ordered_json to_json(const FitSummary& summary) {
  return {{"grades", detail::json_of(summary.grades)},
          {"discarded_grades", detail::json_of(summary.discarded_grades)},
          {"termination", to_string(summary.termination)},
          {"message", summary.message},
          {"initial_rse", detail::report_number(summary.initial_rse)},
          {"seconds", detail::report_number(summary.seconds)},
          {"parameters", summary.parameters},
          {"multiply_adds", summary.multiply_adds},
          {"seed", summary.seed},
          {"options", summary.options},
          {"version", version()},
          {"build", detail::build_json()}};
}

/// What a model file keeps of a report (see write_model): how the fit ended, and of each grade what
/// the samples and the seed fix. Without wall times, so that two files of the same fit are equal.
inline nlohmann::ordered_json model_report(const FitSummary& summary) {
  return {{"grades", detail::lasting_json(summary.grades)},
          {"discarded_grades", detail::lasting_json(summary.discarded_grades)},
          {"termination", to_string(summary.termination)},
          {"message", summary.message},
          {"initial_rse", detail::report_number(summary.initial_rse)}};
}

/// Creates or replaces a JSON report, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
inline void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report) {
  // Names of files may hold bytes that are no UTF-8; they must not cost the report.
  const std::string text =
      report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  write_file(path, [&](std::ostream& out) { out << text << '\n'; });
}

/// The same for the summary of a fit.
inline void write_report(const std::filesystem::path& path, const FitSummary& summary) {
  write_report(path, to_json(summary));
}

}  // namespace mgdl
