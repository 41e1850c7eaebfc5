#pragma once

#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Affine map of one layer: y = x W + b for a row x of `inputs()` values.
///
/// With G groups, as in grouped convolutions, W is block-diagonal with G equal blocks W_1, ...,
/// W_G:
///
///     [y_1, ..., y_G] = [x_1 W_1, ..., x_G W_G] + b.
///
/// Only the blocks are stored, side by side, as the compact matrix [W_1, ..., W_G] of inputs / G x
/// outputs: column j is that of output j, on the inputs of its own group. Several threads may use a
/// const one at a time.
template <class Scalar_ = double>
class DenseLayer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param weights  the compact matrix, inputs / groups x outputs, at least 1 x 1; W for one group
  /// \param bias     b, 1 x outputs
  /// \param groups   G >= 1, a divisor of the outputs
  /// \throws InvalidArgument for empty or unequal shapes, for groups that do not divide the outputs
  ///         and for non-finite values
  DenseLayer(RowMatrix<Scalar> weights, RowVector<Scalar> bias, Index groups = 1)
      : m_weights(std::move(weights)), m_bias(std::move(bias)), m_groups(groups) {
    if (m_weights.size() == 0) {
      throw InvalidArgument("weights", "at least one row and one column",
                            detail::shape_text(m_weights.rows(), m_weights.cols()));
    }
    detail::require_cols("bias", m_weights.cols(), m_bias.cols());
    if (groups < 1 || outputs() % groups != 0) {
      throw InvalidArgument("groups", "a divisor of " + std::to_string(outputs()) + " outputs",
                            std::to_string(groups));
    }
    detail::require_finite("weights", m_weights);
    detail::require_finite("bias", m_bias);
  }

  /// Values that the layer takes and gives for one sample.
  /// \{
  Index inputs() const noexcept { return m_weights.rows() * m_groups; }
  Index outputs() const noexcept { return m_weights.cols(); }
  /// \}

  /// G; 1 for a W that may be full.
  Index groups() const noexcept { return m_groups; }
  /// Inputs and outputs of each group.
  /// \{
  Index group_inputs() const noexcept { return m_weights.rows(); }
  Index group_outputs() const noexcept { return m_weights.cols() / m_groups; }
  /// \}

  /// The compact matrix, inputs / groups x outputs; W itself for one group.
  /// \{
  const RowMatrix<Scalar>& weights() const& noexcept { return m_weights; }
  RowMatrix<Scalar> weights() && { return std::move(m_weights); }
  /// \}
  /// W, inputs x outputs, with the zeros between the groups.
  RowMatrix<Scalar> dense_weights() const {
    RowMatrix<Scalar> dense = RowMatrix<Scalar>::Zero(inputs(), outputs());
    const Index n = group_inputs();
    const Index m = group_outputs();
    for (Index g = 0; g < m_groups; ++g) {
      dense.block(g * n, g * m, n, m) = m_weights.middleCols(g * m, m);
    }
    return dense;
  }
  /// b, 1 x outputs.
  /// \{
  const RowVector<Scalar>& bias() const& noexcept { return m_bias; }
  RowVector<Scalar> bias() && { return std::move(m_bias); }
  /// \}

  /// Number of stored weights and of biases.
  Index parameters() const noexcept { return m_weights.size() + m_bias.size(); }
  /// Multiplications (each with an addition) to evaluate one sample.
  Index multiply_adds() const noexcept { return m_weights.size(); }

  /// Equal groups, equal shapes and equal values.
  bool operator==(const DenseLayer& other) const {
    return m_groups == other.m_groups && inputs() == other.inputs() &&
           outputs() == other.outputs() && m_weights == other.m_weights && m_bias == other.m_bias;
  }

 private:
  RowMatrix<Scalar> m_weights;
  RowVector<Scalar> m_bias;
  Index m_groups;
};

namespace detail {

/// X W for rows X (n x inputs) and the layer's W, group by group: n x outputs.
template <class Scalar, class Rows>
typename Rows::PlainObject times_weights(const Eigen::MatrixBase<Rows>& X,
                                         const DenseLayer<Scalar>& layer) {
  if (layer.groups() == 1) return X * layer.weights();
  typename Rows::PlainObject result(X.rows(), layer.outputs());
  const Index n = layer.group_inputs();
  const Index m = layer.group_outputs();
  for (Index g = 0; g < layer.groups(); ++g) {
    result.middleCols(g * m, m).noalias() =
        X.middleCols(g * n, n) * layer.weights().middleCols(g * m, m);
  }
  return result;
}

/// X W', as times_weights: for rows X (n x outputs) n x inputs.
template <class Scalar>
RowMatrix<Scalar> times_transposed_weights(const RowMatrix<Scalar>& X,
                                           const DenseLayer<Scalar>& layer) {
  RowMatrix<Scalar> result(X.rows(), layer.inputs());
  const Index n = layer.group_inputs();
  const Index m = layer.group_outputs();
  for (Index g = 0; g < layer.groups(); ++g) {
    result.middleCols(g * n, n).noalias() =
        X.middleCols(g * m, m) * layer.weights().middleCols(g * m, m).transpose();
  }
  return result;
}

}  // namespace detail
}  // namespace mgdl
