#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
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
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/chain/residual_chain.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/verify_model.hpp"

namespace mgdl::detail {

/// Norms of residuals, relative to that of centred targets, may differ by this: rounding of another
/// machine or compiler. The same program finds the same bits.
template <class Scalar>
constexpr double residual_rounding() noexcept {
  return 64 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
}

/// By how much errors on samples may differ for a program that rounds otherwise.
struct ErrorRounding {
  double norm = 0;     ///< roots of weighted sums of squares, in the unit of the scale
  double root = 0;     ///< roots of relative squared errors
  double largest = 0;  ///< largest errors, in the unit of the targets

  /// Sums of grades differ as norms of residuals do. Where targets are much larger than their
  /// spread, predictions are rounded to a coarser grid, on which two sums that differ by d are
  /// apart by a step u for a part d / u of the samples: by sqrt(d u) in the norm, and by u at most.
  ///
  /// \param start   errors of a model without grades, which predicts the mean
  /// \param target  largest absolute target
  template <class Scalar>
  static ErrorRounding of(const ErrorSums& start, double target) {
    const double step = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    const double all = std::sqrt(start.target_square);
    const double sums = residual_rounding<Scalar>() * std::sqrt(start.square);
    const double grid = std::min(step * all, 4 * std::sqrt(2 * sums * step * all));
    return {sums + grid, all > 0 ? (sums + grid) / all : 0,
            4 * residual_rounding<Scalar>() * start.error(ErrorMeasure::MaxError) + step * target};
  }

  /// Written so that NaN, which claims nothing, is not equal.
  bool same_rse(double a, double b) const {
    return a == b || std::abs(std::sqrt(a) - std::sqrt(b)) <= root;
  }
  bool same_largest(double a, double b) const { return a == b || std::abs(a - b) <= largest; }

  /// The first output whose root mean squared error differs, from 0; none: -1.
  Index other_output(const std::vector<double>& stated, const ErrorSums& found) const {
    const auto errors = found.output_rmse();
    for (std::size_t j = 0; j < std::max(stated.size(), errors.size()); ++j) {
      const auto output = static_cast<Index>(j);
      if (j >= stated.size() || j >= errors.size()) return output;
      if (!(std::abs(stated[j] - errors[j]) <= norm * found.scale[output])) return output;
    }
    return -1;
  }

  bool same_r2(double stated, const ErrorSums& found) const {
    const RowVector<double> variances = found.target_squares - found.target_means.cwiseAbs2();
    const RowVector<double> moved = found.squares.cwiseSqrt().array() + norm;
    const double least = mean_r2(moved.cwiseAbs2().eval(), variances);
    return std::abs(stated - found.r2()) <= std::max(found.r2() - least, norm);
  }
};

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
  const Dataset<double> data(view.inputs(kAll, witness.columns).template cast<double>(),
                             targets.template cast<double>(), view.weights.template cast<double>());
  const Certificate found =
      recertify(witness, certificate.lambda, data, network.scaled(1 / unit), threads);
  // A residual that is rounded to `residual_rounding` of the targets moves the objective by this.
  const double zero = data.weights().dot(data.targets().rowwise().squaredNorm()) / 2;
  const double rounding = residual_rounding<Scalar>() * std::sqrt(zero / found.primal);
  const double tolerance = std::max(1e-9, std::isfinite(rounding) ? rounding : 0.0);
  Verification result = compare_certificates(certificate, found, tolerance);
  constexpr double kOutside = 1e-6;
  if (result.valid && found.cone_violation > kOutside + residual_rounding<Scalar>()) {
    result.valid = false;
    result.message = "the network is outside of the cones that the bound is about, by " +
                     to_text(found.cone_violation);
  }
  return result;
}

/// Samples that a model is judged by.
template <class Scalar>
struct VerifiedSamples {
  const Dataset<Scalar>& train;
  /// Of which each part belongs to a member of the model (a single one: to the model itself), with
  /// its share of all weight.
  std::vector<const Dataset<Scalar>*> validation;
  std::vector<double> shares;
  std::string fingerprint;

  void require_columns(Index inputs, Index outputs) const {
    const auto require = [&](const Dataset<Scalar>& part) {
      require_cols("X", inputs, part.inputs().cols());
      require_cols("Y", outputs, part.targets().cols());
    };
    require(train);
    for (const auto* part : validation) require(*part);
  }

