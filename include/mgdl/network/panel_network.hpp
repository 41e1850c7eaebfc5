#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/network/dense_layer.hpp"

namespace mgdl::detail {

/// Rows that are carried through all layers at once when a network is evaluated: few enough for the
/// activations to stay in the cache and for small batches to occupy all threads, and a multiple of
/// the tile.
inline constexpr Index kForwardRows = 11 * kTileRows;

/// Two buffers that the layers of a network write in turn, `rows` x `stride` each.
template <class Scalar>
struct ForwardScratch {
  Index stride = 0;
  AlignedVector<Scalar> buffers[2];
  AlignedVector<Scalar> output;  // rows x padded(outputs)

  void reserve(Index rows, Index hidden_stride, Index output_stride) {
    stride = std::max(stride, hidden_stride);
    for (auto& buffer : buffers) {
      if (buffer.size() < rows * stride) buffer.setZero(rows * stride);
    }
    if (output.size() < rows * output_stride) output.setZero(rows * output_stride);
  }
};

/// Adds the bias to a tile (rows x width, whole registers) of a layer's products, followed by ReLU
/// in a hidden layer.
template <class Scalar>
void finish_layer(const Scalar* bias, bool hidden, Index rows, Index width, Scalar* tile,
                  Index stride) {
  using P = Packet<Scalar>;
  const P zero = packet::pset1<P>(Scalar(0));
  for (Index v = 0; v < width; v += kLanes<Scalar>) {
    const P shift = packet::ploadu<P>(bias + v);
    for (Index r = 0; r < rows; ++r) {
      Scalar* at = tile + r * stride + v;
      P value = packet::padd(packet::ploadu<P>(at), shift);
      // A NaN must survive: pmax would turn it into 0 on some machines.
      if (hidden) value = packet::pselect(packet::pcmp_lt(value, zero), zero, value);
      packet::pstoreu(at, value);
    }
  }
}

/// A ReLU network (hidden ReLU layers, then a linear readout) in the layout its kernels work on:
/// all weights and biases in one vector, weights in panels, padded with zeros to whole registers.
/// Being one vector, it is also what an optimiser updates.
///
/// A layer with groups has panels for each group by itself, and is evaluated one group after the
/// other. Groups need not be a whole number of registers wide, and their values have no gaps
/// between them: what the last register of a group writes beyond it is where the next group writes
/// after it, or, after the last one, inside of the stride.
template <class Scalar>
class PanelNetwork {
 public:
  struct Layer {
    PanelShape<Scalar> shape;  // of one group: inputs x outputs
    Index weights = 0;         // offset of the first panel
    Index bias = 0;            // offset of stride() biases
    Index groups = 1;

    Index inputs() const noexcept { return groups * shape.rows; }
    Index outputs() const noexcept { return groups * shape.cols; }
    /// Columns that are written, in whole registers.
    Index stride() const noexcept {
      return padded<Scalar>((groups - 1) * shape.cols + padded<Scalar>(shape.cols));
    }
  };

  PanelNetwork() = default;

  /// \param sizes  inputs, width of each hidden layer, outputs; the parameters start at zero
  explicit PanelNetwork(const std::vector<Index>& sizes) : PanelNetwork(sizes, {}) {}

  explicit PanelNetwork(const std::vector<DenseLayer<Scalar>>& layers);

  /// The same network as plain layers.
  std::vector<DenseLayer<Scalar>> to_layers() const;

  const std::vector<Layer>& layers() const noexcept { return m_layers; }
  Index inputs() const noexcept { return m_layers.front().inputs(); }
  Index outputs() const noexcept { return m_layers.back().outputs(); }
  /// Width of the last hidden layer.
  Index width() const noexcept { return m_layers.back().inputs(); }

  AlignedVector<Scalar>& parameters() noexcept { return m_parameters; }
  const AlignedVector<Scalar>& parameters() const noexcept { return m_parameters; }

  /// Of the compact matrix, in a layer with groups.
  /// \{
  Scalar& weight(std::size_t layer, Index i, Index j) {
    return m_parameters[place(m_layers[layer], i, j)];
  }
  Scalar weight(std::size_t layer, Index i, Index j) const {
    return m_parameters[place(m_layers[layer], i, j)];
  }
  /// \}
  Scalar* bias(std::size_t layer) { return m_parameters.data() + m_layers[layer].bias; }
  const Scalar* bias(std::size_t layer) const { return m_parameters.data() + m_layers[layer].bias; }

  /// out (rows x stride) = in W + b of one layer, followed by ReLU for all but the readout.
  void apply_layer(std::size_t l, Index rows, Strided<Scalar> in, Scalar* out,
                   Index out_stride) const;

  /// Smallest stride that holds the output of every hidden layer.
  Index hidden_stride() const noexcept {
    Index stride = 0;
    for (std::size_t l = 0; l + 1 < m_layers.size(); ++l) {
      stride = std::max(stride, m_layers[l].stride());
    }
    return stride;
  }

