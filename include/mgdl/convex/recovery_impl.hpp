#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate/bounds.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/cone/decomposition.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Neurons with the same direction: the unit vectors differ by rounding.
template <class Real>
bool same_direction(const RowVector<Real>& a, const RowVector<Real>& b) {
  constexpr Real kRounding = 8 * std::numeric_limits<Real>::epsilon();
  return (a - b).cwiseAbs().maxCoeff() <= kRounding;
}

/// to_relu().
template <class Real>
RecoveredRelu split_units(const Dataset<Real>& data, const Gates& gates, const GatedSolution& gated,
                          ConeDecomposition method, const Executor& threads) {
  const Index c = data.targets().cols();
  const Index p = gates.dimension();
  require_gates(data, gates);
  require_solution<Real>(gated, gates, c);
  require_threads("threads", threads);
  ThreadPool& pool = threads.pool();
  const CertifySamples<Real> samples(data.inputs(), gates.bias());
  const Index blocks = std::ssize(gated.active);
  std::vector<ConeDifference<Real>> parts(static_cast<std::size_t>(blocks * c));
  std::vector<ConeDecomposer<Real>> decomposers(static_cast<std::size_t>(pool.size()),
                                                ConeDecomposer(samples));
  pool.parallel_for(blocks, [&](Index k, int thread) {
    auto& decomposer = decomposers[static_cast<std::size_t>(thread)];
    const Index gate = gated.active[static_cast<std::size_t>(k)];
    decomposer.set_gate(gates.vectors().row(gate).data());
    for (Index o = 0; o < c; ++o) {
      const Vector<Real> u = gated.block(k).col(o);
      parts[static_cast<std::size_t>(k * c + o)] =
          method == ConeDecomposition::Exact ? decomposer.shortest(u) : decomposer.nearest(u);
    }
  });

  RecoveredRelu result;
  ReluSolution& solution = result.solution;
  RecoveryReport& report = result.report;
  solution.lambda = gated.lambda;
  solution.bias = gated.bias;
  solution.output_bias = gated.output_bias;
  solution.hidden.resize(2 * blocks * c, p);
  solution.output = RowMatrix<Real>::Zero(2 * blocks * c, c);
  Index count = 0;
  for (Index k = 0; k < blocks; ++k) {
    report.penalty_gated += gated.block(k).norm();
    for (Index o = 0; o < c; ++o) {
      const auto& part = parts[static_cast<std::size_t>(k * c + o)];
      if (method == ConeDecomposition::Exact && !part.exact) ++report.approximated;
      for (const auto& [vector, sign] : {std::pair(&part.v, 1.0), std::pair(&part.w, -1.0)}) {
        const Real length = vector->norm();
        if (length == 0) continue;
        solution.hidden.row(count) = vector->transpose() / std::sqrt(length);
        solution.output(count, o) = sign * std::sqrt(length);
        solution.gates.push_back(gated.active[static_cast<std::size_t>(k)]);
        report.penalty_relu += length;
        ++count;
      }
    }
  }
  solution.hidden.conservativeResize(count, p);
  solution.output.conservativeResize(count, c);

  const auto before = predict_gated(samples, gates, gated, c, pool);
  const auto after = predict_relu(samples, solution, c, pool);
  const Real largest = before.cwiseAbs().maxCoeff();
  if (largest > 0) report.difference = (after - before).cwiseAbs().maxCoeff() / largest;
  const auto objective = [&](const RowMatrix<Real>& prediction, Real penalty) {
    return certify_residual<Real>(data, prediction, gated.bias, false).loss +
           gated.lambda * penalty;
  };
  report.objective_gated = objective(before, report.penalty_gated);
  report.objective_relu = objective(after, report.penalty_relu);
  report.violation = largest_violation(samples, gates, solution, pool);
  return result;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
ReluNetwork<Scalar> to_network(const ReluSolution& solution, bool bias) {
  const Index p = solution.hidden.cols();
  const Index d = p - (bias ? 1 : 0);
  const Index c = solution.bias.cols();
  if (d < 1) {
    throw InvalidArgument("ReluSolution.hidden", bias ? "at least 2 columns" : "at least 1 column",
                          std::to_string(p));
  }
  detail::require_solution<double>(solution, p, c);
  std::vector<RowVector<double>> directions;
  std::vector<RowVector<double>> outputs;  // for hidden vectors of length 1
  for (Index k = 0; k < solution.hidden.rows(); ++k) {
    const double length = solution.hidden.row(k).stableNorm();
    if (length == 0 || (solution.output.row(k).array() == 0).all()) continue;
    const RowVector<double> direction = solution.hidden.row(k) / length;
    const RowVector<double> output = length * solution.output.row(k);
    std::size_t same = 0;
    while (same < directions.size() && !detail::same_direction<double>(directions[same], direction))
      ++same;
    if (same == directions.size()) {
      directions.push_back(direction);
      outputs.push_back(output);
    } else {
      outputs[same] += output;
    }
  }
  std::vector<std::size_t> kept;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if ((outputs[k].array() != 0).any()) kept.push_back(k);
  }
  const Index width = std::max<Index>(1, std::ssize(kept));
  RowMatrix<double> hidden = RowMatrix<double>::Zero(d, width);
  RowVector<double> hidden_bias = RowVector<double>::Zero(width);
  RowMatrix<double> readout = RowMatrix<double>::Zero(width, c);
  for (Index k = 0; k < std::ssize(kept); ++k) {
    const auto& direction = directions[kept[static_cast<std::size_t>(k)]];
    const auto& output = outputs[kept[static_cast<std::size_t>(k)]];
    const double length = std::sqrt(output.stableNorm());
    hidden.col(k) = length * direction.head(d).transpose();
    if (bias) hidden_bias[k] = length * direction[d];
    readout.row(k) = output / length;
  }
  const auto overflows = [](const auto& weights) {  // written so that NaN does
    const double largest = std::numeric_limits<Scalar>::max();
    return !(weights.array().abs() <= largest).all();
  };
  if (overflows(hidden) || overflows(hidden_bias) || overflows(readout) ||
      overflows(solution.bias)) {
    throw InvalidArgument("solution", "weights in the range of the network", "an overflow");
  }
  std::vector<DenseLayer<Scalar>> layers;
  layers.emplace_back(hidden.template cast<Scalar>(), hidden_bias.template cast<Scalar>());
  layers.emplace_back(readout.template cast<Scalar>(), solution.bias.template cast<Scalar>());
  return ReluNetwork<Scalar>(std::move(layers));
}

