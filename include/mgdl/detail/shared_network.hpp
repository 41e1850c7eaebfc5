#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/group_lasso_problem.hpp"
#include "mgdl/detail/thread_pool.hpp"

namespace mgdl::detail {

/// Neurons that serve all outputs: neuron k lies in the cone of gates[k], so it is active on the
/// samples of that pattern, and adds D_j X v_k o_k to the fit at the penalty ||v_k|| ||o_k||.
struct SharedNetwork {
  std::vector<Index> gates;
  RowMatrix<double> hidden;  // row k: v_k, p values
  RowMatrix<double> output;  // row k: o_k, c values

  SharedNetwork(Index p, Index c) : hidden(0, p), output(0, c) {}

  Index size() const noexcept { return hidden.rows(); }
  Index gate(Index k) const noexcept { return gates[static_cast<std::size_t>(k)]; }
  double penalty() const { return hidden.rowwise().norm().dot(output.rowwise().norm()); }

  /// Appends a neuron.
  void add(Index gate, const Vector<double>& v, const RowVector<double>& o) {
    const Index k = size();
    gates.push_back(gate);
    hidden.conservativeResize(k + 1, Eigen::NoChange);
    output.conservativeResize(k + 1, Eigen::NoChange);
    hidden.row(k) = v.transpose();
    output.row(k) = o;
  }

  /// The given neurons, in that order.
  SharedNetwork part(const std::vector<Index>& rows) const {
    SharedNetwork result(hidden.cols(), output.cols());
    for (const Index k : rows) result.gates.push_back(gate(k));
    result.hidden = hidden(rows, Eigen::all);
    result.output = output(rows, Eigen::all);
    return result;
  }

  /// Without the neurons that give nothing.
  SharedNetwork nonzero() const {
    std::vector<Index> rows;
    for (Index k = 0; k < size(); ++k) {
      if (hidden.row(k).squaredNorm() > 0 && output.row(k).squaredNorm() > 0) rows.push_back(k);
    }
    return part(rows);
  }
};

/// Columns D_j X v_k (n x m) for the neurons v_k = hidden.row(k) of the gates j = gates[k], without
/// what the output bias fits.
inline Matrix<double> activations(ThreadPool& pool, const GroupLassoProblem& problem,
                                  const SharedNetwork& network) {
  const RowMatrix<double>& samples = problem.products().samples();
  Matrix<double> result(samples.rows(), network.size());
  pool.parallel_for(network.size(), [&](Index k, int) {
    auto column = result.col(k);
    column.noalias() = samples * network.hidden.row(k).transpose();
    const std::uint64_t* bits = problem.products().bits().pattern(network.gate(k));
    for (Index i = 0; i < column.size(); ++i) {
      if ((bits[i / 64] >> (i % 64) & 1u) == 0) column[i] = 0;
    }
  });
  problem.project(result);
  return result;
}

}  // namespace mgdl::detail
