#include "support/convex_problems.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "support/samples.hpp"

namespace mgdl::test {

ConvexProblem random_problem(std::uint64_t k, Index max_outputs) {
  RandomStream random(seed(), 0xC0 + k);
  const auto size = [&](std::uint64_t low, std::uint64_t high) {
    return static_cast<Index>(low + random.below(high - low + 1));
  };
  std::string what = "problem " + std::to_string(k);
  const bool wide = k % 9 == 8;
  const Index n = wide ? size(2, 8) : size(5, 90);
  const Index d = wide ? size(8, 14) : size(1, 12);
  const Index c = size(1, static_cast<std::uint64_t>(max_outputs));
  auto X = normal_matrix<RowMatrix<double>>(n, d, random);
  auto Y = normal_matrix<RowMatrix<double>>(n, c, random);
  Vector<double> weights = Vector<double>::Ones(n);
  if (k % 4 == 1) {
    what += ", ill-conditioned";
    for (Index j = 0; j < d; ++j) {
      X.col(j) *=
          std::pow(1e-8, static_cast<double>(j) / std::max<double>(1, static_cast<double>(d - 1)));
    }
  }
  if (k % 5 == 2 && d > 1) {
    what += ", collinear";
    X.col(d - 1) = -2 * X.col(0);
  }
  if (k % 5 == 3) {
    what += ", duplicated rows";
    for (Index i = n / 2; i < n; ++i) X.row(i) = X.row(i - n / 2);
  }
  if (k % 7 == 4) {
    what += ", constant targets";
    Y.setConstant(1.5);
  }
  if (k % 7 == 5) {
    what += ", huge targets";
    Y *= 1e8;
  }
  if (k % 3 == 1) {
    what += ", weights with zeros";
    for (double& weight : weights) weight = static_cast<double>(random.below(3));
    weights[0] = 1;
  }
  const bool bias = k % 6 != 5;
  if (!bias) what += ", no bias";
  const Index P = size(1, 60);
  auto vectors = normal_matrix<RowMatrix<double>>(P + 1, X.cols() + (bias ? 1 : 0), random);
  // One gate is surely active somewhere.
  vectors.row(P).head(d) = X.row(0);
  if (bias) vectors(P, d) = 1;
  Gates gates(X, vectors, bias);
  what += ": n " + std::to_string(n) + ", d " + std::to_string(d) + ", c " + std::to_string(c) +
          ", P " + std::to_string(gates.size());
  return {{X, Y, weights}, std::move(gates), std::move(what)};
}

Extended extended_inputs(const Dataset<double>& data, const Gates& gates) {
  Extended X(data.size(), gates.dimension());
  X.leftCols(data.inputs().cols()) = data.inputs().cast<long double>();
  if (gates.bias()) X.rightCols(1).setOnes();
  return X;
}

Extended masked(const Extended& X, const Gates& gates, Index j) {
  Extended result = X;
  for (Index i = 0; i < X.rows(); ++i) {
    if (!gates.active(i, j)) result.row(i).setZero();
  }
  return result;
}

Bounds gated_bounds(const Dataset<double>& data, const Gates& gates,
                    const GatedSolution& solution) {
  const Extended X = extended_inputs(data, gates);
  const Extended Y = data.targets().cast<long double>();
  const auto w = data.weights().cast<long double>().eval();
  const long double lambda = solution.lambda;
  Bounds bounds;
  Extended R = Y;
  long double penalty = 0;
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    const Extended U = solution.block(k).cast<long double>();
    R -= masked(X, gates, solution.active[static_cast<std::size_t>(k)]) * U;
    penalty += U.norm();
  }
  R.rowwise() -= solution.bias.cast<long double>();
  bounds.primal = (R.array().square().colwise() * w.array()).sum() / 2 + lambda * penalty;
  const auto centred = [&](Extended values) {
    if (solution.output_bias) {
      values.rowwise() -= ((w.transpose() * values) / w.sum()).eval().row(0);
    }
    return values;
  };
  R = centred(R);
  const Extended N = R.array().colwise() * w.array();
  const Extended WY = centred(Y).array().colwise() * w.array();
  long double largest = 0;
  for (Index j = 0; j < gates.size(); ++j) {
    const Extended A = masked(X, gates, j);
    largest = std::max(largest, (A.transpose() * N).norm());
    bounds.lambda_max = std::max(bounds.lambda_max, (A.transpose() * WY).norm());
  }
  const long double inner = (N.array() * Y.array()).sum();
  const long double squares = (N.array() * R.array()).sum();
  if (squares > 0) {
    const long double best = std::max<long double>(0, inner / squares);
    const long double s = largest > 0 ? std::min(best, lambda / largest) : best;
    bounds.dual = s * inner - s * s * squares / 2;
  }
  return bounds;
}

}  // namespace mgdl::test
