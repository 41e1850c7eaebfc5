#pragma once

#include <algorithm>
#include <vector>

#include "mgdl/convex/gated_solution.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/certify_samples.hpp"
#include "mgdl/detail/thread_pool.hpp"

/// \file
/// The sums over samples of a certificate: what a solution predicts, and X~' D_j N.

namespace mgdl::detail {

/// Gates whose patterns are held together as numbers.
inline constexpr Index kCertifyGates = 64;

/// X~ v for the samples of block b.
inline void multiply(const CertifySamples& samples, Index b, const Vector<double>& v,
                     Vector<double>& product) {
  product.setZero(kCertifyRows);
  for (Index k = 0; k < samples.dimension(); ++k) product += v[k] * samples.block(b).col(k);
}

/// Fills n x c predictions block by block: predict(b, sum) adds up those of block b.
template <class Predict>
RowMatrix<double> predict_blocks(const CertifySamples& samples, Index outputs, ThreadPool& pool,
                                 const Predict& predict) {
  RowMatrix<double> prediction(samples.size(), outputs);
  pool.parallel_for(samples.blocks(), [&](Index b, int) {
    Matrix<double> sum = Matrix<double>::Zero(kCertifyRows, outputs);
    predict(b, sum);
    prediction.middleRows(b * kCertifyRows, samples.rows(b)) = sum.topRows(samples.rows(b));
  });
  return prediction;
}

/// sum_j D_j X~ U_j, n x c, without the output bias.
inline RowMatrix<double> predict_gated(const CertifySamples& samples, const Gates& gates,
                                       const GatedSolution& solution, Index outputs,
                                       ThreadPool& pool) {
  return predict_blocks(samples, outputs, pool, [&](Index b, Matrix<double>& sum) {
    Vector<double> mask(kCertifyRows);
    Vector<double> linear;
    for (Index k = 0; k < std::ssize(solution.active); ++k) {
      const Index gate = solution.active[static_cast<std::size_t>(k)];
      samples.pattern(b, gates.vectors().row(gate).data(), mask.data());
      for (Index o = 0; o < outputs; ++o) {
        multiply(samples, b, solution.block(k).col(o), linear);
        sum.col(o) += mask.cwiseProduct(linear);
      }
    }
  });
}

/// sum_k max(0, X~ hidden_k) output_k, n x c, without the output bias.
inline RowMatrix<double> predict_relu(const CertifySamples& samples, const ReluSolution& solution,
                                      Index outputs, ThreadPool& pool) {
  return predict_blocks(samples, outputs, pool, [&](Index b, Matrix<double>& sum) {
    Vector<double> linear;
    for (Index k = 0; k < solution.hidden.rows(); ++k) {
      multiply(samples, b, solution.hidden.row(k), linear);
      linear = linear.cwiseMax(0);
      for (Index o = 0; o < outputs; ++o) sum.col(o) += solution.output(k, o) * linear;
    }
  });
}

/// X~' D_j N for all gates j: column j holds the p x q matrix column by column.
///
/// \param N  n x q
inline Matrix<double> gate_products(const CertifySamples& samples, const Gates& gates,
                                    const RowMatrix<double>& N, ThreadPool& pool) {
  const Index p = samples.dimension();
  const Index q = N.cols();
  const Index tasks = (gates.size() + kCertifyGates - 1) / kCertifyGates;
  Matrix<double> products = Matrix<double>::Zero(p * q, gates.size());
  pool.parallel_for(tasks, [&](Index task, int) {
    const Index first = task * kCertifyGates;
    const Index count = std::min(kCertifyGates, gates.size() - first);
    Matrix<double> terms(p * q, kCertifyRows);  // x~_i N_i, one sample a column
    Matrix<double> masks(kCertifyRows, count);
    for (Index b = 0; b < samples.blocks(); ++b) {
      const Index row = b * kCertifyRows;
      for (Index o = 0; o < q; ++o) {
        for (Index k = 0; k < p; ++k) {
          for (Index i = 0; i < samples.rows(b); ++i) {
            terms(o * p + k, i) = samples.values()(row + i, k) * N(row + i, o);
          }
        }
      }
      terms.rightCols(kCertifyRows - samples.rows(b)).setZero();
      for (Index j = 0; j < count; ++j) {
        samples.pattern(b, gates.vectors().row(first + j).data(), masks.col(j).data());
      }
      products.middleCols(first, count).noalias() += terms * masks;
    }
  });
  return products;
}

/// For every neuron the violation of the cone of its gate, and of these the largest; for a neuron
/// without a gate (-1) that of the nearest cone. Among these is the one of neurons that are active
/// nowhere: gates leave its pattern out, because it contributes nothing.
inline double largest_violation(const CertifySamples& samples, const Gates& gates,
                                const ReluSolution& solution, ThreadPool& pool) {
  std::vector<double> violations(solution.gates.size());
  pool.parallel_for(std::ssize(violations), [&](Index k, int) {
    const Index gate = solution.gates[static_cast<std::size_t>(k)];
    const Vector<double> cosine = cosines(samples, solution.hidden.row(k).transpose());
    double violation = gate >= 0 ? 1 : std::max(0.0, cosine.maxCoeff());
    for (Index j = 0; j < gates.size() && violation > 0; ++j) {
      if (gate >= 0 && gate != j) continue;
      violation = cone_violation(samples, gates.vectors().row(j).data(), cosine, violation);
    }
    violations[static_cast<std::size_t>(k)] = violation;
  });
  double largest = 0;
  for (const double violation : violations) largest = std::max(largest, violation);
  return largest;
}

}  // namespace mgdl::detail
