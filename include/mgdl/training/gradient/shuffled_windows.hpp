#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/gradient/backpropagation.hpp"

namespace mgdl::detail {

/// Samples in a random order, a window of them at a time: so many blocks, themselves in a random
/// order, that they can be read at once and mix well. Samples of one window are in a random order
/// over all of them. How large a window is depends on the samples' shape alone, not on where they
/// are.
///
/// Ranks see the same windows in the same order. A single window is collected on all of them, and
/// kept. Of several each rank has those rows that it takes of the batches: it reads its blocks and
/// hands their rows to whoever needs them.
template <class Scalar>
class ShuffledWindows {
 public:
  /// Borrows what they look at.
  /// \param numbers  of a window at most, if it has more than one block
  explicit ShuffledWindows(const Samples<Scalar>& samples, Index numbers = kNumbers)
      : m_samples(samples) {
    const Index columns = samples.input_count() + samples.output_count();
    m_window = std::clamp<Index>(numbers / (kBlockRows * columns), 1, kMostBlocks);
    m_blocks = numbered((samples.size() + kBlockRows - 1) / kBlockRows);
    if (is_single()) m_order = numbered(samples.size());
  }

  /// Batches of so many samples in all windows; the last one of each may be smaller.
  Index batches(Index batch) const {
    const auto in = [batch](Index rows) { return (rows + batch - 1) / batch; };
    const Index rows = m_window * kBlockRows;
    // The block that is smaller may be in any window.
    return m_samples.size() / rows * in(rows) + in(m_samples.size() % rows);
  }

  /// Frees what was collected of other ranks; it comes again when it is needed.
  void forget() { m_collected = {}; }

  /// Calls visit(window, order) for one window after the other, until it returns false. `order` has
  /// the row of the view for every sample of the window; -1 for one that another rank takes.
  /// \param batch  samples of a batch
  template <class Visit>
  void for_each(RandomStream& random, Index batch, const Visit& visit) {
    SampleBuffer<Scalar> window, buffer;
    if (is_single()) {
      random.shuffle(m_order);
      if (m_samples.ranks() != nullptr) {
        collect();
        visit(m_collected.view(), m_order);
      } else if (m_samples.in_memory()) {
        visit(m_samples, m_order);
      } else {
        read(0, m_blocks.size(), window, buffer);
        visit(window.view(), m_order);
      }
      return;
    }
    random.shuffle(m_blocks);
    for (std::size_t first = 0; first < m_blocks.size();
         first += static_cast<std::size_t>(m_window)) {
      const auto last = std::min(first + static_cast<std::size_t>(m_window), m_blocks.size());
      read(first, last, window, buffer);
      Index rows = 0;
      for (std::size_t k = first; k < last; ++k) rows += rows_of(m_blocks[k]);
      m_order = numbered(rows);
      random.shuffle(m_order);
      share_out(first, last, batch, window, m_order);
      if (!visit(window.view(), m_order)) return;
    }
  }

 private:
  static constexpr Index kNumbers = Index{1} << 25;
  static constexpr Index kMostBlocks = 64;

  static std::vector<Index> numbered(Index count) {
    std::vector<Index> result(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) result[static_cast<std::size_t>(i)] = i;
    return result;
  }

  /// All samples at once.
  bool is_single() const { return std::ssize(m_blocks) <= m_window; }

  Index rows_of(Index block) const {
    return std::min(kBlockRows, m_samples.size() - block * kBlockRows);
  }

  bool is_own(Index block) const { return m_samples.share().has(block * kBlockRows); }

  /// The blocks of this rank, one behind the other.
  void read(std::size_t first, std::size_t last, SampleBuffer<Scalar>& window,
            SampleBuffer<Scalar>& buffer) const {
    Index rows = 0;
    for (std::size_t k = first; k < last; ++k) {
      if (is_own(m_blocks[k])) rows += rows_of(m_blocks[k]);
    }
    window.resize(rows, m_samples.input_count(), m_samples.output_count());
    Index row = 0;
    for (std::size_t k = first; k < last; ++k) {
      if (!is_own(m_blocks[k])) continue;
      const Index count = rows_of(m_blocks[k]);
      const auto block = m_samples.rows(m_blocks[k] * kBlockRows, count, buffer);
      window.inputs.middleRows(row, count) = block.inputs;
      window.targets.middleRows(row, count) = block.targets;
      window.weights.segment(row, count) = block.weights;
      row += count;
    }
  }

