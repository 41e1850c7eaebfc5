#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// Where the values of one layer lie while the input is anywhere in a box, in two ways at once,
///
///     lower <= h <= upper      and      h = center + generators' e + r,  |e_s| <= 1, |r| <= error
///
/// (an interval and a zonotope). The symbols e_s are shared by all layers: one for each input, and
/// one for each unit whose sign is not known. They keep what intervals forget, that values of
/// different units move together. All of it is in double, and holds for h in exact arithmetic as
/// well as for h computed in Scalar with sums in any order.
struct Enclosure {
  RowVector<double> lower;
  RowVector<double> upper;
  RowVector<double> center;
  RowMatrix<double> generators;  // symbols x width
  RowVector<double> error;

  Index width() const noexcept { return lower.size(); }
  Index symbols() const noexcept { return generators.rows(); }

  /// max |h| by the interval.
  RowVector<double> magnitude() const { return lower.cwiseAbs().cwiseMax(upper.cwiseAbs()); }
  /// max |h - center| by the zonotope, up to rounding.
  RowVector<double> radius() const { return generators.cwiseAbs().colwise().sum() + error; }

  /// Makes room for symbols that do not occur yet.
  void add_symbols(Index count) {
    const Index before = symbols();
    generators.conservativeResize(before + count, Eigen::NoChange);
    generators.bottomRows(count).setZero();
  }

  /// Lets the interval profit from the zonotope. A comparison with NaN, from an overflow, is false.
  void intersect() {
    const RowVector<double> r = radius();
    const double gamma = rounding_factor<double>(symbols() + 8);
    for (Index j = 0; j < width(); ++j) {
      const double reach = r[j] + gamma * (r[j] + std::abs(center[j]));
      if (center[j] - reach > lower[j]) lower[j] = center[j] - reach;
      if (center[j] + reach < upper[j]) upper[j] = center[j] + reach;
    }
  }
};

/// Rules for enclosures of values that are computed in Scalar.
template <class Scalar>
struct EnclosureRules {
  // Covers an underflow, also where results below the normal range are flushed to zero.
  static constexpr double kTiny = static_cast<double>(std::numeric_limits<Scalar>::min());

  /// (x - mean) / scale for x in [lower, upper].
  template <class Vector>
  static Enclosure input(const Standardizer<Scalar>& standardizer, const Vector& lower,
                         const Vector& upper) {
    const auto mean = standardizer.mean().template cast<double>().array();
    const auto scale = standardizer.scale().template cast<double>().array();
    const double gamma = rounding_factor<Scalar>(2) + rounding_factor<double>(8);
    Enclosure z;
    z.lower = lower.transpose().template cast<double>().array() - mean;
    z.upper = upper.transpose().template cast<double>().array() - mean;
    const RowVector<double> largest = z.magnitude();
    z.lower.array() /= scale;
    z.upper.array() /= scale;
    z.lower.array() -= gamma * z.lower.array().abs() + kTiny + kTiny / scale;
    z.upper.array() += gamma * z.upper.array().abs() + kTiny + kTiny / scale;
    z.center = z.lower / 2 + z.upper / 2;
    const RowVector<double> radius = (z.upper - z.center).cwiseMax(z.center - z.lower);
    z.generators = radius.asDiagonal();
    z.error = 4 * kRoundoff<double> * (z.magnitude() + radius);
    mark_overflow(z, largest);
    return z;
  }

  /// h W + b, where each column of W has at most `terms` entries that are not zero.
  static Enclosure affine(const Enclosure& in, const RowMatrix<double>& W,
                          const RowVector<double>& b, Index terms) {
    const RowMatrix<double> absolute = W.cwiseAbs();
    const RowMatrix<double> positive = W.cwiseMax(0);
    const RowMatrix<double> negative = W.cwiseMin(0);
    const RowVector<double> magnitude = in.magnitude() * absolute + b.cwiseAbs();
    // What Scalar's rounding adds to the sum, and what rounding adds to its bounds.
    const RowVector<double> computed = (rounding_factor<Scalar>(terms + 1) * magnitude).array() +
                                       static_cast<double>(terms + 1) * kTiny;
    const RowVector<double> slack = computed + 2 * rounding_factor<double>(terms + 6) * magnitude;
    Enclosure out;
    out.lower = in.lower * positive + in.upper * negative + b - slack;
    out.upper = in.upper * positive + in.lower * negative + b + slack;
    const RowVector<double> reach = in.center.cwiseAbs() + in.radius();
    out.center = in.center * W + b;
    out.generators = in.generators * W;
    out.error =
        in.error * absolute + computed +
        2 * rounding_factor<double>(terms + in.symbols() + 12) * (reach * absolute + b.cwiseAbs());
    out.intersect();
    mark_overflow(out, magnitude + computed);
    return out;
  }

  static Enclosure affine(const Enclosure& in, const DenseLayer<Scalar>& layer) {
    return affine(in, layer.weights().template cast<double>(), layer.bias().template cast<double>(),
                  layer.inputs());
  }

