#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// Finds the linear pieces of a model of one input. Pieces run through the layers one after
/// another: a hidden unit that changes sign inside of a piece splits it there, so that behind every
/// layer all values are linear on every piece again.
///
/// A block of consecutive knots goes through all layers before the next one does; it is cut when it
/// grows beyond kKnots. So memory does not depend on the number of pieces but for the result.
///
/// A knot may be at infinity; its row of values then holds the derivative away from zero, to which
/// biases do not contribute. With that, values at both ends of a piece have the signs of the
/// function on it, for rays too.
template <class Real>
class PieceTracer {
 public:
  template <class Scalar>
  PieceTracer(const MultigradeModel<Scalar>& model, Index k)
      : m_mean(model.input_standardizer().mean()[0]),
        m_scale(model.input_standardizer().scale()[0]),
        m_output_mean(model.output_standardizer().mean().template cast<double>()),
        m_output_scale(model.output_standardizer().scale().template cast<double>()) {
    for (Index g = 1; g <= k; ++g) {
      const auto& layers = model.grade(g).network.layers();
      for (std::size_t l = 0; l + 1 < layers.size(); ++l) m_steps.push_back({to_layer(layers[l])});
      m_steps.back().readout = to_layer(layers.back());
      m_steps.back().add_input = model.link() == FeatureLink::LastHiddenAndInput;
    }
  }

  /// All pieces between the given knots, which are sorted. Knots at +-infinity keep rows of values
  /// that mean nothing.
  PiecewiseLinear trace(const std::vector<double>& knots) {
    const Index c = m_output_mean.size();
    Block block(static_cast<Index>(knots.size()), 1, c);
    for (double x : knots) {
      const Index i = block.knots++;
      block.x[i] = x;
      block.values(i, 0) = standardised(x);
      block.output.row(i).setZero();
    }
    block.slopes.setConstant(1 / m_scale);
    block.output_slopes.setZero();
    m_x.clear();
    m_values.clear();
    m_slopes.clear();
    advance(block, 0);
    return result();
  }

 private:
  using Rows = RowMatrix<Real>;

  struct Layer {
    Rows weights;
    RowVector<Real> bias;
  };
  struct Step {
    Layer hidden;
    Layer readout = {};  // only behind the last hidden layer of a grade
    bool add_input = false;
  };

  /// Knots in order, and between them pieces, one fewer. All rows are filled from the top.
  struct Block {
    Block(Index capacity, Index width, Index outputs)
        : x(capacity),
          values(capacity, width),
          output(capacity, outputs),
          slopes(capacity - 1, width),
          output_slopes(capacity - 1, outputs) {}

    Index knots = 0;
    Vector<Real> x;
    Rows values, output;         // knots x width, knots x c
    Rows slopes, output_slopes;  // pieces x width, pieces x c
  };

  struct Crossing {
    double x;
    Index unit;
  };

  static constexpr Index kKnots = 1024;

  template <class Scalar>
  static Layer to_layer(const DenseLayer<Scalar>& layer) {
    return {layer.dense_weights().template cast<double>(), layer.bias().template cast<double>()};
  }

  double standardised(double x) const {
    return std::isfinite(x) ? (x - m_mean) / m_scale : std::copysign(1 / m_scale, x);
  }

  /// values W + b, without b for knots at infinity.
  static Rows apply(const Layer& layer, const Block& block) {
    Rows result = block.values.topRows(block.knots) * layer.weights;
    for (Index i = 0; i < block.knots; ++i) {
      if (std::isfinite(block.x[i])) result.row(i) += layer.bias;
    }
    return result;
  }

