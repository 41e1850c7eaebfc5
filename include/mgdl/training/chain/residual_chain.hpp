#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Errors of a model on samples, from which every measure of them follows. Those of outputs are in
/// the standardised unit of each, `scale`.
struct ErrorSums {
  double square = 0;                 // weighted sum of squares of the residual, over all outputs
  double target_square = 0;          // of the targets
  RowVector<double> squares;         // c, weighted sum of squares of the residual
  RowVector<double> target_means;    // c, weighted mean of the targets less the model's mean
  RowVector<double> target_squares;  // c, weighted mean square of the same
  RowVector<double> largest;         // c, |residual| of any sample
  RowVector<double> scale;           // c, unit of the four before

  /// Error relative to the targets, each output in the unit of its scale.
  double rse() const noexcept { return relative_squared_error(square, target_square); }

  /// Root mean squared error of each output, in its own unit.
  std::vector<double> output_rmse() const {
    const RowVector<double> roots = squares.cwiseSqrt().cwiseProduct(scale);
    return {roots.begin(), roots.end()};
  }

  /// See Metrics::r2.
  double r2() const { return mean_r2(squares, target_squares - target_means.cwiseAbs2()); }

  /// Error in the unit of `measure`.
  double error(ErrorMeasure measure) const {
    switch (measure) {
      case ErrorMeasure::Rse: return rse();
      case ErrorMeasure::Rmse: {
        const RowVector<double> roots = squares.cwiseSqrt().cwiseProduct(scale);
        return stable_norm(roots) / std::sqrt(static_cast<double>(squares.size()));
      }
      case ErrorMeasure::MaxError: break;
    }
    return largest.cwiseProduct(scale).maxCoeff();
  }

  /// Adds those on other samples, which have the part `share` of all weight.
  void add(const ErrorSums& other, double share) {
    if (scale.size() == 0) {
      const RowVector<double> zero = RowVector<double>::Zero(other.scale.size());
      squares = target_means = target_squares = largest = zero;
      scale = other.scale;
    }
    square += share * other.square;
    target_square += share * other.target_square;
    squares += share * other.squares;
    target_means += share * other.target_means;
    target_squares += share * other.target_squares;
    largest = largest.cwiseMax(other.largest);
  }
};

/// Samples on their way through the grades: the features that the grades so far make of them and
/// the residual that they leave.
template <class Scalar>
class ResidualChain {
 public:
  ResidualChain(const Dataset<Scalar>& data, const MultigradeModel<Scalar>& model)
      : m_weights(data.weights()), m_features(data.inputs()), m_residual(data.targets()) {
    m_targets.scale = model.output_standardizer().scale().template cast<double>();
    m_targets.target_square = weighted_square(m_residual, m_targets.scale);
    model.input_standardizer().apply(m_features, m_features);
    model.output_standardizer().apply(m_residual, m_residual);
    if (model.link() == FeatureLink::LastHiddenAndInput) m_inputs = m_features;
    m_square = weighted_square(m_residual);
    const Index c = m_residual.cols();
    m_targets.target_means = m_targets.target_squares = m_largest = RowVector<double>::Zero(c);
    for (Index i = 0; i < size(); ++i) {
      if (!(m_weights[i] > 0)) continue;
      const RowVector<double> row = m_residual.row(i).template cast<double>();
      m_largest = m_largest.cwiseMax(row.cwiseAbs());
      m_targets.target_means += static_cast<double>(m_weights[i]) * row;
      m_targets.target_squares += static_cast<double>(m_weights[i]) * row.cwiseAbs2();
    }
  }

  Index size() const noexcept { return m_residual.rows(); }

  /// Weighted sum of squares of the standardised residual.
  double square() const noexcept { return m_square; }

  /// Errors of the model so far.
  ErrorSums sums() const {
    ErrorSums sums = m_targets;
    sums.square = m_square;
    sums.largest = m_largest;
    sums.squares = RowVector<double>::Zero(m_residual.cols());
    for (Index i = 0; i < size(); ++i) {
      for (Index j = 0; j < m_residual.cols(); ++j) {
        const auto value = static_cast<double>(m_residual(i, j));
        sums.squares[j] += static_cast<double>(m_weights[i]) * (value * value);
      }
    }
    return sums;
  }
  double rse() const noexcept { return relative_squared_error(m_square, m_targets.target_square); }

