#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/panel_network.hpp"

namespace mgdl::detail {

template <class Scalar>
PanelNetwork<Scalar>::PanelNetwork(const std::vector<Index>& sizes) {
  Index offset = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    Layer layer{{sizes[l], sizes[l + 1]}, offset, 0};
    layer.bias = offset + layer.shape.size();
    offset = layer.bias + layer.stride();
    m_layers.push_back(layer);
  }
  m_parameters.setZero(offset);
}

template <class Scalar>
PanelNetwork<Scalar>::PanelNetwork(const std::vector<DenseLayer<Scalar>>& layers)
    : PanelNetwork(sizes_of(layers)) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = m_layers[l];
    for (Index j = 0; j < layer.outputs(); ++j) {
      bias(l)[j] = layers[l].bias()[j];
      for (Index i = 0; i < layer.inputs(); ++i) weight(l, i, j) = layers[l].weights()(i, j);
    }
  }
}

template <class Scalar>
std::vector<DenseLayer<Scalar>> PanelNetwork<Scalar>::to_layers() const {
  std::vector<DenseLayer<Scalar>> layers;
  for (std::size_t l = 0; l < m_layers.size(); ++l) {
    const Layer& layer = m_layers[l];
    RowMatrix<Scalar> weights(layer.inputs(), layer.outputs());
    for (Index i = 0; i < layer.inputs(); ++i) {
      for (Index j = 0; j < layer.outputs(); ++j) weights(i, j) = weight(l, i, j);
    }
    RowVector<Scalar> biases(layer.outputs());
    std::copy(bias(l), bias(l) + layer.outputs(), biases.data());
    layers.emplace_back(std::move(weights), std::move(biases));
  }
  return layers;
}

template <class Scalar>
void PanelNetwork<Scalar>::apply_layer(std::size_t l, Index rows, Strided<Scalar> in, Scalar* out,
                                       Index out_stride) const {
  const Scalar* b = bias(l);
  const bool hidden = l + 1 < m_layers.size();
  gemm(rows, in, m_layers[l].shape, m_parameters.data() + m_layers[l].weights, out, out_stride,
       [&](Scalar* tile, Index, Index tile_rows, Index col, Index width) {
         finish_layer(b + col, hidden, tile_rows, width, tile, out_stride);
       });
}

template <class Scalar>
Scalar* PanelNetwork<Scalar>::forward(Index rows, Strided<Scalar> in,
                                      ForwardScratch<Scalar>& scratch, int in_buffer) const {
  int next = 1 - in_buffer;
  for (std::size_t l = 0; l + 1 < m_layers.size(); ++l) {
    Scalar* out = scratch.buffers[next].data();
    apply_layer(l, rows, in, out, scratch.stride);
    in = {out, scratch.stride, 1};
    next = 1 - next;
  }
  apply_layer(m_layers.size() - 1, rows, in, scratch.output.data(), m_layers.back().stride());
  return scratch.buffers[1 - next].data();
}

template <class Scalar>
std::vector<Index> PanelNetwork<Scalar>::sizes_of(const std::vector<DenseLayer<Scalar>>& layers) {
  std::vector<Index> sizes{layers.front().inputs()};
  for (const auto& layer : layers) sizes.push_back(layer.outputs());
  return sizes;
}

#ifdef MGDL_COMPILED
template class PanelNetwork<float>;
template class PanelNetwork<double>;
#endif

}  // namespace mgdl::detail
