#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/certify_arrangement.hpp"
#include "mgdl/detail/certify_bounds.hpp"
#include "mgdl/detail/certify_products.hpp"
#include "mgdl/detail/certify_samples.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// See Certificate::rounding.
inline double rounding_of(const RowMatrix<double>& targets, const Vector<double>& weights) {
  constexpr double kRounding = 1e-11;
  return kRounding * kRounding * 0.5 * weights.dot(targets.rowwise().squaredNorm());
}

[[noreturn]] inline void throw_infinite_objective() {
  throw InvalidArgument("solution", "a finite objective", "an overflow");
}

/// [R Y], so that both get their constraints in one pass over the samples.
inline RowMatrix<double> side_by_side(const RowMatrix<double>& left,
                                      const RowMatrix<double>& right) {
  RowMatrix<double> both(left.rows(), left.cols() + right.cols());
  both << left, right;
  return both;
}

/// The best dual value of multiples of a point, with the left sides of its constraints: one for
/// each output, or one for all.
inline double dual_value(const CertifyResidual& point, const std::vector<double>& maxima,
                         double lambda) {
  const Index problems = std::ssize(maxima);
  const Index outputs = point.linear.size() / problems;
  double value = 0;
  for (Index o = 0; o < problems; ++o) {
    value += largest_dual(point.linear.segment(o * outputs, outputs).sum(),
                          point.quadratic.segment(o * outputs, outputs).sum(),
                          maxima[static_cast<std::size_t>(o)], lambda);
  }
  return value;
}

/// Objective and dual of a ReLU solution, once the left sides of the constraints are known: first
/// those for its residuals, one for each output or one for all of them, then as many for the
/// targets.
inline void complete_relu(const CertifyResidual& residual, const std::vector<double>& maxima,
                          const ReluSolution& solution, Certificate& certificate) {
  double penalty = 0;
  for (Index k = 0; k < solution.hidden.rows(); ++k) {
    const double output = solution.separate_outputs ? solution.output.row(k).lpNorm<1>()
                                                    : solution.output.row(k).norm();
    penalty += solution.hidden.row(k).norm() * output;
  }
  certificate.lambda = solution.lambda;
  certificate.primal = residual.loss + solution.lambda * penalty;
  const auto middle = maxima.begin() + std::ssize(maxima) / 2;
  certificate.dual = dual_value(residual, {maxima.begin(), middle}, solution.lambda);
  certificate.lambda_max = *std::max_element(middle, maxima.end());
  if (!std::isfinite(certificate.primal)) throw_infinite_objective();
}

/// Left sides of the constraints over all patterns: one for each output, or one for all of them.
inline std::vector<double> all_patterns_maxima(const CertifySamples& samples,
                                               const RowMatrix<double>& N, bool separate,
                                               ThreadPool& pool) {
  const Matrix<double> X = samples.values().topRows(samples.size());
  const Index problems = separate ? N.cols() : 1;
  const Index outputs = N.cols() / problems;
  std::vector<double> maxima(static_cast<std::size_t>(problems));
  pool.parallel_for(problems, [&](Index k, int) {
    maxima[static_cast<std::size_t>(k)] =
        all_patterns_maximum(X, N.middleCols(k * outputs, outputs));
  });
  return maxima;
}

inline Certificate certify_all_patterns(const Dataset<double>& data, const ReluSolution& solution,
                                        const CertifySamples& samples, ThreadPool& pool) {
  const Index c = data.targets().cols();
  const auto residual = certify_residual(data, predict_relu(samples, solution, c, pool),
                                         solution.bias, solution.output_bias);
  if (!std::isfinite(residual.loss)) throw_infinite_objective();
  const auto zero = certify_residual(data, RowMatrix<double>::Zero(data.size(), c),
                                     RowVector<double>::Zero(c), solution.output_bias);
  Certificate certificate;
  certificate.rounding = rounding_of(data.targets(), data.weights());
  certificate.scope = PatternScope::AllPatterns;
  const bool separate = solution.separate_outputs;
  auto maxima = all_patterns_maxima(samples, residual.weighted, separate, pool);
  const auto at_zero = all_patterns_maxima(samples, zero.weighted, separate, pool);
  maxima.insert(maxima.end(), at_zero.begin(), at_zero.end());
  complete_relu(residual, maxima, solution, certificate);
  if (solution.dual.size() > 0) {
    const auto point = certify_dual_point(data, solution.dual, solution.output_bias);
    certificate.dual =
        std::max(certificate.dual,
                 dual_value(point, all_patterns_maxima(samples, point.weighted, separate, pool),
                            solution.lambda));
  }
  return certificate;
}

}  // namespace mgdl::detail