  /// Error of every sample, over all outputs, in the standardised unit.
  Vector<double> errors() const { return m_residual.template cast<double>().rowwise().norm(); }

  /// How far the residual of any one sample and output has grown by the last grade that was
  /// accepted, relative to the largest residual before it; at most 0 if none has.
  double pointwise_growth() const noexcept { return m_growth; }

  /// How far the residual of some sample and output has fallen at most, relative to the same.
  double pointwise_fall() const noexcept { return m_fall; }

  /// The residual times `factor`, a power of two, so that scaling loses nothing.
  void scale_residual(Scalar factor) { m_residual *= factor; }

  SampleView<Scalar> view() const { return {m_features, m_residual, m_weights}; }

  /// What a grade would leave; nothing changes until `accept`. Without `features`, no other grade
  /// can follow: that saves the memory of n x width numbers.
  double try_grade(const ReluNetwork<Scalar>& network, ThreadPool& pool, bool features = true) {
    const Index width = network.width();
    const Index extra = m_inputs.cols();
    m_output.resize(size(), network.outputs());
    m_next.resize(features ? size() : 0, width + extra);
    network.evaluate(m_features, pool, &m_output, features ? &m_next : nullptr);
    if (features && extra > 0) m_next.rightCols(extra) = m_inputs;
    m_output = m_residual - m_output;
    m_next_square = weighted_square(m_output);
    return m_next_square;
  }

  /// Factor of the grade tried last that would leave the least; 0 if the grade is zero.
  double best_step() const {
    double square = 0;
    double cross = 0;
    for (Index i = 0; i < size(); ++i) {
      for (Index j = 0; j < m_output.cols(); ++j) {
        const auto residual = static_cast<double>(m_residual(i, j));
        const double value = residual - static_cast<double>(m_output(i, j));
        square += static_cast<double>(m_weights[i]) * value * value;
        cross += static_cast<double>(m_weights[i]) * value * residual;
      }
    }
    return square > 0 ? cross / square : 0;
  }

  void accept() {
    const double before = m_largest.maxCoeff();
    double growth = -std::numeric_limits<double>::infinity();
    double fall = 0;
    m_largest.setZero();
    for (Index i = 0; i < size(); ++i) {
      if (!(m_weights[i] > 0)) continue;
      for (Index j = 0; j < m_output.cols(); ++j) {
        const auto now = static_cast<double>(std::abs(m_output(i, j)));
        const double change = now - static_cast<double>(std::abs(m_residual(i, j)));
        growth = std::max(growth, change);
        fall = std::max(fall, -change);
        m_largest[j] = std::max(m_largest[j], now);
      }
    }
    m_growth = before > 0 ? growth / before : 0;
    m_fall = before > 0 ? fall / before : 0;
    m_residual.swap(m_output);
    m_features.swap(m_next);
    m_square = m_next_square;
    m_next.resize(0, 0);
  }

 private:
  /// Weighted sum of squares of values, each over the scale of its column, if there is one.
  double weighted_square(const RowMatrix<Scalar>& values,
                         const RowVector<double>& scale = {}) const {
    double sum = 0;
    for (Index i = 0; i < values.rows(); ++i) {
      double row = 0;
      for (Index j = 0; j < values.cols(); ++j) {
        double value = static_cast<double>(values(i, j));
        if (scale.size() > 0) value /= scale[j];
        row += value * value;
      }
      sum += static_cast<double>(m_weights[i]) * row;
    }
    return sum;
  }

  const Vector<Scalar>& m_weights;
  RowMatrix<Scalar> m_features;
  RowMatrix<Scalar> m_residual;
  RowMatrix<Scalar> m_inputs;  // standardised; empty unless the link needs them
  RowMatrix<Scalar> m_next;
  RowMatrix<Scalar> m_output;
  ErrorSums m_targets;          // what does not depend on the residual
  RowVector<double> m_largest;  // c, |residual| of any sample
  double m_growth = 0;
  double m_fall = 0;
  double m_square = 0;
  double m_next_square = 0;
};

/// The power of two nearest to the root mean square; dividing by it is exact.
template <class Scalar>
Scalar residual_scale(double square) {
  const double exponent = std::round(std::log2(square) / 2);
  const double limit = std::numeric_limits<Scalar>::max_exponent - 2;
  return static_cast<Scalar>(std::exp2(std::clamp(exponent, -limit, limit)));
}

}  // namespace mgdl::detail
