#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Errors of a model on samples, from which every measure of them follows.
struct ErrorSums {
  double square = 0;         // weighted sum of squares of the standardised residual
  double target_square = 0;  // of the targets, in the same unit
  double largest = 0;        // |residual| of any sample and output
  Index outputs = 1;
  double unit = 1;  // of the residual

  /// Error relative to the targets, in their own unit.
  double rse() const noexcept { return relative_squared_error(square, target_square); }

  /// Error in the unit of `measure`.
  double error(ErrorMeasure measure) const {
    switch (measure) {
      case ErrorMeasure::Rse: return rse();
      case ErrorMeasure::Rmse: return std::sqrt(square / static_cast<double>(outputs)) * unit;
      case ErrorMeasure::MaxError: break;
    }
    return largest * unit;
  }

  /// Adds those on other samples, which have the part `share` of all weight.
  void add(const ErrorSums& other, double share) {
    square += share * other.square;
    target_square += share * other.target_square;
    largest = std::max(largest, other.largest);
    outputs = other.outputs;
    unit = other.unit;
  }
};

/// Samples on their way through the grades: the features that the grades so far make of them and
/// the residual that they leave.
template <class Scalar>
class ResidualChain {
 public:
  ResidualChain(const Dataset<Scalar>& data, const MultigradeModel<Scalar>& model)
      : m_weights(data.weights()), m_features(data.inputs()), m_residual(data.targets()) {
    m_target_scale = static_cast<double>(model.output_standardizer().scale()[0]);
    m_target_square = weighted_square(m_residual, m_target_scale);
    model.input_standardizer().apply(m_features, m_features);
    model.output_standardizer().apply(m_residual, m_residual);
    if (model.link() == FeatureLink::LastHiddenAndInput) m_inputs = m_features;
    m_square = weighted_square(m_residual);
    for (Index i = 0; i < size(); ++i) {
      if (!(m_weights[i] > 0)) continue;
      m_largest = std::max(m_largest, static_cast<double>(m_residual.row(i).cwiseAbs().maxCoeff()));
    }
  }

  Index size() const noexcept { return m_residual.rows(); }

  /// Weighted sum of squares of the standardised residual.
  double square() const noexcept { return m_square; }

  /// Errors of the model so far.
  ErrorSums sums() const noexcept {
    return {m_square, m_target_square, m_largest, m_residual.cols(), m_target_scale};
  }
  double rse() const noexcept { return sums().rse(); }

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
    const double before = m_largest;
    double growth = -std::numeric_limits<double>::infinity();
    double fall = 0;
    m_largest = 0;
    for (Index i = 0; i < size(); ++i) {
      if (!(m_weights[i] > 0)) continue;
      for (Index j = 0; j < m_output.cols(); ++j) {
        const auto now = static_cast<double>(std::abs(m_output(i, j)));
        const double change = now - static_cast<double>(std::abs(m_residual(i, j)));
        growth = std::max(growth, change);
        fall = std::max(fall, -change);
        m_largest = std::max(m_largest, now);
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
  /// Weighted sum of squares of values / scale.
  double weighted_square(const RowMatrix<Scalar>& values, double scale = 1) const {
    double sum = 0;
    for (Index i = 0; i < values.rows(); ++i) {
      double row = 0;
      for (Index j = 0; j < values.cols(); ++j) {
        const double value = static_cast<double>(values(i, j)) / scale;
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
  double m_target_scale = 1;   // unit of the residual; all outputs share it
  double m_target_square = 0;  // in the unit of the residual
  double m_largest = 0;        // |residual| of any sample and output
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
