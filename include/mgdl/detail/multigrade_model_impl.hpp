#pragma once

#include <cstddef>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/predictor.hpp"

namespace mgdl {

template <class Scalar>
Predictor<Scalar> MultigradeModel<Scalar>::predictor(int threads) const {
  return Predictor<Scalar>(*this, threads);
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::predict(const ConstMatrixRef<Scalar>& X, Index k) const {
  Matrix<Scalar> result(X.rows(), outputs());
  predictor().predict_into(X, result, k);
  return result;
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::features(const ConstMatrixRef<Scalar>& X, Index k) const {
  Matrix<Scalar> result(X.rows(), feature_count(k));
  predictor().features_into(X, result, k);
  return result;
}

template <class Scalar>
Matrix<Scalar> MultigradeModel<Scalar>::jacobian(const ConstVectorRef<Scalar>& x, Index k) const {
  require_grades(k);
  detail::require_rows("x", inputs(), x.rows());
  detail::require_finite("x", x);
  const RowVector<Scalar> input = (x.transpose() - m_input.mean()).cwiseQuotient(m_input.scale());
  const Matrix<Scalar> input_derivative =
      Matrix<Scalar>(m_input.scale().cwiseInverse().asDiagonal());
  RowVector<Scalar> value = input;
  Matrix<Scalar> derivative = input_derivative;  // d x width of `value`
  Matrix<Scalar> sum = Matrix<Scalar>::Zero(inputs(), outputs());
  for (Index g = 0; g < k; ++g) {
    const auto& layers = m_grades[static_cast<std::size_t>(g)].network.layers();
    for (std::size_t l = 0; l + 1 < layers.size(); ++l) {
      value = value * layers[l].weights() + layers[l].bias();
      derivative = derivative * layers[l].weights();
      for (Index j = 0; j < value.size(); ++j) {
        if (value[j] > 0) continue;
        value[j] = 0;
        derivative.col(j).setZero();
      }
    }
    sum += derivative * layers.back().weights();
    if (m_link == FeatureLink::LastHiddenAndInput) {
      value = (RowVector<Scalar>(value.size() + input.size()) << value, input).finished();
      derivative =
          (Matrix<Scalar>(inputs(), derivative.cols() + inputs()) << derivative, input_derivative)
              .finished();
    }
  }
  return m_output.scale().transpose().asDiagonal() * sum.transpose();
}

}  // namespace mgdl
