#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certificate/arrangement.hpp"
#include "mgdl/convex/certificate/bounds.hpp"
#include "mgdl/convex/certificate/half_spaces.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// certify() of a point of the gated problem.
template <class Real>
Certificate certify_gated(const Dataset<Real>& data, const Gates& gates,
                          const GatedSolution& solution, const Executor& threads) {
  const Index c = data.targets().cols();
  require_gates(data, gates);
  require_solution<Real>(solution, gates, c);
  require_threads("threads", threads);
  ThreadPool& pool = threads.pool();
  const CertifySamples<Real> samples(data.inputs(), gates.bias());
  const auto residual = certify_residual<Real>(
      data, predict_gated(samples, gates, solution, c, pool), solution.bias, solution.output_bias);
  const auto zero = certify_residual<Real>(data, RowMatrix<Real>::Zero(data.size(), c),
                                           RowVector<Real>::Zero(c), solution.output_bias);
  Real penalty = 0;
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    penalty += safe_norm(solution.block(k));
  }
  Certificate certificate;
  certificate.rounding = rounding_of(data.targets(), data.weights());
  certificate.lambda = solution.lambda;
  certificate.primal = residual.loss + solution.lambda * penalty;
  if (!std::isfinite(certificate.primal)) throw_infinite_objective();
  const GateProducts<Real> products =
      gate_products(samples, gates, side_by_side(residual.weighted, zero.weighted), pool);
  const Index half = products.values.rows() / 2;
  certificate.dual = largest_dual(
      residual.linear.sum(), residual.quadratic.sum(),
      frobenius_maximum(products.values, 0, half) + products.error_of(0, c), solution.lambda);
  certificate.lambda_max = frobenius_maximum(products.values, half, half);
  if (gates.scope() == PatternScope::AllPatterns && has_all_patterns(data.inputs(), gates, pool)) {
    certificate.scope = PatternScope::AllPatterns;
  }
  certificate.patterns = gates.size();
  return certificate;
}

/// certify() of a network over the cones of gates.
template <class Real>
Certificate certify_relu(const Dataset<Real>& data, const Gates& gates,
                         const ReluSolution& solution, const Executor& threads) {
  const Index c = data.targets().cols();
  const Index p = gates.dimension();
  require_gates(data, gates);
  require_solution<Real>(solution, p, c);
  require_neuron_gates(solution, gates);
  require_threads("threads", threads);
  ThreadPool& pool = threads.pool();
  const CertifySamples<Real> samples(data.inputs(), gates.bias());
  if (gates.scope() == PatternScope::AllPatterns && p <= kArrangementDimensions) {
    return certify_all_patterns(data, solution, samples, pool);
  }
  const auto residual = certify_residual<Real>(data, predict_relu(samples, solution, c, pool),
                                               solution.bias, solution.output_bias);
  if (!std::isfinite(residual.loss)) throw_infinite_objective();
  const auto zero = certify_residual<Real>(data, RowMatrix<Real>::Zero(data.size(), c),
                                           RowVector<Real>::Zero(c), solution.output_bias);
  const GateProducts<Real> products =
      gate_products(samples, gates, side_by_side(residual.weighted, zero.weighted), pool);
  Certificate certificate;
  certificate.rounding = rounding_of(data.targets(), data.weights());
  certificate.patterns = gates.size();
  certificate.cone_violation = largest_violation(samples, gates, solution, pool);
  if (solution.separate_outputs || c == 1) {
    std::vector<Real> maxima = cone_maxima(samples, gates, products.values, pool);
    for (Index o = 0; o < c; ++o) maxima[static_cast<std::size_t>(o)] += products.error[o];
    complete_relu(residual, maxima, solution, certificate);
  } else {
    certificate.bound = DualBound::SpectralRelaxation;
    complete_relu<Real>(residual,
                        {spectral_maximum(products.values, 0, p, c) + products.error_of(0, c),
                         spectral_maximum(products.values, p * c, p, c)},
                        solution, certificate);
  }
  return certificate;
}

inline GatedSolution in_unit(GatedSolution solution, double unit) {
  solution.lambda /= unit;
  solution.coefficients /= unit;
  solution.bias /= unit;
  return solution;
}

inline ReluSolution in_unit(ReluSolution solution, double unit) {
  solution.lambda /= unit;
  solution.output /= unit;
  solution.bias /= unit;
  solution.dual /= unit;
  return solution;
}

/// A bound that is the objective may come out above it, by the last bits of both; by no more.
inline Certificate rounded_bound(Certificate certificate) {
  constexpr double kRounding = 1e-13;
  const double excess = certificate.dual - certificate.primal;
  if (excess > 0 && excess <= kRounding * certificate.primal) certificate.dual = certificate.primal;
  return certificate;
}

/// certify(data, solution) for targets that are so large or small that their squares overflow or
/// vanish: in a power of two near to them as their unit, so that no digit changes.
template <class Solution, class Certify>
Certificate certify_in_unit(const Dataset<double>& data, const Solution& solution,
                            const Certify& certify) {
  constexpr double kLargest = 1e60;
  const double largest = data.targets().cwiseAbs().maxCoeff();
  if (largest == 0 || (largest < kLargest && largest > 1 / kLargest)) {
    return rounded_bound(certify(data, solution));
  }
  const double unit = std::ldexp(1.0, std::ilogb(largest));
  const Dataset<double> scaled(data.inputs(), data.targets() / unit, data.weights());
  Certificate certificate = rounded_bound(certify(scaled, in_unit(solution, unit)));
  certificate.lambda = solution.lambda;
  certificate.lambda_max *= unit;
  for (double* value : {&certificate.primal, &certificate.dual, &certificate.rounding}) {
    *value = *value * unit * unit;
  }
  if (!std::isfinite(certificate.primal)) throw_infinite_objective();
  return certificate;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const GatedSolution& solution,
                    const Executor& threads) {
  return detail::certify_in_unit(detail::in_double(data), solution,
                                 [&](const auto& samples, const auto& point) {
                                   return detail::certify_gated(samples, gates, point, threads);
                                 });
}

template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const ReluSolution& solution,
                    const Executor& threads) {
  return detail::certify_in_unit(detail::in_double(data), solution,
                                 [&](const auto& samples, const auto& point) {
                                   return detail::certify_relu(samples, gates, point, threads);
                                 });
}

template <class Scalar>
Certificate certify_all_patterns(const Dataset<Scalar>& data, const ReluSolution& solution,
                                 bool bias, const Executor& threads) {
  const Index p = data.inputs().cols() + (bias ? 1 : 0);
  if (p > detail::kArrangementDimensions) {
    throw InvalidArgument("X", bias ? "at most 2 columns" : "at most 3 columns",
                          std::to_string(data.inputs().cols()));
  }
  detail::require_solution<double>(solution, p, data.targets().cols());
  detail::require_threads("threads", threads);
  return detail::certify_in_unit(
      detail::in_double(data), solution, [&](const auto& samples, const auto& point) {
        return detail::certify_all_patterns(
            samples, point, detail::CertifySamples(samples.inputs(), bias), threads.pool());
      });
}

}  // namespace mgdl