  void advance(const Block& block, std::size_t s) {
    if (s == m_steps.size()) return emit(block);
    const Step& step = m_steps[s];
    const Index width = step.hidden.bias.size();
    const Rows before = apply(step.hidden, block);
    const Rows slopes = block.slopes.topRows(block.knots - 1) * step.hidden.weights;

    Block next(kKnots + width + 1, width, m_output_mean.size());
    RowVector<Real> left = before.row(0);
    RowVector<Real> right(width);
    const auto add_knot = [&](double x, const auto& output) {
      next.x[next.knots] = x;
      next.values.row(next.knots) = left.cwiseMax(0);
      next.output.row(next.knots++) = output;
    };
    // The piece from the last knot added, where values were `left`, to one where they are `right`.
    const auto add_piece = [&](Index i) {
      const Index piece = next.knots - 1;
      next.slopes.row(piece) = ((left + right).array() > 0).select(slopes.row(i), 0);
      next.output_slopes.row(piece) = block.output_slopes.row(i);
      left = right;
    };
    add_knot(block.x[0], block.output.row(0));
    for (Index i = 0; i + 1 < block.knots; ++i) {
      find_crossings(block, i, before, slopes);
      for (auto at = m_crossings.begin(); at != m_crossings.end();) {
        const double x = at->x;
        const bool from_left = x - block.x[i] <= block.x[i + 1] - x;
        const Index near = from_left ? i : i + 1;
        const double distance = x - block.x[near];
        right = before.row(near) + distance * slopes.row(i);
        for (; at != m_crossings.end() && at->x == x; ++at) right[at->unit] = 0;
        add_piece(i);
        add_knot(x, block.output.row(near) + distance * block.output_slopes.row(i));
      }
      right = before.row(i + 1);
      add_piece(i);
      add_knot(block.x[i + 1], block.output.row(i + 1));
      if (next.knots < kKnots || i + 2 == block.knots) continue;
      finish(step, next, s);
      // The last knot is also the first of the next block.
      next.knots = 0;
      add_knot(block.x[i + 1], block.output.row(i + 1));
    }
    finish(step, next, s);
  }

  /// Points inside of piece i where hidden units change sign, sorted, in m_crossings. Those that
  /// rounding moves onto an end of the piece are left out.
  void find_crossings(const Block& block, Index i, const Rows& before, const Rows& slopes) {
    m_crossings.clear();
    const double* v0 = before.row(i).data();
    const double* v1 = before.row(i + 1).data();
    const double x0 = block.x[i];
    const double x1 = block.x[i + 1];
    for (Index j = 0; j < before.cols(); ++j) {
      if (!((v0[j] < 0 && v1[j] > 0) || (v0[j] > 0 && v1[j] < 0))) continue;
      // From the nearer end, where little cancels.
      const bool from_left =
          !std::isfinite(x1) || (std::isfinite(x0) && std::abs(v0[j]) <= std::abs(v1[j]));
      const double x = from_left ? x0 - v0[j] / slopes(i, j) : x1 - v1[j] / slopes(i, j);
      if (x > x0 && x < x1 && std::isfinite(x)) m_crossings.push_back({x, j});
    }
    std::sort(m_crossings.begin(), m_crossings.end(),
              [](const Crossing& a, const Crossing& b) { return a.x < b.x; });
  }

  /// Adds the readout and the input, where the step ends a grade, and goes on to the next step.
  void finish(const Step& step, Block& block, std::size_t s) {
    const Index pieces = block.knots - 1;
    if (step.readout.bias.size() > 0) {
      block.output.topRows(block.knots) += apply(step.readout, block);
      block.output_slopes.topRows(pieces) += block.slopes.topRows(pieces) * step.readout.weights;
    }
    if (!step.add_input || s + 1 == m_steps.size()) return advance(block, s + 1);
    const Index width = block.values.cols();
    Block wider(block.knots, width + 1, block.output.cols());
    wider.knots = block.knots;
    wider.x = block.x.head(block.knots);
    wider.values.leftCols(width) = block.values.topRows(block.knots);
    for (Index i = 0; i < block.knots; ++i) wider.values(i, width) = standardised(block.x[i]);
    wider.slopes.leftCols(width) = block.slopes.topRows(pieces);
    wider.slopes.col(width).setConstant(1 / m_scale);
    wider.output = block.output.topRows(block.knots);
    wider.output_slopes = block.output_slopes.topRows(pieces);
    advance(wider, s + 1);
  }