  double largest_validation_target() const {
    double largest = 0;
    for (const auto* part : validation) largest = std::max(largest, largest_target(*part));
    return largest;
  }

  static double largest_target(const Dataset<Scalar>& data) {
    return static_cast<double>(data.targets().cwiseAbs().maxCoeff());
  }
};

/// Which samples the errors of grades are about.
///
/// Grades of one run are about the same ones: those that the run of the report has trained are
/// passed over together or not at all.
template <class Scalar>
class GradeOrigins {
 public:
  GradeOrigins(const MultigradeModel<Scalar>& model, const ModelClaims& claims,
               const std::string& given)
      : m_model(model), m_given(given) {
    // Of grades that were there before, a report knows next to nothing.
    for (const GradeReport& grade : claims.grades) {
      if (grade.fit.termination != Termination::NotRun || !std::isnan(grade.train_max_error)) break;
      ++m_before;
    }
    if (claims.grades.empty()) m_before = model.grades();
    for (Index k = 1; k <= model.grades(); ++k) {
      m_any = m_any || model.grade(k).samples == given;
      m_known = m_known || !model.grade(k).samples.empty();
      m_alike = m_alike &&
                (k <= m_before || model.grade(k).samples == model.grade(model.grades()).samples);
    }
  }

  /// Grades that were there before the run of the report.
  Index before() const noexcept { return m_before; }

  /// Whether a grade's errors are about other samples than those that are given; if all are, none
  /// is passed over.
  bool is_of_others(Index k) const {
    const std::string& samples = m_model.grade(k).samples;
    return m_any && (k <= m_before || m_alike) && !samples.empty() && samples != m_given;
  }

  /// What is wrong with a grade's fingerprint; empty: nothing.
  std::string refutation(Index k) const {
    const std::string& samples = m_model.grade(k).samples;
    if (is_of_others(k) || samples == m_given || !m_known) return {};
    return "samples: stated " + (samples.empty() ? "none" : samples) + ", found " + m_given;
  }

 private:
  const MultigradeModel<Scalar>& m_model;
  const std::string& m_given;
  Index m_before = 0;
  bool m_any = false;    // grade is about the given samples
  bool m_known = false;  // of any grade
  bool m_alike = true;   // of the grades of the run
};

/// What is wrong with where inputs are said to lie; empty: nothing.
template <class Scalar>
std::string range_refutation(const InputRange& stated, const Dataset<Scalar>& data) {
  const InputRange found = input_range(data.inputs(), data.weights());
  const RowVector<Scalar> largest = data.inputs().cwiseAbs().colwise().maxCoeff();
  const auto refute = [&](const char* what, const std::vector<double>& a,
                          const std::vector<double>& b) -> std::string {
    if (a.size() != b.size()) {
      return std::string(what) + ": stated of " + std::to_string(a.size()) + " inputs, found " +
             std::to_string(b.size());
    }
    for (std::size_t j = 0; j < a.size(); ++j) {
      const auto limit = residual_rounding<Scalar>() * largest[static_cast<Index>(j)];
      if (std::abs(a[j] - b[j]) <= limit) continue;
      return claim_text((what + std::string(" of input ") + std::to_string(j + 1)).c_str(), a[j],
                        b[j]);
    }
    return {};
  };
  for (const std::string& text : {refute("mean", stated.mean, found.mean),
                                  refute("deviation", stated.deviation, found.deviation),
                                  refute("smallest value", stated.lower, found.lower),
                                  refute("largest value", stated.upper, found.upper)}) {
    if (!text.empty()) return text;
  }
  return {};
}

