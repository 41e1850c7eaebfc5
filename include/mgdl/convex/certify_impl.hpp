#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certificate/arrangement.hpp"
#include "mgdl/convex/certificate/bounds.hpp"
#include "mgdl/convex/certificate/count_patterns.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/linkage.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

MGDL_INLINE Certificate certify(const Dataset<double>& data, const Gates& gates,
                                const GatedSolution& solution, int threads) {
  const Index c = data.targets().cols();
  detail::require_gates(data, gates);
  detail::require_solution(solution, gates, c);
  detail::require_threads("threads", threads);
  detail::ThreadPool pool(detail::thread_count(threads));
  const detail::CertifySamples samples(data.inputs(), gates.bias());
  const auto residual =
      detail::certify_residual(data, detail::predict_gated(samples, gates, solution, c, pool),
                               solution.bias, solution.output_bias);
  const auto zero = detail::certify_residual(data, RowMatrix<double>::Zero(data.size(), c),
                                             RowVector<double>::Zero(c), solution.output_bias);
  double penalty = 0;
  for (Index k = 0; k < std::ssize(solution.active); ++k) penalty += solution.block(k).norm();
  Certificate certificate;
  certificate.rounding = detail::rounding_of(data.targets(), data.weights());
  certificate.lambda = solution.lambda;
  certificate.primal = residual.loss + solution.lambda * penalty;
  if (!std::isfinite(certificate.primal)) detail::throw_infinite_objective();
  const Matrix<double> products = detail::gate_products(
      samples, gates, detail::side_by_side(residual.weighted, zero.weighted), pool);
  const Index half = products.rows() / 2;
  certificate.dual =
      detail::largest_dual(residual.linear.sum(), residual.quadratic.sum(),
                           detail::frobenius_maximum(products, 0, half), solution.lambda);
  certificate.lambda_max = detail::frobenius_maximum(products, half, half);
  if (gates.scope() == PatternScope::AllPatterns &&
      detail::has_all_patterns(data.inputs(), gates, pool)) {
    certificate.scope = PatternScope::AllPatterns;
  }
  return certificate;
}

MGDL_INLINE Certificate certify(const Dataset<double>& data, const Gates& gates,
                                const ReluSolution& solution, int threads) {
  const Index c = data.targets().cols();
  const Index p = gates.dimension();
  detail::require_gates(data, gates);
  detail::require_solution(solution, p, c);
  detail::require_neuron_gates(solution, gates);
  detail::require_threads("threads", threads);
  detail::ThreadPool pool(detail::thread_count(threads));
  const detail::CertifySamples samples(data.inputs(), gates.bias());
  if (gates.scope() == PatternScope::AllPatterns && p <= detail::kArrangementDimensions) {
    return detail::certify_all_patterns(data, solution, samples, pool);
  }
  const auto residual = detail::certify_residual(
      data, detail::predict_relu(samples, solution, c, pool), solution.bias, solution.output_bias);
  if (!std::isfinite(residual.loss)) detail::throw_infinite_objective();
  const auto zero = detail::certify_residual(data, RowMatrix<double>::Zero(data.size(), c),
                                             RowVector<double>::Zero(c), solution.output_bias);
  const Matrix<double> products = detail::gate_products(
      samples, gates, detail::side_by_side(residual.weighted, zero.weighted), pool);
  Certificate certificate;
  certificate.rounding = detail::rounding_of(data.targets(), data.weights());
  certificate.cone_violation = detail::largest_violation(samples, gates, solution, pool);
  if (solution.separate_outputs || c == 1) {
    detail::complete_relu(residual, detail::cone_maxima(samples, gates, products, pool), solution,
                          certificate);
  } else {
    certificate.bound = DualBound::SpectralRelaxation;
    detail::complete_relu(residual,
                          {detail::spectral_maximum(products, 0, p, c),
                           detail::spectral_maximum(products, p * c, p, c)},
                          solution, certificate);
  }
  return certificate;
}

MGDL_INLINE Certificate certify_all_patterns(const Dataset<double>& data,
                                             const ReluSolution& solution, bool bias, int threads) {
  const Index p = data.inputs().cols() + (bias ? 1 : 0);
  if (p > detail::kArrangementDimensions) {
    throw InvalidArgument("X", bias ? "at most 2 columns" : "at most 3 columns",
                          std::to_string(data.inputs().cols()));
  }
  detail::require_solution(solution, p, data.targets().cols());
  detail::require_threads("threads", threads);
  detail::ThreadPool pool(detail::thread_count(threads));
  return detail::certify_all_patterns(data, solution, detail::CertifySamples(data.inputs(), bias),
                                      pool);
}

namespace detail {

MGDL_INLINE Verification compare_certificates(const Certificate& stated,
                                              const Certificate& recomputed, double tolerance) {
  require_option(tolerance >= 0, "tolerance", "a value >= 0", tolerance);
  Verification result{false, recomputed, {}};
  const auto fails = [&](bool holds, const char* field, const auto& claim, const auto& found) {
    if (holds) return false;
    std::ostringstream text;
    text.precision(12);
    text << field << ": stated " << claim << ", recomputed " << found;
    result.message = text.str();
    return true;
  };
  // Written so that NaN fails.
  const auto near = [&](double a, double b) { return std::abs(a - b) <= tolerance * std::abs(b); };
  const double unit = tolerance * std::max(recomputed.primal, recomputed.rounding);
  const auto& [s, r] = std::pair<const Certificate&, const Certificate&>(stated, recomputed);
  result.valid =
      !fails(std::abs(s.primal - r.primal) <= unit, "primal", s.primal, r.primal) &&
      !fails(s.dual <= r.dual + unit, "dual", s.dual, r.dual) &&
      !fails(near(s.lambda, r.lambda), "lambda", s.lambda, r.lambda) &&
      !fails(near(s.lambda_max, r.lambda_max), "lambda_max", s.lambda_max, r.lambda_max) &&
      !fails(s.cone_violation >= r.cone_violation - tolerance, "cone_violation", s.cone_violation,
             r.cone_violation) &&
      !fails(s.rounding <= r.rounding * (1 + tolerance), "rounding", s.rounding, r.rounding) &&
      !fails(s.scope == r.scope || s.scope == PatternScope::SampledPatterns, "scope",
             to_string(s.scope), to_string(r.scope)) &&
      !fails(s.bound == r.bound || s.bound == DualBound::SpectralRelaxation, "bound",
             to_string(s.bound), to_string(r.bound));
  if (result.valid) result.message = "the certificate holds";
  return result;
}

}  // namespace detail

MGDL_INLINE Verification verify_all_patterns(const Certificate& certificate,
                                             const Dataset<double>& data,
                                             const ReluSolution& solution, bool bias,
                                             double tolerance, int threads) {
  return detail::compare_certificates(
      certificate, certify_all_patterns(data, solution, bias, threads), tolerance);
}

}  // namespace mgdl
