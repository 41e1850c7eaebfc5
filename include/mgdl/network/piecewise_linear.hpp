#pragma once

#include <algorithm>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

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

}  // namespace mgdl
