#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/to_spline.hpp"

namespace mgdl {
namespace detail {

/// Product of the layers' spectral norms, summed over grades. Standardisation is folded into the
/// weights beside it, where its scales cannot all meet the worst direction.
template <class Scalar>
double norm_product_bound(const MultigradeModel<Scalar>& model, Index k) {
  const auto in_double = [](const DenseLayer<Scalar>& layer) -> Eigen::MatrixXd {
    return layer.weights().template cast<double>();
  };
  const Eigen::VectorXd per_scale =
      model.input_standardizer().scale().transpose().template cast<double>().cwiseInverse();
  const Eigen::VectorXd output_scale =
      model.output_standardizer().scale().transpose().template cast<double>();
  const Index d = model.inputs();
  double hidden = 0;  // Lipschitz constant of the last hidden layer
  double sum = 0;
  Index roundings = 8;
  for (Index g = 1; g <= k; ++g) {
    const auto& layers = model.grade(g).network.layers();
    const Eigen::MatrixXd first = in_double(layers.front());
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
  struct Entries {
    Eigen::MatrixXd low, high;  // d x width
  };
  const auto times = [](const Entries& in, const Eigen::MatrixXd& W) {
    const Eigen::MatrixXd positive = W.cwiseMax(0);
    const Eigen::MatrixXd negative = W.cwiseMin(0);
    const Eigen::MatrixXd slack = 2 * rounding_factor<double>(2 * W.rows() + 8) *
                                  (in.low.cwiseAbs().cwiseMax(in.high.cwiseAbs()) * W.cwiseAbs());
    return Entries{in.low * positive + in.high * negative - slack,
                   in.high * positive + in.low * negative + slack};
  };
  const Index d = model.inputs();
  const Eigen::MatrixXd per_scale =
      model.input_standardizer().scale().template cast<double>().cwiseInverse().asDiagonal();
  const Entries input{per_scale, per_scale};
  Entries value = input;
  Entries sum{Eigen::MatrixXd::Zero(d, model.outputs()), Eigen::MatrixXd::Zero(d, model.outputs())};
  for (Index g = 1; g <= k; ++g) {
    const auto& layers = model.grade(g).network.layers();
    for (const auto& layer : layers) {
      const Entries next = times(value, layer.weights().template cast<double>());
      if (&layer == &layers.back()) {
        sum.low += next.low;
        sum.high += next.high;
      } else {
        value = {next.low.cwiseMin(0), next.high.cwiseMax(0)};
      }
    }
    if (model.link() == FeatureLink::LastHiddenAndInput) {
      const auto stacked = [d](const Eigen::MatrixXd& h, const Eigen::MatrixXd& z) {
        return (Eigen::MatrixXd(d, h.cols() + d) << h, z).finished();
      };
      value = {stacked(value.low, input.low), stacked(value.high, input.high)};
    }
  }
  const Eigen::MatrixXd largest =
      sum.low.cwiseAbs().cwiseMax(sum.high.cwiseAbs()) *
      model.output_standardizer().scale().template cast<double>().asDiagonal();
  return spectral_norm_bound(largest) * (1 + rounding_factor<double>(2 * k + 8));
}

}  // namespace detail

/// A constant L with ||f(x) - f(y)||_2 <= L ||x - y||_2 for all x, y, where f is the model's first
/// k grades in exact arithmetic; in target unit per input unit.
///
/// One input: the smallest such L, the largest slope of all linear pieces on the whole line (see
/// to_spline, which takes as long; exact up to rounding in double, kinks that rounding makes
/// coincide counting as one). More inputs: an upper bound with all rounding accounted for, the
/// smaller of
///
///     sum_k ||W_{k,readout}||_2 * (product of ||W||_2 over the hidden layers up to grade k)
///
/// (with spectral norms that are bounded from above, not estimated) and the norm of interval bounds
/// on each entry of the Jacobian. It never looks at data, and it grows with depth: it is within a
/// small factor of the truth for small models only.
/// Sources: Szegedy et al., arXiv 1312.6199 (products of norms); Moore, interval analysis.
///
/// \throws InvalidArgument for k out of range
template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model, Index k) {
  model.feature_count(k);  // throws for k out of range
  if (model.inputs() > 1) {
    return std::min(detail::norm_product_bound(model, k),
                    detail::interval_jacobian_bound(model, k));
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double mean = model.input_standardizer().mean()[0];
  return detail::PieceTracer<Scalar>(model, k).trace({-infinity, mean, infinity}).lipschitz();
}

/// The same for all grades.
template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model) {
  return lipschitz_bound(model, model.grades());
}

}  // namespace mgdl