  void emit(const Block& block) {
    for (Index i = 0; i < block.knots; ++i) {
      if (i == 0 && !m_x.empty()) continue;  // the last knot of the block before
      m_x.push_back(block.x[i]);
      const RowVector<Real> value =
          block.output.row(i).cwiseProduct(m_output_scale) + m_output_mean;
      m_values.insert(m_values.end(), value.data(), value.data() + value.size());
    }
    for (Index i = 0; i + 1 < block.knots; ++i) {
      const RowVector<Real> slope = block.output_slopes.row(i).cwiseProduct(m_output_scale);
      m_slopes.insert(m_slopes.end(), slope.data(), slope.data() + slope.size());
    }
  }

  /// The pieces, without those that are only rounding and without knots where no slope changes.
  PiecewiseLinear result() const {
    const auto m = static_cast<Index>(m_x.size());
    const Index c = m_output_mean.size();
    const Eigen::Map<const Rows> values(m_values.data(), m, c);
    const Eigen::Map<const Rows> slopes(m_slopes.data(), m - 1, c);
    // A piece too short for rounding to tell its ends apart may still be so steep that it counts
    // for the values. On the whole line, only slopes are asked for.
    const double tolerance = is_finite(0) && is_finite(m - 1)
                                 ? 1e-13 * values.cwiseAbs().maxCoeff()
                                 : std::numeric_limits<double>::infinity();
    const auto coincide = [&](Index i, Index j) {
      const double unit = std::max({std::abs(at(i)), std::abs(at(j)), std::abs(m_mean) + m_scale});
      return is_finite(i) && is_finite(j) && at(j) - at(i) <= 16 * kRoundoff<double> * unit &&
             (values.row(j) - values.row(i)).cwiseAbs().maxCoeff() <= tolerance;
    };
    std::vector<Index> kept{0};  // knots
    std::vector<Index> pieces;   // the piece before each kept knot but the first
    for (Index i = 1; i < m; ++i) {
      const bool same_point = coincide(kept.back(), i);
      if (same_point && i + 1 < m) continue;
      if (same_point && kept.size() > 1) {
        kept.back() = i;  // the end of the interval
        continue;
      }
      const Index piece = i - 1;
      if (!pieces.empty() && slopes.row(pieces.back()) == slopes.row(piece)) {
        kept.back() = i;
        continue;
      }
      kept.push_back(i);
      pieces.push_back(piece);
    }
    PiecewiseLinear result;
    const auto count = static_cast<Index>(kept.size());
    result.x.resize(count);
    result.values.resize(count, c);
    result.slopes.resize(count - 1, c);
    for (Index i = 0; i < count; ++i) {
      const Index from = kept[static_cast<std::size_t>(i)];
      result.x[i] = at(from);
      result.values.row(i) = values.row(from);
      if (i > 0) result.slopes.row(i - 1) = slopes.row(pieces[static_cast<std::size_t>(i - 1)]);
    }
    return result;
  }

  double at(Index i) const { return m_x[static_cast<std::size_t>(i)]; }
  bool is_finite(Index i) const { return std::isfinite(at(i)); }

  double m_mean;
  double m_scale;
  RowVector<Real> m_output_mean;
  RowVector<Real> m_output_scale;
  std::vector<Step> m_steps;
  std::vector<Crossing> m_crossings;
  std::vector<double> m_x, m_values, m_slopes;  // rows of c
};

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

/// How Scalar rounds, where its arithmetic has no bounds, and its smallest normal value.
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
};

/// Parts of a sum may overflow where the sum does not.
template <class Real>
void mark_overflow(BasicEnclosure<Real>& h, const RowVector<Real>& largest_part, double largest) {
  for (Index j = 0; j < h.width(); ++j) {
    if (largest_part[j] <= largest) continue;
    h.lower[j] = -std::numeric_limits<double>::infinity();
    h.upper[j] = std::numeric_limits<double>::infinity();
  }
}

