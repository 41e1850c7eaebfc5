#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"

/// \file
/// What exported code in floating point computes, operation by operation, and where that is
/// compared with the model.

namespace mgdl::detail {

/// Values whose products with weights are added up before they are added to the outputs.
inline constexpr int kProductsTogether = 4;

/// out += in W, of values that are not zero.
template <class Number, class Scalar>
void add_products(const DenseLayer<Scalar>& layer, const std::vector<Number>& in,
                  std::vector<Number>& out) {
  const Index n = layer.group_inputs();
  const Index m = layer.group_outputs();
  for (Index g = 0; g < layer.groups(); ++g) {
    const Number* from = in.data() + g * n;
    std::vector<Index> where;
    for (Index i = 0; i < n; ++i) {
      if (from[i] != 0) where.push_back(i);
    }
    const auto term = [&](std::size_t t, Index j) {
      return from[where[t]] * static_cast<Number>(layer.weights()(where[t], j));
    };
    std::size_t t = 0;
    for (; t + kProductsTogether <= where.size(); t += kProductsTogether) {
      for (Index j = g * m; j < (g + 1) * m; ++j) {
        out[static_cast<std::size_t>(j)] +=
            (term(t, j) + term(t + 1, j)) + (term(t + 2, j) + term(t + 3, j));
      }
    }
    for (; t < where.size(); ++t) {
      for (Index j = g * m; j < (g + 1) * m; ++j) out[static_cast<std::size_t>(j)] += term(t, j);
    }
  }
}

/// What exported code in floating point computes, each operation rounded to Number: n x c.
template <class Number, class Scalar>
Matrix<Number> predict_rounded(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& X) {
  using Row = std::vector<Number>;
  const auto row_of = [](const auto& values) {
    Row row;
    for (Index j = 0; j < values.size(); ++j) row.push_back(static_cast<Number>(values[j]));
    return row;
  };
  const Row in_mean = row_of(model.input_standardizer().mean());
  const Row in_scale = row_of(model.input_standardizer().scale());
  const Row out_mean = row_of(model.output_standardizer().mean());
  const Row out_scale = row_of(model.output_standardizer().scale());
  Matrix<Number> result(X.rows(), model.outputs());
  for (Index n = 0; n < X.rows(); ++n) {
    Row z = row_of(X.row(n));
    for (std::size_t j = 0; j < z.size(); ++j) z[j] = (z[j] - in_mean[j]) / in_scale[j];
    Row features = z;
    Row sum(out_mean.size());
    for (Index g = 1; g <= model.grades(); ++g) {
      const auto& layers = model.grade(g).network.layers();
      for (const auto& layer : layers) {
        Row out = row_of(layer.bias());
        add_products(layer, features, out);
        if (&layer == &layers.back()) {
          for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += out[j];
        } else {
          for (Number& value : out) value = value < 0 ? 0 : value;
          features = std::move(out);
        }
      }
      if (model.link() == FeatureLink::LastHiddenAndInput) {
        features.insert(features.end(), z.begin(), z.end());
      }
    }
    for (std::size_t j = 0; j < sum.size(); ++j) {
      result(n, static_cast<Index>(j)) = sum[j] * out_scale[j] + out_mean[j];
    }
  }
  return result;
}

/// Inputs at which exported code is compared with the model: up to `count` of the samples (n x d),
/// evenly spread, or, without samples, `count` drawn ones.
template <class Scalar>
Matrix<Scalar> inputs_to_compare_at(const MultigradeModel<Scalar>& model,
                                    const Matrix<Scalar>& samples, Index count) {
  const Index n = samples.rows();
  if (n > 0) count = std::min(count, n);
  Matrix<Scalar> X(count, model.inputs());
  RandomStream random(1);
  const auto& in = model.input_standardizer();
  for (Index i = 0; i < X.rows(); ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      X(i, j) = n > 0 ? samples(i * n / count, j)
                      : in.mean()[j] + in.scale()[j] * static_cast<Scalar>(random.normal());
    }
  }
  return X;
}

}  // namespace mgdl::detail
