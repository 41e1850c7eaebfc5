#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Samples on their way through the grades: the features that the grades so far make of them and
/// the residual that they leave.
template <class Scalar>
class ResidualChain {
 public:
  ResidualChain(const Dataset<Scalar>& data, const MultigradeModel<Scalar>& model)
      : m_weights(data.weights()), m_features(data.inputs()), m_residual(data.targets()) {
    m_target_square =
        weighted_square(m_residual, static_cast<double>(model.output_standardizer().scale()[0]));
    model.input_standardizer().apply(m_features, m_features);
    model.output_standardizer().apply(m_residual, m_residual);
    if (model.link() == FeatureLink::LastHiddenAndInput) m_inputs = m_features;
    m_square = weighted_square(m_residual);
  }

  Index size() const noexcept { return m_features.rows(); }

  /// Weighted sum of squares of the standardised residual.
  double square() const noexcept { return m_square; }

  /// Error of the model so far relative to the targets, in their own unit.
  double rse() const noexcept { return relative_squared_error(m_square, m_target_square); }

  /// The residual times `factor`, a power of two, so that scaling loses nothing.
  void scale_residual(Scalar factor) { m_residual *= factor; }

  SampleView<Scalar> view() const { return {m_features, m_residual, m_weights}; }

  /// What a grade would leave; nothing changes until `accept`.
  double try_grade(const ReluNetwork<Scalar>& network, ThreadPool& pool) {
    const Index width = network.width();
    const Index extra = m_inputs.cols();
    m_output.resize(size(), network.outputs());
    m_next.resize(size(), width + extra);
    network.evaluate(m_features, pool, &m_output, &m_next);
    if (extra > 0) m_next.rightCols(extra) = m_inputs;
    m_output = m_residual - m_output;
    m_next_square = weighted_square(m_output);
    return m_next_square;
  }

  void accept() {
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
  double m_target_square = 0;  // in the unit of the residual
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
