#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/dense_layer.hpp"

namespace mgdl::detail {

/// Where the values of one layer lie while the input is anywhere in a box, in two ways at once,
///
///     lower <= h <= upper      and      h = center + generators' e + r,  |e_s| <= 1, |r| <= error
///
/// (an interval and a zonotope). The symbols e_s are shared by all layers: one for each input, and
/// one for each unit whose sign is not known. They keep what intervals forget, that values of
/// different units move together. All of it is in double, and holds for h in exact arithmetic as
/// well as for h computed in Scalar with sums in any order.
template <class Real>
struct BasicEnclosure {
  RowVector<Real> lower;
  RowVector<Real> upper;
  RowVector<Real> center;
  RowMatrix<Real> generators;  // symbols x width
  RowVector<Real> error;

  Index width() const noexcept { return lower.size(); }
  Index symbols() const noexcept { return generators.rows(); }

  /// max |h| by the interval.
  RowVector<Real> magnitude() const;
  /// max |h - center| by the zonotope, up to rounding.
  RowVector<Real> radius() const;

  /// Makes room for symbols that do not occur yet.
  void add_symbols(Index count);

  /// Lets the interval profit from the zonotope. A comparison with NaN, from an overflow, is false.
  void intersect();
};

using Enclosure = BasicEnclosure<double>;

/// An affine layer h W + b in double, with what enclosures need of its weights.
template <class Real>
struct BoundLayer {
  RowMatrix<Real> weights;   // W, inputs x outputs
  RowMatrix<Real> positive;  // max(W, 0)
  RowMatrix<Real> negative;  // min(W, 0)
  RowMatrix<Real> absolute;  // |W|
  RowVector<Real> bias;
  Index terms;  // entries of a column that may differ from zero

  BoundLayer(RowMatrix<Real> W, RowVector<Real> b, Index count)
      : weights(std::move(W)),
        positive(weights.cwiseMax(0)),
        negative(weights.cwiseMin(0)),
        absolute(weights.cwiseAbs()),
        bias(std::move(b)),
        terms(count) {}

  template <class Scalar>
  explicit BoundLayer(const DenseLayer<Scalar>& layer)
      : BoundLayer(layer.dense_weights().template cast<Real>(), layer.bias().template cast<Real>(),
                   layer.inputs()) {}
};

/// How Scalar rounds, where its arithmetic has no bounds, and its smallest normal value: an
/// underflow is less than that, also where results below the normal range are flushed to zero.
struct ScalarArithmetic {
  double roundoff;
  double largest;
  double tiny;

  template <class Scalar>
  static ScalarArithmetic of() {
    using Limits = std::numeric_limits<Scalar>;
    return {kRoundoff<Scalar>, static_cast<double>(Limits::max()),
            static_cast<double>(Limits::min())};
  }

  /// Of numbers that are not rounded at all.
  static ScalarArithmetic exact() {
    using Limits = std::numeric_limits<double>;
    return {0, Limits::max(), Limits::min()};
  }
};

/// What affine_enclosure() has allowed for, in each unit.
template <class Real>
struct AffineRounding {
  RowVector<Real> magnitude;  // max |h| |W| + |b|
  RowVector<Real> slack;      // rounding of the unit in Scalar, and of its bounds
};

/// Rules for enclosures of values that are computed in Scalar.
template <class Scalar>
struct EnclosureRules {
  using Real = typename Wide<Scalar>::Real;
  using Box = BasicEnclosure<Real>;

  /// (x - mean) / scale for x in [lower, upper].
  static Box input(const Standardizer<Scalar>& standardizer, const ConstVectorRef<Scalar>& lower,
                   const ConstVectorRef<Scalar>& upper);

  /// h W + b, where each column of W has at most `terms` entries that are not zero.
  static Box affine(const Box& in, const RowMatrix<Real>& W, const RowVector<Real>& b, Index terms);

  static Box affine(const Box& in, const DenseLayer<Scalar>& layer);

  /// max(0, h). A unit that may have either sign gets a symbol: between l < 0 < u,
  ///
  ///     0 <= max(0, h) - t h <= max(-t l, (1 - t) u)   for any t in [0, 1]; t = u / (u - l).
  static void relu(Box& h);

  /// [h, z], where z has a part of h's symbols.
  static Box stacked(const Box& h, Box z);

  /// sum + next, where `sum` has a part of next's symbols.
  static Box plus(Box sum, const Box& next);

