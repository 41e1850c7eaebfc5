#pragma once

#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// All numbers of a model in the order in which an evaluation needs them: mean_x, scale_x, for
/// every layer of every grade W (row by row) and b, then mean_y and scale_y.
template <class Scalar>
std::vector<Scalar> flat_parameters(const MultigradeModel<Scalar>& model) {
  std::vector<Scalar> values;
  const auto append = [&values](const auto& matrix) {
    values.insert(values.end(), matrix.data(), matrix.data() + matrix.size());
  };
  append(model.input_standardizer().mean());
  append(model.input_standardizer().scale());
  for (Index g = 1; g <= model.grades(); ++g) {
    for (const auto& layer : model.grade(g).network.layers()) {
      append(layer.weights());
      append(layer.bias());
    }
  }
  append(model.output_standardizer().mean());
  append(model.output_standardizer().scale());
  return values;
}

}  // namespace mgdl::detail