  /// Of the output of the network: padded(outputs()), or more where the readout has groups.
  Index output_stride() const noexcept { return m_layers.back().stride(); }

  void reserve(ForwardScratch<Scalar>& scratch, Index rows) const {
    scratch.reserve(rows, hidden_stride(), output_stride());
  }

  /// Evaluates `rows` samples. The output is left in scratch.output, row stride
  /// output_stride(); returns the last hidden layer's values, row stride scratch.stride, which
  /// lie in one of the scratch buffers. `in` may lie in a scratch buffer too, in which case
  /// `in_buffer` says which.
  Scalar* forward(Index rows, Strided<Scalar> in, ForwardScratch<Scalar>& scratch,
                  int in_buffer = 1) const;

 private:
  /// groups: of each layer; empty for one in all of them
  PanelNetwork(const std::vector<Index>& sizes, const std::vector<Index>& groups);

  static std::vector<Index> sizes_of(const std::vector<DenseLayer<Scalar>>& layers);
  static std::vector<Index> groups_of(const std::vector<DenseLayer<Scalar>>& layers);

  /// Where element (i, j) of the layer's compact matrix is.
  static Index place(const Layer& layer, Index i, Index j) noexcept {
    if (layer.groups == 1) return layer.weights + layer.shape.at(i, j);
    const Index group = j / layer.shape.cols;
    return layer.weights + group * layer.shape.size() +
           layer.shape.at(i, j - group * layer.shape.cols);
  }

  std::vector<Layer> m_layers;
  AlignedVector<Scalar> m_parameters;
};

template <class Scalar>
PanelNetwork<Scalar>::PanelNetwork(const std::vector<Index>& sizes,
                                   const std::vector<Index>& groups) {
  Index offset = 0;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const Index count = groups.empty() ? 1 : groups[l];
    Layer layer{{sizes[l] / count, sizes[l + 1] / count}, offset, 0, count};
    layer.bias = offset + count * layer.shape.size();
    offset = layer.bias + layer.stride();
    m_layers.push_back(layer);
  }
  m_parameters.setZero(offset);
}

template <class Scalar>
PanelNetwork<Scalar>::PanelNetwork(const std::vector<DenseLayer<Scalar>>& layers)
    : PanelNetwork(sizes_of(layers), groups_of(layers)) {
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = m_layers[l];
    for (Index j = 0; j < layer.outputs(); ++j) {
      bias(l)[j] = layers[l].bias()[j];
      for (Index i = 0; i < layer.shape.rows; ++i) weight(l, i, j) = layers[l].weights()(i, j);
    }
  }
}

template <class Scalar>
std::vector<DenseLayer<Scalar>> PanelNetwork<Scalar>::to_layers() const {
  std::vector<DenseLayer<Scalar>> layers;
  for (std::size_t l = 0; l < m_layers.size(); ++l) {
    const Layer& layer = m_layers[l];
    RowMatrix<Scalar> weights(layer.shape.rows, layer.outputs());
    for (Index i = 0; i < layer.shape.rows; ++i) {
      for (Index j = 0; j < layer.outputs(); ++j) weights(i, j) = weight(l, i, j);
    }
    RowVector<Scalar> biases(layer.outputs());
    std::copy(bias(l), bias(l) + layer.outputs(), biases.data());
    layers.emplace_back(std::move(weights), std::move(biases), layer.groups);
  }
  return layers;
}

template <class Scalar>
void PanelNetwork<Scalar>::apply_layer(std::size_t l, Index rows, Strided<Scalar> in, Scalar* out,
                                       Index out_stride) const {
  const Layer& layer = m_layers[l];
  const Scalar* b = bias(l);
  const Scalar* weights = m_parameters.data() + layer.weights;
  const bool hidden = l + 1 < m_layers.size();
  for (Index g = 0; g < layer.groups; ++g) {
    gemm(rows, in, layer.shape, weights, out, out_stride,
         [&](Scalar* tile, Index, Index tile_rows, Index col, Index width) {
           finish_layer(b + col, hidden, tile_rows, width, tile, out_stride);
         });
    in.data += layer.shape.rows * in.col_stride;
    weights += layer.shape.size();
    b += layer.shape.cols;
    out += layer.shape.cols;
  }
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
  apply_layer(m_layers.size() - 1, rows, in, scratch.output.data(), output_stride());
  return scratch.buffers[1 - next].data();
}

template <class Scalar>
std::vector<Index> PanelNetwork<Scalar>::sizes_of(const std::vector<DenseLayer<Scalar>>& layers) {
  std::vector<Index> sizes{layers.front().inputs()};
  for (const auto& layer : layers) sizes.push_back(layer.outputs());
  return sizes;
}

template <class Scalar>
std::vector<Index> PanelNetwork<Scalar>::groups_of(const std::vector<DenseLayer<Scalar>>& layers) {
  std::vector<Index> groups;
  for (const auto& layer : layers) groups.push_back(layer.groups());
  return groups;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class PanelNetwork<float>;
extern template class PanelNetwork<double>;
}  // namespace mgdl::detail
#endif
