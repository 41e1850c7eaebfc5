#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds/enclosure.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// What is known of a function in one box.
template <class Real>
struct BoxBounds {
  RowVector<Real> upper;    // of each thing that is bounded
  RowMatrix<Real> corners;  // corners of the box where it may be largest, each of d inputs
  RowVector<Real> scores;   // d: how much of what is unknown is due to the width of each input
};

/// Bounds of a model's first grades and of their slopes in boxes of inputs, all grades as one
/// network, so that what one adds and the next takes away cancels.
///
/// Enclosures run forward and tell for every hidden unit between which limits it lies. Then one
/// linear bound for each output, and for its negative, runs backward through all layers,
///
///     f(x) <= a'h + value,
///
/// where a unit of unknown sign with l < h < u is replaced by a line above a_j max(0, h),
///
///     a_j > 0:  a_j t h + max(-a_j t l, a_j (1 - t) u),  t = u / (u - l);     a_j < 0:  a_j h or
///     0,
///
/// of the last two the one with the smaller error on average. At the inputs, where the box is known
/// exactly, the largest value of what is left is found at a corner. The smaller one of this and of
/// the forward bound counts.
///
/// Rounding: coefficients are taken as what they are in double, and for every layer
///
///     |a|' (slack + 2 gamma (|h| |W| + |b|))
///
/// is added: what Scalar's and double's rounding can change in the values before the ReLU, and in
/// a W' h.
template <class Real>
class Relaxation {
 public:
  using Box = BasicEnclosure<Real>;

  template <class Scalar>
  Relaxation(const MultigradeModel<Scalar>& model, Index k)
      : m_mean(model.input_standardizer().mean().template cast<Real>()),
        m_scale(model.input_standardizer().scale().template cast<Real>()),
        m_output(model.output_standardizer().scale().template cast<Real>().asDiagonal(),
                 model.output_standardizer().mean().template cast<Real>(), /*terms=*/1),
        m_scalar(ScalarArithmetic::of<Scalar>()),
        m_add_input(model.link() == FeatureLink::LastHiddenAndInput) {
    for (Index g = 1; g <= k; ++g) {
      const auto& layers = model.grade(g).network.layers();
      for (std::size_t l = 0; l + 1 < layers.size(); ++l) {
        m_steps.push_back({BoundLayer<Real>(layers[l]), {}});
      }
      m_steps.back().readout.emplace(layers.back());
    }
  }

  Index inputs() const noexcept { return m_mean.size(); }
  Index outputs() const noexcept { return m_output.bias.size(); }

  /// The outputs for inputs in [lower, upper] (1 x d): `upper` are c bounds of the outputs, then c
  /// of their negatives; all in the unit of the targets. Infinite where values may overflow.
  BoxBounds<Real> bound_outputs(const RowVector<Real>& lower, const RowVector<Real>& upper) const;

  /// `upper` is a bound of the Jacobian's spectral norm almost everywhere in the box, for the model
  /// in exact arithmetic. Derivatives run forward in enclosures of their own, one for each input; a
  /// unit of unknown sign multiplies them by a number in [0, 1], a new symbol.
  BoxBounds<Real> bound_slope(const RowVector<Real>& lower, const RowVector<Real>& upper) const;

 private:
  /// A hidden layer, and the readout behind it where a grade ends.
  struct Step {
    BoundLayer<Real> hidden;
    std::optional<BoundLayer<Real>> readout;
  };

  /// Hidden units of one layer, before the ReLU.
  struct Units {
    RowVector<Real> lower, upper;
    AffineRounding<Real> rounding;
    RowMatrix<Real> shares;  // d x width: of the inputs in the range of a unit of unknown sign

    bool unknown(Index j) const { return lower[j] < 0 && upper[j] > 0; }
    /// max |max(0, h)|
    RowVector<Real> magnitude() const { return upper.cwiseMax(0); }
    /// Largest error of the line above a unit of unknown sign.
    double gap(Index j) const { return -lower[j] * (upper[j] / (upper[j] - lower[j])); }
  };

  struct Forward {
    Box input;
    std::vector<Units> units;             // for each step
    std::vector<RowVector<Real>> slacks;  // rounding of each grade's output and of its addition
    Box sum;                              // of the grades' outputs
    bool bounded = false;
  };

  struct Backward {
    RowVector<Real> upper;         // 2 c: of the sum of all grades' outputs, and of its negative
    RowMatrix<Real> coefficients;  // 2 c x d, of the standardised inputs
    RowVector<Real> scores;        // d
  };

  static constexpr double kTiny = std::numeric_limits<double>::min();

