#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/outer_product.hpp"
#include "mgdl/network/panel_network.hpp"

namespace mgdl::detail {

/// The samples of one gradient: `count` rows of a SampleView, either rows[0..count) or, if `rows`
/// is null, first..first+count.
struct Batch {
  const Index* rows = nullptr;
  Index first = 0;
  Index count = 0;

  /// Rows that run forward and backward together: their activations, the weights and the slot's
  /// gradient fit in the L2 cache, and they pay for reading the weights.
  static constexpr Index kGroupRows = 128;
  /// As many threads and ranks can share a batch; each slot holds a gradient.
  static constexpr Index kMaxSlots = 8;

  /// Slots that groups of rows are dealt to.
  static Index slots(Index rows) {
    return std::clamp<Index>((rows + kGroupRows - 1) / kGroupRows, 1, kMaxSlots);
  }

  /// First slot of a rank, of so many in all; of the rank behind the last one, their number.
  static Index first_slot(Index slots, int rank, int ranks) { return rank * slots / ranks; }

  /// The rank that takes row `i` of a batch of so many.
  static int owner(Index i, Index rows, int ranks) {
    const Index all = slots(rows);
    const Index slot = i / kGroupRows % all;
    int rank = 0;
    while (first_slot(all, rank + 1, ranks) <= slot) ++rank;
    return rank;
  }
};

/// Value and gradient of sum_i w_i |g(x_i) - y_i|^2 by backpropagation.
///
/// The batch is cut into groups of rows and the groups are dealt to slots. A slot takes its groups
/// one after another: forward, backward, and the group's part of the gradient added to the slot's
/// own, all in the cache of one core. Then the slots' gradients are summed, piece by piece; each
/// finished piece is handed to `update` and its part of the transposed weights, which backward
/// phases read, is renewed. Groups and slots depend on the batch alone, so the bits of the result
/// do not depend on the number of threads. All buffers are allocated up front.
template <class Scalar>
class Backpropagation {
 public:
  /// \param max_rows  rows of the largest batch
  Backpropagation(PanelNetwork<Scalar>& network, Index max_rows, ThreadPool& pool);

  const AlignedVector<Scalar>& gradient() const noexcept { return m_gradient; }

  /// Must be called after the network's parameters were changed other than by `update`.
  void refresh();

  /// Gradient of `factor` times the batch's part of the loss, added to the last one if
  /// `accumulate`.
  ///
  /// \param update  called as update(offset, count) for each finished piece of the gradient; may
  ///                change parameters[offset, offset + count); pieces are disjoint and run in
  ///                parallel
  /// \param ranks   who share the batch: each looks at the rows of its own slots only, those that
  ///                Batch::owner() says; null: this process does all
  /// \return the batch's loss times factor
  double run(const SampleView<Scalar>& samples, Batch batch, Scalar factor, bool accumulate,
             FunctionRef<void(Index, Index)> update, Communicator* ranks = nullptr);

 private:
  static constexpr Index kGroupRows = Batch::kGroupRows;

  /// A piece of a weight matrix; that of the first rows has the biases of its columns with it.
  struct Piece {
    std::size_t layer;
    ChunkRange range;
  };

  /// One group of rows in the hands of a thread.
  struct Work {
    AlignedVector<Scalar> gathered;             // inputs
    std::vector<AlignedVector<Scalar>> values;  // of each layer, after its ReLU
    std::vector<AlignedVector<Scalar>> deltas;  // d loss / d (values before the ReLU)
    AlignedVector<Scalar> outer;
  };

  /// Gradient of a slot, and its loss behind it: what ranks tell each other.
  /// \{
  Scalar* gradient_of(Index slot) { return m_slots.data() + slot * m_slot_size; }
  double loss_of(Index slot) {
    double loss;
    std::memcpy(&loss, gradient_of(slot) + m_gradient.size(), sizeof(loss));
    return loss;
  }
  void set_loss(Index slot, double loss) {
    std::memcpy(gradient_of(slot) + m_gradient.size(), &loss, sizeof(loss));
  }
  /// \}

  /// The group's inputs: where they are, or gathered into `work`.
  Strided<Scalar> inputs_of(const SampleView<Scalar>& samples, Batch group, const Work& work) const;

  /// Values and deltas of the group; returns its loss.
  double run_group(const SampleView<Scalar>& samples, Batch group, Scalar factor, Work& work) const;

  double output_deltas(const SampleView<Scalar>& samples, Batch group, Scalar factor,
                       Work& work) const;

  /// Deltas of layer l - 1 from those of layer l: times W', zero where the unit was inactive.
  void propagate(std::size_t l, Index rows, Work& work) const;

  /// gradient = or += the group's part.
  void add_gradient(const SampleView<Scalar>& samples, Batch group, Work& work, Scalar* gradient,
                    bool accumulate) const;

  /// m_gradient[offset, offset + count) = or += the sum over the slots, in their order.
  void sum_slots(Index slots, Index offset, Index count, bool accumulate);

