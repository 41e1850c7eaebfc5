#include "mgdl/network/dense_layer.hpp"

#include <limits>
#include <string>

#include "support/samples.hpp"

using mgdl::DenseLayer;
using mgdl::Index;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::test::error_of;

TEMPLATE_TEST_CASE("a layer keeps its weights", "[network/dense_layer]", float, double) {
  const RowMatrix<TestType> weights{{1, 2, 3}, {4, 5, 6}};
  const RowVector<TestType> bias{{7, 8, 9}};
  const DenseLayer<TestType> layer(weights, bias);
  CHECK(layer.inputs() == 2);
  CHECK(layer.outputs() == 3);
  CHECK(layer.weights() == weights);
  CHECK(layer.bias() == bias);
  CHECK(layer.parameters() == 9);
  CHECK(layer.multiply_adds() == 6);

  CHECK(layer == DenseLayer<TestType>(weights, bias));
  RowMatrix<TestType> other = weights;
  other(1, 2) = 0;
  CHECK_FALSE(layer == DenseLayer<TestType>(other, bias));
  CHECK_FALSE(layer == DenseLayer<TestType>(weights, 2 * bias));
  CHECK_FALSE(layer == DenseLayer<TestType>(weights.topRows(1), bias));
  CHECK_FALSE(layer == DenseLayer<TestType>(weights.leftCols(2), bias.head(2)));
}

TEMPLATE_TEST_CASE("a layer with groups", "[network/dense_layer]", float, double) {
  const RowMatrix<TestType> compact{{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}};
  const RowVector<TestType> bias{{1, 2, 3, 4, 5, 6}};
  const DenseLayer<TestType> layer(compact, bias, 3);
  CHECK(layer.groups() == 3);
  CHECK(layer.inputs() == 6);
  CHECK(layer.outputs() == 6);
  CHECK(layer.group_inputs() == 2);
  CHECK(layer.group_outputs() == 2);
  CHECK(layer.weights() == compact);
  CHECK(layer.dense_weights() == RowMatrix<TestType>{{1, 2, 0, 0, 0, 0},
                                                     {7, 8, 0, 0, 0, 0},
                                                     {0, 0, 3, 4, 0, 0},
                                                     {0, 0, 9, 10, 0, 0},
                                                     {0, 0, 0, 0, 5, 6},
                                                     {0, 0, 0, 0, 11, 12}});
  CHECK(layer.parameters() == 18);
  CHECK(layer.multiply_adds() == 12);

  CHECK(layer == DenseLayer<TestType>(compact, bias, 3));
  CHECK_FALSE(layer == DenseLayer<TestType>(compact, bias, 2));
  CHECK_FALSE(layer == DenseLayer<TestType>(layer.dense_weights(), bias));
  const DenseLayer<TestType> one(compact, bias);
  CHECK(one.groups() == 1);
  CHECK(one.dense_weights() == compact);

  const auto message = [&](Index groups) {
    return error_of([&] { DenseLayer<TestType>(compact, bias, groups); });
  };
  CHECK(message(4) == "groups: expected a divisor of 6 outputs, found 4");
  CHECK(message(0) == "groups: expected a divisor of 6 outputs, found 0");
  CHECK(message(-2) == "groups: expected a divisor of 6 outputs, found -2");
}

TEMPLATE_TEST_CASE("layers that cannot be", "[network/dense_layer]", float, double) {
  using W = RowMatrix<TestType>;
  using B = RowVector<TestType>;
  const auto message = [](const W& weights, const B& bias) {
    return error_of([&] { DenseLayer<TestType>(weights, bias); });
  };
  CHECK(message(W(0, 3), B::Zero(3)) ==
        "weights: expected at least one row and one column, found 0 x 3");
  CHECK(message(W(2, 0), B(0)) == "weights: expected at least one row and one column, found 2 x 0");
  CHECK(message(W::Zero(2, 3), B::Zero(2)) == "bias: expected 3 columns, found 2");
  W weights = W::Ones(2, 3);
  weights(1, 2) = std::numeric_limits<TestType>::infinity();
  CHECK(message(weights, B::Zero(3)) ==
        "weights: expected finite values, found inf at row 1, column 2");
  B bias = B::Ones(3);
  bias[1] = std::numeric_limits<TestType>::quiet_NaN();
  CHECK(message(W::Zero(2, 3), bias) ==
        "bias: expected finite values, found nan at row 0, column 1");
}