  Forward run_forward(const RowVector<Real>& lower, const RowVector<Real>& upper,
                      const ScalarArithmetic& scalar) const;
  Backward run_backward(const Forward& forward) const;

  /// Replaces coefficients of max(0, h) by those of h.
  static void relax(const Units& units, RowMatrix<Real>& A, Vector<Real>& value,
                    Vector<Real>& terms, RowVector<Real>& scores);

  /// Derivatives behind the ReLU of these units.
  static void gate(const Units& units, Box& derivative);

  /// Without an idea where to cut: the largest side, in the unit of the standardised inputs.
  BoxBounds<Real> unbounded(const RowVector<Real>& lower, const RowVector<Real>& upper,
                            Index count) const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return {RowVector<Real>::Constant(count, infinity), lower.replicate(count, 1),
            (upper - lower).cwiseQuotient(m_scale)};
  }

  RowVector<Real> m_mean, m_scale;
  BoundLayer<Real> m_output;
  ScalarArithmetic m_scalar;
  bool m_add_input;
  std::vector<Step> m_steps;
};

template <class Real>
typename Relaxation<Real>::Forward Relaxation<Real>::run_forward(
    const RowVector<Real>& lower, const RowVector<Real>& upper,
    const ScalarArithmetic& scalar) const {
  const Index d = inputs();
  const Index c = outputs();
  Forward result;
  result.input = input_enclosure<Real>(m_mean, m_scale, lower, upper, scalar);
  result.sum = {RowVector<Real>::Zero(c), RowVector<Real>::Zero(c), RowVector<Real>::Zero(c),
                RowMatrix<Real>::Zero(0, c), RowVector<Real>::Zero(c)};
  if (!is_bounded(result.input, scalar)) return result;
  Box features = result.input;
  for (const Step& step : m_steps) {
    Units units;
    features = affine_enclosure(features, step.hidden, step.hidden.bias, scalar, &units.rounding);
    if (!is_bounded(features, scalar)) return result;
    units.lower = features.lower;
    units.upper = features.upper;
    units.shares = features.generators.topRows(d).cwiseAbs();
    const RowVector<Real> all = units.shares.colwise().sum();
    for (Index j = 0; j < all.size(); ++j) {
      units.shares.col(j) *= units.unknown(j) && all[j] > 0 ? 1 / all[j] : 0;
    }
    result.units.push_back(std::move(units));
    relu_enclosure(features);
    if (!step.readout) continue;
    AffineRounding<Real> rounding;
    const Box output =
        affine_enclosure(features, *step.readout, step.readout->bias, scalar, &rounding);
    if (!is_bounded(output, scalar)) return result;
    RowVector<Real> addition;
    result.sum = sum_of_enclosures(std::move(result.sum), output, scalar, &addition);
    result.slacks.push_back(rounding.slack + addition);
    if (m_add_input) features = stacked_enclosures(features, result.input);
  }
  result.bounded = is_bounded(result.sum, scalar);
  return result;
}

template <class Real>
void Relaxation<Real>::relax(const Units& units, RowMatrix<Real>& A, Vector<Real>& value,
                             Vector<Real>& terms, RowVector<Real>& scores) {
  for (Index j = 0; j < A.cols(); ++j) {
    const double l = units.lower[j];
    const double u = units.upper[j];
    if (l >= 0) continue;
    if (u <= 0) {
      A.col(j).setZero();
      continue;
    }
    const double t = u / (u - l);
    const bool keep_below = u > -l;
    double weight = 0;
    for (Index row = 0; row < A.rows(); ++row) {
      const double a = A(row, j);
      weight += std::abs(a);
      if (a > 0) {
        // Whatever the slope: the difference is convex, so largest at an end.
        const double slope = a * t;
        const double above =
            std::max(-slope * l, (a - slope) * u) * (1 + 8 * kRoundoff<double>)+kTiny;
        A(row, j) = slope;
        value[row] += above;
        terms[row] += above;
      } else if (!keep_below) {
        A(row, j) = 0;
      }
    }
    scores += weight * units.gap(j) * units.shares.col(j).transpose();
  }
}

