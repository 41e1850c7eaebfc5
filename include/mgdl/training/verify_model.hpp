#pragma once

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certificate_witness.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/residual_chain.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
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

/// Norms of residuals, relative to that of the targets, may differ by this: rounding of another
/// machine or compiler. The same program finds the same bits.
template <class Scalar>
constexpr double residual_rounding() noexcept {
  return 64 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
}

/// Written so that NaN, which claims nothing, is not equal.
template <class Scalar>
bool same_rse(double a, double b) {
  return a == b || std::abs(std::sqrt(a) - std::sqrt(b)) <= residual_rounding<Scalar>();
}

inline std::string claim_text(const char* what, double stated, double found) {
  std::ostringstream text;
  text.precision(12);
  text << what << ": stated " << stated << ", recomputed " << found;
  return text.str();
}

/// \param view  inputs of the grade and the residual before it
template <class Scalar>
Verification verify_certificate(const Certificate& certificate, const CertificateWitness& witness,
                                const SampleView<Scalar>& view, const ReluNetwork<Scalar>& network,
                                int threads) {
  const auto unit = static_cast<Scalar>(witness.unit);
  if (!(unit > 0) || !std::isfinite(unit) || !std::isfinite(1 / unit)) {
    throw InvalidArgument("unit", "a finite value > 0", to_text(witness.unit));
  }
  for (const Index column : witness.columns) {
    if (column >= 0 && column < view.inputs.cols()) continue;
    throw InvalidArgument("columns", "numbers below " + std::to_string(view.inputs.cols()),
                          std::to_string(column));
  }
  const RowMatrix<Scalar> targets = view.targets / unit;
  const Dataset<double> data(view.inputs(Eigen::all, witness.columns).template cast<double>(),
                             targets.template cast<double>(), view.weights.template cast<double>());
  const Certificate found =
      recertify(witness, certificate.lambda, data, network.scaled(1 / unit), threads);
  // A residual that is rounded to `residual_rounding` of the targets moves the objective by this.
  const double zero = data.weights().dot(data.targets().rowwise().squaredNorm()) / 2;
  const double rounding = residual_rounding<Scalar>() * std::sqrt(zero / found.primal);
  const double tolerance = std::max(1e-9, std::isfinite(rounding) ? rounding : 0.0);
  return compare_certificates(certificate, found, tolerance);
}

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
                               const std::vector<Claim>& claims = {}, int threads = 0) {
  const auto require_columns = [&](const Dataset<Scalar>& part) {
    detail::require_cols("X", model.inputs(), part.inputs().cols());
    detail::require_cols("Y", model.outputs(), part.targets().cols());
  };
  require_columns(data.train);
  if (data.validation) require_columns(*data.validation);
  if (!claims.empty() && std::ssize(claims) != model.grades()) {
    throw InvalidArgument("claims", std::to_string(model.grades()) + ", one for each grade",
                          std::to_string(claims.size()));
  }
  detail::require_threads("threads", threads);
  detail::ThreadPool pool(detail::thread_count(threads));
  detail::ResidualChain<Scalar> train(data.train, model);
  std::optional<detail::ResidualChain<Scalar>> validation;
  if (data.validation) validation.emplace(*data.validation, model);

  ModelVerification result;
  for (Index k = 1; k <= model.grades(); ++k) {
    const Grade<Scalar>& grade = model.grade(k);
    GradeVerification& line = result.grades.emplace_back();
    const auto note = [&](bool holds, std::string message) {
      if (!holds && line.message.empty()) line.message = std::move(message);
      return holds;
    };
    line.certificate_holds = true;
    if (!claims.empty() && claims[static_cast<std::size_t>(k - 1)].certificate) {
      const Claim& claim = claims[static_cast<std::size_t>(k - 1)];
      std::string message = "nothing to compute it from";
      line.certificate_holds = false;
      if (claim.witness) {
        try {
          const Verification found = detail::verify_certificate(
              *claim.certificate, *claim.witness, train.view(), grade.network, threads);
          line.certificate = found.recomputed;
          line.certificate_holds = found.valid;
          message = found.message;
        } catch (const InvalidArgument& error) {
          message = error.what();
        }
      }
      note(line.certificate_holds, "certificate, " + message);
    }
    const double before = train.rse();
    train.try_grade(grade.network, pool);
    train.accept();
    line.train_rse = train.rse();
    line.residual_falls =
        note(line.train_rse <= before || detail::same_rse<Scalar>(line.train_rse, before),
             detail::claim_text("the residual grows", before, line.train_rse));
    bool same = note(detail::same_rse<Scalar>(grade.train_rse, line.train_rse),
                     detail::claim_text("train RSE", grade.train_rse, line.train_rse));
    if (validation) {
      validation->try_grade(grade.network, pool);
      validation->accept();
      line.validation_rse = validation->rse();
    }
    const bool both_unknown = !validation && std::isnan(grade.validation_rse);
    same = note(both_unknown || detail::same_rse<Scalar>(grade.validation_rse, line.validation_rse),
                detail::claim_text("validation RSE", grade.validation_rse, line.validation_rse)) &&
           same;
    line.errors_hold = same;
    if (line.valid()) line.message = "all claims hold";
  }
  return result;
}

}  // namespace mgdl
