#pragma once

#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Affine map of one layer: y = x W + b for a row x of `inputs()` values.
template <class Scalar_ = double>
class DenseLayer {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param weights  W, inputs x outputs, at least 1 x 1
  /// \param bias     b, 1 x outputs
  /// \throws InvalidArgument for empty or unequal shapes and for non-finite values
  DenseLayer(RowMatrix<Scalar> weights, RowVector<Scalar> bias)
      : m_weights(std::move(weights)), m_bias(std::move(bias)) {
    if (m_weights.size() == 0) {
      throw InvalidArgument("weights", "at least one row and one column",
                            detail::shape_text(m_weights.rows(), m_weights.cols()));
    }
    detail::require_cols("bias", m_weights.cols(), m_bias.cols());
    detail::require_finite("weights", m_weights);
    detail::require_finite("bias", m_bias);
  }

  /// Values that the layer takes and gives for one sample.
  /// \{
  Index inputs() const noexcept { return m_weights.rows(); }
  Index outputs() const noexcept { return m_weights.cols(); }
  /// \}

  /// W, inputs x outputs.
  const RowMatrix<Scalar>& weights() const noexcept { return m_weights; }
  /// b, 1 x outputs.
  const RowVector<Scalar>& bias() const noexcept { return m_bias; }

  /// Number of weights and biases.
  Index parameters() const noexcept { return m_weights.size() + m_bias.size(); }
  /// Multiplications (each with an addition) to evaluate one sample.
  Index multiply_adds() const noexcept { return m_weights.size(); }

  /// Equal shapes and equal values.
  bool operator==(const DenseLayer& other) const {
    return inputs() == other.inputs() && outputs() == other.outputs() &&
           m_weights == other.m_weights && m_bias == other.m_bias;
  }

 private:
  RowMatrix<Scalar> m_weights;
  RowVector<Scalar> m_bias;
};

}  // namespace mgdl