  void refresh_transposed(const Piece& piece);

  PanelNetwork<Scalar>& m_network;
  ThreadPool& m_pool;
  std::vector<AlignedVector<Scalar>> m_transposed;  // weights of each layer but the first
  std::vector<Piece> m_pieces;
  Index m_slot_size;
  AlignedVector<Scalar> m_slots;
  std::vector<Work> m_work;  // one for each thread
  AlignedVector<Scalar> m_gradient;
};

template <class Scalar>
Backpropagation<Scalar>::Backpropagation(PanelNetwork<Scalar>& network, Index max_rows,
                                         ThreadPool& pool)
    : m_network(network), m_pool(pool) {
  const auto& layers = network.layers();
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const PanelShape<Scalar> transposed{layers[l].shape.cols, layers[l].shape.rows};
    m_transposed.push_back(AlignedVector<Scalar>::Zero(l > 0 ? transposed.size() : 0));
    for (Index task = 0; task < chunk_count(layers[l].shape); ++task) {
      m_pieces.push_back({l, chunk_range(layers[l].shape, task)});
    }
  }
  m_work.resize(static_cast<std::size_t>(pool.size()));
  for (auto& work : m_work) {
    work.gathered.setZero(kGroupRows * network.inputs());
    work.outer.setZero(kOuterBuffer<Scalar>);
    for (const auto& layer : layers) {
      work.values.push_back(AlignedVector<Scalar>::Zero(kGroupRows * layer.stride()));
      work.deltas.push_back(AlignedVector<Scalar>::Zero(kGroupRows * layer.stride()));
    }
  }
  m_gradient.setZero(network.parameters().size());
  // Slots begin on lines of the cache.
  constexpr Index kLine = 64 / sizeof(Scalar);
  constexpr Index kLoss = sizeof(double) / sizeof(Scalar);
  m_slot_size = (m_gradient.size() + kLoss + kLine - 1) / kLine * kLine;
  m_slots.setZero(Batch::slots(max_rows) * m_slot_size);
  refresh();
}

template <class Scalar>
void Backpropagation<Scalar>::refresh() {
  m_pool.parallel_for(static_cast<Index>(m_pieces.size()), [&](Index p, int) {
    refresh_transposed(m_pieces[static_cast<std::size_t>(p)]);
  });
}

template <class Scalar>
double Backpropagation<Scalar>::run(const SampleView<Scalar>& samples, Batch batch, Scalar factor,
                                    bool accumulate, FunctionRef<void(Index, Index)> update,
                                    Communicator* ranks) {
  const Index slots = Batch::slots(batch.count);
  const auto first_slot = [&](int rank) {
    return ranks == nullptr ? rank * slots : Batch::first_slot(slots, rank, ranks->size());
  };
  const int me = ranks == nullptr ? 0 : ranks->rank();
  const Index own = first_slot(me);
  m_pool.parallel_for(first_slot(me + 1) - own, [&](Index task, int thread) {
    const Index s = own + task;
    Work& work = m_work[static_cast<std::size_t>(thread)];
    double loss = 0;
    for (Index first = s * kGroupRows; first < batch.count; first += slots * kGroupRows) {
      const Index rows = std::min(kGroupRows, batch.count - first);
      const Batch group{batch.rows == nullptr ? nullptr : batch.rows + first, batch.first + first,
                        rows};
      loss += run_group(samples, group, factor, work);
      add_gradient(samples, group, work, gradient_of(s), /*accumulate=*/first > s * kGroupRows);
    }
    set_loss(s, loss);
  });
  if (ranks != nullptr) {
    std::vector<std::size_t> counts;
    for (int r = 0; r < ranks->size(); ++r) {
      const Index numbers = (first_slot(r + 1) - first_slot(r)) * m_slot_size;
      counts.push_back(static_cast<std::size_t>(numbers) * sizeof(Scalar));
    }
    ranks->gather(std::as_writable_bytes(
                      std::span(m_slots.data(), static_cast<std::size_t>(slots * m_slot_size))),
                  counts);
  }
  m_pool.parallel_for(static_cast<Index>(m_pieces.size()), [&](Index p, int) {
    const Piece& piece = m_pieces[static_cast<std::size_t>(p)];
    const auto& layer = m_network.layers()[piece.layer];
    const Index width = layer.shape.width(piece.range.panel);
    const auto finish = [&](Index offset, Index count) {
      sum_slots(slots, offset, count, accumulate);
      update(offset, count);
    };
    finish(layer.weights + layer.shape.offset(piece.range.panel, piece.range.first),
           (piece.range.last - piece.range.first) * width);
    if (piece.range.first == 0) {
      finish(layer.bias + piece.range.panel * kPanelWidth<Scalar>, width);
    }
    refresh_transposed(piece);
  });
  double loss = 0;
  for (Index s = 0; s < slots; ++s) loss += loss_of(s);
  return loss;
}