template <class Scalar>
ReluSolution to_solution(const ReluNetwork<Scalar>& network, const NetworkProblem& problem) {
  if (network.hidden_layers() != 1) {
    throw InvalidArgument("network", "one hidden layer", std::to_string(network.hidden_layers()));
  }
  const DenseLayer<Scalar>& layer = network.layers().front();
  if (!problem.bias && (layer.bias().array() != 0).any()) {
    throw InvalidArgument("network", "a hidden layer without bias", "a bias");
  }
  const Index d = network.inputs();
  ReluSolution solution;
  solution.lambda = problem.lambda;
  solution.hidden.resize(network.width(), d + (problem.bias ? 1 : 0));
  solution.hidden.leftCols(d) = layer.dense_weights().transpose().template cast<double>();
  if (problem.bias) solution.hidden.col(d) = layer.bias().transpose().template cast<double>();
  solution.output = network.readout().dense_weights().template cast<double>();
  solution.gates.assign(static_cast<std::size_t>(network.width()), -1);
  solution.bias = network.readout().bias().template cast<double>();
  solution.output_bias = problem.output_bias;
  solution.separate_outputs = problem.separate_outputs;
  detail::require_solution<double>(solution, solution.hidden.cols(), network.outputs());
  return solution;
}

template <class Scalar>
RecoveredRelu to_relu(const Dataset<Scalar>& data, const Gates& gates, const GatedSolution& gated,
                      ConeDecomposition method, const Executor& threads) {
  return detail::split_units(detail::in_double(data), gates, gated, method, threads);
}

}  // namespace mgdl