  /// Whether values may be beyond the range of Scalar, where its arithmetic has no bounds.
  static bool overflows(const Box& h);
};

template <class Real>
RowVector<Real> BasicEnclosure<Real>::magnitude() const {
  return lower.cwiseAbs().cwiseMax(upper.cwiseAbs());
}

template <class Real>
RowVector<Real> BasicEnclosure<Real>::radius() const {
  return generators.cwiseAbs().colwise().sum() + error;
}

template <class Real>
void BasicEnclosure<Real>::add_symbols(Index count) {
  const Index before = symbols();
  generators.conservativeResize(before + count, Eigen::NoChange);
  generators.bottomRows(count).setZero();
}

template <class Real>
void BasicEnclosure<Real>::intersect() {
  const RowVector<Real> r = radius();
  const double gamma = rounding_factor<double>(symbols() + 8);
  for (Index j = 0; j < width(); ++j) {
    const double reach = r[j] + gamma * (r[j] + std::abs(center[j]));
    if (center[j] - reach > lower[j]) lower[j] = center[j] - reach;
    if (center[j] + reach < upper[j]) upper[j] = center[j] + reach;
  }
}

/// Parts of a sum may overflow where the sum does not.
template <class Real>
void mark_overflow(BasicEnclosure<Real>& h, const RowVector<Real>& largest_part, double largest) {
  for (Index j = 0; j < h.width(); ++j) {
    if (largest_part[j] <= largest) continue;
    h.lower[j] = -std::numeric_limits<double>::infinity();
    h.upper[j] = std::numeric_limits<double>::infinity();
  }
}

/// h W + b, computed in Scalar, with W of the layer.
template <class Real>
BasicEnclosure<Real> affine_enclosure(const BasicEnclosure<Real>& in, const BoundLayer<Real>& layer,
                                      const RowVector<Real>& b, const ScalarArithmetic& scalar,
                                      AffineRounding<Real>* rounding = nullptr) {
  const auto& [W, positive, negative, absolute, bias, terms] = layer;
  const RowVector<Real> magnitude = in.magnitude() * absolute + b.cwiseAbs();
  // What Scalar's rounding adds to the sum, and what rounding adds to its bounds.
  const RowVector<Real> computed =
      (rounding_factor(terms + 1, scalar.roundoff) * magnitude).array() +
      static_cast<double>(terms + 1) * scalar.tiny;
  const RowVector<Real> slack = computed + 2 * rounding_factor<double>(terms + 6) * magnitude;
  BasicEnclosure<Real> out;
  out.lower = in.lower * positive + in.upper * negative + b - slack;
  out.upper = in.upper * positive + in.lower * negative + b + slack;
  const RowVector<Real> reach = in.center.cwiseAbs() + in.radius();
  out.center = in.center * W + b;
  out.generators = in.generators * W;
  out.error =
      in.error * absolute + computed +
      2 * rounding_factor<double>(terms + in.symbols() + 12) * (reach * absolute + b.cwiseAbs());
  out.intersect();
  mark_overflow<Real>(out, magnitude + computed, scalar.largest);
  if (rounding != nullptr) *rounding = {magnitude, slack};
  return out;
}

template <class Real>
void relu_enclosure(BasicEnclosure<Real>& h) {
  std::vector<std::pair<Index, double>> symbols;
  const RowVector<Real> radius = h.radius();
  for (Index j = 0; j < h.width(); ++j) {
    const double l = h.lower[j];
    const double u = h.upper[j];
    if (l >= 0) continue;
    h.lower[j] = 0;
    if (u <= 0) {
      h.upper[j] = 0;
      h.center[j] = 0;
      h.generators.col(j).setZero();
      h.error[j] = 0;
      continue;
    }
    const double t = u / (u - l);
    const double half = std::max(-t * l, (1 - t) * u) / 2 * (1 + 4 * kRoundoff<double>);
    const double rounding = 8 * kRoundoff<double> * (std::abs(h.center[j]) + radius[j] + half) +
                            std::numeric_limits<double>::min();
    h.center[j] = t * h.center[j] + half;
    h.generators.col(j) *= t;
    h.error[j] = t * h.error[j] + rounding;
    symbols.emplace_back(j, half);
  }
  Index row = h.symbols();
  h.add_symbols(static_cast<Index>(symbols.size()));
  for (const auto& [unit, half] : symbols) h.generators(row++, unit) = half;
}

template <class Real>
BasicEnclosure<Real> stacked_enclosures(const BasicEnclosure<Real>& h, BasicEnclosure<Real> z) {
  z.add_symbols(h.symbols() - z.symbols());
  const Index width = h.width() + z.width();
  const auto beside = [width](const RowVector<Real>& a, const RowVector<Real>& b) {
    return (RowVector<Real>(width) << a, b).finished();
  };
  RowMatrix<Real> generators(h.symbols(), width);
  generators << h.generators, z.generators;
  return {beside(h.lower, z.lower), beside(h.upper, z.upper), beside(h.center, z.center),
          std::move(generators), beside(h.error, z.error)};
}

template <class Real>
BasicEnclosure<Real> sum_of_enclosures(BasicEnclosure<Real> sum, const BasicEnclosure<Real>& next,
                                       const ScalarArithmetic& scalar,
                                       RowVector<Real>* slack = nullptr) {
  sum.add_symbols(next.symbols() - sum.symbols());
  const RowVector<Real> reach =
      sum.center.cwiseAbs() + sum.radius() + next.center.cwiseAbs() + next.radius();
  sum.lower += next.lower;
  sum.upper += next.upper;
  const RowVector<Real> computed =
      (rounding_factor(1, scalar.roundoff) + 4 * kRoundoff<double>)*sum.magnitude();
  if (slack != nullptr) *slack = computed;
  sum.lower -= computed;
  sum.upper += computed;
  sum.center += next.center;
  sum.generators += next.generators;
  sum.error += next.error + computed + 2 * rounding_factor<double>(next.symbols() + 8) * reach;
  sum.intersect();
  return sum;
}

/// (x - mean) / scale, computed in Scalar, for x in [lower, upper].
template <class Real>
BasicEnclosure<Real> input_enclosure(const RowVector<Real>& mean, const RowVector<Real>& scale,
                                     const RowVector<Real>& lower, const RowVector<Real>& upper,
                                     const ScalarArithmetic& scalar) {
  const double gamma = rounding_factor(2, scalar.roundoff) + rounding_factor<double>(8);
  BasicEnclosure<Real> z;
  z.lower = lower - mean;
  z.upper = upper - mean;
  const RowVector<Real> largest = z.magnitude();
  z.lower.array() /= scale.array();
  z.upper.array() /= scale.array();
  z.lower.array() -= gamma * z.lower.array().abs() + scalar.tiny + scalar.tiny / scale.array();
  z.upper.array() += gamma * z.upper.array().abs() + scalar.tiny + scalar.tiny / scale.array();
  z.center = z.lower / 2 + z.upper / 2;
  const RowVector<Real> radius = (z.upper - z.center).cwiseMax(z.center - z.lower);
  z.generators = radius.asDiagonal();
  z.error = 4 * kRoundoff<double> * (z.magnitude() + radius);
  mark_overflow(z, largest, scalar.largest);
  return z;
}

template <class Real>
bool is_bounded(const BasicEnclosure<Real>& h, const ScalarArithmetic& scalar) {
  return (h.lower.array() >= -scalar.largest).all() && (h.upper.array() <= scalar.largest).all();
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::input(
    const Standardizer<Scalar>& standardizer, const ConstVectorRef<Scalar>& lower,
    const ConstVectorRef<Scalar>& upper) {
  return input_enclosure<Real>(
      standardizer.mean().template cast<double>(), standardizer.scale().template cast<double>(),
      lower.transpose().template cast<double>(), upper.transpose().template cast<double>(),
      ScalarArithmetic::of<Scalar>());
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::affine(const Box& in,
                                                                    const RowMatrix<Real>& W,
                                                                    const RowVector<Real>& b,
                                                                    Index terms) {
  return affine_enclosure(in, BoundLayer<Real>(W, b, terms), b, ScalarArithmetic::of<Scalar>());
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::affine(
    const Box& in, const DenseLayer<Scalar>& layer) {
  const BoundLayer<Real> bound(layer);
  return affine_enclosure(in, bound, bound.bias, ScalarArithmetic::of<Scalar>());
}

template <class Scalar>
void EnclosureRules<Scalar>::relu(Box& h) {
  relu_enclosure(h);
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::stacked(const Box& h, Box z) {
  return stacked_enclosures(h, std::move(z));
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::plus(Box sum, const Box& next) {
  return sum_of_enclosures(std::move(sum), next, ScalarArithmetic::of<Scalar>());
}

template <class Scalar>
bool EnclosureRules<Scalar>::overflows(const Box& h) {
  return !is_bounded(h, ScalarArithmetic::of<Scalar>());
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template struct BasicEnclosure<double>;
extern template BasicEnclosure<double> affine_enclosure(const BasicEnclosure<double>&,
                                                        const BoundLayer<double>&,
                                                        const RowVector<double>&,
                                                        const ScalarArithmetic&,
                                                        AffineRounding<double>*);
extern template void relu_enclosure(BasicEnclosure<double>&);
extern template BasicEnclosure<double> stacked_enclosures(const BasicEnclosure<double>&,
                                                          BasicEnclosure<double>);
extern template BasicEnclosure<double> sum_of_enclosures(BasicEnclosure<double>,
                                                         const BasicEnclosure<double>&,
                                                         const ScalarArithmetic&,
                                                         RowVector<double>*);
extern template BasicEnclosure<double> input_enclosure(const RowVector<double>&,
                                                       const RowVector<double>&,
                                                       const RowVector<double>&,
                                                       const RowVector<double>&,
                                                       const ScalarArithmetic&);
extern template struct EnclosureRules<float>;
extern template struct EnclosureRules<double>;
}  // namespace mgdl::detail
#endif
