#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certificate/arrangement.hpp"
#include "mgdl/convex/certificate/bounds.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Certificates of points of the gated problem, and the unit in which certificates are computed.

namespace mgdl::detail {

/// What both kinds of solution have in common. The loss of a quantile has the unit of the targets,
/// so that penalty and dual have none.
template <class Solution>
void divide_common(Solution& solution, double unit) {
  solution.bias /= unit;
  solution.loss = solution.loss.in_unit(unit);
  if (solution.loss.kind == LossKind::Quantile) return;
  solution.lambda /= unit;
  solution.dual /= unit;
}

inline GatedSolution in_unit(GatedSolution solution, double unit) {
  solution.coefficients /= unit;
  divide_common(solution, unit);
  return solution;
}

inline ReluSolution in_unit(ReluSolution solution, double unit) {
  solution.output /= unit;
  divide_common(solution, unit);
  return solution;
}

/// A bound that is the objective may come out above it, by the last bits of both; by no more.
inline Certificate rounded_bound(Certificate certificate) {
  constexpr double kRounding = 1e-13;
  const double excess = certificate.dual - certificate.primal;
  if (excess > 0 && excess <= kRounding * certificate.primal) certificate.dual = certificate.primal;
  return certificate;
}

/// Samples as certificates compute with them: where targets are so large or small that their
/// squares overflow or vanish, in a power of two near to them as their unit, so that no digit
/// changes.
class CertifyUnit {
 public:
  /// \param data  which it refers to
  explicit CertifyUnit(const Dataset<double>& data) : m_data(&data) {
    constexpr double kLargest = 1e60;
    const double largest = data.targets().cwiseAbs().maxCoeff();
    if (largest == 0 || (largest < kLargest && largest > 1 / kLargest)) return;
    m_unit = std::ldexp(1.0, std::ilogb(largest));
    m_scaled.emplace(data.inputs(), data.targets() / m_unit, data.weights());
  }

  const Dataset<double>& data() const noexcept { return m_scaled ? *m_scaled : *m_data; }

  /// certify(solution in this unit), in the unit of the samples.
  template <class Solution, class Certify>
  Certificate certificate(const Solution& solution, const Certify& certify) const {
    if (!m_scaled) return rounded_bound(certify(solution));
    Certificate certificate = rounded_bound(certify(in_unit(solution, m_unit)));
    certificate.lambda = solution.lambda;
    certificate.loss = solution.loss;
    const double factor = solution.loss.kind == LossKind::Quantile ? 1 : m_unit;
    certificate.lambda_max *= factor;
    for (double* value : {&certificate.primal, &certificate.dual, &certificate.rounding}) {
      *value = *value * factor * m_unit;
    }
    if (!std::isfinite(certificate.primal)) throw_infinite_objective();
    return certificate;
  }

 private:
  const Dataset<double>* m_data;
  std::optional<Dataset<double>> m_scaled;
  double m_unit = 1;
};

/// certify() of points of one gated problem: what they share is computed once.
template <class Real>
class GatedCertifier {
 public:
  /// \param data   which it refers to, as to `gates`
  GatedCertifier(const Dataset<Real>& data, const Gates& gates, const Executor& threads);

  Certificate operator()(const GatedSolution& solution);

 private:
  Certificate certify(const GatedSolution& solution) {
    const Dataset<Real>& data = m_unit.data();
    const Index c = data.targets().cols();
    ThreadPool& pool = m_threads.pool();
    if (!m_samples) {
      m_samples.emplace(data.inputs(), m_gates.bias());
      m_patterns.emplace(*m_samples, m_gates, pool);
      m_all_patterns = m_gates.scope() == PatternScope::AllPatterns &&
                       has_all_patterns(data.inputs(), m_gates, pool);
    }
    const auto residual =
        certify_residual<Real>(data, predict_gated(*m_samples, m_gates, solution, c, pool),
                               solution.bias, solution.output_bias, solution.loss);
    Real penalty = 0;
    for (Index k = 0; k < std::ssize(solution.active); ++k) {
      penalty += safe_norm(solution.block(k));
    }
    Certificate certificate;
    certificate.rounding = rounding_of(data.targets(), data.weights(), solution.loss);
    certificate.lambda = solution.lambda;
    certificate.loss = solution.loss;
    certificate.primal = residual.loss + solution.lambda * penalty;
    if (!std::isfinite(certificate.primal)) throw_infinite_objective();
    certificate.dual = dual(residual, solution.lambda);
    if (solution.dual.size() > 0) {
      certificate.dual = std::max(certificate.dual,
                                  dual(certify_dual_point(data, solution.dual, solution.output_bias,
                                                          solution.loss, "GatedSolution.dual"),
                                       solution.lambda));
    }
    certificate.lambda_max = lambda_max(solution.output_bias, solution.loss);
    if (m_all_patterns) certificate.scope = PatternScope::AllPatterns;
    certificate.patterns = m_gates.size();
    return certificate;
  }

  /// The bound that multiples of a dual point give.
  Real dual(const CertifyResidual<Real>& point, Real lambda) const {
    const GateProducts<Real> products =
        gate_products(*m_samples, *m_patterns, point.weighted, m_threads.pool());
    const Real largest = frobenius_maximum(products.values, 0, products.values.rows()) +
                         products.error_of(0, point.weighted.cols());
    return largest_dual(point.linear.sum(), point.quadratic.sum(), largest, lambda, point.longest);
  }

  Real lambda_max(bool output_bias, const Loss& loss) {
    std::optional<Real>& value = m_lambda_max[output_bias ? 1 : 0];
    if (!(m_loss == loss)) m_lambda_max = {};
    m_loss = loss;
    if (!value) {
      const Dataset<Real>& data = m_unit.data();
      const Index c = data.targets().cols();
      const auto zero = certify_residual<Real>(data, RowMatrix<Real>::Zero(data.size(), c),
                                               RowVector<Real>::Zero(c), output_bias, loss);
      const GateProducts<Real> products =
          gate_products(*m_samples, *m_patterns, zero.weighted, m_threads.pool());
      value = frobenius_maximum(products.values, 0, products.values.rows());
    }
    return *value;
  }

  CertifyUnit m_unit;
  const Gates& m_gates;
  const Executor& m_threads;
  std::optional<CertifySamples<Real>> m_samples;
  std::optional<CertifyPatterns<Real>> m_patterns;
  bool m_all_patterns = false;
  Loss m_loss;
  std::array<std::optional<Real>, 2> m_lambda_max;  // without and with output bias
};

template <class Real>
GatedCertifier<Real>::GatedCertifier(const Dataset<Real>& data, const Gates& gates,
                                     const Executor& threads)
    : m_unit(data), m_gates(gates), m_threads(threads) {
  require_gates(data, gates);
  require_threads("threads", threads);
}

template <class Real>
Certificate GatedCertifier<Real>::operator()(const GatedSolution& solution) {
  require_solution<Real>(solution, m_gates, m_unit.data().targets().cols());
  return m_unit.certificate(solution, [&](const GatedSolution& point) { return certify(point); });
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class GatedCertifier<double>;
}  // namespace mgdl::detail
#endif
