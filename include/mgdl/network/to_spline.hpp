#pragma once

#include <cmath>
#include <string>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/piece_tracer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/piecewise_linear.hpp"

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
                          Index k) {
  if (model.inputs() != 1)
    throw InvalidArgument("model", "1 input", detail::to_text(model.inputs()));
  model.feature_count(k);  // throws for k out of range
  detail::require_option(std::isfinite(lower), "lower", "a finite value", lower);
  detail::require_option(std::isfinite(upper), "upper", "a finite value", upper);
  if (!(lower < upper)) {
    throw InvalidArgument("upper", "a value > " + detail::to_text(lower), detail::to_text(upper));
  }
  return detail::PieceTracer<Scalar>(model, k).trace({lower, upper});
}

/// The same for all grades.
template <class Scalar>
PiecewiseLinear to_spline(const MultigradeModel<Scalar>& model, double lower, double upper) {
  return to_spline(model, lower, upper, model.grades());
}

}  // namespace mgdl
