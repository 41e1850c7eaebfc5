#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/gemm.hpp"
#include "mgdl/detail/outer_product.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// The samples of one gradient: `count` rows of a SampleView, either rows[0..count) or, if `rows`
/// is null, first..first+count.
struct Batch {
  const Index* rows = nullptr;
  Index first = 0;
  Index count = 0;
};

/// Value and gradient of sum_i w_i |g(x_i) - y_i|^2 by backpropagation.
///
/// Works in two parallel phases. First, blocks of rows run forward and backward, each block alone
/// in its core's cache. Then, tasks over pieces of the weight matrices sum the gradient over all
/// rows; each hands its finished piece to `update`, while it is in the cache, and renews its part
/// of the transposed weights that the next backward phase reads. All buffers are allocated up
/// front.
template <class Scalar>
class TrainingPass {
 public:
  TrainingPass(PanelNetwork<Scalar>& network, Index max_rows, ThreadPool& pool)
      : m_network(network), m_pool(pool) {
    const auto& layers = network.layers();
    max_rows = std::min(max_rows, kPassRows);
    m_input_stride = network.inputs();
    m_gathered.setZero(max_rows * m_input_stride);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Index size = max_rows * layers[l].stride();
      m_values.push_back(AlignedVector<Scalar>::Zero(size));
      // The readout's delta overwrites its value.
      m_deltas.push_back(AlignedVector<Scalar>::Zero(l + 1 < layers.size() ? size : 0));
      const PanelShape<Scalar> transposed{layers[l].shape.cols, layers[l].shape.rows};
      m_transposed.push_back(AlignedVector<Scalar>::Zero(l > 0 ? transposed.size() : 0));
      for (Index task = 0; task < chunk_count(layers[l].shape); ++task) {
        m_tasks.push_back({l, chunk_range(layers[l].shape, task)});
      }
    }
    // Large pieces first, so that no thread is left with one at the end.
    std::stable_sort(m_tasks.begin(), m_tasks.end(), [](const Task& a, const Task& b) {
      return a.range.last - a.range.first > b.range.last - b.range.first;
    });
    m_block_loss.resize(static_cast<std::size_t>((max_rows + kBlockRows - 1) / kBlockRows));
    m_outer_buffers.assign(static_cast<std::size_t>(pool.size()),
                           AlignedVector<Scalar>::Zero(kOuterBuffer<Scalar>));
    m_gradient.setZero(network.parameters().size());
    refresh();
  }

  const AlignedVector<Scalar>& gradient() const noexcept { return m_gradient; }

  /// Must be called after the network's parameters were changed other than by `update`.
  void refresh() {
    m_pool.parallel_for(static_cast<Index>(m_tasks.size()), [&](Index t, int) {
      refresh_transposed(m_tasks[static_cast<std::size_t>(t)]);
    });
  }

  /// Gradient of `factor` times the batch's part of the loss, added to the last one if
  /// `accumulate`.
  ///
  /// \param update  called as update(offset, count) for each finished piece of the gradient; may
  ///                change parameters[offset, offset + count); pieces are disjoint and run in
  ///                parallel
  /// \return the batch's loss times factor
  template <class Update>
  double run(const SampleView<Scalar>& samples, Batch batch, Scalar factor, bool accumulate,
             const Update& update) {
    double loss = 0;
    for (Index start = 0; start < batch.count; start += kPassRows) {
      const Index count = std::min(kPassRows, batch.count - start);
      const Batch part{batch.rows == nullptr ? nullptr : batch.rows + start, batch.first + start,
                       count};
      loss += run_part(samples, part, factor);
      const bool last = start + count == batch.count;
      sum_part(samples, part, accumulate || start > 0, last, update);
    }
    return loss;
  }

 private:
  /// Rows of a block of the first phase: enough to pay for reading the weights from the L2 cache.
  static constexpr Index kBlockRows = 64;
  /// Rows between the phases: few enough for their activations to stay in the L2 cache.
  static constexpr Index kPassRows = 8 * kBlockRows;

  struct Task {
    std::size_t layer;
    ChunkRange range;
  };

  /// First phase: values and deltas of the batch's rows; returns their loss.
  double run_part(const SampleView<Scalar>& samples, Batch batch, Scalar factor) {
    const Index blocks = (batch.count + kBlockRows - 1) / kBlockRows;
    m_pool.parallel_for(blocks, [&](Index block, int) {
      const Index first = block * kBlockRows;
      const Index rows = std::min(kBlockRows, batch.count - first);
      m_block_loss[static_cast<std::size_t>(block)] = run_rows(samples, batch, factor, first, rows);
    });
    double loss = 0;
    for (Index b = 0; b < blocks; ++b) loss += m_block_loss[static_cast<std::size_t>(b)];
    return loss;
  }

  /// Second phase: the gradient from what the first one left. It is finished, and passed on, with
  /// the last part of a batch.
  template <class Update>
  void sum_part(const SampleView<Scalar>& samples, Batch batch, bool accumulate, bool last,
                const Update& update) {
    const Scalar* inputs = m_gathered.data();
    Index input_stride = m_input_stride;
    if (batch.rows == nullptr) {
      input_stride = samples.inputs.outerStride();
      inputs = samples.inputs.data() + batch.first * input_stride;
    }
    m_pool.parallel_for(static_cast<Index>(m_tasks.size()), [&](Index t, int thread) {
      const Task& task = m_tasks[static_cast<std::size_t>(t)];
      sum_gradient(task, batch.count, inputs, input_stride, accumulate, thread);
      if (!last) return;
      pass_on(task, update);
      refresh_transposed(task);
    });
  }

  double run_rows(const SampleView<Scalar>& samples, Batch batch, Scalar factor, Index first,
                  Index rows) {
    const auto& layers = m_network.layers();
    const auto source_row = [&](Index i) {
      return batch.rows == nullptr ? batch.first + first + i : batch.rows[first + i];
    };
    Strided<Scalar> in{samples.inputs.data() + (batch.first + first) * samples.inputs.outerStride(),
                       samples.inputs.outerStride(), 1};
    if (batch.rows != nullptr) {
      Scalar* gathered = m_gathered.data() + first * m_input_stride;
      for (Index i = 0; i < rows; ++i) {
        const Scalar* from = samples.inputs.data() + source_row(i) * samples.inputs.outerStride();
        std::copy(from, from + m_input_stride, gathered + i * m_input_stride);
      }
      in = {gathered, m_input_stride, 1};
    }
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Index stride = layers[l].stride();
      Scalar* out = m_values[l].data() + first * stride;
      m_network.apply_layer(l, rows, in, out, stride);
      in = {out, stride, 1};
    }

    double loss = 0;
    const std::size_t last = layers.size() - 1;
    for (Index i = 0; i < rows; ++i) {
      const Index row = source_row(i);
      const Scalar w = factor * samples.weights[row];
      const Scalar* y = samples.targets.data() + row * samples.targets.outerStride();
      Scalar* g = m_values[last].data() + (first + i) * layers[last].stride();
      Scalar squares = 0;
      for (Index j = 0; j < layers[last].outputs(); ++j) {
        const Scalar error = g[j] - y[j];
        squares += error * error;
        g[j] = 2 * w * error;
      }
      loss += static_cast<double>(w) * static_cast<double>(squares);
    }

    for (std::size_t l = last; l > 0; --l) {
      const auto& layer = layers[l];
      const Scalar* delta = (l == last ? m_values[l] : m_deltas[l]).data() + first * layer.stride();
      const Index below = layers[l - 1].stride();
      const Scalar* value = m_values[l - 1].data() + first * below;
      const PanelShape<Scalar> transposed{layer.shape.cols, layer.shape.rows};
      gemm(rows, Strided<Scalar>{delta, layer.stride(), 1}, transposed, m_transposed[l].data(),
           m_deltas[l - 1].data() + first * below, below,
           [&](Scalar* tile, Index row, Index tile_rows, Index col, Index width) {
             using P = Packet<Scalar>;
             const P zero = packet::pset1<P>(Scalar(0));
             for (Index r = 0; r < tile_rows; ++r) {
               const Scalar* h = value + (row + r) * below + col;
               Scalar* at = tile + r * below;
               for (Index v = 0; v < width; v += kLanes<Scalar>) {
                 const P active = packet::pcmp_lt(zero, packet::ploadu<P>(h + v));
                 packet::pstoreu(at + v, packet::pselect(active, packet::ploadu<P>(at + v), zero));
               }
             }
           });
    }
    return loss;
  }

  void sum_gradient(const Task& task, Index count, const Scalar* inputs, Index input_stride,
                    bool accumulate, int thread) {
    const std::size_t l = task.layer;
    const auto& layer = m_network.layers()[l];
    const bool readout = l + 1 == m_network.layers().size();
    const Scalar* delta = (readout ? m_values[l] : m_deltas[l]).data();
    if (l > 0) {
      inputs = m_values[l - 1].data();
      input_stride = m_network.layers()[l - 1].stride();
    }
    add_outer_products(count, inputs, input_stride, delta, layer.stride(), layer.shape, task.range,
                       m_gradient.data() + layer.weights, accumulate,
                       m_outer_buffers[static_cast<std::size_t>(thread)].data());
    if (task.range.first > 0) return;
    const Index col = task.range.panel * kPanelWidth<Scalar>;
    add_column_sums(count, delta + col, layer.stride(), layer.shape.width(task.range.panel),
                    m_gradient.data() + layer.bias + col, accumulate);
  }

  template <class Update>
  void pass_on(const Task& task, const Update& update) const {
    const auto& layer = m_network.layers()[task.layer];
    const Index width = layer.shape.width(task.range.panel);
    update(layer.weights + layer.shape.offset(task.range.panel, task.range.first),
           (task.range.last - task.range.first) * width);
    if (task.range.first > 0) return;
    update(layer.bias + task.range.panel * kPanelWidth<Scalar>, width);
  }

  void refresh_transposed(const Task& task) {
    if (task.layer == 0) return;  // nothing is propagated to the samples
    const auto& layer = m_network.layers()[task.layer];
    const Index col = task.range.panel * kPanelWidth<Scalar>;
    const Index last_col = std::min(layer.outputs(), col + kPanelWidth<Scalar>);
    transpose_panels(layer.shape, m_network.parameters().data() + layer.weights, task.range.first,
                     task.range.last, col, last_col, m_transposed[task.layer].data());
  }

  PanelNetwork<Scalar>& m_network;
  ThreadPool& m_pool;
  Index m_input_stride = 0;
  AlignedVector<Scalar> m_gathered;
  std::vector<AlignedVector<Scalar>> m_values;      // of each layer: batch x stride
  std::vector<AlignedVector<Scalar>> m_deltas;      // d loss / d (values before the ReLU)
  std::vector<AlignedVector<Scalar>> m_transposed;  // weights of each layer but the first
  std::vector<Task> m_tasks;
  std::vector<double> m_block_loss;
  std::vector<AlignedVector<Scalar>> m_outer_buffers;
  AlignedVector<Scalar> m_gradient;
};

