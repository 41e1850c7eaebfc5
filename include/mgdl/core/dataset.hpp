#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Values that are looked at where they are, if they have a name and lie in memory as Plain has
/// them; else a copy of them, which all copies of this object share. (Eigen::Ref copies them too,
/// but a copy of the Ref points into the first one, which may be gone.)
template <class Plain>
class SharedRef : public Eigen::Ref<const Plain> {
  using Base = Eigen::Ref<const Plain>;
  using Scalar = typename Plain::Scalar;

 public:
  template <class Values>
  requires(!std::same_as<std::remove_cvref_t<Values>, SharedRef> &&
           (std::convertible_to<Values, Base> || OtherNumbers<Values, Scalar>))
      SharedRef(Values&& values)  // NOLINT(google-explicit-constructor): as Eigen::Ref
      : SharedRef(copy_if_needed(std::forward<Values>(values)), values) {}

 private:
  template <class Values>
  SharedRef(std::shared_ptr<const Plain> copy, const Values& values)
      : Base(copy ? Base(*copy) : Base(values)), m_copy(std::move(copy)) {}

  /// Null if the values can be looked at where they are.
  template <class Values>
  static std::shared_ptr<const Plain> copy_if_needed(Values&& values) {
    static_cast<void>(sizeof(RefuseOtherNumbers<Scalar, std::remove_cvref_t<Values>>));
    if constexpr (std::is_lvalue_reference_v<Values> && requires { values.data(); }) {
      const Base looked_at(values);
      if (looked_at.data() == values.data()) return nullptr;
      return std::make_shared<const Plain>(looked_at);
    } else {
      return std::make_shared<const Plain>(std::forward<Values>(values));
    }
  }

  std::shared_ptr<const Plain> m_copy;
};

}  // namespace mgdl::detail

namespace mgdl {

/// Weighted samples to look at: inputs (n x d), targets (n x c), weights (n, >= 0, sum 1).
///
/// Matrices that lie row by row, as in a Dataset, are not copied, and have to outlive the view and
/// its copies. All else, column-major matrices and temporaries, is copied once, and lives as long
/// as they do.
template <class Scalar_ = double>
struct SampleView {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");
  using Scalar = Scalar_;  ///< float or double

  detail::SharedRef<RowMatrix<Scalar>> inputs;   ///< n x d
  detail::SharedRef<RowMatrix<Scalar>> targets;  ///< n x c
  detail::SharedRef<Vector<Scalar>> weights;     ///< n, >= 0, sum 1

  /// Number of samples n.
  Index size() const noexcept { return inputs.rows(); }
};

/// Samples: inputs X (n x d), targets Y (n x c) and weights w (n, >= 0, sum 1). Checked when it is
/// made, so whoever holds a Dataset holds finite data of matching shapes; but for one that was
/// moved from, which is empty. Several threads may use a const one at a time.
///
/// `Dataset(X, Y)` has the type of number of X.
template <class Scalar_ = double>
class Dataset {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param X        n x d inputs, n and d at least 1
  /// \param Y        n x c targets, c at least 1
  /// \param weights  n weights >= 0 with a positive sum, in any unit (they are divided by their
  ///                 sum); empty: 1/n each
  /// \throws InvalidArgument for empty data, unequal row counts, NaN, infinities, negative or
  ///         all-zero weights
  Dataset(const ConstMatrixRef<Scalar>& X, const ConstMatrixRef<Scalar>& Y,
          const ConstVectorRef<Scalar>& weights = Vector<Scalar>()) {
    require_not_empty("X", X.rows(), X.cols());
    require_not_empty("Y", Y.rows(), Y.cols());
    detail::require_rows("Y", X.rows(), Y.rows());
    detail::require_finite("X", X);
    detail::require_finite("Y", Y);
    m_weights = normalised(weights, X.rows());
    m_inputs = X;
    m_targets = Y;
  }

