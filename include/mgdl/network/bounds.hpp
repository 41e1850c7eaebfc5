#pragma once

#include <algorithm>
#include <limits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/piecewise_linear.hpp"

/// \file
/// What can be said of a model for all inputs: its pieces, its Lipschitz constant and its range.

namespace mgdl {

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
/// and between grades. The better bound counts at every unit. Then linear bounds of the outputs run
/// backward through all grades, and again the better one counts. For a small box without kinks the
/// result is the range of a linear function; the more units may have either sign, the wider it is
/// (output_range() cuts the box then). With s such units in all, takes O((d + s) * parameters)
/// operations.
/// Sources: Moore; Gowal et al., arXiv 1810.12715 (intervals); Singh et al., NeurIPS 2018
/// (zonotopes); Zhang et al., arXiv 1811.00866 (backward linear bounds).
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

/// How long output_range() and slope_range() look.
struct BoundOptions {
  /// Boxes that may be bounded, >= 1. Without a time limit, options fix every bit of the result.
  Index max_boxes = 20000;
  /// Stop once every bound is within this part of the range of the output (of the slope) from a
  /// value that was met, >= 0.
  double relative_tolerance = 0.01;
  /// Stop at the end of the round of boxes in which this is reached, > 0. What is known then is
  /// returned; how much that is depends on the clock.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// Threads to bound boxes with; they change no bit of the result.
  Executor threads = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    detail::require_option(max_boxes >= 1, "BoundOptions.max_boxes", "a value >= 1", max_boxes);
    detail::require_option(relative_tolerance >= 0, "BoundOptions.relative_tolerance",
                           "a value >= 0", relative_tolerance);
    detail::require_option(time_limit_seconds > 0, "BoundOptions.time_limit_seconds", "a value > 0",
                           time_limit_seconds);
    detail::require_threads("BoundOptions.threads", threads);
  }
};

/// The range of a model's outputs in a box, enclosed from both sides: the smallest value of output
/// j lies in [bounds.lower[j], met.lower[j]], the largest in [met.upper[j], bounds.upper[j]].
struct OutputRange {
  OutputBounds bounds;      ///< proven, see output_bounds
  OutputBounds met;         ///< the smallest and largest that `predict` gave at a point of the box
  Matrix<double> lower_at;  ///< c x d: where it gave met.lower
  Matrix<double> upper_at;  ///< c x d: where it gave met.upper
  Index boxes = 0;          ///< that were bounded
  /// ToleranceReached, MaxIterations (max_boxes), TimeLimit; NoProgress: the tolerance is below
  /// what rounding allows.
  Termination termination = Termination::NotRun;
  double elapsed_seconds = 0;  ///< wall time

  /// The largest distance between what is proven and what was met, relative to the range that was
  /// met of that output; 0 where they are equal.
  template <class Real = double>
  Real gap() const {
    const Vector<Real> range = met.upper - met.lower;
    Real largest = 0;
    for (Index j = 0; j < range.size(); ++j) {
      const Real distance =
          std::max(bounds.upper[j] - met.upper[j], met.lower[j] - bounds.lower[j]);
      if (distance > 0) largest = std::max(largest, distance / range[j]);
    }
    return largest;
  }
};

/// Bounds what the first k grades give in a box by output_bounds() of smaller and smaller boxes:
/// the one with the worst bound is cut in halves, until the bounds are as close to values that were
/// met as asked for, or `max_boxes` boxes were bounded. The bounds are valid whenever it ends, and
/// hold as those of output_bounds() do, with all rounding.
///
/// How many boxes that takes depends on the number of inputs that matter above all; see
/// docs/bounds.md for figures. Parts of the model that are linear need none.
/// Source: branch and bound over inputs, as in Bunel et al., arXiv 1711.00455.
///
/// \throws InvalidArgument as output_bounds(), and for options that break their rule
template <class Scalar>
OutputRange output_range(const MultigradeModel<Scalar>& model,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                         Index k, const BoundOptions& options = {});

/// The same for all grades.
template <class Scalar>
OutputRange output_range(const MultigradeModel<Scalar>& model,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                         const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                         const BoundOptions& options = {}) {
  return output_range(model, lower, upper, model.grades(), options);
}

/// The Lipschitz constant of a model in a box, enclosed from both sides.
struct SlopeRange {
  /// L with ||f(x) - f(y)||_2 <= L ||x - y||_2 for all x, y in the box, for the model in exact
  /// arithmetic; proven, in target unit per input unit.
  double bound = std::numeric_limits<double>::infinity();
  double met = 0;     ///< the largest spectral norm of `jacobian` at a point of the box
  Vector<double> at;  ///< d values: that point
  Index boxes = 0;    ///< that were bounded
  Termination termination = Termination::NotRun;  ///< see OutputRange
  double elapsed_seconds = 0;                     ///< wall time
};

/// Bounds how steep the first k grades are in a box: derivatives run through the layers as
/// zonotopes, where a unit whose sign is known in the box passes them on or stops them, and one of
/// unknown sign multiplies them by some number in [0, 1]; boxes are cut as by output_range().
/// Unlike lipschitz_bound() it looks at a part of the inputs only, and is near the truth where
/// boxes can be made small.
///
/// \throws InvalidArgument as output_range()
template <class Scalar>
SlopeRange slope_range(const MultigradeModel<Scalar>& model,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                       Index k, const BoundOptions& options = {});

/// The same for all grades.
template <class Scalar>
SlopeRange slope_range(const MultigradeModel<Scalar>& model,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& lower,
                       const ConstVectorRef<typename MultigradeModel<Scalar>::Scalar>& upper,
                       const BoundOptions& options = {}) {
  return slope_range(model, lower, upper, model.grades(), options);
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
}  // namespace mgdl::detail
namespace mgdl {
extern template OutputBounds output_bounds(const MultigradeModel<float>&,
                                           const ConstVectorRef<float>&,
                                           const ConstVectorRef<float>&, Index);
extern template OutputBounds output_bounds(const MultigradeModel<double>&,
                                           const ConstVectorRef<double>&,
                                           const ConstVectorRef<double>&, Index);
extern template OutputRange output_range(const MultigradeModel<float>&,
                                         const ConstVectorRef<float>&, const ConstVectorRef<float>&,
                                         Index, const BoundOptions&);
extern template OutputRange output_range(const MultigradeModel<double>&,
                                         const ConstVectorRef<double>&,
                                         const ConstVectorRef<double>&, Index, const BoundOptions&);
extern template SlopeRange slope_range(const MultigradeModel<float>&, const ConstVectorRef<float>&,
                                       const ConstVectorRef<float>&, Index, const BoundOptions&);
extern template SlopeRange slope_range(const MultigradeModel<double>&,
                                       const ConstVectorRef<double>&, const ConstVectorRef<double>&,
                                       Index, const BoundOptions&);
}  // namespace mgdl
#else
#include "mgdl/network/bounds_impl.hpp"  // IWYU pragma: export
#endif
