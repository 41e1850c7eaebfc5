#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/bounds/box_search.hpp"
#include "mgdl/network/bounds/piece_tracer.hpp"
#include "mgdl/network/bounds/relaxation.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// Product of the layers' spectral norms, summed over grades. Standardisation is folded into the
/// weights beside it, where its scales cannot all meet the worst direction.
template <class Scalar>
double norm_product_bound(const MultigradeModel<Scalar>& model, Index k) {
  using Real = typename Wide<Scalar>::Real;
  const auto in_double = [](const DenseLayer<Scalar>& layer) -> Matrix<Real> {
    return layer.dense_weights().template cast<double>();
  };
  const Vector<Real> per_scale =
      model.input_standardizer().scale().transpose().template cast<double>().cwiseInverse();
  const Vector<Real> output_scale =
      model.output_standardizer().scale().transpose().template cast<double>();
  const Index d = model.inputs();
  double hidden = 0;  // Lipschitz constant of the last hidden layer
  double sum = 0;
  Index roundings = 8;
  for (Index g = 1; g <= k; ++g) {
    const auto& layers = model.grade(g).network.layers();
    const Matrix<Real> first = in_double(layers.front());
    if (g == 1) {
      hidden = spectral_norm_bound(per_scale.asDiagonal() * first);
    } else if (model.link() == FeatureLink::LastHidden) {
      hidden *= spectral_norm_bound(first);
    } else {
      // Of [h, z] W: either part by itself, or both as one vector.
      const double apart = hidden * spectral_norm_bound(first.topRows(first.rows() - d)) +
                           spectral_norm_bound(per_scale.asDiagonal() * first.bottomRows(d));
      const double together = std::hypot(hidden, per_scale.maxCoeff()) * spectral_norm_bound(first);
      hidden = std::min(apart, together);
    }
    for (std::size_t l = 1; l + 1 < layers.size(); ++l) {
      hidden *= spectral_norm_bound(in_double(layers[l]));
    }
    sum += hidden * spectral_norm_bound(in_double(layers.back()) * output_scale.asDiagonal());
    roundings += 4 * static_cast<Index>(layers.size());
  }
  return sum * (1 + rounding_factor<double>(roundings));
}

/// Norm of a matrix that bounds the derivative entry by entry. Entries run through the layers as
/// intervals; behind a ReLU, which multiplies them by 0 or 1, they are stretched to contain 0.
template <class Scalar>
double interval_jacobian_bound(const MultigradeModel<Scalar>& model, Index k) {
  using Real = typename Wide<Scalar>::Real;
  struct Entries {
    Matrix<Real> low, high;  // d x width
  };
  const auto times = [](const Entries& in, const Matrix<Real>& W) {
    const Matrix<Real> positive = W.cwiseMax(0);
    const Matrix<Real> negative = W.cwiseMin(0);
    const Matrix<Real> slack = 2 * rounding_factor<double>(2 * W.rows() + 8) *
                               (in.low.cwiseAbs().cwiseMax(in.high.cwiseAbs()) * W.cwiseAbs());
    return Entries{in.low * positive + in.high * negative - slack,
                   in.high * positive + in.low * negative + slack};
  };
  const Index d = model.inputs();
  const Matrix<Real> per_scale =
      model.input_standardizer().scale().template cast<double>().cwiseInverse().asDiagonal();
  const Entries input{per_scale, per_scale};
  Entries value = input;
  Entries sum{Matrix<Real>::Zero(d, model.outputs()), Matrix<Real>::Zero(d, model.outputs())};
  for (Index g = 1; g <= k; ++g) {
    const auto& layers = model.grade(g).network.layers();
    for (const auto& layer : layers) {
      const Entries next = times(value, layer.dense_weights().template cast<double>());
      if (&layer == &layers.back()) {
        sum.low += next.low;
        sum.high += next.high;
      } else {
        value = {next.low.cwiseMin(0), next.high.cwiseMax(0)};
      }
    }
    if (model.link() == FeatureLink::LastHiddenAndInput) {
      const auto stacked = [d](const Matrix<Real>& h, const Matrix<Real>& z) {
        return (Matrix<Real>(d, h.cols() + d) << h, z).finished();
      };
      value = {stacked(value.low, input.low), stacked(value.high, input.high)};
    }
  }
  const Matrix<Real> largest =
      sum.low.cwiseAbs().cwiseMax(sum.high.cwiseAbs()) *
      model.output_standardizer().scale().template cast<double>().asDiagonal();
  return spectral_norm_bound(largest) * (1 + rounding_factor<double>(2 * k + 8));
}

template <class Scalar>
void require_box(const MultigradeModel<Scalar>& model, const ConstVectorRef<Scalar>& lower,
                 const ConstVectorRef<Scalar>& upper, Index k) {
  model.feature_count(k);  // throws for k out of range
  require_rows("lower", model.inputs(), lower.rows());
  require_rows("upper", model.inputs(), upper.rows());
  require_finite("lower", lower);
  require_finite("upper", upper);
  for (Index j = 0; j < lower.size(); ++j) {
    if (lower[j] <= upper[j]) continue;
    throw InvalidArgument("upper", "a value >= " + to_text(lower[j]), to_text(upper[j]),
                          "row " + std::to_string(j));
  }
}

/// Points that are inputs of the model: in Scalar, and in the box.
template <class Scalar, class Real>
Matrix<Scalar> nearest_inputs(const RowMatrix<Real>& points, const ConstVectorRef<Scalar>& lower,
                              const ConstVectorRef<Scalar>& upper) {
  Matrix<Scalar> X = points.template cast<Scalar>();
  for (Index j = 0; j < X.cols(); ++j) X.col(j) = X.col(j).cwiseMax(lower[j]).cwiseMin(upper[j]);
  return X;
}

