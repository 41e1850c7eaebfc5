#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
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

  /// The samples with these row numbers, in their order.
  virtual void gather(const std::vector<Index>& rows, SampleBuffer<Scalar>& result) const {
    result.resize(std::ssize(rows), inputs(), outputs());
    SampleBuffer<Scalar> buffer;
    for (Index i = 0; i < std::ssize(rows); ++i) {
      const SampleView<Scalar> row = read(rows[static_cast<std::size_t>(i)], 1, buffer);
      result.inputs.row(i) = row.inputs.row(0);
      result.targets.row(i) = row.targets.row(0);
      result.weights[i] = row.weights[0];
    }
  }

 protected:
  /// For sources that can be copied.
  SampleSource(const SampleSource&) = default;
  /// See the constructor.
  SampleSource& operator=(const SampleSource&) = default;
};

namespace detail {

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
  Samples(detail::SharedRef<RowMatrix<Scalar>> X, detail::SharedRef<RowMatrix<Scalar>> Y,
          detail::SharedRef<Vector<Scalar>> w)
      : SampleView<Scalar>{std::move(X), std::move(Y), std::move(w)} {}

  /// In memory. `data` has to outlive this and its copies.
  Samples(const Dataset<Scalar>& data)  // NOLINT(google-explicit-constructor): to look at
      : Samples(data.inputs(), data.targets(), data.weights()) {}

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

  /// Inputs, targets and weights in memory: `const auto& [X, Y, w] = samples;`.
  template <std::size_t part>
  const auto& get() const noexcept {
    static_assert(part < 3);
    if constexpr (part == 0) {
      return this->inputs;
    } else if constexpr (part == 1) {
      return this->targets;
    } else {
      return this->weights;
    }
  }

  /// Calls visit(view, first) for one block after the other, until it returns false.
  /// \returns whether all were visited
  template <class Visit>
  bool for_each_block(const Visit& visit) const {
    SampleBuffer<Scalar> buffer;
    for (Index first = 0; first < size(); first += detail::kBlockRows) {
      const Index count = std::min(detail::kBlockRows, size() - first);
      if constexpr (std::is_void_v<decltype(visit(rows(first, count, buffer), first))>) {
        visit(rows(first, count, buffer), first);
      } else if (!visit(rows(first, count, buffer), first)) {
        return false;
      }
    }
    return true;
  }

 private:
  const SampleSource<Scalar>* m_source = nullptr;
};