  /// Does not compile: values of another type of number.
  template <class... Values>
  requires(detail::OtherNumbers<Values, Scalar> || ...) explicit Dataset(const Values&...) {
    static_cast<void>(sizeof(detail::RefuseOtherNumbers<Scalar, Values...>));
  }

  /// Number of samples n.
  Index size() const noexcept { return m_inputs.rows(); }

  /// X, n x d; of a temporary by value, as all that is returned by reference.
  /// \{
  const RowMatrix<Scalar>& inputs() const& noexcept { return m_inputs; }
  RowMatrix<Scalar> inputs() && { return std::move(m_inputs); }
  /// \}
  /// Y, n x c.
  /// \{
  const RowMatrix<Scalar>& targets() const& noexcept { return m_targets; }
  RowMatrix<Scalar> targets() && { return std::move(m_targets); }
  /// \}
  /// w, n, sum 1.
  /// \{
  const Vector<Scalar>& weights() const& noexcept { return m_weights; }
  Vector<Scalar> weights() && { return std::move(m_weights); }
  /// \}

  /// The samples with the given row numbers, in that order, weights normalised again.
  Dataset subset(const std::vector<Index>& rows) const {
    Dataset part;
    const auto pick = [&rows](const RowMatrix<Scalar>& from, RowMatrix<Scalar>& to) {
      to.resize(std::ssize(rows), from.cols());
      for (Index i = 0; i < to.rows(); ++i) {
        const Scalar* row = from.data() + rows[static_cast<std::size_t>(i)] * from.cols();
        std::copy(row, row + from.cols(), to.data() + i * from.cols());
      }
    };
    pick(m_inputs, part.m_inputs);
    pick(m_targets, part.m_targets);
    Vector<Scalar> weights(std::ssize(rows));
    for (Index i = 0; i < weights.size(); ++i) {
      weights[i] = m_weights[rows[static_cast<std::size_t>(i)]];
    }
    part.m_weights = normalised(weights, weights.size());
    return part;
  }

 private:
  Dataset() = default;

  static void require_not_empty(const char* name, Index rows, Index cols) {
    if (rows > 0 && cols > 0) return;
    throw InvalidArgument(name, "at least one row and one column", detail::shape_text(rows, cols));
  }

  static Vector<Scalar> normalised(const ConstVectorRef<Scalar>& weights, Index n) {
    if (weights.size() == 0)
      return Vector<Scalar>::Constant(n, Scalar(1.0 / static_cast<double>(n)));
    detail::require_rows("weights", n, weights.rows());
    detail::require_weights(weights);
    // Divided by the largest first, so that no sum of huge weights overflows.
    double largest = 0;
    for (Index i = 0; i < n; ++i) largest = std::max(largest, static_cast<double>(weights[i]));
    Vector<double> scaled(n);
    for (Index i = 0; i < n; ++i) scaled[i] = static_cast<double>(weights[i]) / largest;
    detail::PairwiseSum<double> sums;
    detail::for_each_block(
        n, [&](Index first, Index count) { sums.add(scaled.segment(first, count).sum()); });
    const double sum = sums.total();
    Vector<Scalar> result(n);
    for (Index i = 0; i < n; ++i) result[i] = static_cast<Scalar>(scaled[i] / sum);
    return result;
  }

