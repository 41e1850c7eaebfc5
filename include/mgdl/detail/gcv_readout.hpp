#pragma once

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/readout.hpp"
#include "mgdl/detail/relative_loss.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// A ridge, what it solves to, and the trace of the map from targets to predictions (with the
/// weights' square roots on both sides), its degrees of freedom.
struct RidgeCandidate {
  double ridge = 0;
  Eigen::MatrixXd readout;
  double degrees = 0;
};

/// Solves for one ridge; an empty readout if the factorisation fails.
inline RidgeCandidate solve_ridge(const ReadoutMoments& moments, double ridge) {
  RidgeCandidate result;
  result.ridge = ridge;
  const Index m = moments.gram.rows() - 1;
  const double unit = moments.gram.diagonal().head(m).mean();
  const double shift = unit > 0 ? ridge * unit : 1.0;
  Eigen::MatrixXd system = moments.gram;
  system.diagonal().head(m).array() += shift;
  const Eigen::LLT<Eigen::MatrixXd> factor(system);
  if (factor.info() != Eigen::Success) return result;
  Eigen::MatrixXd readout = factor.solve(moments.cross);
  // tr(A^-1 G) with A = G + shift I (without the bias): A^-1 = L^-T L^-1.
  Eigen::MatrixXd inverse = Eigen::MatrixXd::Identity(m + 1, m + 1);
  factor.matrixL().solveInPlace(inverse);
  result.degrees =
      static_cast<double>(m + 1) - shift * inverse.leftCols(m).colwise().squaredNorm().sum();
  if (readout.allFinite() && std::isfinite(result.degrees)) result.readout = std::move(readout);
  return result;
}

/// Samples that weights w with sum 1 amount to, 1 / sum_i w_i^2: n for equal ones.
template <class Scalar>
double effective_samples(const SampleView<Scalar>& samples) {
  return 1 / samples.weights.template cast<double>().squaredNorm();
}

/// sum_i w_i |g_k(x_i) - y_i|^2 of networks g_k that differ in their readouts only, in one pass.
template <class Scalar>
std::vector<double> losses_of(const PanelNetwork<Scalar>& network,
                              const std::vector<RidgeCandidate>& candidates,
                              const SampleView<Scalar>& samples, ThreadPool& pool) {
  const Index c = network.outputs();
  const Index m = network.width();
  const Index count = std::ssize(candidates);
  RowMatrix<Scalar> weights(m, count * c);
  RowVector<Scalar> bias(count * c);
  for (Index k = 0; k < count; ++k) {
    const auto& readout = candidates[static_cast<std::size_t>(k)].readout;
    weights.middleCols(k * c, c) = readout.topRows(m).template cast<Scalar>();
    bias.segment(k * c, c) = readout.row(m).template cast<Scalar>();
  }
  auto layers = network.to_layers();
  layers.back() = DenseLayer<Scalar>(std::move(weights), std::move(bias));
  const PanelNetwork<Scalar> all(layers);
  std::vector<ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) all.reserve(s, kForwardRows);
  const Index n = samples.size();
  const Index blocks = (n + kForwardRows - 1) / kForwardRows;
  RowMatrix<double> sums = RowMatrix<double>::Zero(blocks, count);
  pool.parallel_for(blocks, [&](Index block, int thread) {
    auto& s = scratch[static_cast<std::size_t>(thread)];
    const Index first = block * kForwardRows;
    const Index rows = std::min(kForwardRows, n - first);
    const Index in_stride = samples.inputs.outerStride();
    all.forward(rows, {samples.inputs.data() + first * in_stride, in_stride, 1}, s);
    for (Index i = 0; i < rows; ++i) {
      const Scalar* y = samples.targets.data() + (first + i) * samples.targets.outerStride();
      const Scalar* g = s.output.data() + i * all.layers().back().stride();
      const auto weight = static_cast<double>(samples.weights[first + i]);
      for (Index k = 0; k < count; ++k) {
        double squares = 0;
        for (Index j = 0; j < c; ++j) {
          const double error = static_cast<double>(g[k * c + j]) - static_cast<double>(y[j]);
          squares += error * error;
        }
        sums(block, k) += weight * squares;
      }
    }
  });
  const RowVector<double> totals = sums.colwise().sum();
  return {totals.data(), totals.data() + count};
}

/// Solves the readout by ridge regression, the ridge chosen by generalised cross-validation: the
/// one of least
///
///     sum_i w_i |g(x_i) - y_i|^2 / (1 - tr H / n)^2,   H the map from targets to predictions,
///
/// where the numerator is measured on the network as it will be used, rounded to Scalar. Only
/// readouts that lower the training error count; if none does, the readout becomes zero.
///
/// \param ridges  candidates, relative to the mean square of the features
/// \param chosen  the best one; 0 if there is none
///
/// Source: Golub, Heath & Wahba, "Generalized cross-validation as a method for choosing a good
/// ridge parameter" (Technometrics 21, 1979).
template <class Scalar>
RelativeLoss gcv_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                         const std::vector<double>& ridges, ThreadPool& pool, double& chosen) {
  const ReadoutMoments moments = readout_moments(network, problem.train, pool);
  std::vector<RidgeCandidate> candidates(ridges.size());
  pool.parallel_for(std::ssize(ridges), [&](Index k, int) {
    const auto i = static_cast<std::size_t>(k);
    candidates[i] = solve_ridge(moments, ridges[i]);
  });
  // Where all degrees of freedom are used up, the criterion is zero by zero.
  constexpr double kFewestFree = 1e-6;
  const double samples = effective_samples(problem.train);
  std::erase_if(candidates, [&](const RidgeCandidate& candidate) {
    const bool usable =
        candidate.readout.size() > 0 && candidate.readout.template cast<Scalar>().allFinite();
    return !usable || (ridges.size() > 1 && !(1 - candidate.degrees / samples > kFewestFree));
  });

  Eigen::MatrixXd best = Eigen::MatrixXd::Zero(network.width() + 1, network.outputs());
  RelativeLoss best_loss;
  double best_score = std::numeric_limits<double>::infinity();
  chosen = 0;
  if (!candidates.empty()) {
    const double zero = zero_loss(problem.train);
    const auto losses = losses_of(network, candidates, problem.train, pool);
    for (std::size_t k = 0; k < candidates.size(); ++k) {
      const double loss = losses[k] / zero;
      const double left = 1 - candidates[k].degrees / samples;
      const double score = ridges.size() > 1 ? loss / (left * left) : loss;
      if (!(loss < 1) || !(score < best_score)) continue;
      best = candidates[k].readout;
      best_loss.train = loss;
      best_score = score;
      chosen = candidates[k].ridge;
    }
  }
  set_readout(network, best);
  if (problem.validation) {
    best_loss.validation = relative_loss(network, *problem.validation, pool);
  }
  return best_loss;
}

}  // namespace mgdl::detail
