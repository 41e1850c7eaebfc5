#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

namespace mgdl {

/// What is claimed of a model, as far as samples can show whether it is true: of its grades, in
/// order, and of their start.
struct ModelClaims {
  ModelClaims() = default;
  /// Nearly always these are all.
  ModelClaims(  // NOLINT(google-explicit-constructor)
      std::vector<GradeReport> of_grades, double before = std::numeric_limits<double>::quiet_NaN(),
      InputRange of_inputs = {})
      : grades(std::move(of_grades)), initial_rse(before), inputs(std::move(of_inputs)) {}

  std::vector<GradeReport> grades;  ///< of the model, in order
  /// Training RSE before the first grade that the report's run has trained (of grades that were
  /// there before it, a report has only errors and size); NaN: not claimed.
  double initial_rse = std::numeric_limits<double>::quiet_NaN();
  InputRange inputs;  ///< of the training samples of that run; empty: not claimed
};

/// What a model file says and nothing in it, nor the samples, can show to be true, by its place in
/// docs/format.md: a number is any number.
inline const std::vector<std::string>& unchecked_claims() {
  static const std::vector<std::string> places{
      "library_version",
      "report/termination",
      "report/message",
      "report/options",
      "report/seed, without validation part and folds",
      "report/discarded_grades",
      "report/grades/<k>/trainer",
      "report/grades/<k>/termination",
      "report/grades/<k>/message",
      "report/grades/<k>/trials",
      "link, with less than two grades",
      "grade.<k>.layer.<l>, of units that are 0 at all samples and inputs of the self-test",
      "grades/<k>/witness/scope",
      "grades/<k>/witness/separate_outputs, with one output or gated",
      "names, of samples without"};
  return places;
}

/// What verify_model() has found of a grade. Errors are those of the prefix that ends with it.
struct GradeVerification {
  double train_rse = std::numeric_limits<double>::quiet_NaN();        ///< recomputed
  double validation_rse = std::numeric_limits<double>::quiet_NaN();   ///< recomputed; NaN without
  double train_max_error = std::numeric_limits<double>::quiet_NaN();  ///< recomputed
  double validation_max_error = std::numeric_limits<double>::quiet_NaN();  ///< recomputed
  double pointwise_growth = std::numeric_limits<double>::quiet_NaN();      ///< recomputed
  /// Whether its errors are about these samples; if not, nothing of it is checked.
  bool of_these_samples = true;
  bool errors_hold = false;     ///< the errors in the model are those recomputed
  bool residual_falls = false;  ///< the residual's sum of squares has not grown by this grade
  double pointwise_drop = 0;    ///< recomputed, if the grade claims one; see GradeReport
  bool norms_fall = true;       ///< so is the claim that every L^p norm has; also if there is none
  /// The certificate as it should be; none if none is claimed or it cannot be computed.
  std::optional<Certificate> certificate = {};
  bool certificate_holds = false;  ///< what it claims is true; also if nothing is claimed
  std::string message = {};        ///< the first claim that is false, or that all are true

  /// Whether everything that is claimed is true.
  bool valid() const noexcept {
    return errors_hold && residual_falls && norms_fall && certificate_holds;
  }
};

/// What verify_model() has found.
struct ModelVerification {
  std::vector<GradeVerification> grades;  ///< of the model, in order
  /// Training RSE before the first grade of the last run, recomputed; NaN if it is not claimed, or
  /// about other samples.
  double initial_rse = std::numeric_limits<double>::quiet_NaN();
  bool initial_rse_holds = true;  ///< also if it is not claimed
  bool inputs_hold = true;        ///< where the inputs lie; also if it is not claimed
  std::string message = {};       ///< on these two; empty if they hold