  RowMatrix<Scalar> m_inputs;
  RowMatrix<Scalar> m_targets;
  Vector<Scalar> m_weights;
};

/// Dataset(X, Y) and Dataset(X, Y, weights).
/// \{
template <class Inputs, class Targets, class... Weights>
Dataset(const Inputs&, const Targets&, const Weights&...)
    -> Dataset<decltype(detail::number_of(std::declval<Inputs>()))>;
/// \}

namespace detail {

/// The same samples in double: `data` itself if it is.
template <class Scalar>
decltype(auto) in_double(const Dataset<Scalar>& data) {
  if constexpr (std::is_same_v<Scalar, double>) {
    return (data);
  } else {
    return Dataset<double>(data.inputs().template cast<double>(),
                           data.targets().template cast<double>(),
                           data.weights().template cast<double>());
  }
}

}  // namespace detail

/// Training part and, optionally, validation part of the samples.
template <class Scalar = double>
struct DataSplit {
  Dataset<Scalar> train;                      ///< what a model is fitted to
  std::optional<Dataset<Scalar>> validation;  ///< what only judges it; may be absent
};

/// Splits off a random validation part of round(fraction * n) samples, at least one. Which samples
/// these are depends on n, fraction and seed alone. A fraction of 0 keeps all samples for training.
///
/// \throws InvalidArgument unless 0 <= fraction < 1 and both parts get a sample of positive weight
template <class Scalar>
DataSplit<Scalar> split(Dataset<Scalar> data, double fraction, std::uint64_t seed) {
  detail::require_option(fraction >= 0 && fraction < 1, "validation_fraction", "a value in [0, 1)",
                         fraction);
  if (fraction == 0) return {std::move(data), std::nullopt};
  const Index n = data.size();
  if (n < 2) {
    throw InvalidArgument("X", "at least 2 rows to split off a validation part", std::to_string(n));
  }
  const auto wanted = static_cast<Index>(std::llround(fraction * static_cast<double>(n)));
  const Index held_out = std::clamp<Index>(wanted, 1, n - 1);
  std::vector<Index> order(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  RandomStream(seed, /*stream=*/0x5B117).shuffle(order);
  std::vector<Index> validation(order.begin(), order.begin() + held_out);
  std::vector<Index> train(order.begin() + held_out, order.end());
  // Original order keeps neighbours in memory together and the training part readable.
  std::sort(validation.begin(), validation.end());
  std::sort(train.begin(), train.end());
  return {data.subset(train), data.subset(validation)};
}

/// All samples, and K ways to hold a part of them out: every sample is held out once.
template <class Scalar = double>
struct DataFolds {
  Dataset<Scalar> all;                       ///< every sample
  std::vector<std::vector<Index>> held_out;  ///< rows of `all` in the validation part of each fold
  std::vector<DataSplit<Scalar>> folds;      ///< K of them

  /// Number K of folds.
  Index size() const noexcept { return std::ssize(folds); }

  /// Leaves out the folds from number `count` on; their samples stay in the training parts.
  void keep_first(Index count) {
    held_out.resize(static_cast<std::size_t>(count));
    folds.erase(folds.begin() + count, folds.end());
  }

  /// Weights of the validation parts, one fold after the other: n, sum 1.
  Vector<double> held_out_weights() const {
    Vector<double> weights(all.size());
    Index i = 0;
    for (const auto& rows : held_out) {
      for (const Index row : rows) weights[i++] = static_cast<double>(all.weights()[row]);
    }
    return weights;
  }
};

/// Deals the samples at random to the validation parts of `count` folds, whose sizes differ by at
/// most one. Which sample is where depends on n, count and seed alone.
///
/// \throws InvalidArgument unless 2 <= count <= n and all parts get a sample of positive weight
template <class Scalar>
DataFolds<Scalar> folds(Dataset<Scalar> data, Index count, std::uint64_t seed) {
  const Index n = data.size();
  if (count < 2 || count > n) {
    throw InvalidArgument("folds", "a value from 2 to " + std::to_string(n) + ", the samples",
                          std::to_string(count));
  }
  std::vector<Index> order(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  RandomStream(seed, /*stream=*/0xF01D5).shuffle(order);
  std::vector<Index> fold_of(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    fold_of[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = i % count;
  }
  DataFolds<Scalar> result{std::move(data), {}, {}};
  for (Index k = 0; k < count; ++k) {
    std::vector<Index> train;
    std::vector<Index>& validation = result.held_out.emplace_back();
    for (Index i = 0; i < n; ++i) {
      (fold_of[static_cast<std::size_t>(i)] == k ? validation : train).push_back(i);
    }
    result.folds.push_back({result.all.subset(train), result.all.subset(validation)});
  }
  return result;
}

}  // namespace mgdl
