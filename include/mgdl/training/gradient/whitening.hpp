#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"

namespace mgdl::detail {

/// Affine map z = (x - mean) T that makes features uncorrelated with variance 1, and its inverse
/// use: a first layer trained on z becomes one on x by `fold`.
///
/// T = L^{-T} with L L' = covariance + floor * t * I, t the mean variance: directions with far less
/// variance than floor * t stay small instead of being blown up from rounding. Unlike principal
/// components, whose signs are arbitrary, T depends continuously on the samples.
///
/// The features of a grade are frozen, so one factorisation preconditions its first layer for the
/// whole training. Without it, gradient steps see almost only the few smooth directions that hold
/// nearly all of the variance; the fine ones, which later grades live on, are learnt last or never
/// (spectral bias). The networks that can be reached are the same.
template <class Scalar>
class Whitening {
  using Real = typename Wide<Scalar>::Real;

 public:
  Whitening(const Samples<Scalar>& samples, double floor, ThreadPool& pool) {
    const Index m = samples.inputs.cols();
    const Matrix<Real> moments = sample_moments<Real>(
        samples, m + 1, m + 1, pool,
        [&](const SampleView<Scalar>& block, Index first, Index count, double* z, Index stride,
            int) {
          for (Index i = 0; i < count; ++i, z += stride) {
            const double root = std::sqrt(static_cast<double>(block.weights[first + i]));
            for (Index j = 0; j < m; ++j) {
              z[j] = root * static_cast<double>(block.inputs(first + i, j));
            }
            z[m] = root;
          }
        });
    const RowVector<Real> mean = moments.row(m).head(m) / moments(m, m);
    Matrix<Real> covariance = moments.topLeftCorner(m, m) / moments(m, m) - mean.transpose() * mean;
    const double variance = covariance.trace() / static_cast<double>(m);
    // Without any variance all samples are alike, and any T will do. The smallest floor covers the
    // rounding of the covariance.
    constexpr double kRounding = 1e-14;
    const double ridge =
        variance > 0 ? std::max(floor, static_cast<double>(m) * kRounding) * variance : 1.0;
    for (Index j = 0; j < m; ++j) covariance(j, j) += ridge;
    const Cholesky<Real> factor(covariance);
    Matrix<Real> transform = Matrix<Real>::Identity(m, m);
    if (factor.ok()) factor.solve_upper(transform);
    const RowVector<Real> shift = -mean * transform;
    m_map = PanelNetwork<Real>({m, m});
    for (Index j = 0; j < m; ++j) {
      for (Index i = 0; i < m; ++i) m_map.weight(0, i, j) = transform(i, j);
      m_map.bias(0)[j] = shift[j];
    }
  }

  /// z for each row of x, n x m.
  RowMatrix<Scalar> apply(const ConstRowMatrixRef<Scalar>& x, ThreadPool& pool) const {
    const Index m = m_map.inputs();
    RowMatrix<Scalar> z(x.rows(), m);
    // In double: small directions are small differences of large numbers.
    std::vector<RowMatrix<Real>> in(static_cast<std::size_t>(pool.size()),
                                    RowMatrix<Real>(kForwardRows, m));
    std::vector<ForwardScratch<Real>> out(static_cast<std::size_t>(pool.size()));
    for (auto& scratch : out) m_map.reserve(scratch, kForwardRows);
    pool.parallel_for((x.rows() + kForwardRows - 1) / kForwardRows, [&](Index block, int thread) {
      auto& rows = in[static_cast<std::size_t>(thread)];
      auto& scratch = out[static_cast<std::size_t>(thread)];
      const Index first = block * kForwardRows;
      const Index count = std::min(kForwardRows, x.rows() - first);
      for (Index i = 0; i < count; ++i) {
        for (Index j = 0; j < m; ++j) rows(i, j) = static_cast<double>(x(first + i, j));
      }
      m_map.forward(count, {rows.data(), m, 1}, scratch);
      const Index stride = m_map.layers().front().stride();
      for (Index i = 0; i < count; ++i) {
        for (Index j = 0; j < m; ++j) {
          z(first + i, j) = static_cast<Scalar>(scratch.output[i * stride + j]);
        }
      }
    });
    return z;
  }

  /// Turns a network on z into the one on x that gives the same. False if that overflows; the
  /// network is then the zero function.
  bool fold(PanelNetwork<Scalar>& network) const {
    const Index m = m_map.inputs();
    const auto& layer = network.layers().front();
    bool finite = true;
    RowVector<Real> trained(m);
    for (Index j = 0; j < layer.outputs(); ++j) {
      for (Index i = 0; i < m; ++i) trained[i] = static_cast<double>(network.weight(0, i, j));
      double bias = static_cast<double>(network.bias(0)[j]);
      for (Index k = 0; k < m; ++k) bias += m_map.bias(0)[k] * trained[k];
      for (Index i = 0; i < m; ++i) {
        double weight = 0;
        for (Index k = i; k < m; ++k) weight += m_map.weight(0, i, k) * trained[k];
        network.weight(0, i, j) = static_cast<Scalar>(weight);
        finite = finite && std::isfinite(network.weight(0, i, j));
      }
      network.bias(0)[j] = static_cast<Scalar>(bias);
      finite = finite && std::isfinite(network.bias(0)[j]);
    }
    if (!finite) network.parameters().setZero();
    return finite;
  }

 private:
  // A single layer without ReLU: weights T (upper triangular), bias -mean T.
  PanelNetwork<Real> m_map;
};

}  // namespace mgdl::detail
