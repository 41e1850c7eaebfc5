#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
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
#include "mgdl/core/row_share.hpp"
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
/// source of blocks of them. The view has no rows then. Where ranks share them, each has some of
/// the blocks, and the view is of these.
template <class Scalar_ = double>
class Samples : public SampleView<Scalar_> {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// In memory.
  Samples(SampleView<Scalar> view)  // NOLINT(google-explicit-constructor): it is one
      : SampleView<Scalar>(std::move(view)), m_share(SampleView<Scalar>::size()) {}

  /// In memory: those of this rank's share.
  Samples(SampleView<Scalar> view, detail::RowShare share)
      : SampleView<Scalar>(std::move(view)), m_share(std::move(share)) {}

  /// In memory.
  Samples(detail::SharedRef<RowMatrix<Scalar>> X, detail::SharedRef<RowMatrix<Scalar>> Y,
          detail::SharedRef<Vector<Scalar>> w)
      : Samples(SampleView<Scalar>{std::move(X), std::move(Y), std::move(w)}) {}

  /// In memory. `data` has to outlive this and its copies.
  Samples(const Dataset<Scalar>& data)  // NOLINT(google-explicit-constructor): to look at
      : Samples(data.inputs(), data.targets(), data.weights()) {}

  /// Somewhere else. `source`, whose weights have the sum 1, has to outlive this and its copies.
  /// \param ranks  who share them; null: all are for this process
  explicit Samples(const SampleSource<Scalar>& source, Communicator* ranks = nullptr)
      : SampleView<Scalar>{RowMatrix<Scalar>(0, source.inputs()),
                           RowMatrix<Scalar>(0, source.outputs()), Vector<Scalar>(0)},
        m_source(&source),
        m_share(source.size(), ranks) {}

  /// Whether those of this rank can be looked at here.
  bool in_memory() const noexcept { return m_source == nullptr; }
  /// Null if they are in memory.
  const SampleSource<Scalar>* source() const noexcept { return m_source; }

  /// Which of them this rank has.
  const detail::RowShare& share() const noexcept { return m_share; }
  /// Null if this process has all of them.
  Communicator* ranks() const noexcept { return m_share.ranks(); }

  /// Number n of samples, of all ranks.
  Index size() const noexcept { return m_share.rows(); }
  /// Number d of inputs.
  Index input_count() const noexcept { return this->inputs.cols(); }
  /// Number c of outputs.
  Index output_count() const noexcept { return this->targets.cols(); }

  /// Rows first..first + count, which this rank has, with `buffer` for those that are not in
  /// memory.
  SampleView<Scalar> rows(Index first, Index count, SampleBuffer<Scalar>& buffer) const {
    return in_memory() ? detail::rows_of<Scalar>(*this, first - m_share.first(), count)
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

  /// Calls visit(view, first) for one block of this rank after the other, until it returns false.
  /// \returns whether all were visited
  template <class Visit>
  bool for_each_block(const Visit& visit) const {
    SampleBuffer<Scalar> buffer;
    bool goes_on = true;
    m_share.for_each_block([&](Index first, Index count) {
      if (!goes_on) return;
      if constexpr (std::is_void_v<decltype(visit(rows(first, count, buffer), first))>) {
        visit(rows(first, count, buffer), first);
      } else {
        goes_on = visit(rows(first, count, buffer), first);
      }
    });
    return goes_on;
  }

  /// Sum of term(view) over the blocks of all ranks, in pairs. `zero` has the size of a term.
  template <class Sum, class Term>
  Sum sum(Sum zero, const Term& term) const {
    auto own = m_share.template start<Sum>();
    for_each_block([&](const SampleView<Scalar>& block, Index) { own.add(term(block)); });
    return m_share.total(own, std::move(zero));
  }

 private:
  const SampleSource<Scalar>* m_source = nullptr;
  detail::RowShare m_share;
};

namespace detail {

/// Rows of this rank, in their order.
template <class Scalar>
SampleBuffer<Scalar> gather_own(const Samples<Scalar>& samples, const std::vector<Index>& rows) {
  SampleBuffer<Scalar> result;
  if (!samples.in_memory()) {
    samples.source()->gather(rows, result);
    return result;
  }
  result.resize(std::ssize(rows), samples.input_count(), samples.output_count());
  for (Index i = 0; i < std::ssize(rows); ++i) {
    const Index row = rows[static_cast<std::size_t>(i)] - samples.share().first();
    result.inputs.row(i) = samples.inputs.row(row);
    result.targets.row(i) = samples.targets.row(row);
    result.weights[i] = samples.weights[row];
  }
  return result;
}

/// Samples on their way from one rank to another: inputs, targets and weight of each.
template <class Scalar>
class PackedSamples {
 public:
  explicit PackedSamples(const Samples<Scalar>& samples)
      : m_inputs(samples.input_count()), m_outputs(samples.output_count()) {}

