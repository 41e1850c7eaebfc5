#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// The training part of a source, or what is held out of it. Which part a sample belongs to depends
/// on its row number and the seed alone: it is held out with the probability `fraction`, by a
/// random number of its own, so that no list of all rows is needed.
///
/// Takes a number for every 16384 samples.
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
      : m_source(source), m_fraction(fraction), m_seed(seed), m_part(part) {
    detail::require_option(fraction > 0 && fraction < 1, "validation_fraction", "a value in (0, 1)",
                           fraction);
    m_first.push_back(0);
    detail::for_each_block(source.size(), [&](Index first, Index count) {
      m_first.push_back(m_first.back() + std::ssize(rows_in(first, count)));
    });
    if (size() > 0) return;
    throw InvalidArgument("source", "a sample in each part",
                          std::to_string(source.size()) + " samples, none in one of them");
  }

  Index size() const override { return m_first.back(); }
  Index inputs() const override { return m_source.inputs(); }
  Index outputs() const override { return m_source.outputs(); }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    buffer.resize(count, inputs(), outputs());
    SampleBuffer<Scalar> own;
    const auto above = std::upper_bound(m_first.begin(), m_first.end(), first);
    Index row = 0;
    for (auto block = above - m_first.begin() - 1; row < count; ++block) {
      const Index start = block * detail::kBlockRows;
      const Index rows = std::min(detail::kBlockRows, m_source.size() - start);
      const std::vector<Index> chosen = rows_in(start, rows);
      const Index skip = first + row - m_first[static_cast<std::size_t>(block)];
      const Index take = std::min(count - row, std::ssize(chosen) - skip);
      if (take < 1) continue;
      const auto at = [&](Index i) { return chosen[static_cast<std::size_t>(skip + i)]; };
      const Index lowest = at(0);
      const auto view = m_source.read(lowest, at(take - 1) - lowest + 1, own);
      for (Index i = 0; i < take; ++i, ++row) {
        const Index from = at(i) - lowest;
        buffer.inputs.row(row) = view.inputs.row(from);
        buffer.targets.row(row) = view.targets.row(from);
        buffer.weights[row] = view.weights[from];
      }
    }
    return buffer.view();
  }

 private:
  /// Rows of this part among first..first + count.
  std::vector<Index> rows_in(Index first, Index count) const {
    std::vector<Index> rows;
    for (Index i = first; i < first + count; ++i) {
      RandomStream random(m_seed, kStream ^ static_cast<std::uint64_t>(i));
      if ((random.uniform() < m_fraction) == (m_part == Part::HeldOut)) rows.push_back(i);
    }
    return rows;
  }

  static constexpr std::uint64_t kStream = 0x5B117'0000'0000;

  const SampleSource<Scalar>& m_source;
  double m_fraction;
  std::uint64_t m_seed;
  Part m_part;
  std::vector<Index> m_first;  // of this part, in each block of the source; their number in the end
};

}  // namespace mgdl
