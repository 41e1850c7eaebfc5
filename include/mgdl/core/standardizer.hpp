#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/pairwise_sum.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Affine map of each column, z = (x - mean) / scale.
///
/// Mean and scale are the weighted mean and standard deviation of each column (`fit`), or all
/// columns share one scale (`fit_common_scale`), so that a sum of squares over all of them keeps
/// its meaning. A constant column gets the scale 1 and maps to zero; one that is constant up to
/// rounding is divided by its largest absolute value (or 1, if that is larger), so that its
/// rounding errors are not blown up, and left out of a common scale. Rows of weight 0 have no
/// influence. Several threads may use a const one at a time.
template <class Scalar_ = double>
class Standardizer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// No columns.
  Standardizer() = default;

  /// mean: k; scale: k, each finite and > 0.
  Standardizer(RowVector<Scalar> mean, RowVector<Scalar> scale)
      : m_mean(std::move(mean)), m_scale(std::move(scale)) {
    detail::require_cols("scale", m_mean.cols(), m_scale.cols());
    detail::require_finite("mean", m_mean);
    detail::require_finite("scale", m_scale);
    for (Index j = 0; j < m_scale.size(); ++j) {
      if (m_scale[j] > 0) continue;
      throw InvalidArgument("scale", "values > 0", detail::to_text(m_scale[j]),
                            "column " + std::to_string(j));
    }
  }

  /// Mean 0 and scale 1 for k columns.
  static Standardizer identity(Index columns) {
    return {RowVector<Scalar>::Zero(columns), RowVector<Scalar>::Ones(columns)};
  }

  /// Weighted mean and standard deviation of each column of `values` (n x k), weights (n) in any
  /// unit.
  /// \throws InvalidArgument for no values, another number of weights, negative or all-zero weights
  static Standardizer fit(const RowMatrix<Scalar>& values, const Vector<Scalar>& weights) {
    return with_own_scales(moments_of(values, weights));
  }

  /// As fit, but every column is divided by the root mean square of the centred values over all
  /// columns.
  static Standardizer fit_common_scale(const RowMatrix<Scalar>& values,
                                       const Vector<Scalar>& weights) {
    return with_common_scale(moments_of(values, weights));
  }

  /// fit() and fit_common_scale() of values that come in blocks: each_block(visit) calls
  /// visit(values, weights) for one after the other, as often as it is called. Blocks are those of
  /// the share, on each of its ranks.
  /// \{
  template <class Blocks>
  static Standardizer fit_blocks(Index columns, const detail::RowShare& share,
                                 const Blocks& each_block) {
    return with_own_scales(moments_of_blocks(columns, share, each_block));
  }
  template <class Blocks>
  static Standardizer fit_blocks_common_scale(Index columns, const detail::RowShare& share,
                                              const Blocks& each_block) {
    return with_common_scale(moments_of_blocks(columns, share, each_block));
  }
  /// \}

  /// Number k of columns.
  Index columns() const noexcept { return m_mean.size(); }
  /// 1 x k, in the unit of the column.
  /// \{
  const RowVector<Scalar>& mean() const& noexcept { return m_mean; }
  RowVector<Scalar> mean() && { return std::move(m_mean); }
  const RowVector<Scalar>& scale() const& noexcept { return m_scale; }
  RowVector<Scalar> scale() && { return std::move(m_scale); }
  /// \}

  /// z = (x - mean) / scale for each row of `values` (n x k); `out` (n x k) may be `values`.
  /// \throws InvalidArgument for other shapes
  template <class In, class Out>
  void apply(const Eigen::MatrixBase<In>& values, Eigen::MatrixBase<Out>& out) const {
    require_shapes(values, out);
    for (Index i = 0; i < values.rows(); ++i) {
      for (Index j = 0; j < columns(); ++j) out(i, j) = (values(i, j) - m_mean[j]) / m_scale[j];
    }
  }

  /// x = mean + scale z for each row of `values` (n x k); `out` (n x k) may be `values`.
  /// \throws InvalidArgument for other shapes
  template <class In, class Out>
  void invert(const Eigen::MatrixBase<In>& values, Eigen::MatrixBase<Out>& out) const {
    require_shapes(values, out);
    for (Index i = 0; i < values.rows(); ++i) {
      for (Index j = 0; j < columns(); ++j) out(i, j) = values(i, j) * m_scale[j] + m_mean[j];
    }
  }

  /// Equal means and scales.
  bool operator==(const Standardizer& other) const {
    return columns() == other.columns() && m_mean == other.m_mean && m_scale == other.m_scale;
  }

 private:
  struct Moments {
    Eigen::RowVectorXd mean;
    Eigen::RowVectorXd spread;   // standard deviation
    Eigen::RowVectorXd largest;  // max |value|
  };

  static Standardizer with_own_scales(const Moments& moments) {
    RowVector<Scalar> scale(moments.mean.size());
    for (Index j = 0; j < scale.size(); ++j) {
      scale[j] = usable_scale(moments.spread[j], moments.largest[j]);
    }
    return {moments.mean.template cast<Scalar>(), scale};
  }

  static Standardizer with_common_scale(Moments moments) {
    const Index k = moments.mean.size();
    for (Index j = 0; j < k; ++j) {
      if (is_rounding(moments.spread[j], moments.largest[j])) moments.spread[j] = 0;
    }
    const double spread = detail::stable_norm(moments.spread) / std::sqrt(static_cast<double>(k));
    return {moments.mean.template cast<Scalar>(),
            RowVector<Scalar>::Constant(k, usable_scale(spread, /*largest=*/0))};
  }

  static Moments moments_of(const RowMatrix<Scalar>& values, const Vector<Scalar>& weights) {
    const Index n = values.rows();
    if (values.size() == 0) {
      throw InvalidArgument("values", "at least one row and one column",
                            detail::shape_text(n, values.cols()));
    }
    detail::require_rows("weights", n, weights.rows());
    detail::require_weights(weights);
    const detail::RowShare share(n);
    return moments_of_blocks(values.cols(), share, [&](const auto& visit) {
      share.for_each_block([&](Index first, Index count) {
        visit(values.middleRows(first, count), weights.segment(first, count));
      });
    });
  }

  // In double, in two passes, so that a mean much larger than the spread costs no accuracy, and
  // relative to a power of two near the largest value, so that no square overflows or vanishes.
  template <class Blocks>
  static Moments moments_of_blocks(Index k, const detail::RowShare& share,
                                   const Blocks& each_block) {
    Moments moments{Eigen::RowVectorXd::Zero(k), Eigen::RowVectorXd::Zero(k),
                    Eigen::RowVectorXd::Zero(k)};
    auto weight_sum = share.start<double>();
    each_block([&](const auto& values, const auto& weights) {
      weight_sum.add(weights.template cast<double>().sum());
      for (Index i = 0; i < values.rows(); ++i) {
        if (weights[i] == 0) continue;
        moments.largest =
            moments.largest.cwiseMax(values.row(i).template cast<double>().cwiseAbs());
      }
    });
    detail::take_largest(share.ranks(), moments.largest);
    const double total = share.total(weight_sum, 0.0);
    Eigen::RowVectorXd unit(k);
    for (Index j = 0; j < k; ++j)
      unit[j] = std::exp2(std::ilogb(std::max(moments.largest[j], kTiny)));
    Eigen::RowVectorXd least = Eigen::RowVectorXd::Constant(k, std::numeric_limits<double>::max());
    Eigen::RowVectorXd most = -least;
    const Eigen::RowVectorXd zero = Eigen::RowVectorXd::Zero(k);
    auto means = share.start<Eigen::RowVectorXd>();
    each_block([&](const auto& values, const auto& weights) {
      Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(k);
      for (Index i = 0; i < values.rows(); ++i) {
        const double w = static_cast<double>(weights[i]) / total;
        if (w == 0) continue;
        const auto row = values.row(i).template cast<double>().cwiseQuotient(unit);
        mean += w * row;
        least = least.cwiseMin(row);
        most = most.cwiseMax(row);
      }
      means.add(std::move(mean));
    });
    detail::take_largest(share.ranks(), most);
    least = -least;
    detail::take_largest(share.ranks(), least);
    least = -least;
    // A mean beyond the values is rounding; without it, a constant column is exactly its mean.
    moments.mean = share.total(means, zero).cwiseMax(least).cwiseMin(most);
    auto spreads = share.start<Eigen::RowVectorXd>();
    each_block([&](const auto& values, const auto& weights) {
      Eigen::RowVectorXd spread = Eigen::RowVectorXd::Zero(k);
      for (Index i = 0; i < values.rows(); ++i) {
        const double w = static_cast<double>(weights[i]) / total;
        const auto row = values.row(i).template cast<double>().cwiseQuotient(unit);
        if (w > 0) spread += w * (row - moments.mean).cwiseAbs2();
      }
      spreads.add(std::move(spread));
    });
    moments.spread = share.total(spreads, zero).cwiseSqrt().cwiseProduct(unit);
    moments.mean = moments.mean.cwiseProduct(unit);
    return moments;
  }

  template <class In, class Out>
  void require_shapes(const Eigen::MatrixBase<In>& values,
                      const Eigen::MatrixBase<Out>& out) const {
    detail::require_cols("values", columns(), values.cols());
    detail::require_rows("out", values.rows(), out.rows());
    detail::require_cols("out", columns(), out.cols());
  }

  // A spread at the level of rounding is no spread: dividing by it would blow noise up.
  static bool is_rounding(double spread, double largest) {
    return !(spread > 16 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * largest);
  }

  static Scalar usable_scale(double spread, double largest) {
    const auto scale = static_cast<Scalar>(spread);
    if (!is_rounding(spread, largest) && std::isnormal(scale)) return scale;
    return spread == 0 ? Scalar(1) : static_cast<Scalar>(std::max(1.0, largest));
  }

  static constexpr double kTiny = std::numeric_limits<double>::min();

  RowVector<Scalar> m_mean;
  RowVector<Scalar> m_scale;
};

/// Where the values of columns lie, one number for each; none: not known.
struct InputRange {
  std::vector<double> mean;       ///< weighted
  std::vector<double> deviation;  ///< weighted standard deviation, 1 for a constant column
  std::vector<double> lower;      ///< smallest value
  std::vector<double> upper;      ///< largest value

  /// Whether nothing is known.
  bool empty() const noexcept {
    return mean.empty() && deviation.empty() && lower.empty() && upper.empty();
  }
};

/// Of `values` (n x k), weights (n) in any unit.
/// \throws InvalidArgument as Standardizer::fit
template <class Scalar>
InputRange input_range(const RowMatrix<Scalar>& values, const Vector<Scalar>& weights) {
  const auto moments = Standardizer<Scalar>::fit(values, weights);
  InputRange range;
  for (Index j = 0; j < values.cols(); ++j) {
    range.mean.push_back(static_cast<double>(moments.mean()[j]));
    range.deviation.push_back(static_cast<double>(moments.scale()[j]));
    range.lower.push_back(static_cast<double>(values.col(j).minCoeff()));
    range.upper.push_back(static_cast<double>(values.col(j).maxCoeff()));
  }
  return range;
}

}  // namespace mgdl
