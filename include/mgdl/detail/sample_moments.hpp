#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/outer_product.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// sum_s z_s(1..rows)' z_s over all samples: rows x columns, in double, where z_s is a row of
/// `columns` numbers that `fill` makes of sample s, block by block, so that they are never held
/// whole.
///
/// \param fill  fill(first, count, z, stride, thread) writes rows z of samples first..first+count
template <class Fill>
Eigen::MatrixXd sample_moments(Index samples, Index rows, Index columns, ThreadPool& pool,
                               const Fill& fill) {
  constexpr Index kBlocks = 16;  // blocks filled between two sums
  const Index stride = padded<double>(columns);
  const Index rows_at_once = std::min(kBlocks * kForwardRows, samples);
  AlignedVector<double> z = AlignedVector<double>::Zero(rows_at_once * stride);
  const PanelShape<double> shape{rows, columns};
  AlignedVector<double> sums = AlignedVector<double>::Zero(shape.size());
  std::vector<AlignedVector<double>> buffers(static_cast<std::size_t>(pool.size()),
                                             AlignedVector<double>::Zero(kOuterBuffer<double>));
  for (Index start = 0; start < samples; start += rows_at_once) {
    const Index count = std::min(rows_at_once, samples - start);
    pool.parallel_for((count + kForwardRows - 1) / kForwardRows, [&](Index block, int thread) {
      const Index first = block * kForwardRows;
      fill(start + first, std::min(kForwardRows, count - first), z.data() + first * stride, stride,
           thread);
    });
    pool.parallel_for(chunk_count(shape), [&](Index task, int thread) {
      add_outer_products(count, z.data(), stride, z.data(), stride, shape, chunk_range(shape, task),
                         sums.data(), start > 0, buffers[static_cast<std::size_t>(thread)].data());
    });
  }
  Eigen::MatrixXd result(rows, columns);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) result(i, j) = sums[shape.at(i, j)];
  }
  return result;
}

}  // namespace mgdl::detail
