#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
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
#include "mgdl/linalg/dense_factorisations.hpp"
#include "mgdl/linalg/orthonormal_basis.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl::detail {

/// Neurons with the same direction: the unit vectors differ by rounding.
template <class Real>
bool same_direction(const RowVector<Real>& a, const RowVector<Real>& b) {
  constexpr Real kRounding = 8 * std::numeric_limits<Real>::epsilon();
  return (a - b).cwiseAbs().maxCoeff() <= kRounding;
}

/// Coordinates z of vectors v in which X~ v = Z z and the rows of Z have the unit matrix as
/// covariance.
template <class Real>
struct SampleCoordinates {
  RowMatrix<Real> rows;        ///< Z, n x r, r the rank of X~
  Matrix<Real> samples;        ///< X~
  std::vector<Index> columns;  ///< r columns of X~ that span the others
  Matrix<Real> R;              ///< these are Z R, R upper triangular

  Vector<Real> to(const Vector<Real>& v) const {
    const Vector<Real> values = samples * v;
    return rows.transpose() * values / static_cast<Real>(rows.rows());
  }
  Vector<Real> from(const Vector<Real>& z) const {
    Vector<Real> v = Vector<Real>::Zero(samples.cols());
    v(columns) = Vector<Real>(R.template triangularView<Eigen::Upper>().solve(z));
    return v;
  }
};

template <class Real>
SampleCoordinates<Real> sample_coordinates(const CertifySamples<Real>& samples) {
  SampleCoordinates<Real> result;
  result.samples = samples.values().topRows(samples.size());
  const Matrix<Real>& X = result.samples;
  OrthonormalBasis<Real> basis(X.rows());
  for (Index k = X.cols() - 1; k >= 0; --k) {  // the bias first: sums of inputs are less exact
    const Real norm = safe_norm(X.col(k));
    if (norm > 0 && basis.add(X.col(k) / norm)) result.columns.push_back(k);
  }
  const Matrix<Real> chosen = X(kAll, result.columns);
  const Real root = std::sqrt(static_cast<Real>(X.rows()));
  result.R = orthogonal_coordinates<Real>(chosen, Matrix<Real>::Zero(X.rows(), 1)).first / root;
  result.rows = result.R.transpose()
                    .template triangularView<Eigen::Lower>()
                    .solve(chosen.transpose())
                    .transpose();
  return result;
}

/// v and w of every column of the active blocks, block by block.
///
/// \param coordinates  in which they are shortest; null: as they are
template <class Real>
std::vector<ConeDifference<Real>> split_units(const CertifySamples<Real>& samples,
                                              const SampleCoordinates<Real>* coordinates,
                                              const Gates& gates, const GatedSolution& gated,
                                              ConeDecomposition method, ThreadPool& pool) {
  const Index blocks = std::ssize(gated.active);
  const Index c = gated.coefficients.cols();
  std::optional<CertifySamples<Real>> other;
  if (coordinates != nullptr) other.emplace(coordinates->rows, false);
  const CertifySamples<Real>& space = other ? *other : samples;
  std::vector<ConeDifference<Real>> parts(static_cast<std::size_t>(blocks * c));
  std::vector<ConeDecomposer<Real>> decomposers(static_cast<std::size_t>(pool.size()),
                                                ConeDecomposer(space));
  pool.parallel_for(blocks, [&](Index k, int thread) {
    auto& decomposer = decomposers[static_cast<std::size_t>(thread)];
    const Index gate = gated.active[static_cast<std::size_t>(k)];
    decomposer.set_gate(gates.vectors().row(gate).data(), samples);
    for (Index o = 0; o < c; ++o) {
      Vector<Real> u = gated.block(k).col(o);
      if (coordinates != nullptr) u = coordinates->to(u);
      auto& part = parts[static_cast<std::size_t>(k * c + o)];
      part = method == ConeDecomposition::Exact ? decomposer.shortest(u) : decomposer.nearest(u);
      if (coordinates == nullptr) continue;
      part.v = coordinates->from(part.v);
      part.w = coordinates->from(part.w);
    }
  });
  return parts;
}