template <class Scalar>
ModelVerification verify_grades(const MultigradeModel<Scalar>& model,
                                const VerifiedSamples<Scalar>& samples, const ModelClaims& claims,
                                const Executor& threads) {
  samples.require_columns(model.inputs(), model.outputs());
  if (!claims.grades.empty() && std::ssize(claims.grades) != model.grades()) {
    throw InvalidArgument("claims", std::to_string(model.grades()) + ", one for each grade",
                          std::to_string(claims.grades.size()));
  }
  require_threads("threads", threads);
  ResidualChain<Scalar> chain(samples.train, model, threads);
  std::deque<ResidualChain<Scalar>> parts;
  for (const auto* part : samples.validation) parts.emplace_back(*part, model, threads);
  const auto validation_sums = [&] {
    ErrorSums sums;
    for (std::size_t b = 0; b < parts.size(); ++b) sums.add(parts[b].sums(), samples.shares[b]);
    return sums;
  };
  const auto rounding =
      ErrorRounding::of<Scalar>(chain.sums(), samples.largest_target(samples.train));
  const auto validation_rounding =
      ErrorRounding::of<Scalar>(validation_sums(), samples.largest_validation_target());
  const double largest_standardised = chain.largest();

  // Of each part; none if they are not known.
  std::vector<MultigradeModel<Scalar>> members;
  std::string unknown;
  try {
    if (parts.size() == 1) members = {model};
    if (parts.size() > 1) members = fold_members(model, std::ssize(parts), claims.grades);
  } catch (const InvalidArgument& error) {
    unknown = std::string("members, ") + error.what();
  }

  ModelVerification result;
  const GradeOrigins<Scalar> origins(model, claims, samples.fingerprint);
  const auto check_start = [&](Index grades) {
    // What a run that has added nothing was given is not known.
    const bool known = grades < model.grades() || grades == 0;
    if (grades != origins.before() || std::isnan(claims.initial_rse) || !known) return;
    if (grades < model.grades() && origins.is_of_others(grades + 1)) return;
    result.initial_rse = chain.rse();
    result.initial_rse_holds = rounding.same_rse(claims.initial_rse, chain.rse());
    if (!result.initial_rse_holds) {
      result.message = claim_text("initial RSE", claims.initial_rse, chain.rse());
    }
  };
  check_start(0);
  if (!claims.inputs.empty() && !(model.grades() > 0 && origins.is_of_others(model.grades()))) {
    const std::string refutation = range_refutation(claims.inputs, samples.train);
    result.inputs_hold = refutation.empty();
    if (result.message.empty()) result.message = refutation;
  }
  for (Index k = 1; k <= model.grades(); ++k) {
    const Grade<Scalar>& grade = model.grade(k);
    const GradeReport* claim =
        claims.grades.empty() ? nullptr : &claims.grades[static_cast<std::size_t>(k - 1)];
    GradeVerification& line = result.grades.emplace_back();
    const auto note = [&](bool holds, std::string message) {
      if (!holds && line.message.empty()) line.message = std::move(message);
      return holds;
    };
    line.of_these_samples = !origins.is_of_others(k);
    line.certificate_holds = true;
    if (line.of_these_samples && claim != nullptr && claim->fit.certificate) {
      std::string message = "nothing to compute it from";
      line.certificate_holds = false;
      if (claim->fit.witness) {
        try {
          const Verification found =
              verify_certificate(*claim->fit.certificate, *claim->fit.witness, chain.problem(1),
                                 grade.network, threads);
          line.certificate = found.recomputed;
          line.certificate_holds = found.valid;
          message = found.message;
        } catch (const InvalidArgument& error) {
          message = error.what();
        }
      }
      note(line.certificate_holds, "certificate, " + message);
      if (claim->fit.network_certificate && claim->fit.witness) {
        bool holds = false;
        try {
          const Verification found = verify_certificate(*claim->fit.network_certificate,
                                                        network_witness(*claim->fit.witness),
                                                        chain.problem(1), grade.network, threads);
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
    const double largest_before = chain.largest();
    chain.try_grade(grade.network);
    chain.accept();
    if (!members.empty()) {
      for (std::size_t b = 0; b < parts.size(); ++b) {
        parts[b].try_grade(members[b].grade(k).network);
        parts[b].accept();
      }
    }
    check_start(k);
    if (!line.of_these_samples) {
      line.message = "other samples (" + grade.samples.substr(0, 8) + "), not checked";
      continue;
    }
    line.train_rse = chain.rse();
    line.train_max_error = chain.sums().error(ErrorMeasure::MaxError);
    line.pointwise_growth = chain.pointwise_growth();
    line.residual_falls =
        note(line.train_rse <= before || rounding.same_rse(line.train_rse, before),
             claim_text("the residual grows", before, line.train_rse));
    // Residuals relative to the largest one are rounded like this.
    const double growth = residual_rounding<Scalar>() * largest_standardised / largest_before;
    if (const double drop = claim == nullptr ? 0 : claim->pointwise_drop; drop != 0) {
      line.pointwise_drop = chain.pointwise_fall();
      line.norms_fall =
          note(drop > 0 && line.pointwise_drop > 0 && chain.pointwise_growth() <= growth &&
                   std::abs(drop - line.pointwise_drop) <= growth,
               claim_text("pointwise drop", drop, line.pointwise_drop) + ", growth " +
                   to_text(chain.pointwise_growth()));
    }
    line.errors_hold = true;
    const auto check = [&](bool holds, const std::string& message) {
      line.errors_hold = note(holds, message) && line.errors_hold;
    };
    const auto check_number = [&](bool same, const char* what, double stated, double found) {
      check(same, claim_text(what, stated, found));
    };
    check_number(rounding.same_rse(grade.train_rse, line.train_rse), "train RSE", grade.train_rse,
                 line.train_rse);
    check(unknown.empty(), unknown);
    const auto check_outputs = [&](const ErrorRounding& limits, const ErrorSums& found, double r2,
                                   const std::vector<double>& rmse, const std::string& part) {
      if (!std::isnan(r2)) {
        check_number(limits.same_r2(r2, found), (part + " R2").c_str(), r2, found.r2());
      }
      if (rmse.empty()) return;
      const Index other = limits.other_output(rmse, found);
      check(other < 0,
            part + " RMSE of output " + std::to_string(other + 1) + ": another one than is found");
    };
    if (claim != nullptr) {
      check_outputs(rounding, chain.sums(), claim->train_r2, claim->train_output_rmse, "train");
    }
    ErrorSums validation;  // of no samples, if there are none
    if (!members.empty()) {
      validation = validation_sums();
      line.validation_rse = validation.rse();
      line.validation_max_error = validation.error(ErrorMeasure::MaxError);
    }
    check_number((parts.empty() && std::isnan(grade.validation_rse)) ||
                     validation_rounding.same_rse(grade.validation_rse, line.validation_rse),
                 "validation RSE", grade.validation_rse, line.validation_rse);
    if (claim != nullptr) {
      check_outputs(validation_rounding, validation, claim->validation_r2,
                    claim->validation_output_rmse, "validation");
    }
    if (claim != nullptr) {
      // These three are not stated of grades that were there before the fit, and not by all.
      const auto claimed = [&](bool same, const char* what, double stated, double found) {
        check_number(std::isnan(stated) || stated == found || same, what, stated, found);
      };
      claimed(rounding.same_largest(claim->train_max_error, line.train_max_error),
              "train max error", claim->train_max_error, line.train_max_error);
      claimed(
          validation_rounding.same_largest(claim->validation_max_error, line.validation_max_error),
          "validation max error", claim->validation_max_error, line.validation_max_error);
      claimed(std::abs(claim->pointwise_growth - line.pointwise_growth) <= growth,
              "pointwise growth", claim->pointwise_growth, line.pointwise_growth);
      check_number(claim->parameters == grade.network.parameters(), "parameters",
                   static_cast<double>(claim->parameters),
                   static_cast<double>(grade.network.parameters()));
    }
    const std::string refutation = origins.refutation(k);
    check(refutation.empty(), refutation);
    if (line.valid()) line.message = "all claims hold";
  }
  return result;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataSplit<Scalar>& data,
                               const ModelClaims& claims, const Executor& threads) {
  detail::VerifiedSamples<Scalar> samples{data.train, {}, {}, fingerprint(data)};
  if (data.validation) {
    samples.validation.push_back(&*data.validation);
    samples.shares.push_back(1);
  }
  return detail::verify_grades(model, samples, claims, threads);
}

template <class Scalar>
ModelVerification verify_model(const MultigradeModel<Scalar>& model, const DataFolds<Scalar>& data,
                               const ModelClaims& claims, const Executor& threads) {
  detail::VerifiedSamples<Scalar> samples{data.all, {}, {}, fingerprint(data)};
  double held_out = 0;  // all weight, unless folds have no member
  for (Index k = 0; k < data.size(); ++k) {
    samples.validation.push_back(&*data.folds[static_cast<std::size_t>(k)].validation);
    double& share = samples.shares.emplace_back(0);
    for (const Index row : data.held_out[static_cast<std::size_t>(k)]) {
      share += static_cast<double>(data.all.weights()[row]);
    }
    held_out += share;
  }
  for (double& share : samples.shares) share /= held_out;
  return detail::verify_grades(model, samples, claims, threads);
}

}  // namespace mgdl
