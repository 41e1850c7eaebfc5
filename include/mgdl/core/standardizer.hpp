#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Affine map of each column, z = (x - mean) / scale.
///
/// For inputs, mean and scale are the weighted mean and standard deviation of each column; for
/// targets (`fit_common_scale`) all columns share one scale, so that the sum of squared errors of
/// all outputs keeps its meaning. A constant column gets the scale 1 and maps to zero.
template <class Scalar_ = double>
class Standardizer {
 public:
  using Scalar = Scalar_;

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

  /// Weighted mean and standard deviation of each column of `values` (n x k); weights (n) sum to 1.
  static Standardizer fit(const RowMatrix<Scalar>& values, const Vector<Scalar>& weights) {
    const Moments moments = moments_of(values, weights);
    RowVector<Scalar> scale(values.cols());
    for (Index j = 0; j < values.cols(); ++j) {
      scale[j] = usable_scale(std::sqrt(moments.variance[j]), moments.largest[j]);
    }
    return {moments.mean.template cast<Scalar>(), scale};
  }

  /// As fit, but every column is divided by the root mean square of the centred values over all
  /// columns.
  static Standardizer fit_common_scale(const RowMatrix<Scalar>& values,
                                       const Vector<Scalar>& weights) {
    const Moments moments = moments_of(values, weights);
    const Scalar scale =
        usable_scale(std::sqrt(moments.variance.mean()), moments.largest.maxCoeff());
    return {moments.mean.template cast<Scalar>(),
            RowVector<Scalar>::Constant(values.cols(), scale)};
  }

  Index columns() const noexcept { return m_mean.size(); }
  const RowVector<Scalar>& mean() const noexcept { return m_mean; }
  const RowVector<Scalar>& scale() const noexcept { return m_scale; }

  /// z = (x - mean) / scale for each row; `out` may be `values`.
  template <class In, class Out>
  void apply(const Eigen::MatrixBase<In>& values, Eigen::MatrixBase<Out>& out) const {
    for (Index i = 0; i < values.rows(); ++i) {
      out.row(i) = (values.row(i) - m_mean).cwiseQuotient(m_scale);
    }
  }

  /// x = mean + scale z for each row; `out` may be `values`.
  template <class In, class Out>
  void invert(const Eigen::MatrixBase<In>& values, Eigen::MatrixBase<Out>& out) const {
    for (Index i = 0; i < values.rows(); ++i) {
      out.row(i) = values.row(i).cwiseProduct(m_scale) + m_mean;
    }
  }

  bool operator==(const Standardizer& other) const {
    return columns() == other.columns() && m_mean == other.m_mean && m_scale == other.m_scale;
  }

 private:
  struct Moments {
    Eigen::RowVectorXd mean;
    Eigen::RowVectorXd variance;
    Eigen::RowVectorXd largest;  // max |value|, to tell a constant column from a narrow one
  };

  // Two passes in double: exact enough for columns whose mean is much larger than their spread.
  static Moments moments_of(const RowMatrix<Scalar>& values, const Vector<Scalar>& weights) {
    const Index k = values.cols();
    Moments moments{Eigen::RowVectorXd::Zero(k), Eigen::RowVectorXd::Zero(k),
                    Eigen::RowVectorXd::Zero(k)};
    const double total = weights.template cast<double>().sum();
    for (Index i = 0; i < values.rows(); ++i) {
      const double w = static_cast<double>(weights[i]) / total;
      const auto row = values.row(i).template cast<double>();
      moments.mean += w * row;
      moments.largest = moments.largest.cwiseMax(row.cwiseAbs());
    }
    for (Index i = 0; i < values.rows(); ++i) {
      const double w = static_cast<double>(weights[i]) / total;
      moments.variance += w * (values.row(i).template cast<double>() - moments.mean).cwiseAbs2();
    }
    return moments;
  }

  // A spread at the level of rounding is no spread: dividing by it would blow noise up.
  static Scalar usable_scale(double spread, double largest) {
    const double rounding = 16 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    const auto scale = static_cast<Scalar>(spread);
    const bool usable = spread > rounding * largest && std::isnormal(scale);
    return usable ? scale : Scalar(1);
  }

  RowVector<Scalar> m_mean;
  RowVector<Scalar> m_scale;
};

}  // namespace mgdl
