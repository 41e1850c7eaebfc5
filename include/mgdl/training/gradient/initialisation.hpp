#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/sampled/units.hpp"

namespace mgdl::detail {

/// Starts the units of hidden layers so that they differ where the samples are.
///
/// Each unit, before its ReLU, starts as a linear fit of white noise: independent normal numbers
/// xi_s at probe samples s, fitted by ridge regression on the (centred) values F of the layer
/// below,
///
///     w = (F'F / s + ridge * trace / m * I)^{-1} F' xi / s.
///
/// With independent inputs this is the usual normal start. Where inputs are correlated, as hidden
/// values always are, normal weights would make all units nearly the same smooth function; these
/// use every direction in which the samples differ. The bias then puts the unit's kink at a random
/// probe, and the length gives it a root mean square of sqrt(2), so that features have size 1
/// whatever the scale of the layer below.
///
/// (Kinks at samples: Bolager et al., arXiv 2306.16830; the size: He et al., arXiv 1502.01852,
/// measured instead of assumed.)
template <class Scalar>
class UnitInitialiser {
  using Real = typename Wide<Scalar>::Real;

 public:
  /// Looks at up to kProbes random samples of positive weight.
  UnitInitialiser(const PanelNetwork<Scalar>& network, const Samples<Scalar>& samples, double ridge,
                  RandomStream& random)
      : m_random(random), m_ridge(ridge) {
    m_values.resize(network.layers().size());
    m_values[0] = draw_samples(samples, kProbes, /*shuffled=*/true, random).inputs;
  }

  /// All units of all hidden layers; the readout is left as it is.
  void start_all(PanelNetwork<Scalar>& network) {
    for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
      std::vector<Index> units;
      for (Index j = 0; j < network.layers()[l].outputs(); ++j) units.push_back(j);
      start_units(network, l, units);
      probe_layer(network, l);
    }
  }

  /// Restarts every hidden unit that is zero on all probes, and cuts what it fed, so that the
  /// output does not change at any probe. `restarted(layer, unit)` is called for each.
  Index revive(PanelNetwork<Scalar>& network, FunctionRef<void(std::size_t, Index)> restarted) {
    Index count = 0;
    for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
      probe_layer(network, l);
      std::vector<Index> dead;
      for (Index j = 0; j < network.layers()[l].outputs(); ++j) {
        if (!(m_values[l + 1].col(j).maxCoeff() > 0)) dead.push_back(j);
      }
      if (dead.empty()) continue;
      start_units(network, l, dead);
      for (Index j : dead) {
        for (Index k = 0; k < network.layers()[l + 1].outputs(); ++k) {
          network.weight(l + 1, j, k) = 0;
        }
        restarted(l, j);
      }
      probe_layer(network, l);
      count += static_cast<Index>(dead.size());
    }
    return count;
  }

 private:
  static constexpr Index kProbes = 1024;
  static constexpr double kBeside = 0.01;  // distance of kinks from probes

  void start_units(PanelNetwork<Scalar>& network, std::size_t l, const std::vector<Index>& units) {
    const Index n = m_values[l].rows();
    const auto probes = static_cast<double>(n);
    Matrix<Real> values(n, m_values[l].cols());
    Matrix<Real> centred(n, values.cols());
    for (Index j = 0; j < values.cols(); ++j) {
      for (Index i = 0; i < n; ++i) values(i, j) = static_cast<double>(m_values[l](i, j));
      const double mean = values.col(j).mean();
      for (Index i = 0; i < n; ++i) centred(i, j) = values(i, j) - mean;
    }
    Matrix<Real> noise(centred.rows(), static_cast<Index>(units.size()));
    for (Index j = 0; j < noise.cols(); ++j) {
      for (Index i = 0; i < noise.rows(); ++i) noise(i, j) = m_random.normal();
    }
    Matrix<Real> system = transposed_product(centred, centred);
    Matrix<Real> fits = transposed_product(centred, noise);
    for (Index i = 0; i < system.size(); ++i) system.data()[i] /= probes;
    for (Index i = 0; i < fits.size(); ++i) fits.data()[i] /= probes;
    double trace = 0;
    for (Index j = 0; j < system.rows(); ++j) trace += system(j, j);
    const double diagonal = trace / static_cast<double>(system.rows());
    const double ridge = diagonal > 0 ? m_ridge * diagonal : 1.0;
    for (Index j = 0; j < system.rows(); ++j) system(j, j) += ridge;
    const Matrix<Real> directions = Cholesky<Real>(system).solve(fits);
    const Matrix<Real> products = product(values, directions);
    for (Index k = 0; k < noise.cols(); ++k) {
      const Index j = units[static_cast<std::size_t>(k)];
      const auto probe =
          static_cast<Index>(m_random.below(static_cast<std::uint64_t>(values.rows())));
      // Beside the probe, not on it: whether a value that is zero up to rounding counts as active
      // would be chance.
      const double rms = std::sqrt(products.col(k).squaredNorm() / probes);
      const double shift = -products(probe, k) - kBeside * rms * m_random.normal();
      const double square = (products.col(k).array() + shift).square().mean();
      // If all probes are alike, no length is better than any other.
      const double length = square > 0 && std::isfinite(square) ? std::sqrt(2 / square) : 1.0;
      for (Index i = 0; i < values.cols(); ++i) {
        network.weight(l, i, j) = static_cast<Scalar>(directions(i, k) * length);
      }
      network.bias(l)[j] = static_cast<Scalar>(shift * length);
    }
  }

  /// Values of layer l at the probes.
  void probe_layer(const PanelNetwork<Scalar>& network, std::size_t l) {
    const auto& layer = network.layers()[l];
    const RowMatrix<Scalar>& in = m_values[l];
    RowMatrix<Scalar> out(in.rows(), layer.stride());
    network.apply_layer(l, in.rows(), {in.data(), in.cols(), 1}, out.data(), layer.stride());
    m_values[l + 1].resize(in.rows(), layer.outputs());
    for (Index i = 0; i < in.rows(); ++i) {
      const Scalar* from = out.data() + i * layer.stride();
      std::copy(from, from + layer.outputs(), m_values[l + 1].data() + i * layer.outputs());
    }
  }

  RandomStream& m_random;
  double m_ridge;
  std::vector<RowMatrix<Scalar>> m_values;  // inputs of each layer at the probes
};

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

/// Small normal weights everywhere: hidden ones of standard deviation scale * sqrt(2 / inputs),
/// those of the readout of `readout` * sqrt(2 / inputs), and no biases. The function starts near
/// zero, and units turn to where the targets change. Source: Chizat, Oyallon & Bach, "On lazy
/// training in differentiable programming" (arXiv 1812.07956).
template <class Scalar>
void start_rich(PanelNetwork<Scalar>& network, double scale, double readout, RandomStream& random) {
  const std::size_t last = network.layers().size() - 1;
  for (std::size_t l = 0; l <= last; ++l) {
    const auto& layer = network.layers()[l];
    const double spread =
        (l < last ? scale : readout) * std::sqrt(2.0 / static_cast<double>(layer.inputs()));
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
void start_sampled(PanelNetwork<Scalar>& network, const Samples<Scalar>& samples,
                   RandomStream& random) {
  SampledUnits<> sampler(samples, network.width(), random);
  for (std::size_t l = 0; l + 1 < network.layers().size(); ++l) {
    const auto& layer = network.layers()[l];
    const auto drawn = sampler.draw(layer.outputs());
    SampledUnits<>::Units units{RowMatrix<double>(layer.inputs(), layer.outputs()),
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
