#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/group_lasso_problem.hpp"

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

/// 1 where the pattern of a column contains the sample of a row, else 0.
inline Matrix<double> active_samples(const GroupLassoProblem& problem,
                                     const std::vector<Index>& gates) {
  return Matrix<double>::NullaryExpr(
      problem.products().size(), std::ssize(gates), [&](Index i, Index k) {
        return problem.products().bits().contains(gates[static_cast<std::size_t>(k)], i) ? 1.0
                                                                                         : 0.0;
      });
}

/// Columns D_j X v_k (n x m) for the rows v_k of `hidden`, without what the output bias fits.
///
/// \param active  active_samples of the gates of the neurons
template <class Hidden>
Matrix<double> activations(const GroupLassoProblem& problem, const Matrix<double>& active,
                           const Hidden& hidden) {
  Matrix<double> result = active.cwiseProduct(problem.products().samples() * hidden.transpose());
  problem.project(result);
  return result;
}

}  // namespace mgdl::detail
