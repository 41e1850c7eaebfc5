#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

namespace detail {

/// Whether a row belongs to what is held out.
inline bool is_held_out(Index row, double fraction, std::uint64_t seed) {
  constexpr std::uint64_t kStream = 0x5B117'0000'0000;
  return RandomStream(seed, kStream ^ static_cast<std::uint64_t>(row)).uniform() < fraction;
}

}  // namespace detail

/// The training part of a source, or what is held out of it. Which part a sample belongs to depends
/// on its row number and the seed alone: it is held out with the probability `fraction`, by a
/// random number of its own, so that it is the same whoever asks.
///
/// Takes a bit for each sample.
template <class Scalar_ = double>
class SplitSource : public SampleSource<Scalar_> {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// One of the two.
  enum class Part { Train, HeldOut };

  /// \param source    which has to outlive this
  /// \param fraction  of all samples, in (0, 1)
  /// \throws InvalidArgument for another fraction, or if the part has no sample
  SplitSource(const SampleSource<Scalar>& source, double fraction, std::uint64_t seed, Part part)
      : m_source(source) {
    detail::require_option(fraction > 0 && fraction < 1, "validation_fraction", "a value in (0, 1)",
                           fraction);
    const Index n = source.size();
    m_bits.resize(static_cast<std::size_t>((n + kBits - 1) / kBits));
    m_first.push_back(0);
    detail::for_each_block(n, [&](Index first, Index count) {
      Index chosen = 0;
      for (Index i = first; i < first + count; ++i) {
        if (detail::is_held_out(i, fraction, seed) != (part == Part::HeldOut)) continue;
        m_bits[static_cast<std::size_t>(i / kBits)] |= std::uint64_t{1} << (i % kBits);
        ++chosen;
      }
      m_first.push_back(m_first.back() + chosen);
    });
    if (size() > 0) return;
    throw InvalidArgument("source", "a sample in each part",
                          std::to_string(source.size()) + " samples, none in one of them");
  }

  Index size() const override { return m_first.back(); }
  Index inputs() const override { return m_source.inputs(); }
  Index outputs() const override { return m_source.outputs(); }

  /// Reads the rows of the source that these are among.
  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    buffer.resize(count, inputs(), outputs());
    SampleBuffer<Scalar> own;
    Index done = 0;
    while (done < count) {
      // Rows of one block of the source.
      std::vector<Index> rows;
      const Index end = std::min(first + count, m_first[block_of(first + done) + 1]);
      Index row = source_row(first + done);
      for (Index i = first + done; i < end; ++row) {
        if (!has(row)) continue;
        rows.push_back(row);
        ++i;
      }
      const auto view = m_source.read(rows.front(), rows.back() - rows.front() + 1, own);
      for (const Index from : rows) {
        buffer.inputs.row(done) = view.inputs.row(from - rows.front());
        buffer.targets.row(done) = view.targets.row(from - rows.front());
        buffer.weights[done] = view.weights[from - rows.front()];
        ++done;
      }
    }
    return buffer.view();
  }

  /// The source's gather(), of its rows.
  void gather(const std::vector<Index>& rows, SampleBuffer<Scalar>& result) const override {
    std::vector<Index> wanted(rows.size());
    std::ranges::transform(rows, wanted.begin(), [&](Index row) { return source_row(row); });
    m_source.gather(wanted, result);
  }

 private:
  static constexpr Index kBits = 64;

  /// Whether a row of the source belongs to this part.
  bool has(Index row) const {
    return (m_bits[static_cast<std::size_t>(row / kBits)] >> (row % kBits) & 1) != 0;
  }

  /// The block of the source that a row of this part is in.
  std::size_t block_of(Index row) const {
    const auto above = std::upper_bound(m_first.begin(), m_first.end(), row);
    return static_cast<std::size_t>(above - m_first.begin() - 1);
  }

  /// Where a row of this part is in the source.
  Index source_row(Index row) const {
    const std::size_t block = block_of(row);
    Index left = row - m_first[block];
    auto word = block * static_cast<std::size_t>(detail::kBlockRows / kBits);
    for (; left >= std::popcount(m_bits[word]); ++word) left -= std::popcount(m_bits[word]);
    std::uint64_t bits = m_bits[word];
    for (; left > 0; --left) bits &= bits - 1;
    return static_cast<Index>(word) * kBits + std::countr_zero(bits);
  }

  const SampleSource<Scalar>& m_source;
  std::vector<std::uint64_t> m_bits;  // which rows of the source belong to this part
  std::vector<Index> m_first;  // of this part, in each block of the source; their number in the end
};

/// The two parts of samples in memory.
/// \throws InvalidArgument as SplitSource
template <class Scalar>
DataSplit<Scalar> split_by_row(const Dataset<Scalar>& data, double fraction, std::uint64_t seed) {
  detail::require_option(fraction > 0 && fraction < 1, "validation_fraction", "a value in (0, 1)",
                         fraction);
  std::vector<Index> train, held_out;
  for (Index i = 0; i < data.size(); ++i) {
    (detail::is_held_out(i, fraction, seed) ? held_out : train).push_back(i);
  }
  if (train.empty() || held_out.empty()) {
    throw InvalidArgument("X", "a sample in each part", std::to_string(data.size()) + " in one");
  }
  return {data.subset(train), data.subset(held_out)};
}

}  // namespace mgdl
