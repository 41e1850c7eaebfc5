#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

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
  /// \return the batch's loss times factor
  double run(const SampleView<Scalar>& samples, Batch batch, Scalar factor, bool accumulate,
             FunctionRef<void(Index, Index)> update);

 private:
  /// Rows that run forward and backward together: their activations, the weights and the slot's
  /// gradient fit in the L2 cache, and they pay for reading the weights.
  static constexpr Index kGroupRows = 128;
  /// As many threads can share a batch; each slot holds a gradient.
  static constexpr Index kMaxSlots = 8;

  /// A piece of a weight matrix; that of the first rows has the biases of its columns with it.
  struct Piece {
    std::size_t layer;
    ChunkRange range;
  };

  struct Slot {
    AlignedVector<Scalar> gradient;
    double loss = 0;
  };

  /// One group of rows in the hands of a thread.
  struct Work {
    AlignedVector<Scalar> gathered;             // inputs
    std::vector<AlignedVector<Scalar>> values;  // of each layer, after its ReLU
    std::vector<AlignedVector<Scalar>> deltas;  // d loss / d (values before the ReLU)
    AlignedVector<Scalar> outer;
  };

  static Index slots_of(Index rows) {
    return std::clamp<Index>((rows + kGroupRows - 1) / kGroupRows, 1, kMaxSlots);
  }

  /// The group's inputs: where they are, or gathered into `work`.
  Strided<Scalar> inputs_of(const SampleView<Scalar>& samples, Batch group, const Work& work) const;

  /// Values and deltas of the group; returns its loss.
  double run_group(const SampleView<Scalar>& samples, Batch group, Scalar factor, Work& work) const;

  double output_deltas(const SampleView<Scalar>& samples, Batch group, Scalar factor,
                       Work& work) const;

  /// Deltas of layer l - 1 from those of layer l: times W', zero where the unit was inactive.
  void propagate(std::size_t l, Index rows, Work& work) const;

  /// gradient = or += the group's part.
  void add_gradient(const SampleView<Scalar>& samples, Batch group, Work& work,
                    AlignedVector<Scalar>& gradient, bool accumulate) const;

  /// m_gradient[offset, offset + count) = or += the sum over the slots, in their order.
  void sum_slots(Index slots, Index offset, Index count, bool accumulate);

  void refresh_transposed(const Piece& piece);

  PanelNetwork<Scalar>& m_network;
  ThreadPool& m_pool;
  std::vector<AlignedVector<Scalar>> m_transposed;  // weights of each layer but the first
  std::vector<Piece> m_pieces;
  std::vector<Slot> m_slots;
  std::vector<Work> m_work;  // one for each thread
  AlignedVector<Scalar> m_gradient;
};

#ifdef MGDL_COMPILED
extern template class Backpropagation<float>;
extern template class Backpropagation<double>;
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/training/gradient/backpropagation_impl.hpp"  // IWYU pragma: export
#endif