  /// Of how many grades nothing is checked, because they are about other samples.
  Index unchecked() const {
    return std::ranges::count_if(grades, [](const auto& grade) { return !grade.of_these_samples; });
  }
  /// Whether a claim about these samples is false.
  bool refuted() const {
    return !initial_rse_holds || !inputs_hold || std::ranges::any_of(grades, [](const auto& grade) {
      return grade.of_these_samples && !grade.valid();
    });
  }
  /// Whether everything that is claimed is true. What is not checked is not known to be.
  bool valid() const { return !refuted() && unchecked() == 0; }
};

/// What several sets of samples show together of a model that was resumed on other samples: a grade
/// is checked if it is about one of them, and a claim that is false of one is false.
///
/// \param parts  what verify_model() has found with each set, all of the same model and claims
/// \throws InvalidArgument for no parts, and for parts with different numbers of grades
inline ModelVerification combine(const std::vector<ModelVerification>& parts) {
  if (parts.empty()) throw InvalidArgument("parts", "at least one", "none");
  ModelVerification result = parts.front();
  for (const ModelVerification& part : parts) {
    if (part.grades.size() != result.grades.size()) {
      throw InvalidArgument("parts", "all of one model", "different numbers of grades");
    }
    for (std::size_t k = 0; k < part.grades.size(); ++k) {
      const GradeVerification& found = part.grades[k];
      GradeVerification& line = result.grades[k];
      const bool worse = line.valid() && !found.valid();
      if (found.of_these_samples && (!line.of_these_samples || worse)) line = found;
    }
    if (std::isnan(result.initial_rse)) result.initial_rse = part.initial_rse;
    result.initial_rse_holds = result.initial_rse_holds && part.initial_rse_holds;
    result.inputs_hold = result.inputs_hold && part.inputs_hold;
    if (result.message.empty()) result.message = part.message;
  }
  return result;
}

/// One line a grade, what its certificate is about, then the answer.
inline std::ostream& operator<<(std::ostream& out, const ModelVerification& verification) {
  std::vector<std::vector<std::string>> rows{{"grade", "train RSE", "valid. RSE", "train max error",
                                              "valid. max error", "growth", "gap", "holds"}};
  for (const auto& grade : verification.grades) {
    const char* refuted = grade.of_these_samples ? "no: " : "";
    rows.push_back(
        {std::to_string(rows.size()), detail::error_text(grade.train_rse),
         detail::error_text(grade.validation_rse), detail::error_text(grade.train_max_error),
         detail::error_text(grade.validation_max_error), detail::error_text(grade.pointwise_growth),
         grade.certificate ? detail::error_text(grade.certificate->relative_gap()) : "-",
         grade.valid() ? "yes" : refuted + grade.message});
  }
  out << detail::table_text(rows);
  for (std::size_t k = 0; k < verification.grades.size(); ++k) {
    if (const auto& certificate = verification.grades[k].certificate) {
      out << "grade " << k + 1 << ", certificate: " << scope_text(*certificate) << '\n';
    }
  }
  if (!verification.message.empty()) out << "no: " << verification.message << '\n';
  if (verification.refuted()) return out << "not all claims hold\n";
  if (verification.unchecked() == 0) return out << "all claims hold\n";
  return out << "what is checked holds; not checked: " << verification.unchecked() << " of "
             << verification.grades.size() << " grades, which are about other samples\n";
}

/// Recomputes what a model and its report claim, from the samples and the weights alone, grade by
/// grade:
/// - the relative squared errors and the largest errors on the training and the validation part are
///   those in the model, of predictions as predict() rounds them. They may differ by rounding: by
///   64 eps of Scalar times the spread of the targets, and by what rounding a sum to predictions
///   that are much larger than it can do;
/// - no grade lets the residual's weighted sum of squares on the training part grow, and by how
///   much it lets that of a sample grow is stated;
/// - where a grade claims that every L^p norm of the residual has fallen (`pointwise_drop`), it has
///   grown at no sample, and at one it has fallen by as much as stated;
/// - a certificate is what certify() makes of the samples, or claims less (see verify()), on at
///   least as many patterns as are stated; the network lies in their cones;
/// - the RSE before the first grade, the number of parameters, and where the inputs lie.
///
/// A claim that cannot be checked does not hold: an error that is not known (NaN), a certificate
/// without witness, a validation error without validation part and the other way round. Not looked
/// at is what unchecked_claims() lists.
///
/// A model that was resumed on other samples has grades whose errors are about others than `data`,
/// as their fingerprints tell: they are passed over, `of_these_samples` says so, and the model is
/// not `valid()`, because a fingerprint may be any text. combine() is about all sets together.
/// Where no fingerprint is that of `data`, all grades are checked, and do not hold.
///
/// \param data    the samples that the model was trained with, split in the same way
/// \param claims  of a fit or a model file: errors, and what their `certificate` and `witness` say;
///                none: no certificates
/// \throws InvalidArgument for samples whose columns are not the model's, and for another number of
///         claims
template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                               const ModelClaims& claims = {}, const Executor& threads = {});

/// The same for a model of folds, as many as `data` has (without those that have no member, see
/// MultigradeReport::idle_folds): the training errors are those of the model on all samples, the
/// validation errors those of every sample by the member that has not seen it. Needs the claims'
/// `member_biases`.
template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataFolds<Scalar>& data,
                               const ModelClaims& claims, const Executor& threads = {});

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template ModelVerification verify_model(const MultigradeModel<float>&,
                                               const DataSplit<float>&, const ModelClaims&,
                                               const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<double>&,
                                               const DataSplit<double>&, const ModelClaims&,
                                               const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<float>&,
                                               const DataFolds<float>&, const ModelClaims&,
                                               const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<double>&,
                                               const DataFolds<double>&, const ModelClaims&,
                                               const Executor&);
}  // namespace mgdl
#else
#include "mgdl/training/verify_model_impl.hpp"  // IWYU pragma: export
#endif
