#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/chain/residual_chain.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/verify_model.hpp"

namespace mgdl::detail {

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

template <class Real = double>
std::string claim_text(const char* what, double stated, double found) {
  std::ostringstream text;
  text.precision(12);
  text << what << ": stated " << stated << ", recomputed " << found;
  return text.str();
}

/// \param view  inputs of the grade and the residual before it
template <class Scalar>
Verification verify_certificate(const Certificate& certificate, const CertificateWitness& witness,
                                const SampleView<Scalar>& view, const ReluNetwork<Scalar>& network,
                                const Executor& threads) {
  const auto unit = static_cast<Scalar>(witness.unit);
  if (!(unit > 0) || !std::isfinite(unit) || !std::isfinite(1 / unit)) {
    throw InvalidArgument("unit", "a finite value > 0", to_text(witness.unit));
  }
  if (witness.columns.empty()) throw InvalidArgument("columns", "at least one", "none");
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

/// \param train       samples that the model was fitted to
/// \param validation  samples of which each part belongs to a member of the model (a single one: to
///                    the model itself), with its share of all weight
template <class Scalar>
ModelVerification verify_grades(const MultigradeModel<Scalar>& model, const Dataset<Scalar>& train,
                                const std::vector<const Dataset<Scalar>*>& validation,
                                const std::vector<double>& shares,
                                const std::vector<GradeReport>& claims, const Executor& threads) {
  const auto require_columns = [&](const Dataset<Scalar>& part) {
    require_cols("X", model.inputs(), part.inputs().cols());
    require_cols("Y", model.outputs(), part.targets().cols());
  };
  require_columns(train);
  for (const auto* part : validation) require_columns(*part);
  if (!claims.empty() && std::ssize(claims) != model.grades()) {
    throw InvalidArgument("claims", std::to_string(model.grades()) + ", one for each grade",
                          std::to_string(claims.size()));
  }
  require_threads("threads", threads);
  ThreadPool& pool = threads.pool();
  ResidualChain<Scalar> chain(train, model);
  std::vector<ResidualChain<Scalar>> parts;
  for (const auto* part : validation) parts.emplace_back(*part, model);

  // Of each part; none if they are not known.
  std::vector<MultigradeModel<Scalar>> members;
  std::string unknown;
  try {
    if (parts.size() == 1) members = {model};
    if (parts.size() > 1) members = fold_members(model, std::ssize(parts), claims);
  } catch (const InvalidArgument& error) {
    unknown = std::string("members, ") + error.what();
  }

  ModelVerification result;
  for (Index k = 1; k <= model.grades(); ++k) {
    const Grade<Scalar>& grade = model.grade(k);
    GradeVerification& line = result.grades.emplace_back();
    const auto note = [&](bool holds, std::string message) {
      if (!holds && line.message.empty()) line.message = std::move(message);
      return holds;
    };
    line.certificate_holds = true;
    if (!claims.empty() && claims[static_cast<std::size_t>(k - 1)].fit.certificate) {
      const GradeFitReport& claim = claims[static_cast<std::size_t>(k - 1)].fit;
      std::string message = "nothing to compute it from";
      line.certificate_holds = false;
      if (claim.witness) {
        try {
          const Verification found = verify_certificate(*claim.certificate, *claim.witness,
                                                        chain.view(), grade.network, threads);
          line.certificate = found.recomputed;
          line.certificate_holds = found.valid;
          message = found.message;
        } catch (const InvalidArgument& error) {
          message = error.what();
        }
      }
      note(line.certificate_holds, "certificate, " + message);
      if (claim.network_certificate && claim.witness) {
        bool holds = false;
        try {
          const Verification found =
              verify_certificate(*claim.network_certificate, network_witness(*claim.witness),
                                 chain.view(), grade.network, threads);
          holds = found.valid;
          message = found.message;
        } catch (const InvalidArgument& error) {
          message = error.what();
        }
        line.certificate_holds =
            note(holds, "certificate of the network, " + message) && line.certificate_holds;
      }
    }
    const double before = chain.rse();
    chain.try_grade(grade.network, pool);
    chain.accept();
    line.train_rse = chain.rse();
    line.residual_falls = note(line.train_rse <= before || same_rse<Scalar>(line.train_rse, before),
                               claim_text("the residual grows", before, line.train_rse));
    bool same = note(same_rse<Scalar>(grade.train_rse, line.train_rse),
                     claim_text("train RSE", grade.train_rse, line.train_rse));
    same = note(unknown.empty(), unknown) && same;
    if (!members.empty()) {
      ErrorSums sums;
      for (std::size_t b = 0; b < parts.size(); ++b) {
        parts[b].try_grade(members[b].grade(k).network, pool);
        parts[b].accept();
        sums.add(parts[b].sums(), shares[b]);
      }
      line.validation_rse = sums.rse();
    }
    const bool both_unknown = parts.empty() && std::isnan(grade.validation_rse);
    same = note(both_unknown || same_rse<Scalar>(grade.validation_rse, line.validation_rse),
                claim_text("validation RSE", grade.validation_rse, line.validation_rse)) &&
           same;
    line.errors_hold = same;
    if (line.valid()) line.message = "all claims hold";
  }
  return result;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                               const std::vector<GradeReport>& claims, const Executor& threads) {
  if (!data.validation) {
    return detail::verify_grades(model, data.train, {}, {}, claims, threads);
  }
  return detail::verify_grades(model, data.train, {&*data.validation}, {1}, claims, threads);
}

template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataFolds<Scalar>& data,
                               const std::vector<GradeReport>& claims, const Executor& threads) {
  std::vector<const Dataset<Scalar>*> parts;
  std::vector<double> shares;
  for (Index k = 0; k < data.size(); ++k) {
    parts.push_back(&*data.folds[static_cast<std::size_t>(k)].validation);
    double& share = shares.emplace_back(0);
    for (const Index row : data.held_out[static_cast<std::size_t>(k)]) {
      share += static_cast<double>(data.all.weights()[row]);
    }
  }
  return detail::verify_grades(model, data.all, parts, shares, claims, threads);
}

}  // namespace mgdl