template <class Real>
BasicEnclosure<Real> affine_enclosure(const BasicEnclosure<Real>& in, const RowMatrix<Real>& W,
                                      const RowVector<Real>& b, Index terms,
                                      const ScalarArithmetic& scalar) {
  const RowMatrix<Real> absolute = W.cwiseAbs();
  const RowMatrix<Real> positive = W.cwiseMax(0);
  const RowMatrix<Real> negative = W.cwiseMin(0);
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
                                       const ScalarArithmetic& scalar) {
  sum.add_symbols(next.symbols() - sum.symbols());
  const RowVector<Real> reach =
      sum.center.cwiseAbs() + sum.radius() + next.center.cwiseAbs() + next.radius();
  sum.lower += next.lower;
  sum.upper += next.upper;
  const RowVector<Real> computed =
      (rounding_factor(1, scalar.roundoff) + 4 * kRoundoff<double>)*sum.magnitude();
  sum.lower -= computed;
  sum.upper += computed;
  sum.center += next.center;
  sum.generators += next.generators;
  sum.error += next.error + computed + 2 * rounding_factor<double>(next.symbols() + 8) * reach;
  sum.intersect();
  return sum;
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::input(
    const Standardizer<Scalar>& standardizer, const ConstVectorRef<Scalar>& lower,
    const ConstVectorRef<Scalar>& upper) {
  const auto mean = standardizer.mean().template cast<double>().array();
  const auto scale = standardizer.scale().template cast<double>().array();
  const double gamma = rounding_factor<Scalar>(2) + rounding_factor<double>(8);
  Box z;
  z.lower = lower.transpose().template cast<double>().array() - mean;
  z.upper = upper.transpose().template cast<double>().array() - mean;
  const RowVector<Real> largest = z.magnitude();
  z.lower.array() /= scale;
  z.upper.array() /= scale;
  z.lower.array() -= gamma * z.lower.array().abs() + kTiny + kTiny / scale;
  z.upper.array() += gamma * z.upper.array().abs() + kTiny + kTiny / scale;
  z.center = z.lower / 2 + z.upper / 2;
  const RowVector<Real> radius = (z.upper - z.center).cwiseMax(z.center - z.lower);
  z.generators = radius.asDiagonal();
  z.error = 4 * kRoundoff<double> * (z.magnitude() + radius);
  mark_overflow(z, largest, kLargest);
  return z;
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::affine(const Box& in,
                                                                    const RowMatrix<Real>& W,
                                                                    const RowVector<Real>& b,
                                                                    Index terms) {
  return affine_enclosure(in, W, b, terms, ScalarArithmetic::of<Scalar>());
}

template <class Scalar>
typename EnclosureRules<Scalar>::Box EnclosureRules<Scalar>::affine(
    const Box& in, const DenseLayer<Scalar>& layer) {
  return affine(in, layer.dense_weights().template cast<double>(),
                layer.bias().template cast<double>(), layer.inputs());
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
  for (Index j = 0; j < h.width(); ++j) {
    if (!(h.lower[j] >= -kLargest) || !(h.upper[j] <= kLargest)) return true;
  }
  return false;
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
  using Rules = detail::EnclosureRules<Scalar>;
  using Real = typename Rules::Real;
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
  const OutputBounds unbounded{Vector<Real>::Constant(c, -infinity),
                               Vector<Real>::Constant(c, infinity)};
  const typename Rules::Box input = Rules::input(model.input_standardizer(), lower, upper);
  if (Rules::overflows(input)) return unbounded;
  typename Rules::Box features = input;
  typename Rules::Box sum{RowVector<Real>::Zero(c), RowVector<Real>::Zero(c),
                          RowVector<Real>::Zero(c), RowMatrix<Real>::Zero(0, c),
                          RowVector<Real>::Zero(c)};
  for (Index g = 1; g <= k; ++g) {
    for (const auto& layer : model.grade(g).network.layers()) {
      typename Rules::Box next = Rules::affine(features, layer);
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

}  // namespace mgdl