/// Fills the report of a network that takes the place of a gated solution.
template <class Real>
void account(const Dataset<Real>& data, const CertifySamples<Real>& samples, const Gates& gates,
             const GatedSolution& gated, const ReluSolution& solution, RecoveryReport& report,
             ThreadPool& pool) {
  const Index c = data.targets().cols();
  report.penalty_gated = 0;
  for (Index k = 0; k < std::ssize(gated.active); ++k) {
    report.penalty_gated += safe_norm(gated.block(k));
  }
  report.penalty_relu = 0;
  for (Index k = 0; k < solution.hidden.rows(); ++k) {
    report.penalty_relu +=
        solution.hidden.row(k).norm() * solution.output.row(k).template lpNorm<1>();
  }
  const auto before = predict_gated(samples, gates, gated, c, pool);
  const auto after = predict_relu(samples, solution, c, pool);
  const Real largest = before.cwiseAbs().maxCoeff();
  if (largest > 0) report.difference = (after - before).cwiseAbs().maxCoeff() / largest;
  const auto objective = [&](const RowMatrix<Real>& prediction, const RowVector<Real>& bias,
                             Real penalty) {
    return certify_residual<Real>(data, prediction, bias, false, gated.loss).loss +
           gated.lambda * penalty;
  };
  report.objective_gated = objective(before, gated.bias, report.penalty_gated);
  report.objective_relu = objective(after, solution.bias, report.penalty_relu);
  report.violation = largest_violation(samples, gates, solution, pool);
}

/// Neurons of parts, and what they cost.
template <class Real>
RecoveredRelu recovered_from(const Dataset<Real>& data, const CertifySamples<Real>& samples,
                             const Gates& gates, const GatedSolution& gated,
                             const std::vector<ConeDifference<Real>>& parts, bool exact,
                             ThreadPool& pool) {
  const Index c = data.targets().cols();
  const Index p = gates.dimension();
  const Index blocks = std::ssize(gated.active);
  RecoveredRelu result;
  ReluSolution& solution = result.solution;
  RecoveryReport& report = result.report;
  solution.lambda = gated.lambda;
  solution.bias = gated.bias;
  solution.output_bias = gated.output_bias;
  solution.loss = gated.loss;
  solution.hidden.resize(2 * blocks * c, p);
  solution.output = RowMatrix<Real>::Zero(2 * blocks * c, c);
  Index count = 0;
  for (Index k = 0; k < blocks; ++k) {
    for (Index o = 0; o < c; ++o) {
      const auto& part = parts[static_cast<std::size_t>(k * c + o)];
      if (exact && !part.exact) ++report.approximated;
      for (const auto& [vector, sign] : {std::pair(&part.v, 1.0), std::pair(&part.w, -1.0)}) {
        const Real length = safe_norm(*vector);
        if (length == 0) continue;
        solution.hidden.row(count) = vector->transpose() / std::sqrt(length);
        solution.output(count, o) = sign * std::sqrt(length);
        solution.gates.push_back(gated.active[static_cast<std::size_t>(k)]);
        ++count;
      }
    }
  }
  solution.hidden.conservativeResize(count, p);
  solution.output.conservativeResize(count, c);
  account(data, samples, gates, gated, solution, report, pool);
  return result;
}

/// Output weights and bias for the neurons of several networks, by least squares with a ridge, so
/// that their values come near to `values`.
template <class Real>
ReluSolution refitted(const Dataset<Real>& data, const CertifySamples<Real>& samples,
                      const std::vector<const ReluSolution*>& networks,
                      const RowMatrix<Real>& values) {
  const Index c = values.cols();
  ReluSolution result = *networks.front();
  Index count = 0;
  for (const auto* network : networks) count += network->hidden.rows();
  result.hidden.resize(count, samples.dimension());
  result.gates.clear();
  Index row = 0;
  for (const auto* network : networks) {
    for (Index k = 0; k < network->hidden.rows(); ++k) {
      result.hidden.row(row++) = network->hidden.row(k) / safe_norm(network->hidden.row(k));
    }
    result.gates.insert(result.gates.end(), network->gates.begin(), network->gates.end());
  }
  const Vector<Real> roots = data.weights().cwiseSqrt();
  const Index n = samples.size();
  const Index columns = count + (result.output_bias ? 1 : 0);
  Matrix<Real> features = Matrix<Real>::Ones(n, columns);
  features.leftCols(count) = (samples.values().topRows(n) * result.hidden.transpose()).cwiseMax(0);
  features = roots.asDiagonal() * features;
  // In units of the columns, so that the ridge bounds what a neuron adds.
  Vector<Real> norms = features.colwise().norm();
  norms = (norms.array() > 0).select(norms, 1);
  features *= norms.cwiseInverse().asDiagonal();
  constexpr Real kRidge = 1e-7;
  Matrix<Real> left = Matrix<Real>::Zero(n + columns, columns);
  left.topRows(n) = features;
  left.diagonal(-n).setConstant(kRidge);
  Matrix<Real> right = Matrix<Real>::Zero(n + columns, c);
  right.topRows(n) = roots.asDiagonal() * values;
  const Matrix<Real> O = norms.cwiseInverse().asDiagonal() * least_norm_solution<Real>(left, right);
  result.output = O.topRows(count);
  result.bias = result.output_bias ? RowVector<Real>(O.row(count)) : RowVector<Real>::Zero(c);
  // Balanced, as all others.
  for (Index k = 0; k < count; ++k) {
    const Real length = std::sqrt(result.output.row(k).norm());
    if (length == 0) continue;
    result.hidden.row(k) *= length;
    result.output.row(k) /= length;
  }
  return result;
}

