#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"

namespace mgdl {

/// One grade: hidden ReLU layers and a linear readout,
///
///     h_0 = x,  h_l = max(0, h_{l-1} W_l + b_l) for l = 1..L,  g(x) = h_L W_{L+1} + b_{L+1}.
///
/// h_L are the grade's features, the input of the next grade. Immutable but for assignment; several
/// threads may use a const one at a time. One that was moved from has no layers: it can be assigned
/// to, asked for its sizes, which are 0, and nothing else, for which it throws.
template <class Scalar_ = double>
class ReluNetwork {
 public:
  using Scalar = Scalar_;  ///< float or double

  /// \param layers  at least one hidden layer, then the readout; each layer's inputs are the
  ///                outputs of the one before
  /// \throws InvalidArgument for fewer than two layers or sizes that do not chain
  explicit ReluNetwork(std::vector<DenseLayer<Scalar>> layers) : m_layers(std::move(layers)) {
    if (m_layers.size() < 2) {
      throw InvalidArgument("layers", "a hidden layer and a readout",
                            std::to_string(m_layers.size()) + " layers");
    }
    for (std::size_t l = 1; l < m_layers.size(); ++l) {
      if (m_layers[l].inputs() == m_layers[l - 1].outputs()) continue;
      throw InvalidArgument("layers", std::to_string(m_layers[l - 1].outputs()) + " inputs",
                            std::to_string(m_layers[l].inputs()), "layer " + std::to_string(l));
    }
  }

  /// Values that the network takes for one sample.
  Index inputs() const noexcept { return m_layers.empty() ? 0 : m_layers.front().inputs(); }
  /// Values that the network gives for one sample.
  Index outputs() const noexcept { return m_layers.empty() ? 0 : m_layers.back().outputs(); }
  /// Number of features: width of the last hidden layer.
  Index width() const noexcept { return m_layers.empty() ? 0 : m_layers.back().inputs(); }
  /// L, the readout not counted.
  Index hidden_layers() const noexcept {
    return m_layers.empty() ? 0 : static_cast<Index>(m_layers.size()) - 1;
  }

  /// Hidden layers in order, then the readout.
  /// \{
  const std::vector<DenseLayer<Scalar>>& layers() const& noexcept { return m_layers; }
  std::vector<DenseLayer<Scalar>> layers() && { return std::move(m_layers); }
  /// \}
  /// The last layer, width() x outputs().
  /// \{
  const DenseLayer<Scalar>& readout() const& {
    require_layers();
    return m_layers.back();
  }
  DenseLayer<Scalar> readout() && {
    require_layers();
    return std::move(m_layers.back());
  }
  /// \}

  /// Number of weights and biases.
  Index parameters() const noexcept {
    Index count = 0;
    for (const auto& layer : m_layers) count += layer.parameters();
    return count;
  }

  /// Multiplications (each with an addition) to evaluate one sample.
  Index multiply_adds() const noexcept {
    Index count = 0;
    for (const auto& layer : m_layers) count += layer.multiply_adds();
    return count;
  }

  /// The same hidden layers with another readout.
  ReluNetwork with_readout(DenseLayer<Scalar> readout) const {
    require_layers();
    auto layers = m_layers;
    layers.back() = std::move(readout);
    return ReluNetwork(std::move(layers));
  }

  /// The network x -> factor * g(x).
  ReluNetwork scaled(Scalar factor) const {
    RowMatrix<Scalar> weights = readout().weights();
    RowVector<Scalar> bias = readout().bias();
    for (Index i = 0; i < weights.size(); ++i) weights.data()[i] *= factor;
    for (Index j = 0; j < bias.size(); ++j) bias[j] *= factor;
    return with_readout({std::move(weights), std::move(bias), readout().groups()});
  }

  /// g at each row of X (n x inputs): n x outputs. The bits of the result do not depend on the
  /// threads.
  RowMatrix<Scalar> predict(const ConstRowMatrixRef<Scalar>& X, const Executor& threads = {}) const;

  /// h_L at each row of X (n x inputs): n x width.
  RowMatrix<Scalar> features(const ConstRowMatrixRef<Scalar>& X,
                             const Executor& threads = {}) const;

  /// Output and features in one pass, written to the leading columns of matrices with n rows;
  /// either may be null.
  void evaluate(const ConstRowMatrixRef<Scalar>& X, detail::ThreadPool& pool,
                RowMatrix<Scalar>* output, RowMatrix<Scalar>* features) const;

  /// Equal layers.
  bool operator==(const ReluNetwork& other) const { return m_layers == other.m_layers; }

 private:
  void require_layers() const {
    if (m_layers.empty()) throw InvalidArgument("network", "layers", "none: it was moved from");
  }

  std::vector<DenseLayer<Scalar>> m_layers;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class ReluNetwork<float>;
extern template class ReluNetwork<double>;
}  // namespace mgdl
#else
#include "mgdl/network/relu_network_impl.hpp"  // IWYU pragma: export
#endif