  /// All samples, from all ranks.
  void collect() {
    if (m_collected.weights.size() > 0) return;
    const RowShare& share = m_samples.share();
    m_collected.resize(share.rows(), m_samples.input_count(), m_samples.output_count());
    m_samples.for_each_block([&](const SampleView<Scalar>& block, Index first) {
      m_collected.inputs.middleRows(first, block.size()) = block.inputs;
      m_collected.targets.middleRows(first, block.size()) = block.targets;
      m_collected.weights.segment(first, block.size()) = block.weights;
    });
    const auto gather_rows = [&](auto& values) {
      std::vector<std::size_t> counts(static_cast<std::size_t>(share.ranks()->size()));
      for (const Index block : m_blocks) {
        counts[static_cast<std::size_t>(share.owner(block * kBlockRows))] +=
            static_cast<std::size_t>(rows_of(block) * values.cols()) * sizeof(Scalar);
      }
      share.ranks()->gather(bytes_of(values), counts);
    };
    gather_rows(m_collected.inputs);
    gather_rows(m_collected.targets);
    gather_rows(m_collected.weights);
  }

  /// Exchanges the rows of this rank's blocks for those that it takes of the batches.
  void share_out(std::size_t first, std::size_t last, Index batch, SampleBuffer<Scalar>& window,
                 std::vector<Index>& order) {
    Communicator* ranks = m_samples.ranks();
    if (ranks == nullptr) return;
    const auto size = static_cast<std::size_t>(ranks->size());
    // Where the blocks of the window begin, in it and on the ranks that have read them.
    std::vector<Index> begin{0}, place;
    std::vector<int> reader;
    std::vector<Index> read_by(size);
    for (std::size_t k = first; k < last; ++k) {
      reader.push_back(m_samples.share().owner(m_blocks[k] * kBlockRows));
      Index& rows = read_by[static_cast<std::size_t>(reader.back())];
      place.push_back(rows);
      rows += rows_of(m_blocks[k]);
      begin.push_back(begin.back() + rows_of(m_blocks[k]));
    }
    // Who takes which rows of this rank's, and where those come from that it takes itself.
    std::vector<std::vector<Index>> given(size);
    std::vector<int> from;
    const Index all = std::ssize(order);
    for (Index i = 0; i < all; ++i) {
      Index& row = order[static_cast<std::size_t>(i)];
      const auto above = std::upper_bound(begin.begin(), begin.end(), row);
      const auto block = static_cast<std::size_t>(above - begin.begin() - 1);
      const Index in_batch = i % batch;
      const int taker =
          Batch::owner(in_batch, std::min(batch, all - (i - in_batch)), ranks->size());
      if (reader[block] == ranks->rank()) {
        given[static_cast<std::size_t>(taker)].push_back(place[block] + row - begin[block]);
      }
      row = taker == ranks->rank() ? std::ssize(from) : -1;
      if (taker == ranks->rank()) from.push_back(reader[block]);
    }
    const PackedSamples<Scalar> packed(m_samples);
    const auto stride = static_cast<std::size_t>(packed.stride());
    std::vector<std::size_t> counts, in_counts;
    m_out.clear();
    for (const auto& rows : given) {
      counts.push_back(rows.size() * stride * sizeof(Scalar));
      for (const Index row : rows) {
        m_out.resize(m_out.size() + stride);
        packed.pack(window, row, &*m_out.end() - stride);
      }
    }
    ranks->exchange(std::as_bytes(std::span(m_out)), counts, m_in, in_counts);
    std::vector<std::size_t> next(size);
    std::exclusive_scan(in_counts.begin(), in_counts.end(), next.begin(), std::size_t{0});
    window.resize(std::ssize(from), m_samples.input_count(), m_samples.output_count());
    std::vector<Scalar> numbers(stride);
    for (std::size_t i = 0; i < from.size(); ++i) {
      auto& at = next[static_cast<std::size_t>(from[i])];
      std::memcpy(numbers.data(), m_in.data() + at, stride * sizeof(Scalar));
      packed.unpack(numbers.data(), window, static_cast<Index>(i));
      at += stride * sizeof(Scalar);
    }
  }

  Samples<Scalar> m_samples;
  Index m_window;               // blocks
  std::vector<Index> m_blocks;  // their numbers
  std::vector<Index> m_order;
  SampleBuffer<Scalar> m_collected;  // of all ranks, if they make one window
  std::vector<Scalar> m_out;         // rows on their way to other ranks, and from them
  std::vector<std::byte> m_in;
};

}  // namespace mgdl::detail