/// The largest singular value, up to rounding.
template <class Real>
Real spectral_norm(const Matrix<Real>& M) {
  if (M.rows() == 1 || M.cols() == 1) return M.stableNorm();
  const bool wide = M.cols() > M.rows();
  const Matrix<Real> gram = wide ? Matrix<Real>(M * M.transpose()) : M.transpose() * M;
  return std::sqrt(symmetric_eigen(gram).values.maxCoeff());
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
PiecewiseLinear to_spline(const MultigradeModel<Scalar>& model, double lower, double upper,
                          Index k) {
  if (model.inputs() != 1)
    throw InvalidArgument("model", "1 input", detail::to_text(model.inputs()));
  model.feature_count(k);  // throws for k out of range
  detail::require_option(std::isfinite(lower), "lower", "a finite value", lower);
  detail::require_option(std::isfinite(upper), "upper", "a finite value", upper);
  if (!(lower < upper)) {
    throw InvalidArgument("upper", "a value > " + detail::to_text(lower), detail::to_text(upper));
  }
  return detail::PieceTracer<double>(model, k).trace({lower, upper});
}

template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model, Index k) {
  model.feature_count(k);  // throws for k out of range
  if (model.inputs() > 1) {
    return std::min(detail::norm_product_bound(model, k),
                    detail::interval_jacobian_bound(model, k));
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double mean = model.input_standardizer().mean()[0];
  return detail::PieceTracer<double>(model, k).trace({-infinity, mean, infinity}).lipschitz();
}

template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                           Index k) {
  using Real = typename detail::Wide<Scalar>::Real;
  detail::require_box(model, lower, upper, k);
  const detail::BoxBounds<Real> bounds = detail::Relaxation<Real>(model, k).bound_outputs(
      lower.transpose().template cast<Real>(), upper.transpose().template cast<Real>());
  const Index c = model.outputs();
  return {-bounds.upper.tail(c).transpose(), bounds.upper.head(c).transpose()};
}

template <class Scalar>
OutputRange output_range(const MultigradeModel<Scalar>& model,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                         Index k, const BoundOptions& options) {
  using Real = typename detail::Wide<Scalar>::Real;
  using Rows = RowMatrix<Real>;
  detail::require_box(model, lower, upper, k);
  options.validate();
  const Index c = model.outputs();
  const detail::Relaxation<Real> relaxation(model, k);
  Predictor<Scalar> predictor(model, options.threads);
  const auto bound = [&](const RowVector<Real>& low, const RowVector<Real>& high) {
    return relaxation.bound_outputs(low, high);
  };
  // Outputs, then their negatives.
  const auto values = [&](Rows& points) -> Rows {
    const Matrix<Scalar> X = detail::nearest_inputs(points, lower, upper);
    points = X.template cast<Real>();
    Matrix<Scalar> Y(X.rows(), c);
    predictor.predict_into(X, Y, k);
    Rows result(X.rows(), 2 * c);
    result << Y.template cast<Real>(), -Y.template cast<Real>();
    return result;
  };
  const auto unit = [c](const RowVector<Real>& met) -> RowVector<Real> {
    return (met.head(c) + met.tail(c)).replicate(1, 2);
  };
  const detail::BoxSearch<Real> search(
      {bound, values, unit}, 2 * c, lower.transpose().template cast<Real>(),
      upper.transpose().template cast<Real>(),
      {options.max_boxes, options.relative_tolerance, options.time_limit_seconds}, options.threads);
  return {{-search.upper.tail(c).transpose(), search.upper.head(c).transpose()},
          {-search.attained.tail(c).transpose(), search.attained.head(c).transpose()},
          search.points.bottomRows(c),
          search.points.topRows(c),
          search.boxes,
          search.termination,
          search.elapsed_seconds};
}

template <class Scalar>
SlopeRange slope_range(const MultigradeModel<Scalar>& model,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                       Index k, const BoundOptions& options) {
  using Real = typename detail::Wide<Scalar>::Real;
  using Rows = RowMatrix<Real>;
  detail::require_box(model, lower, upper, k);
  options.validate();
  const detail::Relaxation<Real> relaxation(model, k);
  const auto bound = [&](const RowVector<Real>& low, const RowVector<Real>& high) {
    return relaxation.bound_slope(low, high);
  };
  const auto values = [&](Rows& points) -> Rows {
    const Matrix<Scalar> X = detail::nearest_inputs(points, lower, upper);
    points = X.template cast<Real>();
    Rows result(X.rows(), 1);
    options.threads.pool().parallel_for(X.rows(), [&](Index i, int) {
      const Matrix<Real> J =
          model.jacobian(X.row(i).transpose(), k).template cast<Real>();  // c x d
      result(i, 0) = detail::spectral_norm(J);
    });
    return result;
  };
  const auto unit = [](const RowVector<Real>& met) { return met; };
  const detail::BoxSearch<Real> search(
      {bound, values, unit}, 1, lower.transpose().template cast<Real>(),
      upper.transpose().template cast<Real>(),
      {options.max_boxes, options.relative_tolerance, options.time_limit_seconds}, options.threads);
  return {search.upper[0], search.attained[0], search.points.row(0).transpose(),
          search.boxes,    search.termination, search.elapsed_seconds};
}

}  // namespace mgdl
