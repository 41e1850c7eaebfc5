#pragma once

#include <cmath>

#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Standard error of the weighted mean sum_i w_i v_i over the choice of samples,
/// sqrt(sum_i w_i^2 (v_i - mean)^2 / (1 - sum_i w_i^2)): for equal weights the standard deviation
/// over sqrt(n). NaN for a single sample.
template <class Weights>
double standard_error(const Vector<double>& values, const Eigen::MatrixBase<Weights>& weights) {
  const Vector<double> w = weights.template cast<double>();
  const double mean = w.dot(values);
  const double squares = (w.array() * (values.array() - mean)).matrix().squaredNorm();
  return std::sqrt(squares / (1 - w.squaredNorm()));
}

}  // namespace mgdl::detail