  /// max(0, h). A unit that may have either sign gets a symbol: between l < 0 < u,
  ///
  ///     0 <= max(0, h) - t h <= max(-t l, (1 - t) u)   for any t in [0, 1]; t = u / (u - l).
  static void relu(Enclosure& h) {
    std::vector<std::pair<Index, double>> symbols;
    const RowVector<double> radius = h.radius();
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

  /// [h, z], where z has a part of h's symbols.
  static Enclosure stacked(const Enclosure& h, Enclosure z) {
    z.add_symbols(h.symbols() - z.symbols());
    const Index width = h.width() + z.width();
    const auto beside = [width](const RowVector<double>& a, const RowVector<double>& b) {
      return (RowVector<double>(width) << a, b).finished();
    };
    RowMatrix<double> generators(h.symbols(), width);
    generators << h.generators, z.generators;
    return {beside(h.lower, z.lower), beside(h.upper, z.upper), beside(h.center, z.center),
            std::move(generators), beside(h.error, z.error)};
  }

  /// sum + next, where `sum` has a part of next's symbols.
  static Enclosure plus(Enclosure sum, const Enclosure& next) {
    sum.add_symbols(next.symbols() - sum.symbols());
    const RowVector<double> reach =
        sum.center.cwiseAbs() + sum.radius() + next.center.cwiseAbs() + next.radius();
    sum.lower += next.lower;
    sum.upper += next.upper;
    const RowVector<double> computed =
        (rounding_factor<Scalar>(1) + 4 * kRoundoff<double>)*sum.magnitude();
    sum.lower -= computed;
    sum.upper += computed;
    sum.center += next.center;
    sum.generators += next.generators;
    sum.error += next.error + computed + 2 * rounding_factor<double>(next.symbols() + 8) * reach;
    sum.intersect();
    return sum;
  }

  /// Whether values may be beyond the range of Scalar, where its arithmetic has no bounds.
  static bool overflows(const Enclosure& h) {
    return !(h.lower.array() >= -kLargest).all() || !(h.upper.array() <= kLargest).all();
  }

 private:
  static constexpr double kLargest = static_cast<double>(std::numeric_limits<Scalar>::max());

  /// Parts of a sum may overflow where the sum does not.
  static void mark_overflow(Enclosure& h, const RowVector<double>& largest_part) {
    for (Index j = 0; j < h.width(); ++j) {
      if (largest_part[j] <= kLargest) continue;
      h.lower[j] = -std::numeric_limits<double>::infinity();
      h.upper[j] = std::numeric_limits<double>::infinity();
    }
  }
};

}  // namespace mgdl::detail

namespace mgdl {

/// Limits of a model's outputs, in the unit of the targets; see output_bounds.
struct OutputBounds {
  Vector<double> lower;  ///< c values, none above any output
  Vector<double> upper;  ///< c values, none below any output
};

/// Bounds what the first k grades give anywhere in a box: for all x with lower <= x <= upper (d
/// values each, in the unit of the inputs),
///
///     result.lower <= model(x) <= result.upper
///
/// holds for the model in exact arithmetic and for what `predict` returns, which rounds: error
/// bounds gamma_n sum |terms| of every sum are added, in Scalar for the prediction and in double
/// for the bounds themselves. Infinite where values might overflow.
///
/// Intervals run through the layers, and beside them a zonotope (an affine function of the inputs
/// and of one symbol for every unit whose sign is not known), which keeps dependences between units
/// and between grades. The better bound counts at every unit. For a small box without kinks the
/// result is the range of a linear function; the more units may have either sign, the wider it is.
/// With s such units in all, takes O((d + s) * parameters) operations.
/// Sources: Moore; Gowal et al., arXiv 1810.12715 (intervals); Singh et al., NeurIPS 2018
/// (zonotopes).
///
/// \throws InvalidArgument for other sizes, values that are not finite, lower > upper, and k out of
///         range
template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                           Index k) {
  using Rules = detail::EnclosureRules<Scalar>;
  model.feature_count(k);  // throws for k out of range
  detail::require_rows("lower", model.inputs(), lower.rows());
  detail::require_rows("upper", model.inputs(), upper.rows());
  detail::require_finite("lower", lower);
  detail::require_finite("upper", upper);
  for (Index j = 0; j < lower.size(); ++j) {
    if (lower[j] <= upper[j]) continue;
    throw InvalidArgument("upper", "a value >= " + detail::to_text(lower[j]),
                          detail::to_text(upper[j]), "row " + std::to_string(j));
  }

  const auto& output = model.output_standardizer();
  const Index c = model.outputs();
  const double infinity = std::numeric_limits<double>::infinity();
  const OutputBounds unbounded{Vector<double>::Constant(c, -infinity),
                               Vector<double>::Constant(c, infinity)};
  const detail::Enclosure input = Rules::input(model.input_standardizer(), lower, upper);
  if (Rules::overflows(input)) return unbounded;
  detail::Enclosure features = input;
  detail::Enclosure sum{RowVector<double>::Zero(c), RowVector<double>::Zero(c),
                        RowVector<double>::Zero(c), RowMatrix<double>::Zero(0, c),
                        RowVector<double>::Zero(c)};
  for (Index g = 1; g <= k; ++g) {
    for (const auto& layer : model.grade(g).network.layers()) {
      detail::Enclosure next = Rules::affine(features, layer);
      if (Rules::overflows(next)) return unbounded;
      if (&layer == &model.grade(g).network.readout()) {
        sum = Rules::plus(std::move(sum), next);
        break;
      }
      features = std::move(next);
      Rules::relu(features);
    }
    if (model.link() == FeatureLink::LastHiddenAndInput) {
      features = Rules::stacked(features, input);
    }
  }
  if (Rules::overflows(sum)) return unbounded;
  sum = Rules::affine(sum, output.scale().template cast<double>().asDiagonal(),
                      output.mean().template cast<double>(), /*terms=*/1);
  if (Rules::overflows(sum)) return unbounded;
  return {sum.lower.transpose(), sum.upper.transpose()};
}

/// The same for all grades.
template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper) {
  return output_bounds(model, lower, upper, model.grades());
}

}  // namespace mgdl