  /// Numbers of a sample.
  Index stride() const noexcept { return m_inputs + m_outputs + 1; }

  /// Writes row i.
  void pack(const SampleBuffer<Scalar>& from, Index i, Scalar* to) const {
    std::copy_n(from.inputs.data() + i * m_inputs, m_inputs, to);
    std::copy_n(from.targets.data() + i * m_outputs, m_outputs, to + m_inputs);
    to[m_inputs + m_outputs] = from.weights[i];
  }

  /// Reads it.
  void unpack(const Scalar* from, SampleBuffer<Scalar>& to, Index i) const {
    std::copy_n(from, m_inputs, to.inputs.data() + i * m_inputs);
    std::copy_n(from + m_inputs, m_outputs, to.targets.data() + i * m_outputs);
    to.weights[i] = from[m_inputs + m_outputs];
  }

 private:
  Index m_inputs;
  Index m_outputs;
};

/// These rows, in their order, for all ranks.
template <class Scalar>
SampleBuffer<Scalar> gather(const Samples<Scalar>& samples, const std::vector<Index>& rows) {
  const RowShare& share = samples.share();
  if (share.ranks() == nullptr) return gather_own(samples, rows);
  std::vector<Index> own_rows;
  for (const Index row : rows) {
    if (share.has(row)) own_rows.push_back(row);
  }
  const PackedSamples<Scalar> packed(samples);
  const auto stride = static_cast<std::size_t>(packed.stride());
  std::vector<Scalar> numbers(own_rows.size() * stride);
  if (!own_rows.empty()) {
    const SampleBuffer<Scalar> own = gather_own(samples, own_rows);
    for (std::size_t i = 0; i < own_rows.size(); ++i) {
      packed.pack(own, static_cast<Index>(i), numbers.data() + i * stride);
    }
  }
  numbers = gather_all(*share.ranks(), numbers);
  // Where the next row of each rank is.
  std::vector<std::size_t> next(static_cast<std::size_t>(share.ranks()->size()) + 1);
  for (const Index row : rows) next[static_cast<std::size_t>(share.owner(row)) + 1] += stride;
  for (std::size_t r = 1; r < next.size(); ++r) next[r] += next[r - 1];
  SampleBuffer<Scalar> result;
  result.resize(std::ssize(rows), samples.input_count(), samples.output_count());
  for (Index i = 0; i < std::ssize(rows); ++i) {
    const auto owner = static_cast<std::size_t>(share.owner(rows[static_cast<std::size_t>(i)]));
    packed.unpack(numbers.data() + next[owner], result, i);
    next[owner] += stride;
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
    if (samples.ranks() != nullptr) rows = gather_all(*samples.ranks(), rows);
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
  ///
  /// \param ranks  who read a part each; null: this process reads all
  /// \throws InvalidArgument for no samples, NaN, infinities, negative or all-zero weights, or a
  ///         block of another shape than was asked for; on all ranks if one of them finds it
  explicit CheckedSource(const SampleSource<Scalar>& source, Communicator* ranks = nullptr)
      : m_source(source) {
    if (source.size() < 1 || source.inputs() < 1 || source.outputs() < 1) {
      throw InvalidArgument("source", "at least one sample, one input and one output",
                            std::to_string(source.size()) + ", " + std::to_string(source.inputs()) +
                                " and " + std::to_string(source.outputs()));
    }
    const RowShare share(source.size(), ranks);
    SampleBuffer<Scalar> buffer;
    fail_together(share.ranks(), [&] {
      share.for_each_block([&](Index first, Index count) {
        const SampleView<Scalar> block = source.read(first, count, buffer);
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
    });
    m_largest = largest_of(share.ranks(), m_largest);
    if (m_largest == 0) throw InvalidArgument("weights", "a positive sum", "all zero");
    m_sum = share.sum(0.0, [&](Index first, Index count) {
      const SampleView<Scalar> block = source.read(first, count, buffer);
      return (block.weights.template cast<double>() / m_largest).sum();
    });
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
  /// Does what each rank does for itself. If one fails, all do, and say what it says.
  template <class Work>
  static void fail_together(Communicator* ranks, const Work& work) {
    if (ranks == nullptr) return work();
    std::exception_ptr error;
    std::string text;
    try {
      work();
    } catch (const std::exception& failure) {
      error = std::current_exception();
      text = "rank " + std::to_string(ranks->rank()) + ": " + failure.what() + "\n";
    }
    const std::vector<char> all = gather_all(*ranks, std::vector<char>(text.begin(), text.end()));
    if (error) std::rethrow_exception(error);
    if (all.empty()) return;
    throw InvalidArgument("source", "samples that can be used on all ranks",
                          std::string(all.begin(), std::find(all.begin(), all.end(), '\n')));
  }

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
