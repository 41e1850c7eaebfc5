#pragma once

#include <Eigen/Cholesky>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/outer_product.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// Weighted second moments of [features, 1] (m + 1 columns) and of their products with the targets,
/// in double: all that a least squares readout needs to know of the samples.
struct ReadoutMoments {
  Eigen::MatrixXd gram;   // (m + 1) x (m + 1)
  Eigen::MatrixXd cross;  // (m + 1) x c
  double target = 0;      // sum_i w_i |y_i|^2
};

/// Sums the moments over all samples, block by block, so that the features are never held whole.
template <class Scalar>
ReadoutMoments readout_moments(const PanelNetwork<Scalar>& network,
                               const SampleView<Scalar>& samples, ThreadPool& pool) {
  const auto threads = static_cast<std::size_t>(pool.size());
  constexpr Index kBlocks = 8;  // blocks of rows evaluated between two sums
  const Index m = network.width();
  const Index c = network.outputs();
  const Index columns = m + 1 + c;
  const Index stride = padded<double>(columns);
  const Index rows_at_once = kBlocks * kForwardRows;
  AlignedVector<double> rows = AlignedVector<double>::Zero(rows_at_once * stride);
  const PanelShape<double> shape{m + 1, columns};
  AlignedVector<double> sums = AlignedVector<double>::Zero(shape.size());
  std::vector<ForwardScratch<Scalar>> scratch(threads);
  for (auto& s : scratch) network.reserve(s, kForwardRows);
  std::vector<AlignedVector<double>> buffers(threads,
                                             AlignedVector<double>::Zero(kOuterBuffer<double>));
  ReadoutMoments moments;
  const Index n = samples.size();
  for (Index start = 0; start < n; start += rows_at_once) {
    const Index count = std::min(rows_at_once, n - start);
    pool.parallel_for((count + kForwardRows - 1) / kForwardRows, [&](Index block, int thread) {
      auto& s = scratch[static_cast<std::size_t>(thread)];
      const Index first = start + block * kForwardRows;
      const Index block_rows = std::min(kForwardRows, n - first);
      const Index in_stride = samples.inputs.outerStride();
      const Scalar* h =
          network.forward(block_rows, {samples.inputs.data() + first * in_stride, in_stride, 1}, s);
      for (Index i = 0; i < block_rows; ++i) {
        double* row = rows.data() + (block * kForwardRows + i) * stride;
        const double root = std::sqrt(static_cast<double>(samples.weights[first + i]));
        for (Index j = 0; j < m; ++j) row[j] = root * static_cast<double>(h[i * s.stride + j]);
        row[m] = root;
        for (Index j = 0; j < c; ++j) {
          row[m + 1 + j] = root * static_cast<double>(samples.targets(first + i, j));
        }
      }
    });
    pool.parallel_for(chunk_count(shape), [&](Index task, int thread) {
      add_outer_products(count, rows.data(), stride, rows.data(), stride, shape,
                         chunk_range(shape, task), sums.data(), start > 0,
                         buffers[static_cast<std::size_t>(thread)].data());
    });
    for (Index i = 0; i < count; ++i) {
      const Eigen::Map<const Eigen::VectorXd> y(rows.data() + i * stride + m + 1, c);
      moments.target += y.squaredNorm();
    }
  }
  moments.gram.resize(m + 1, m + 1);
  moments.cross.resize(m + 1, c);
  for (Index i = 0; i <= m; ++i) {
    for (Index j = 0; j <= m; ++j) moments.gram(i, j) = sums[shape.at(i, j)];
    for (Index j = 0; j < c; ++j) moments.cross(i, j) = sums[shape.at(i, m + 1 + j)];
  }
  return moments;
}

/// Coefficients B ((m + 1) x c, the last row the bias) that minimise
///
///     sum_i w_i |[h_i, 1] B - y_i|^2 + ridge * |D B|^2,   D^2 = diag(gram) without the bias.
///
/// Scaling the columns to unit length first makes `ridge` dimensionless. Features that are zero
/// everywhere get zero coefficients. Any ridge > 0 makes the system positive definite, so dependent
/// features share their weight instead of breaking the solve. Empty if the factorisation fails.
inline std::optional<Eigen::MatrixXd> solve_readout(const ReadoutMoments& moments, double ridge) {
  const Index size = moments.gram.rows();
  Eigen::VectorXd scale(size);
  for (Index i = 0; i < size; ++i) {
    const double diagonal = moments.gram(i, i);
    scale[i] = diagonal > 0 ? 1 / std::sqrt(diagonal) : 0;
  }
  Eigen::MatrixXd system = scale.asDiagonal() * moments.gram * scale.asDiagonal();
  for (Index i = 0; i < size; ++i) {
    if (scale[i] == 0) system(i, i) = 1;
    if (i + 1 < size) system(i, i) += ridge;
  }
  const Eigen::LLT<Eigen::MatrixXd> factor(system);
  if (factor.info() != Eigen::Success) return std::nullopt;
  Eigen::MatrixXd result = scale.asDiagonal() * factor.solve(scale.asDiagonal() * moments.cross);
  if (!result.allFinite()) return std::nullopt;
  return result;
}

/// Factor s that minimises sum_i w_i |s g(x_i) - y_i|^2 for the readout B; 0 if g is zero.
inline double optimal_step(const ReadoutMoments& moments, const Eigen::MatrixXd& readout) {
  const double square = (readout.transpose() * moments.gram * readout).trace();
  const double cross = (readout.array() * moments.cross.array()).sum();
  return square > 0 ? cross / square : 0;
}

}  // namespace mgdl::detail
