#pragma once

#include <algorithm>
#include <utility>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_network.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// A dual point scaled to where the dual objective is largest under all constraints.
struct TrendBound {
  DualFunction z;    ///< of the point before it was scaled
  Vector<double> N;  ///< before it was scaled; of sum zero with a bias
  double scale = 0;  ///< scale N is feasible
  double value = 0;  ///< lower bound of the optimum
  double gap = 1;    ///< of the network that it was made from, relative to its objective
};

inline TrendBound bound_by(const TrendSamples& samples, Vector<double> N, double lambda,
                           bool output_bias) {
  constexpr double kRounding = 1e-12;  // more than the norm is off by
  if (output_bias) N -= samples.w * (N.sum() / samples.w.sum());
  TrendBound bound{DualFunction(samples, N), std::move(N)};
  const double linear = bound.N.dot(samples.y);
  const double square = bound.N.cwiseAbs2().cwiseQuotient(samples.w).sum();
  if (square > 0) {
    bound.scale =
        std::max(0.0, std::min(lambda / (bound.z.norm() * (1 + kRounding)), linear / square));
  }
  bound.value = samples.scatter + bound.scale * (linear - 0.5 * bound.scale * square);
  return bound;
}

/// The bound that a network's own residuals prove. That is what can be certified from the network
/// alone.
inline TrendBound residual_bound(const TrendSamples& samples, const TrendNetwork& network,
                                 double lambda, bool output_bias) {
  Vector<double> residual = samples.y - evaluate(network.neurons, samples.x);
  residual.array() -= network.bias;
  TrendBound bound = bound_by(samples, samples.w.cwiseProduct(residual), lambda, output_bias);
  bound.gap = network.primal > 0 ? (network.primal - bound.value) / network.primal : 0;
  return bound;
}

}  // namespace mgdl::detail
