#pragma once

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"

namespace mgdl::test {

/// `matrix` in the layout of detail::PanelShape, padded with zeros.
template <class Scalar, class Derived>
Vector<Scalar> to_panels(const Eigen::MatrixBase<Derived>& matrix) {
  const detail::PanelShape<Scalar> shape{matrix.rows(), matrix.cols()};
  Vector<Scalar> panels = Vector<Scalar>::Zero(shape.size());
  for (Index i = 0; i < matrix.rows(); ++i) {
    for (Index j = 0; j < matrix.cols(); ++j) panels[shape.at(i, j)] = matrix(i, j);
  }
  return panels;
}

template <class Scalar>
RowMatrix<Scalar> from_panels(const Vector<Scalar>& panels, Index rows, Index cols) {
  const detail::PanelShape<Scalar> shape{rows, cols};
  RowMatrix<Scalar> matrix(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) matrix(i, j) = panels[shape.at(i, j)];
  }
  return matrix;
}

/// Bounds the rounding errors of a product of matrices whose absolute values have the product
/// `bound`, if no sum has more than `terms` terms.
template <class Scalar>
Eigen::MatrixXd rounding_bound(const Eigen::MatrixXd& bound, Index terms) {
  return bound * (static_cast<double>(terms + 2) * std::numeric_limits<Scalar>::epsilon());
}

}  // namespace mgdl::test