template <class Scalar>
Strided<Scalar> Backpropagation<Scalar>::inputs_of(const SampleView<Scalar>& samples, Batch group,
                                                   const Work& work) const {
  if (group.rows != nullptr) return {work.gathered.data(), m_network.inputs(), 1};
  const Index stride = samples.inputs.outerStride();
  return {samples.inputs.data() + group.first * stride, stride, 1};
}

template <class Scalar>
double Backpropagation<Scalar>::run_group(const SampleView<Scalar>& samples, Batch group,
                                          Scalar factor, Work& work) const {
  const auto& layers = m_network.layers();
  if (group.rows != nullptr) {
    const Index d = m_network.inputs();
    for (Index i = 0; i < group.count; ++i) {
      const Scalar* from = samples.inputs.data() + group.rows[i] * samples.inputs.outerStride();
      std::copy(from, from + d, work.gathered.data() + i * d);
    }
  }
  Strided<Scalar> in = inputs_of(samples, group, work);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    m_network.apply_layer(l, group.count, in, work.values[l].data(), layers[l].stride());
    in = {work.values[l].data(), layers[l].stride(), 1};
  }
  const double loss = output_deltas(samples, group, factor, work);
  for (std::size_t l = layers.size() - 1; l > 0; --l) propagate(l, group.count, work);
  return loss;
}

template <class Scalar>
double Backpropagation<Scalar>::output_deltas(const SampleView<Scalar>& samples, Batch group,
                                              Scalar factor, Work& work) const {
  const auto& readout = m_network.layers().back();
  double loss = 0;
  for (Index i = 0; i < group.count; ++i) {
    const Index row = group.rows == nullptr ? group.first + i : group.rows[i];
    const Scalar w = factor * samples.weights[row];
    const Scalar* y = samples.targets.data() + row * samples.targets.outerStride();
    const Scalar* g = work.values.back().data() + i * readout.stride();
    Scalar* delta = work.deltas.back().data() + i * readout.stride();
    Scalar squares = 0;
    for (Index j = 0; j < readout.outputs(); ++j) {
      const Scalar error = g[j] - y[j];
      squares += error * error;
      delta[j] = 2 * w * error;
    }
    loss += static_cast<double>(w) * static_cast<double>(squares);
  }
  return loss;
}

template <class Scalar>
void Backpropagation<Scalar>::propagate(std::size_t l, Index rows, Work& work) const {
  const auto& layer = m_network.layers()[l];
  const Index below = m_network.layers()[l - 1].stride();
  const Scalar* value = work.values[l - 1].data();
  const PanelShape<Scalar> transposed{layer.shape.cols, layer.shape.rows};
  gemm(rows, Strided<Scalar>{work.deltas[l].data(), layer.stride(), 1}, transposed,
       m_transposed[l].data(), work.deltas[l - 1].data(), below,
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

template <class Scalar>
void Backpropagation<Scalar>::add_gradient(const SampleView<Scalar>& samples, Batch group,
                                           Work& work, Scalar* gradient, bool accumulate) const {
  const auto& layers = m_network.layers();
  Strided<Scalar> in = inputs_of(samples, group, work);
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto& layer = layers[l];
    const Scalar* delta = work.deltas[l].data();
    for (Index p = 0; p < layer.shape.panels(); ++p) {
      add_outer_products(group.count, in.data, in.row_stride, delta, layer.stride(), layer.shape,
                         {p, 0, layer.inputs()}, gradient + layer.weights, accumulate,
                         work.outer.data());
    }
    add_column_sums(group.count, delta, layer.stride(), layer.stride(), gradient + layer.bias,
                    accumulate);
    in = {work.values[l].data(), layer.stride(), 1};
  }
}

template <class Scalar>
void Backpropagation<Scalar>::sum_slots(Index slots, Index offset, Index count, bool accumulate) {
  using P = Packet<Scalar>;
  for (Index i = offset; i < offset + count; i += kLanes<Scalar>) {
    P sum = packet::ploadu<P>(gradient_of(0) + i);
    for (Index s = 1; s < slots; ++s)
      sum = packet::padd(sum, packet::ploadu<P>(gradient_of(s) + i));
    if (accumulate) sum = packet::padd(packet::ploadu<P>(m_gradient.data() + i), sum);
    packet::pstoreu(m_gradient.data() + i, sum);
  }
}

template <class Scalar>
void Backpropagation<Scalar>::refresh_transposed(const Piece& piece) {
  if (piece.layer == 0) return;  // nothing is propagated to the samples
  const auto& layer = m_network.layers()[piece.layer];
  const Index col = piece.range.panel * kPanelWidth<Scalar>;
  const Index last_col = std::min(layer.outputs(), col + kPanelWidth<Scalar>);
  transpose_panels(layer.shape, m_network.parameters().data() + layer.weights, piece.range.first,
                   piece.range.last, col, last_col, m_transposed[piece.layer].data());
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class Backpropagation<float>;
extern template class Backpropagation<double>;
}  // namespace mgdl::detail
#endif