template <class Real>
typename Relaxation<Real>::Backward Relaxation<Real>::run_backward(const Forward& forward) const {
  const Index d = inputs();
  const Index rows = 2 * outputs();
  const double u = kRoundoff<double>;
  RowMatrix<Real> A = RowMatrix<Real>::Zero(
      rows, m_steps.empty() ? 0 : m_steps.back().hidden.bias.size());  // of max(0, h)
  RowMatrix<Real> of_input = RowMatrix<Real>::Zero(rows, d);
  Vector<Real> value = Vector<Real>::Zero(rows);
  Vector<Real> terms = Vector<Real>::Zero(rows);  // sum of |.| of all that is added to value
  const RowVector<Real> input_magnitude = forward.input.magnitude();
  Backward result;
  result.scores = RowVector<Real>::Zero(d);
  // What coefficients multiply is at most `magnitude`, so their rounding changes that much.
  const auto allow = [&](const Vector<Real>& change) {
    value += change;
    terms += change;
  };
  Index additions = 16;
  std::size_t grade = forward.slacks.size();
  for (std::size_t s = m_steps.size(); s-- > 0;) {
    const Step& step = m_steps[s];
    const Units& units = forward.units[s];
    const Index width = A.cols();
    if (step.readout) {
      const RowMatrix<Real> out = step.readout->weights.transpose();
      const RowVector<Real>& b = step.readout->bias;
      const RowVector<Real>& slack = forward.slacks[--grade];
      A.topRows(rows / 2) += out;
      A.bottomRows(rows / 2) -= out;
      allow(2 * u * A.cwiseAbs() * units.magnitude().transpose());
      value.head(rows / 2) += (b + slack).transpose();
      value.tail(rows / 2) += (slack - b).transpose();
      terms.head(rows / 2) += (b.cwiseAbs() + slack).transpose();
      terms.tail(rows / 2) += (b.cwiseAbs() + slack).transpose();
    }
    relax(units, A, value, terms, result.scores);
    const RowMatrix<Real> absolute = A.cwiseAbs();
    const RowVector<Real> slack =
        units.rounding.slack + 2 * rounding_factor<Real>(width + 8) * units.rounding.magnitude;
    allow(absolute * slack.transpose());
    value += A * step.hidden.bias.transpose();
    terms += absolute * step.hidden.bias.cwiseAbs().transpose();
    additions += 3 * width + 16;
    const RowMatrix<Real> before = A * step.hidden.weights.transpose();
    const bool first = s == 0;
    const bool linked = m_add_input && !first && m_steps[s - 1].readout;
    if (first || linked) {
      of_input += before.rightCols(d);
      allow(2 * u * of_input.cwiseAbs() * input_magnitude.transpose());
    }
    // Products that underflow.
    const double most =
        input_magnitude.sum() + (first ? 0 : forward.units[s - 1].magnitude().sum());
    allow(Vector<Real>::Constant(rows, static_cast<double>(width + 1) * kTiny * (1 + most)));
    A = before.leftCols(before.cols() - (first || linked ? d : 0));
  }
  // Where the standardised inputs are largest.
  const RowVector<Real> center = forward.input.center;
  const RowVector<Real> radius = forward.input.radius();
  const RowMatrix<Real> absolute = of_input.cwiseAbs();
  value += of_input * center.transpose() + absolute * radius.transpose();
  terms += absolute * (center.cwiseAbs() + radius).transpose();
  value += 2 * rounding_factor<Real>(additions + 4 * d) * terms;
  result.upper = value.transpose();
  result.coefficients = std::move(of_input);
  return result;
}

template <class Real>
BoxBounds<Real> Relaxation<Real>::bound_outputs(const RowVector<Real>& lower,
                                                const RowVector<Real>& upper) const {
  const Index c = outputs();
  const Forward forward = run_forward(lower, upper, m_scalar);
  if (!forward.bounded) return unbounded(lower, upper, 2 * c);
  AffineRounding<Real> rounding;
  const Box output = affine_enclosure(forward.sum, m_output, m_output.bias, m_scalar, &rounding);
  if (!is_bounded(output, m_scalar)) return unbounded(lower, upper, 2 * c);
  const Backward backward = run_backward(forward);
  BoxBounds<Real> result{RowVector<Real>(2 * c), lower.replicate(2 * c, 1), backward.scores};
  result.upper << output.upper, -output.lower;
  for (Index row = 0; row < 2 * c; ++row) {
    const Index j = row % c;
    const double mean = row < c ? m_output.bias[j] : -m_output.bias[j];
    const double bound = backward.upper[row] * m_output.weights(j, j) + mean + rounding.slack[j] +
                         4 * kRoundoff<double> *
                             (std::abs(backward.upper[row] * m_output.weights(j, j)) +
                              std::abs(mean) + rounding.slack[j]);
    if (bound < result.upper[row]) result.upper[row] = bound;  // false for NaN
    for (Index i = 0; i < inputs(); ++i) {
      if (backward.coefficients(row, i) > 0) result.corners(row, i) = upper[i];
    }
  }
  return result;
}

