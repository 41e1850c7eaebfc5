#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

namespace mgdl {

/// What verify_model() has found of a grade. Errors are those of the prefix that ends with it.
struct GradeVerification {
  double train_rse = std::numeric_limits<double>::quiet_NaN();       ///< recomputed
  double validation_rse = std::numeric_limits<double>::quiet_NaN();  ///< recomputed; NaN without
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

  /// Whether everything that is claimed of any grade is true.
  bool valid() const {
    return std::ranges::all_of(grades, [](const auto& grade) { return grade.valid(); });
  }
};

/// One line a grade, then the answer.
inline std::ostream& operator<<(std::ostream& out, const ModelVerification& verification) {
  std::vector<std::vector<std::string>> rows{{"grade", "train RSE", "valid. RSE", "gap", "holds"}};
  for (const auto& grade : verification.grades) {
    rows.push_back({std::to_string(rows.size()), detail::error_text(grade.train_rse),
                    detail::error_text(grade.validation_rse),
                    grade.certificate ? detail::error_text(grade.certificate->relative_gap()) : "-",
                    grade.valid() ? "yes" : "no: " + grade.message});
  }
  return out << detail::table_text(rows)
             << (verification.valid() ? "all claims hold\n" : "not all claims hold\n");
}

/// Recomputes what a model and its report claim, from the samples and the weights alone, grade by
/// grade:
/// - the relative squared errors on the training and the validation part are those in the model, to
///   rounding: their roots differ by at most 64 eps of Scalar;
/// - no grade lets the residual's weighted sum of squares on the training part grow;
/// - where a grade claims that every L^p norm of the residual has fallen (`pointwise_drop`), it has
///   grown at no sample, and at one it has fallen by as much as stated;
/// - a certificate is what certify() makes of the samples, or claims less (see verify()).
///
/// A claim that cannot be checked does not hold: an error that is not known (NaN), a certificate
/// without witness, a validation error without validation part and the other way round.
///
/// \param data    the samples that the model was trained with, split in the same way
/// \param claims  reports of the grades, in order, as of a fit or a model file: what their
///                `certificate` and `witness` say; none: no certificates
/// \throws InvalidArgument for samples whose columns are not the model's, and for another number of
///         claims
template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                               const std::vector<GradeReport>& claims = {},
                               const Executor& threads = {});

/// The same for a model of folds, as many as `data` has: the training errors are those of the model
/// on all samples, the validation errors those of every sample by the member that has not seen it.
/// Needs the claims' `member_biases`.
template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataFolds<Scalar>& data,
                               const std::vector<GradeReport>& claims,
                               const Executor& threads = {});

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template ModelVerification verify_model(const MultigradeModel<float>&,
                                               const DataSplit<float>&,
                                               const std::vector<GradeReport>&, const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<double>&,
                                               const DataSplit<double>&,
                                               const std::vector<GradeReport>&, const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<float>&,
                                               const DataFolds<float>&,
                                               const std::vector<GradeReport>&, const Executor&);
extern template ModelVerification verify_model(const MultigradeModel<double>&,
                                               const DataFolds<double>&,
                                               const std::vector<GradeReport>&, const Executor&);
}  // namespace mgdl
#else
#include "mgdl/training/verify_model_impl.hpp"  // IWYU pragma: export
#endif
