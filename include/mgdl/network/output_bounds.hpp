#pragma once

#include <limits>

#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
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

#ifdef MGDL_COMPILED
extern template struct BasicEnclosure<double>;
extern template struct EnclosureRules<float>;
extern template struct EnclosureRules<double>;
#endif

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

#ifdef MGDL_COMPILED
extern template OutputBounds output_bounds(const MultigradeModel<float>&,
                                           const ConstVectorRef<float>&,
                                           const ConstVectorRef<float>&, Index);
extern template OutputBounds output_bounds(const MultigradeModel<double>&,
                                           const ConstVectorRef<double>&,
                                           const ConstVectorRef<double>&, Index);
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/network/bounds_impl.hpp"  // IWYU pragma: export
#endif
