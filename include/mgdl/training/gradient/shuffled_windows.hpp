#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Samples in a random order, a window of them at a time: so many blocks, themselves in a random
/// order, that they can be read at once and mix well. Samples of one window are in a random order
/// over all of them. How large a window is depends on the samples' shape alone, not on where they
/// are.
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

  /// Calls visit(window, order) for one window after the other, until it returns false.
  template <class Visit>
  void for_each(RandomStream& random, const Visit& visit) {
    SampleBuffer<Scalar> window, buffer;
    if (is_single()) {
      random.shuffle(m_order);
      if (m_samples.in_memory()) {
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
      m_order = numbered(window.weights.size());
      random.shuffle(m_order);
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

  void read(std::size_t first, std::size_t last, SampleBuffer<Scalar>& window,
            SampleBuffer<Scalar>& buffer) const {
    Index rows = 0;
    for (std::size_t k = first; k < last; ++k) rows += rows_of(m_blocks[k]);
    window.resize(rows, m_samples.input_count(), m_samples.output_count());
    Index row = 0;
    for (std::size_t k = first; k < last; ++k) {
      const Index count = rows_of(m_blocks[k]);
      const auto block = m_samples.rows(m_blocks[k] * kBlockRows, count, buffer);
      window.inputs.middleRows(row, count) = block.inputs;
      window.targets.middleRows(row, count) = block.targets;
      window.weights.segment(row, count) = block.weights;
      row += count;
    }
  }

  Samples<Scalar> m_samples;
  Index m_window;               // blocks
  std::vector<Index> m_blocks;  // their numbers
  std::vector<Index> m_order;
};

}  // namespace mgdl::detail