namespace detail {

/// These rows, in their order.
template <class Scalar>
SampleBuffer<Scalar> gather(const Samples<Scalar>& samples, const std::vector<Index>& rows) {
  SampleBuffer<Scalar> result;
  if (!samples.in_memory()) {
    samples.source()->gather(rows, result);
    return result;
  }
  result.resize(std::ssize(rows), samples.input_count(), samples.output_count());
  for (Index i = 0; i < std::ssize(rows); ++i) {
    const Index row = rows[static_cast<std::size_t>(i)];
    result.inputs.row(i) = samples.inputs.row(row);
    result.targets.row(i) = samples.targets.row(row);
    result.weights[i] = samples.weights[row];
  }
  return result;
}

/// Up to `most` samples of positive weight, drawn without repetition. All of them in their order if
/// there are not more, unless they are to be `shuffled`.
template <class Scalar>
SampleBuffer<Scalar> draw_samples(const Samples<Scalar>& samples, Index most, bool shuffled,
                                  RandomStream& random) {
  // No list of all rows where they are many.
  constexpr Index kListed = Index{1} << 20;
  std::vector<Index> rows;
  if (samples.size() <= kListed) {
    samples.for_each_block([&](const SampleView<Scalar>& block, Index first) {
      for (Index i = 0; i < block.size(); ++i) {
        if (block.weights[i] > 0) rows.push_back(first + i);
      }
    });
    const bool too_many = std::ssize(rows) > most;
    if (shuffled || too_many) random.shuffle(rows);
    if (too_many) rows.resize(static_cast<std::size_t>(most));
    return gather(samples, rows);
  }
  std::unordered_set<Index> drawn;
  while (std::ssize(rows) < most) {
    const auto row = static_cast<Index>(random.below(static_cast<std::uint64_t>(samples.size())));
    if (drawn.insert(row).second) rows.push_back(row);
  }
  SampleBuffer<Scalar> all = gather(samples, rows);
  std::vector<Index> weighted;
  for (Index i = 0; i < most; ++i) {
    if (all.weights[i] > 0) weighted.push_back(i);
  }
  if (std::ssize(weighted) == most) return all;
  return gather(Samples<Scalar>(all.view()), weighted);
}

/// A source of somebody else's, checked, with weights of sum 1.
template <class Scalar>
class CheckedSource : public SampleSource<Scalar> {
 public:
  /// Reads all samples twice. `source` has to outlive this.
  /// \throws InvalidArgument for no samples, NaN, infinities, negative or all-zero weights, or a
  ///         block of another shape than was asked for
  explicit CheckedSource(const SampleSource<Scalar>& source) : m_source(source) {
    if (source.size() < 1 || source.inputs() < 1 || source.outputs() < 1) {
      throw InvalidArgument("source", "at least one sample, one input and one output",
                            std::to_string(source.size()) + ", " + std::to_string(source.inputs()) +
                                " and " + std::to_string(source.outputs()));
    }
    SampleBuffer<Scalar> buffer;
    const auto each_block = [&](const auto& visit) {
      detail::for_each_block(source.size(), [&](Index first, Index count) {
        visit(source.read(first, count, buffer), first, count);
      });
    };
    each_block([&](const SampleView<Scalar>& block, Index first, Index count) {
      require_shape(block, count);
      require_finite("X", block.inputs, first);
      require_finite("Y", block.targets, first);
      require_finite("weights", block.weights, first);
      for (Index i = 0; i < count; ++i) {
        const auto weight = static_cast<double>(block.weights[i]);
        m_largest = std::max(m_largest, weight);
        if (weight >= 0) continue;
        throw InvalidArgument("weights", "values >= 0", to_text(block.weights[i]),
                              "row " + std::to_string(first + i));
      }
    });
    if (m_largest == 0) throw InvalidArgument("weights", "a positive sum", "all zero");
    PairwiseSum<double> sum;
    each_block([&](const SampleView<Scalar>& block, Index, Index) {
      sum.add((block.weights.template cast<double>() / m_largest).sum());
    });
    m_sum = sum.total();
  }

  Index size() const override { return m_source.size(); }
  Index inputs() const override { return m_source.inputs(); }
  Index outputs() const override { return m_source.outputs(); }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    const SampleView<Scalar> rows = m_source.read(first, count, buffer);
    require_shape(rows, count);
    buffer.weights = normalised(rows.weights);
    return {rows.inputs, rows.targets, buffer.weights};
  }

  void gather(const std::vector<Index>& rows, SampleBuffer<Scalar>& result) const override {
    m_source.gather(rows, result);
    require_shape(result.view(), std::ssize(rows));
    result.weights = normalised(result.weights);
  }

 private:
  Vector<Scalar> normalised(const ConstVectorRef<Scalar>& weights) const {
    return ((weights.template cast<double>() / m_largest).array() / m_sum).template cast<Scalar>();
  }

  void require_shape(const SampleView<Scalar>& rows, Index count) const {
    const auto require = [count](const char* name, const auto& values, Index columns) {
      require_rows(name, count, values.rows());
      require_cols(name, columns, values.cols());
    };
    require("X", rows.inputs, inputs());
    require("Y", rows.targets, outputs());
    require("weights", rows.weights, 1);
  }

  const SampleSource<Scalar>& m_source;
  double m_largest = 0;
  double m_sum = 1;  // of the weights divided by the largest
};

}  // namespace detail
}  // namespace mgdl

/// Samples are decomposed as SampleView is.
template <class Scalar>
struct std::tuple_size<mgdl::Samples<Scalar>> : std::integral_constant<std::size_t, 3> {};

/// See tuple_size.
template <std::size_t part, class Scalar>
struct std::tuple_element<part, mgdl::Samples<Scalar>> {
  /// Inputs, targets or weights.
  using type = std::remove_cvref_t<
      decltype(std::declval<const mgdl::Samples<Scalar>&>().template get<part>())>;
};
