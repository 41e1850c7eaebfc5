#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Memory for samples that are read or computed.
template <class Scalar_ = double>
struct SampleBuffer {
  using Scalar = Scalar_;     ///< float or double
  RowMatrix<Scalar> inputs;   ///< n x d
  RowMatrix<Scalar> targets;  ///< n x c
  Vector<Scalar> weights;     ///< n

  /// Makes room for n samples; what was there is lost.
  void resize(Index n, Index d, Index c) {
    inputs.resize(n, d);
    targets.resize(n, c);
    weights.resize(n);
  }

  /// To look at, as long as the buffer lives and does not change.
  SampleView<Scalar> view() const { return {inputs, targets, weights}; }
};

/// Samples that need not be in memory: whoever has them gives out rows when asked, from a file or
/// made on the fly. MultigradeTrainer::fit() takes one.
///
/// Every row has to be the same whenever it is asked for. Several threads ask at once, each with a
/// buffer of its own. What `read` throws ends the training, and nothing is left half done.
template <class Scalar_ = double>
class SampleSource {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  SampleSource() = default;
  virtual ~SampleSource() = default;

  /// Number n of samples, >= 1.
  virtual Index size() const = 0;
  /// Number d of inputs, >= 1.
  virtual Index inputs() const = 0;
  /// Number c of outputs, >= 1.
  virtual Index outputs() const = 0;

  /// The samples first..first + count: inputs (count x d), targets (count x c) and weights (count,
  /// >= 0, in a unit that all samples share; 1 where all count alike). Either in `buffer`, as
  /// buffer.view(), or wherever they are in memory.
  virtual SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const = 0;

 protected:
  SampleSource(const SampleSource&) = default;
  SampleSource& operator=(const SampleSource&) = default;
};

namespace detail {

/// Samples are summed over in blocks of so many rows, and the sums of blocks in pairs
/// (PairwiseSum): in memory or not, whoever has a block, the bits are the same.
inline constexpr Index kBlockRows = 16384;

/// Rows first..first + count of samples in memory.
template <class Scalar>
SampleView<Scalar> rows_of(const SampleView<Scalar>& samples, Index first, Index count) {
  if (first == 0 && count == samples.size()) return samples;
  const auto inputs = samples.inputs.middleRows(first, count);
  const auto targets = samples.targets.middleRows(first, count);
  const auto weights = samples.weights.segment(first, count);
  return {inputs, targets, weights};
}

}  // namespace detail

/// The samples of a problem: a SampleView of all of them, or, where they are not in memory, a
/// source of blocks of them. The view has no rows then.
template <class Scalar_ = double>
class Samples : public SampleView<Scalar_> {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// In memory.
  Samples(SampleView<Scalar> view)  // NOLINT(google-explicit-constructor): it is one
      : SampleView<Scalar>(std::move(view)) {}

  /// In memory.
  Samples(detail::SharedRef<RowMatrix<Scalar>> inputs, detail::SharedRef<RowMatrix<Scalar>> targets,
          detail::SharedRef<Vector<Scalar>> weights)
      : SampleView<Scalar>{std::move(inputs), std::move(targets), std::move(weights)} {}

  /// Somewhere else. `source`, whose weights have the sum 1, has to outlive this and its copies.
  explicit Samples(const SampleSource<Scalar>& source)
      : SampleView<Scalar>{RowMatrix<Scalar>(0, source.inputs()),
                           RowMatrix<Scalar>(0, source.outputs()), Vector<Scalar>(0)},
        m_source(&source) {}

  /// Whether all of them can be looked at here.
  bool in_memory() const noexcept { return m_source == nullptr; }
  /// Null if they are in memory.
  const SampleSource<Scalar>* source() const noexcept { return m_source; }

  /// Number n of samples.
  Index size() const { return in_memory() ? SampleView<Scalar>::size() : m_source->size(); }
  /// Number d of inputs.
  Index input_count() const noexcept { return this->inputs.cols(); }
  /// Number c of outputs.
  Index output_count() const noexcept { return this->targets.cols(); }

  /// Rows first..first + count, with `buffer` for those that are not in memory.
  SampleView<Scalar> rows(Index first, Index count, SampleBuffer<Scalar>& buffer) const {
    return in_memory() ? detail::rows_of<Scalar>(*this, first, count)
                       : m_source->read(first, count, buffer);
  }

  /// Calls visit(view, first) for one block after the other.
  template <class Visit>
  void for_each_block(const Visit& visit) const {
    SampleBuffer<Scalar> buffer;
    for (Index first = 0; first < size(); first += detail::kBlockRows) {
      visit(rows(first, std::min(detail::kBlockRows, size() - first), buffer), first);
    }
  }

 private:
  const SampleSource<Scalar>* m_source = nullptr;
};

namespace detail {

/// Sums in pairs, pairs of pairs and so on: the sum of 2^k terms from a term on whose number is a
/// multiple of 2^k is computed by itself, whoever has these terms. Rounding grows with the
/// logarithm of their number.
template <class Sum>
class PairwiseSum {
 public:
  void add(Sum term) {
    std::size_t level = 0;
    for (; level < m_levels.size() && m_levels[level]; ++level) {
      term = *m_levels[level] + term;
      m_levels[level].reset();
    }
    if (level == m_levels.size()) m_levels.emplace_back();
    m_levels[level] = std::move(term);
  }

  /// Of all terms; `zero` if there are none.
  Sum total(Sum zero = {}) const {
    std::optional<Sum> sum;
    for (const auto& part : m_levels) {
      if (!part) continue;
      if (sum) {
        sum = Sum(*part + *sum);
      } else {
        sum = *part;
      }
    }
    return sum ? std::move(*sum) : std::move(zero);
  }

 private:
  std::vector<std::optional<Sum>> m_levels;  // sums of 1, 2, 4, ... terms
};

}  // namespace detail
}  // namespace mgdl
