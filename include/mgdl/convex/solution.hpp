#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// A point of the gated problem: f(x) = sum_j 1[x~ . g_j >= 0] x~ U_j + bias.
struct GatedSolution {
  double lambda = 0;          ///< the penalty it was solved for
  std::vector<Index> active;  ///< gates with U_j != 0, ascending, as indices into Gates
  /// The blocks U_j (p x c) of the active gates one below the other, (active.size() p) x c.
  Matrix<double> coefficients;
  RowVector<double> bias;    ///< unpenalised output bias, c values; zero where the problem has none
  bool output_bias = false;  ///< whether the problem has the unpenalised bias
  Loss loss = {};            ///< of the problem
  /// A point N of the dual problem (n x c) that may prove a better bound than the residuals do; may
  /// be empty. Where the loss has a kink, as that of a quantile, residuals of zero leave N open.
  RowMatrix<double> dual = {};

  /// U of the k-th active gate, p x c.
  auto block(Index k) const {
    const Index p = coefficients.rows() / static_cast<Index>(active.size());
    return coefficients.middleRows(k * p, p);
  }
};

/// A point of the ReLU problem, a network with one hidden layer:
/// f(x) = sum_k max(0, x~ . hidden_k) output_k + bias.
struct ReluSolution {
  double lambda = 0;  ///< the penalty it was solved for
  RowMatrix<double>
      hidden;  ///< one neuron a row, m x p, the last column for the bias if it has one
  RowMatrix<double> output;  ///< m x c
  /// Pattern of every neuron as an index into Gates; -1 where no gates are used (one input, all
  /// patterns).
  std::vector<Index> gates;
  RowVector<double> bias;    ///< unpenalised output bias, c values; zero where the problem has none
  bool output_bias = false;  ///< whether the problem has the unpenalised bias
  /// Whether every output has its own neurons (penalty and bound add up over outputs) or neurons
  /// are shared.
  bool separate_outputs = true;
  Loss loss = {};  ///< of the problem
  /// A point N of the dual problem (n x c) that may prove a better bound than the residuals of the
  /// network do; may be empty. Where the network nearly interpolates its residuals are all
  /// rounding, and only a point like this can prove anything.
  RowMatrix<double> dual = {};
};

}  // namespace mgdl

/// \file
/// Values of solutions of the convex problems at any inputs, those of the samples or new ones.

namespace mgdl::detail {

template <class Real>
RowMatrix<Real> values_of(const GatedSolution& solution, const Gates& gates,
                          const ConstRowMatrixRef<Real>& X, const Executor& threads) {
  const Index p = gates.dimension();
  const Index d = p - (gates.bias() ? 1 : 0);
  const auto count = static_cast<Index>(solution.active.size());
  require_cols("X", d, X.cols());
  require_rows("solution.coefficients", count * p, solution.coefficients.rows());
  for (const Index j : solution.active) {
    if (j >= 0 && j < gates.size()) continue;
    throw InvalidArgument("solution.active",
                          "indices of gates below " + std::to_string(gates.size()),
                          std::to_string(j));
  }
  require_threads("threads", threads);
  RowMatrix<Real> result = solution.bias.replicate(X.rows(), 1);
  if (count == 0) return result;

  constexpr Index kRows = 64;  // of a pattern's word
  struct Scratch {
    GateSigns signs;
    Matrix<Real> samples;
    Matrix<Real> values;
    Matrix<Real> sums;
  };
  ThreadPool& pool = threads.pool();
  const Index c = solution.coefficients.cols();
  std::vector<Scratch> scratch(static_cast<std::size_t>(pool.size()),
                               {GateSigns(d, gates.bias()), Matrix<Real>::Ones(kRows, p),
                                Matrix<Real>(kRows, c), Matrix<Real>(kRows, c)});
  pool.parallel_for((X.rows() + kRows - 1) / kRows, [&](Index block, int thread) {
    auto& [signs, samples, values, sums] = scratch[static_cast<std::size_t>(thread)];
    const Index first = block * kRows;
    const Index rows = std::min(kRows, X.rows() - first);
    signs.load(X, first);
    samples.topLeftCorner(rows, d) = X.middleRows(first, rows);
    sums.setZero();
    for (Index k = 0; k < count; ++k) {
      const Index gate = solution.active[static_cast<std::size_t>(k)];
      const std::uint64_t active = signs.bits(gates.vectors().row(gate).data());
      if (active == 0) continue;
      values.noalias() = samples.lazyProduct(solution.block(k));
      for (Index o = 0; o < c; ++o) {
        const Real* from = values.col(o).data();
        Real* to = sums.col(o).data();
        for (Index i = 0; i < kRows; ++i) to[i] += (active >> i & 1) != 0 ? from[i] : Real(0);
      }
    }
    result.middleRows(first, rows) += sums.topRows(rows);
  });
  return result;
}

template <class Real>
RowMatrix<Real> values_of(const ReluSolution& solution, const ConstRowMatrixRef<Real>& X) {
  RowMatrix<Real> result = solution.bias.replicate(X.rows(), 1);
  if (solution.hidden.rows() == 0) return result;
  const Index d = X.cols();
  const bool bias = solution.hidden.cols() == d + 1;
  if (!bias) require_cols("X", solution.hidden.cols(), d);
  RowMatrix<Real> hidden = X * solution.hidden.leftCols(d).transpose();
  if (bias) hidden.rowwise() += solution.hidden.col(d).transpose();
  result.noalias() += hidden.cwiseMax(0) * solution.output;
  return result;
}

}  // namespace mgdl::detail

namespace mgdl {

/// f(x) = sum_j 1[x~ . g_j >= 0] x~ U_j + bias at each row of X. New inputs are active where the
/// gate vectors say so, by Gates::gate_value as everywhere.
///
/// \param solution  for `gates`
/// \param X         n x d, of any type of number
/// \param threads   the bits of the result do not depend on them
/// \returns n x c
/// \throws InvalidArgument for inputs or a solution that do not fit the gates
template <class Inputs>
RowMatrix<double> predict(const GatedSolution& solution, const Gates& gates,
                          const Eigen::MatrixBase<Inputs>& X, const Executor& threads = {}) {
  return detail::values_of<double>(solution, gates, X.derived().template cast<double>(), threads);
}

/// f(x) = sum_k max(0, x~ . hidden_k) output_k + bias at each row of X (n x d): n x c.
/// \throws InvalidArgument unless the neurons have d values, or d + 1 with the one for the bias
template <class Inputs>
RowMatrix<double> predict(const ReluSolution& solution, const Eigen::MatrixBase<Inputs>& X) {
  return detail::values_of<double>(solution, X.derived().template cast<double>());
}

}  // namespace mgdl
