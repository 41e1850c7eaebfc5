#pragma once

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/gemm.hpp"
#include "mgdl/detail/sample_moments.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/network/dense_layer.hpp"

namespace mgdl::detail {

/// Affine map z = (x - mean) T that makes features uncorrelated with variance 1 (principal
/// components, T = V L^{-1/2}), and its inverse use: a first layer trained on z becomes one on x by
/// `fold`.
///
/// The features of a grade are frozen, so one eigenvalue problem preconditions its first layer for
/// the whole training. Without it, gradient steps see almost only the few smooth directions that
/// hold nearly all of the variance; the fine ones, which later grades live on, are learnt last or
/// never (spectral bias). The networks that can be reached are the same.
template <class Scalar>
class Whitening {
 public:
  /// Directions whose variance is at most `floor` times the largest are dropped.
  Whitening(const SampleView<Scalar>& samples, double floor, ThreadPool& pool) {
    const Index m = samples.inputs.cols();
    const Eigen::MatrixXd moments = sample_moments(
        samples.size(), m + 1, m + 1, pool,
        [&](Index first, Index count, double* z, Index stride, int) {
          for (Index i = 0; i < count; ++i, z += stride) {
            const double root = std::sqrt(static_cast<double>(samples.weights[first + i]));
            for (Index j = 0; j < m; ++j) {
              z[j] = root * static_cast<double>(samples.inputs(first + i, j));
            }
            z[m] = root;
          }
        });
    m_mean = moments.row(m).head(m) / moments(m, m);
    const Eigen::MatrixXd covariance =
        moments.topLeftCorner(m, m) / moments(m, m) - m_mean.transpose() * m_mean;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(covariance);
    const double largest = eigen.eigenvalues()[m - 1];
    Index rank = 0;
    // Eigenvalues ascend.
    while (rank < m && eigen.eigenvalues()[m - 1 - rank] > floor * largest) ++rank;
    if (!(largest > 0) || eigen.info() != Eigen::Success) rank = 0;
    // Constant features: one direction that is always zero keeps all shapes valid.
    m_transform = Eigen::MatrixXd::Zero(m, std::max<Index>(rank, 1));
    for (Index k = 0; k < rank; ++k) {
      m_transform.col(k) =
          eigen.eigenvectors().col(m - 1 - k) / std::sqrt(eigen.eigenvalues()[m - 1 - k]);
    }
  }

  /// Number of directions kept.
  Index rank() const noexcept { return m_transform.cols(); }

  /// z for each row of x, n x rank.
  RowMatrix<Scalar> apply(const ConstRowMatrixRef<Scalar>& x, ThreadPool& pool) const {
    RowMatrix<Scalar> z(x.rows(), rank());
    pool.parallel_for((x.rows() + kForwardRows - 1) / kForwardRows, [&](Index block, int) {
      const Index first = block * kForwardRows;
      const Index count = std::min(kForwardRows, x.rows() - first);
      // In double: small directions are small differences of large numbers.
      const RowMatrix<double> centred =
          x.middleRows(first, count).template cast<double>().rowwise() - m_mean;
      z.middleRows(first, count) = (centred * m_transform).template cast<Scalar>();
    });
    return z;
  }

  /// The layer on x that gives what `layer` gives on z.
  DenseLayer<Scalar> fold(const DenseLayer<Scalar>& layer) const {
    const RowMatrix<double> weights = m_transform * layer.weights().template cast<double>();
    const Eigen::RowVectorXd bias = layer.bias().template cast<double>() - m_mean * weights;
    return {weights.template cast<Scalar>(), bias.template cast<Scalar>()};
  }

 private:
  Eigen::RowVectorXd m_mean;
  Eigen::MatrixXd m_transform;  // m x rank
};

}  // namespace mgdl::detail
