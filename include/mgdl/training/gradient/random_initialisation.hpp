#pragma once

#include <cmath>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/sampled/units.hpp"

/// \file
/// Starts of hidden layers to compare UnitInitialiser with.

namespace mgdl::detail {

/// Normal weights of variance 2 / inputs and no biases. Source: He et al. (arXiv 1502.01852).
template <class Scalar>
void start_he(PanelNetwork<Scalar>& network, RandomStream& random) {
  for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
    const auto& layer = network.layers()[l];
    const double spread = std::sqrt(2.0 / static_cast<double>(layer.inputs()));
    for (Index j = 0; j < layer.outputs(); ++j) {
      for (Index i = 0; i < layer.inputs(); ++i) {
        network.weight(l, i, j) = static_cast<Scalar>(spread * random.normal());
      }
      network.bias(l)[j] = 0;
    }
  }
}

/// Units drawn from pairs of samples, see SampledUnits. Where there are not enough different ones,
/// the units stay as they are.
template <class Scalar>
void start_sampled(PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                   RandomStream& random) {
  SampledUnits sampler(samples, network.width(), random);
  for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
    const auto& layer = network.layers()[l];
    const auto drawn = sampler.draw(layer.outputs());
    SampledUnits::Units units{RowMatrix<double>(layer.inputs(), layer.outputs()),
                              RowVector<double>(layer.outputs())};
    for (Index j = 0; j < layer.outputs(); ++j) {
      for (Index i = 0; i < layer.inputs(); ++i) {
        if (j < drawn.bias.size()) {
          network.weight(l, i, j) = static_cast<Scalar>(drawn.weights(i, j));
        }
        units.weights(i, j) = static_cast<double>(network.weight(l, i, j));
      }
      if (j < drawn.bias.size()) network.bias(l)[j] = static_cast<Scalar>(drawn.bias[j]);
      units.bias[j] = static_cast<double>(network.bias(l)[j]);
    }
    sampler.advance(units);
  }
}

}  // namespace mgdl::detail
