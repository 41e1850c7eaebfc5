#pragma once

#include <algorithm>
#include <iomanip>
#include <limits>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// What verify_model() has found of a grade. Errors are those of the prefix that ends with it.
struct GradeVerification {
  double train_rse = std::numeric_limits<double>::quiet_NaN();       ///< recomputed
  double validation_rse = std::numeric_limits<double>::quiet_NaN();  ///< recomputed; NaN without
  bool errors_hold = false;     ///< the errors in the model are those recomputed
  bool residual_falls = false;  ///< the residual's sum of squares has not grown by this grade
  /// The certificate as it should be; none if none is claimed or it cannot be computed.
  std::optional<Certificate> certificate = {};
  bool certificate_holds = false;  ///< what it claims is true; also if nothing is claimed
  std::string message = {};        ///< the first claim that is false, or that all are true

  /// Whether everything that is claimed is true.
  bool valid() const noexcept { return errors_hold && residual_falls && certificate_holds; }
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
  std::ostringstream text;  // so that the caller's format flags are left alone
  text << "grade   train RSE   valid RSE         gap  holds\n";
  const auto number = [&](double value) {
    if (value == value) {
      text << std::setw(12) << std::scientific << std::setprecision(3) << value;
    } else {
      text << std::setw(12) << "-";
    }
  };
  Index k = 0;
  for (const auto& grade : verification.grades) {
    text << std::setw(5) << ++k;
    number(grade.train_rse);
    number(grade.validation_rse);
    number(grade.certificate ? grade.certificate->relative_gap()
                             : std::numeric_limits<double>::quiet_NaN());
    text << "  " << (grade.valid() ? "yes" : "no: ") << (grade.valid() ? "" : grade.message)
         << '\n';
  }
  text << (verification.valid() ? "all claims hold\n" : "not all claims hold\n");
  return out << text.str();
}

namespace detail {

/// What is claimed of a grade; null: nothing.
struct GradeClaim {
  const Certificate* certificate = nullptr;
  const CertificateWitness* witness = nullptr;
};

/// \param claims  none, or one for each grade
template <class Scalar>
ModelVerification verify_claims(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                                const std::vector<GradeClaim>& claims, const Executor& threads);

}  // namespace detail

/// Recomputes what a model and its report claim, from the samples and the weights alone, grade by
/// grade:
/// - the relative squared errors on the training and the validation part are those in the model, to
///   rounding: their roots differ by at most 64 eps of Scalar;
/// - no grade lets the residual's weighted sum of squares on the training part grow;
/// - a certificate is what certify() makes of the samples, or claims less (see verify()).
///
/// A claim that cannot be checked does not hold: an error that is not known (NaN), a certificate
/// without witness, a validation error without validation part and the other way round.
///
/// \param data    the samples that the model was trained with, split in the same way
/// \param claims  for each grade, in order, something with the members `certificate` and `witness`:
///                GradeFitReport or the GradeSummary of a model file; none: no certificates
/// \throws InvalidArgument for samples whose columns are not the model's, and for another number of
///         claims
template <class Scalar, class Claim = GradeFitReport>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                               const std::vector<Claim>& claims = {},
                               const Executor& threads = {}) {
  std::vector<detail::GradeClaim> borrowed;
  for (const Claim& claim : claims) {
    borrowed.push_back({claim.certificate ? &*claim.certificate : nullptr,
                        claim.witness ? &*claim.witness : nullptr});
  }
  return detail::verify_claims(model, data, borrowed, threads);
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template ModelVerification detail::verify_claims(const MultigradeModel<float>&,
                                                        const DataSplit<float>&,
                                                        const std::vector<GradeClaim>&,
                                                        const Executor&);
extern template ModelVerification detail::verify_claims(const MultigradeModel<double>&,
                                                        const DataSplit<double>&,
                                                        const std::vector<GradeClaim>&,
                                                        const Executor&);
}  // namespace mgdl
#else
#include "mgdl/training/verify_model_impl.hpp"  // IWYU pragma: export
#endif
