#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/piecewise_linear.hpp"

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

}  // namespace mgdl::detail
