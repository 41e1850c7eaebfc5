#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"

namespace mgdl::detail {

/// Starts the units of hidden layers where the samples are.
///
/// A unit gets a random normal direction, a bias that puts its kink at a random sample (as that
/// layer sees it), and a length that gives its values before the ReLU a root mean square of sqrt(2)
/// over the samples. So every unit bends among the samples whatever their scale, about half of the
/// samples lie on its active side, and the features of the layer have size 1.
/// (Kinks at samples: Bolager et al., arXiv 2306.16830. The size is that of He et al.,
/// arXiv 1502.01852, measured instead of assumed.)
template <class Scalar>
class UnitInitialiser {
 public:
  /// Looks at up to kProbes random samples of positive weight.
  UnitInitialiser(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                  RandomStream& random)
      : m_random(random) {
    std::vector<Index> rows;
    for (Index i = 0; i < samples.size(); ++i) {
      if (samples.weights[i] > 0) rows.push_back(i);
    }
    random.shuffle(rows);
    if (static_cast<Index>(rows.size()) > kProbes) rows.resize(kProbes);
    m_values.resize(network.layers().size());
    m_values[0] = samples.inputs(rows, Eigen::all);
  }

  /// All units of all hidden layers; the readout is left as it is.
  void start_all(PanelNetwork<Scalar>& network) {
    for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
      for (Index j = 0; j < network.layers()[l].outputs(); ++j) start_unit(network, l, j);
      probe_layer(network, l);
    }
  }

  /// Restarts every hidden unit that is zero on all probes, and cuts what it fed, so that the
  /// output does not change at any probe. `restarted(layer, unit)` is called for each.
  template <class Restarted>
  Index revive(PanelNetwork<Scalar>& network, const Restarted& restarted) {
    Index count = 0;
    for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
      probe_layer(network, l);
      bool changed = false;
      for (Index j = 0; j < network.layers()[l].outputs(); ++j) {
        if (m_values[l + 1].col(j).maxCoeff() > 0) continue;
        start_unit(network, l, j);
        for (Index k = 0; k < network.layers()[l + 1].outputs(); ++k) {
          network.weight(l + 1, j, k) = 0;
        }
        restarted(l, j);
        changed = true;
        ++count;
      }
      if (changed) probe_layer(network, l);
    }
    return count;
  }

 private:
  static constexpr Index kProbes = 1024;

  void start_unit(PanelNetwork<Scalar>& network, std::size_t l, Index j) {
    const RowMatrix<Scalar>& in = m_values[l];
    m_direction.resize(in.cols());
    for (Index i = 0; i < in.cols(); ++i) m_direction[i] = static_cast<Scalar>(m_random.normal());
    const auto probe = static_cast<Index>(m_random.below(static_cast<std::uint64_t>(in.rows())));
    const Scalar shift = -in.row(probe).dot(m_direction);
    m_product.noalias() = in * m_direction;
    const auto square = static_cast<double>((m_product.array() + shift).square().mean());
    // If all probes are alike, no scale is better than any other.
    const double length = square > 0 && std::isfinite(square) ? std::sqrt(2 / square) : 1.0;
    for (Index i = 0; i < in.cols(); ++i) {
      network.weight(l, i, j) = m_direction[i] * static_cast<Scalar>(length);
    }
    network.bias(l)[j] = shift * static_cast<Scalar>(length);
  }

  /// Values of layer l at the probes.
  void probe_layer(const PanelNetwork<Scalar>& network, std::size_t l) {
    const auto& layer = network.layers()[l];
    const RowMatrix<Scalar>& in = m_values[l];
    RowMatrix<Scalar> out(in.rows(), layer.stride());
    network.apply_layer(l, in.rows(), {in.data(), in.cols(), 1}, out.data(), layer.stride());
    m_values[l + 1] = out.leftCols(layer.outputs());
  }

  RandomStream& m_random;
  std::vector<RowMatrix<Scalar>> m_values;  // inputs of each layer at the probes
  Vector<Scalar> m_direction;
  Vector<Scalar> m_product;
};

}  // namespace mgdl::detail
