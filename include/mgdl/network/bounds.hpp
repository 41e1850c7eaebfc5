#pragma once

#include <algorithm>
#include <limits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"

/// \file
/// What can be said of a model for all inputs: its pieces, its Lipschitz constant and its range.

namespace mgdl {

/// A continuous piecewise linear function of one variable on an interval, with c values: what a
/// model of one input is (see to_spline). All arithmetic is in double.
struct PiecewiseLinear {
  /// Ends of the interval and, between them, the points where a slope changes: m >= 2 values,
  /// strictly increasing, in the unit of the input.
  Vector<double> x;
  /// Values at x, m x c, in the unit of the targets.
  Matrix<double> values;
  /// Derivative between x[i] and x[i + 1] in row i, m - 1 x c, in target unit per input unit. More
  /// accurate than differences of values where two knots are close.
  Matrix<double> slopes;

  /// Number m of knots, both ends included.
  Index knots() const noexcept { return x.size(); }
  /// Number c of values.
  Index outputs() const noexcept { return values.cols(); }

  /// The function at one point of the interval: 1 x c, by linear interpolation between the knots.
  /// \throws InvalidArgument outside of the interval and for NaN
  template <class Real = double>
  RowVector<Real> at(double point) const {
    if (!(point >= x[0] && point <= x[knots() - 1])) {
      throw InvalidArgument(
          "point",
          "a value in [" + detail::to_text(x[0]) + ", " + detail::to_text(x[knots() - 1]) + "]",
          detail::to_text(point));
    }
    const double* begin = x.data();
    const Index right =
        std::min<Index>(std::upper_bound(begin, begin + knots(), point) - begin, knots() - 1);
    const double part = (point - x[right - 1]) / (x[right] - x[right - 1]);
    RowVector<Real> value(outputs());
    for (Index j = 0; j < outputs(); ++j) {
      value[j] = (1 - part) * values(right - 1, j) + part * values(right, j);
    }
    return value;
  }

  /// The function at n points of the interval: n x c.
  /// \throws InvalidArgument as at()
  template <class Real = double>
  Matrix<Real> evaluate(const ConstVectorRef<double>& points) const {
    Matrix<Real> result(points.size(), outputs());
    for (Index i = 0; i < points.size(); ++i) result.row(i) = at(points[i]);
    return result;
  }

  /// Lipschitz constant on the interval, max_i ||slopes.row(i)||_2, in target unit per input unit.
  template <class Real = double>
  Real lipschitz() const {
    return slopes.rowwise().stableNorm().maxCoeff();
  }
};

/// The first k grades of a model of one input, as the piecewise linear function that they are, on
/// the interval [lower, upper] (in the unit of the input).
///
/// The interval runs through the layers, and is split wherever a hidden unit changes sign,
///
///     x = x_i - p(x_i) / p',   p the value before the ReLU, which is linear on each piece.
///
/// Nothing is sampled: every kink is found, in double (also for models in float). Kinks closer than
/// rounding tells apart are merged, and those where no output changes its slope are left out. Takes
/// O(m * parameters) operations for m pieces, and little memory beside the result.
///
/// \throws InvalidArgument for another number of inputs than 1, k out of range, or bounds that are
///         not finite with lower < upper
template <class Scalar>
PiecewiseLinear to_spline(const MultigradeModel<Scalar>& model, double lower, double upper,
                          Index k);

/// The same for all grades.
template <class Scalar>
PiecewiseLinear to_spline(const MultigradeModel<Scalar>& model, double lower, double upper) {
  return to_spline(model, lower, upper, model.grades());
}

namespace detail {

/// The two bounds that lipschitz_bound() takes the smaller one of.
/// \{
template <class Scalar>
double norm_product_bound(const MultigradeModel<Scalar>& model, Index k);
template <class Scalar>
double interval_jacobian_bound(const MultigradeModel<Scalar>& model, Index k);
/// \}

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
double lipschitz_bound(const MultigradeModel<Scalar>& model, Index k);

/// The same for all grades.
template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model) {
  return lipschitz_bound(model, model.grades());
}

}  // namespace mgdl

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

/// Rules for enclosures of values that are computed in Scalar.
template <class Scalar>
struct EnclosureRules {
  using Real = typename Wide<Scalar>::Real;
  using Box = BasicEnclosure<Real>;

  // Covers an underflow, also where results below the normal range are flushed to zero.
  static constexpr double kTiny = static_cast<double>(std::numeric_limits<Scalar>::min());

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

 private:
  static constexpr double kLargest = static_cast<double>(std::numeric_limits<Scalar>::max());
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
                           Index k);

/// The same for all grades.
template <class Scalar>
OutputBounds output_bounds(const MultigradeModel<Scalar>& model,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                           const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper) {
  return output_bounds(model, lower, upper, model.grades());
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template PiecewiseLinear to_spline(const MultigradeModel<float>&, double, double, Index);
extern template PiecewiseLinear to_spline(const MultigradeModel<double>&, double, double, Index);
extern template double lipschitz_bound(const MultigradeModel<float>&, Index);
extern template double lipschitz_bound(const MultigradeModel<double>&, Index);
}  // namespace mgdl
namespace mgdl::detail {
extern template double norm_product_bound(const MultigradeModel<float>&, Index);
extern template double norm_product_bound(const MultigradeModel<double>&, Index);
extern template double interval_jacobian_bound(const MultigradeModel<float>&, Index);
extern template double interval_jacobian_bound(const MultigradeModel<double>&, Index);
extern template struct BasicEnclosure<double>;
extern template struct EnclosureRules<float>;
extern template struct EnclosureRules<double>;
}  // namespace mgdl::detail
namespace mgdl {
extern template OutputBounds output_bounds(const MultigradeModel<float>&,
                                           const ConstVectorRef<float>&,
                                           const ConstVectorRef<float>&, Index);
extern template OutputBounds output_bounds(const MultigradeModel<double>&,
                                           const ConstVectorRef<double>&,
                                           const ConstVectorRef<double>&, Index);
}  // namespace mgdl
#else
#include "mgdl/network/bounds_impl.hpp"  // IWYU pragma: export
#endif