template <class Real>
void Relaxation<Real>::gate(const Units& units, Box& derivative) {
  std::vector<std::pair<Index, double>> symbols;
  const RowVector<Real> radius = derivative.radius();
  for (Index j = 0; j < derivative.width(); ++j) {
    if (units.lower[j] >= 0) continue;
    const bool off = units.upper[j] <= 0;
    const double factor = off ? 0 : 0.5;
    const double largest = std::max(std::abs(derivative.lower[j]), std::abs(derivative.upper[j]));
    derivative.lower[j] = off ? 0 : std::min(0.0, derivative.lower[j]);
    derivative.upper[j] = off ? 0 : std::max(0.0, derivative.upper[j]);
    derivative.center[j] *= factor;
    derivative.generators.col(j) *= factor;
    derivative.error[j] *= factor;
    if (off) continue;
    // Halving is exact, but for an underflow.
    derivative.error[j] += static_cast<double>(derivative.symbols() + 4) * kTiny +
                           4 * kRoundoff<double> * (std::abs(derivative.center[j]) + radius[j]);
    symbols.emplace_back(j, largest / 2);
  }
  Index row = derivative.symbols();
  derivative.add_symbols(static_cast<Index>(symbols.size()));
  for (const auto& [unit, half] : symbols) derivative.generators(row++, unit) = half;
}

template <class Real>
BoxBounds<Real> Relaxation<Real>::bound_slope(const RowVector<Real>& lower,
                                              const RowVector<Real>& upper) const {
  const Index d = inputs();
  const Index c = outputs();
  const ScalarArithmetic exact = ScalarArithmetic::exact();
  const Forward forward = run_forward(lower, upper, exact);
  if (forward.units.size() < m_steps.size()) return unbounded(lower, upper, 1);
  // Of the entries; a norm is at most that of the largest entries, and that of the middle and of
  // the rest together, which is nearly all of it in a small box.
  Matrix<Real> largest(d, c), middle(d, c), rest(d, c);
  RowVector<Real> scores = RowVector<Real>::Zero(d);
  for (Index i = 0; i < d; ++i) {
    Box input{RowVector<Real>::Zero(d), RowVector<Real>::Zero(d), RowVector<Real>::Zero(d),
              RowMatrix<Real>::Zero(0, d), RowVector<Real>::Zero(d)};
    const double inverse = 1 / m_scale[i];
    input.center[i] = inverse;
    input.error[i] = 2 * kRoundoff<double> * inverse + kTiny;
    input.lower[i] = inverse - input.error[i];
    input.upper[i] = inverse + input.error[i];
    Box features = input;
    Box sum{RowVector<Real>::Zero(c), RowVector<Real>::Zero(c), RowVector<Real>::Zero(c),
            RowMatrix<Real>::Zero(0, c), RowVector<Real>::Zero(c)};
    for (std::size_t s = 0; s < m_steps.size(); ++s) {
      const Step& step = m_steps[s];
      features = affine_enclosure(features, step.hidden,
                                  RowVector<Real>::Zero(step.hidden.bias.size()).eval(), exact);
      gate(forward.units[s], features);
      if (!step.readout) continue;
      const Box output =
          affine_enclosure(features, *step.readout, RowVector<Real>::Zero(c).eval(), exact);
      sum = sum_of_enclosures(std::move(sum), output, exact);
      if (m_add_input) features = stacked_enclosures(features, input);
    }
    if (!is_bounded(sum, exact)) return unbounded(lower, upper, 1);
    const RowVector<Real> scale = m_output.weights.diagonal().transpose();
    largest.row(i) = sum.magnitude().cwiseProduct(scale);
    middle.row(i) = (sum.lower / 2 + sum.upper / 2).cwiseProduct(scale);
    rest.row(i) = (sum.upper / 2 - sum.lower / 2 + 4 * kRoundoff<double> * sum.magnitude())
                      .cwiseProduct(scale);
    // Symbols are those units of unknown sign, in order.
    Index symbol = 0;
    for (const Units& units : forward.units) {
      for (Index j = 0; j < units.lower.size(); ++j) {
        if (!units.unknown(j)) continue;
        scores += sum.generators.row(symbol++).cwiseAbs().sum() * units.shares.col(j).transpose();
      }
    }
  }
  const double bound = (1 + 8 * kRoundoff<double>)*std::min(
      spectral_norm_bound(largest), spectral_norm_bound(middle) + spectral_norm_bound(rest));
  return {RowVector<Real>::Constant(1, bound), lower / 2 + upper / 2, scores};
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class Relaxation<double>;
}  // namespace mgdl::detail
#endif
