#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

/// \file
/// What reports and model files say of a fit. Needs nlohmann_json.

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
      {};  ///< of its convex problem, if the trainer solves one
  std::optional<CertificateWitness> witness =
      {};                               ///< what the certificate was computed from; not in reports
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
  /// With the seed: which samples split() has held out for validation. Set by the caller.
  double validation_fraction = 0;
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  ///< set by the caller
};

/// Whether a field is the training's own, so that a model file keeps it, or of one run on one
/// machine, for one set of test samples.
enum class FieldKind { Lasting, Passing };

namespace detail {

template <class T, class Of>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Of>;

}  // namespace detail

/// Calls visit(name, field, kind) for every field of a report, in the order of the JSON report: the
/// one list that writing and reading go by.
/// \{
template <detail::MaybeConst<Certificate> Self, class Visit>
void for_each_field(Self& certificate, Visit&& visit) {
  visit("primal", certificate.primal, FieldKind::Lasting);
  visit("dual", certificate.dual, FieldKind::Lasting);
  visit("lambda", certificate.lambda, FieldKind::Lasting);
  visit("lambda_max", certificate.lambda_max, FieldKind::Lasting);
  visit("scope", certificate.scope, FieldKind::Lasting);
  visit("bound", certificate.bound, FieldKind::Lasting);
  visit("cone_violation", certificate.cone_violation, FieldKind::Lasting);
  visit("rounding", certificate.rounding, FieldKind::Lasting);
}
template <detail::MaybeConst<GradeTrial> Self, class Visit>
void for_each_field(Self& trial, Visit&& visit) {
  visit("trainer", trial.trainer, FieldKind::Lasting);
  visit("objective", trial.objective, FieldKind::Lasting);
  visit("seconds", trial.elapsed_seconds, FieldKind::Passing);
}
template <detail::MaybeConst<GradeSummary> Self, class Visit>
void for_each_field(Self& grade, Visit&& visit) {
  visit("trainer", grade.trainer, FieldKind::Lasting);
  visit("train_rse", grade.train_rse, FieldKind::Lasting);
  visit("validation_rse", grade.validation_rse, FieldKind::Lasting);
  visit("test_rse", grade.test_rse, FieldKind::Passing);
  visit("train_psnr", grade.train_psnr, FieldKind::Passing);
  visit("test_psnr", grade.test_psnr, FieldKind::Passing);
  visit("seconds", grade.seconds, FieldKind::Passing);
  visit("parameters", grade.parameters, FieldKind::Lasting);
  visit("termination", grade.termination, FieldKind::Lasting);
  visit("train_max_error", grade.train_max_error, FieldKind::Lasting);
  visit("validation_max_error", grade.validation_max_error, FieldKind::Lasting);
  visit("pointwise_growth", grade.pointwise_growth, FieldKind::Lasting);
  visit("message", grade.message, FieldKind::Lasting);
  visit("certificate", grade.certificate, FieldKind::Lasting);
  visit("trials", grade.trials, FieldKind::Lasting);
}
template <detail::MaybeConst<FitSummary> Self, class Visit>
void for_each_field(Self& summary, Visit&& visit) {
  visit("grades", summary.grades, FieldKind::Lasting);
  visit("discarded_grades", summary.discarded_grades, FieldKind::Lasting);
  visit("termination", summary.termination, FieldKind::Lasting);
  visit("message", summary.message, FieldKind::Lasting);
  visit("initial_rse", summary.initial_rse, FieldKind::Lasting);
  visit("seconds", summary.seconds, FieldKind::Passing);
  visit("parameters", summary.parameters, FieldKind::Passing);
  visit("multiply_adds", summary.multiply_adds, FieldKind::Passing);
  visit("seed", summary.seed, FieldKind::Lasting);
  visit("validation_fraction", summary.validation_fraction, FieldKind::Lasting);
  visit("options", summary.options, FieldKind::Lasting);
}
/// \}

/// Sums a fit up.
///
/// \param data  what the fit was made with
/// \param test  samples to test every prefix on, or null
/// \param peak  of the PSNR, in the unit of the targets, > 0
/// \param threads  for the predictions on `test`
/// \throws InvalidArgument if the columns of `test` are not the model's
template <std::floating_point Scalar>
FitSummary summarise(const MultigradeFit<Scalar>& fit, const DataSplit<Scalar>& data,
                     const Dataset<Scalar>* test = nullptr, double peak = 1,
                     const Executor& threads = {}) {
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
    line.witness = grade.fit.witness;
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

/// What a model file holds.
template <class Scalar_ = double>
struct SavedModel {
  using Scalar = Scalar_;  ///< float or double

  MultigradeModel<Scalar> model;  ///< bit for bit as it was saved
  /// How it came about, if that was saved too. Without the fields that are FieldKind::Passing; what
  /// was infinite, apart from errors of the model, is NaN.
  std::optional<FitSummary> report = {};
};

namespace detail {

/// The name of a number type in model files.
template <std::floating_point Scalar>
constexpr const char* scalar_name() noexcept {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
  return std::same_as<Scalar, float> ? "float32" : "float64";
}

}  // namespace detail

/// A saved model of either number type.
using AnySavedModel = std::variant<SavedModel<float>, SavedModel<double>>;

}  // namespace mgdl