/// recover().
template <class Scalar, class Real>
Recovery recover_network(const Dataset<Real>& data, const Gates& gates, const GatedSolution& gated,
                         const Executor& threads) {
  require_gates(data, gates);
  require_solution<Real>(gated, gates, data.targets().cols());
  require_threads("threads", threads);
  ThreadPool& pool = threads.pool();
  const CertifySamples<Real> samples(data.inputs(), gates.bias());
  const RowMatrix<Real> values = predict(gated, gates, data.inputs(), threads);
  Recovery best;
  best.difference = std::numeric_limits<Real>::infinity();
  // Whether this one can stay.
  const auto keep = [&](RecoveredRelu recovered, RecoveryMethod method) {
    Real difference = std::numeric_limits<Real>::infinity();
    try {
      difference = value_difference(to_network<Scalar>(recovered.solution, gates.bias()), values,
                                    data, recovered.report.objective_gated, gated.loss);
    } catch (const InvalidArgument&) {
      return false;  // weights that Scalar does not hold
    }
    if (!(difference < best.difference)) return false;
    best = {std::move(recovered.solution), recovered.report, method, difference,
            difference <= recovery_tolerance<Scalar>()};
    return best.same_values;
  };
  const auto neurons = [&](const SampleCoordinates<Real>* coordinates, ConeDecomposition method) {
    return recovered_from(data, samples, gates, gated,
                          split_units(samples, coordinates, gates, gated, method, pool),
                          method == ConeDecomposition::Exact, pool);
  };
  const RecoveredRelu shortest = neurons(nullptr, ConeDecomposition::Exact);
  if (keep(shortest, RecoveryMethod::Shortest)) return best;
  std::vector<RecoveredRelu> others;
  const auto coordinates = sample_coordinates(samples);
  others.push_back(neurons(&coordinates, ConeDecomposition::Exact));
  if (keep(others.back(), RecoveryMethod::Conditioned)) return best;
  others.push_back(neurons(&coordinates, ConeDecomposition::Approximate));
  others.push_back(neurons(nullptr, ConeDecomposition::Approximate));
  std::vector<const ReluSolution*> networks;
  for (const auto& other : others) networks.push_back(&other.solution);
  RecoveredRelu fitted;
  fitted.report.approximated = shortest.report.approximated;
  fitted.solution = refitted(data, samples, networks, values);
  account(data, samples, gates, gated, fitted.solution, fitted.report, pool);
  keep(fitted, RecoveryMethod::Refitted);
  // None that Scalar can hold: the constant.
  if (std::isinf(best.difference)) {
    best.solution = std::move(fitted.solution);
    best.solution.hidden.resize(0, gates.dimension());
    best.solution.output.resize(0, values.cols());
    best.solution.gates.clear();
    best.report = fitted.report;
    best.method = RecoveryMethod::Refitted;
    account(data, samples, gates, gated, best.solution, best.report, pool);
  }
  return best;
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
  const auto& samples = detail::in_double(data);
  detail::require_gates(samples, gates);
  detail::require_solution<double>(gated, gates, samples.targets().cols());
  detail::require_threads("threads", threads);
  detail::ThreadPool& pool = threads.pool();
  const detail::CertifySamples<double> points(samples.inputs(), gates.bias());
  return detail::recovered_from(
      samples, points, gates, gated,
      detail::split_units<double>(points, nullptr, gates, gated, method, pool),
      method == ConeDecomposition::Exact, pool);
}

template <class Scalar>
Recovery recover(const Dataset<double>& data, const Gates& gates, const GatedSolution& gated,
                 const Executor& threads) {
  return detail::recover_network<Scalar>(data, gates, gated, threads);
}

}  // namespace mgdl