/// sum_i w_i |y_i|^2, the loss of the zero function; 1 if that is zero, to divide by.
template <class Scalar>
double zero_loss(const SampleView<Scalar>& samples) {
  double sum = 0;
  for (Index i = 0; i < samples.size(); ++i) {
    sum += static_cast<double>(samples.weights[i]) *
           samples.targets.row(i).template cast<double>().squaredNorm();
  }
  return sum > 0 ? sum : 1.0;
}

/// sum_i w_i |g(x_i) - y_i|^2 over all samples.
template <class Scalar>
double sample_loss(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                   std::vector<ForwardScratch<Scalar>>& scratch, std::vector<double>& block_loss,
                   ThreadPool& pool) {
  const Index n = samples.size();
  const Index blocks = (n + kForwardRows - 1) / kForwardRows;
  block_loss.resize(static_cast<std::size_t>(blocks));
  const Index stride = network.layers().back().stride();
  pool.parallel_for(blocks, [&](Index block, int thread) {
    auto& s = scratch[static_cast<std::size_t>(thread)];
    const Index first = block * kForwardRows;
    const Index rows = std::min(kForwardRows, n - first);
    const Index in_stride = samples.inputs.outerStride();
    network.forward(rows, {samples.inputs.data() + first * in_stride, in_stride, 1}, s);
    double loss = 0;
    for (Index i = 0; i < rows; ++i) {
      const Scalar* y = samples.targets.data() + (first + i) * samples.targets.outerStride();
      const Scalar* g = s.output.data() + i * stride;
      double squares = 0;
      for (Index j = 0; j < network.outputs(); ++j) {
        const double error = static_cast<double>(g[j]) - static_cast<double>(y[j]);
        squares += error * error;
      }
      loss += static_cast<double>(samples.weights[first + i]) * squares;
    }
    block_loss[static_cast<std::size_t>(block)] = loss;
  });
  double loss = 0;
  for (double part : block_loss) loss += part;
  return loss;
}

}  // namespace mgdl::detail
