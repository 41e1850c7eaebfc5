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
#include "mgdl/convex/certificate/gated.hpp"
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
                                               solution.bias, solution.output_bias, solution.loss);
  if (!std::isfinite(residual.loss)) throw_infinite_objective();
  const auto zero =
      certify_residual<Real>(data, RowMatrix<Real>::Zero(data.size(), c), RowVector<Real>::Zero(c),
                             solution.output_bias, solution.loss);
  const GateProducts<Real> products =
      gate_products(samples, CertifyPatterns(samples, gates, pool),
                    side_by_side(residual.weighted, zero.weighted), pool);
  Certificate certificate;
  certificate.rounding = rounding_of(data.targets(), data.weights(), solution.loss);
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

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const GatedSolution& solution,
                    const Executor& threads) {
  return detail::GatedCertifier(detail::in_double(data), gates, threads)(solution);
}

template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const ReluSolution& solution,
                    const Executor& threads) {
  const auto& samples = detail::in_double(data);
  const detail::CertifyUnit unit(samples);
  return unit.certificate(solution, [&](const ReluSolution& point) {
    return detail::certify_relu(unit.data(), gates, point, threads);
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
  const auto& samples = detail::in_double(data);
  const detail::CertifyUnit unit(samples);
  return unit.certificate(solution, [&](const ReluSolution& point) {
    return detail::certify_all_patterns(
        unit.data(), point, detail::CertifySamples(samples.inputs(), bias), threads.pool());
  });
}

}  // namespace mgdl
