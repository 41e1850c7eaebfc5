#pragma once

#include <Eigen/Cholesky>
#include <cmath>
#include <optional>
#include <vector>

#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/sample_moments.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// Weighted second moments of [features, 1] (m + 1 columns) and of their products with the targets,
/// in double: all that a least squares readout needs to know of the samples.
struct ReadoutMoments {
  Eigen::MatrixXd gram;   // (m + 1) x (m + 1)
  Eigen::MatrixXd cross;  // (m + 1) x c
};

template <class Scalar>
ReadoutMoments readout_moments(const PanelNetwork<Scalar>& network,
                               const SampleView<Scalar>& samples, ThreadPool& pool) {
  const Index m = network.width();
  const Index c = network.outputs();
  std::vector<ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) network.reserve(s, kForwardRows);
  const Eigen::MatrixXd moments = sample_moments(
      samples.size(), m + 1, m + 1 + c, pool,
      [&](Index first, Index count, double* z, Index stride, int thread) {
        auto& s = scratch[static_cast<std::size_t>(thread)];
        const Index in_stride = samples.inputs.outerStride();
        const Scalar* h =
            network.forward(count, {samples.inputs.data() + first * in_stride, in_stride, 1}, s);
        for (Index i = 0; i < count; ++i, z += stride) {
          const double root = std::sqrt(static_cast<double>(samples.weights[first + i]));
          for (Index j = 0; j < m; ++j) z[j] = root * static_cast<double>(h[i * s.stride + j]);
          z[m] = root;
          for (Index j = 0; j < c; ++j) {
            z[m + 1 + j] = root * static_cast<double>(samples.targets(first + i, j));
          }
        }
      });
  return {moments.leftCols(m + 1), moments.rightCols(c)};
}

/// Coefficients B ((m + 1) x c, the last row the bias) that minimise
///
///     sum_i w_i |[h_i, 1] B - y_i|^2 + ridge * t * |B without the bias|^2,
///
/// t the mean square of all features, which makes `ridge` dimensionless. All features share one t:
/// a feature that is nearly zero at the samples must not get a coefficient that makes it large
/// elsewhere. Any ridge > 0 makes the system positive definite, so dependent features share their
/// weight instead of breaking the solve. Empty if the factorisation fails.
inline std::optional<Eigen::MatrixXd> solve_readout(const ReadoutMoments& moments, double ridge) {
  const Index m = moments.gram.rows() - 1;
  const double mean_square = moments.gram.diagonal().head(m).mean();
  Eigen::MatrixXd system = moments.gram;
  system.diagonal().head(m).array() += mean_square > 0 ? ridge * mean_square : 1.0;
  const Eigen::LLT<Eigen::MatrixXd> factor(system);
  if (factor.info() != Eigen::Success) return std::nullopt;
  Eigen::MatrixXd result = factor.solve(moments.cross);
  if (!result.allFinite()) return std::nullopt;
  return result;
}

/// Factor s that minimises sum_i w_i |s g(x_i) - y_i|^2 for the readout B; 0 if g is zero.
inline double optimal_step(const ReadoutMoments& moments, const Eigen::MatrixXd& readout) {
  const double square = (readout.transpose() * moments.gram * readout).trace();
  const double cross = (readout.array() * moments.cross.array()).sum();
  return square > 0 ? cross / square : 0;
}

/// A network's readout and its bias as one (m + 1) x c matrix.
template <class Scalar>
Eigen::MatrixXd get_readout(const PanelNetwork<Scalar>& network) {
  const std::size_t last = network.layers().size() - 1;
  Eigen::MatrixXd readout(network.width() + 1, network.outputs());
  for (Index j = 0; j < network.outputs(); ++j) {
    for (Index i = 0; i < network.width(); ++i) {
      readout(i, j) = static_cast<double>(network.weight(last, i, j));
    }
    readout(network.width(), j) = static_cast<double>(network.bias(last)[j]);
  }
  return readout;
}

template <class Scalar>
void set_readout(PanelNetwork<Scalar>& network, const Eigen::MatrixXd& readout) {
  const std::size_t last = network.layers().size() - 1;
  for (Index j = 0; j < network.outputs(); ++j) {
    for (Index i = 0; i < network.width(); ++i) {
      network.weight(last, i, j) = static_cast<Scalar>(readout(i, j));
    }
    network.bias(last)[j] = static_cast<Scalar>(readout(network.width(), j));
  }
}

}  // namespace mgdl::detail
