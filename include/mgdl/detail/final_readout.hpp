#pragma once

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/readout.hpp"
#include "mgdl/detail/relative_loss.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/detail/training_pass.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// Scales the readout by the step in (0, 1] that is best on the validation part: what a grade has
/// learnt of the training samples only, noise above all, is left out of the model in proportion.
/// The training error still falls if the readout is no longer than the best step there. Changes
/// nothing without a validation part, or where every step makes the validation error worse (which
/// is for the driver to judge).
template <class Scalar>
void shrink_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                    RelativeLoss& loss, ThreadPool& pool) {
  if (!problem.validation) return;
  const Eigen::MatrixXd readout = get_readout(network);
  const double step = optimal_step(readout_moments(network, *problem.validation, pool), readout);
  if (!(step > 0 && step < 1)) return;
  set_readout(network, Eigen::MatrixXd(step * readout));
  const RelativeLoss shrunk = relative_loss(network, problem, pool);
  if (shrunk.train < 1 && shrunk.validation < loss.validation) {
    loss = shrunk;
  } else {
    set_readout(network, readout);
  }
}

/// Solves the readout anew for the final features.
///
/// The candidates are the trained readout, the same scaled by its optimal step, and least squares
/// solutions of increasing ridge. They are judged as they will be used, rounded to Scalar: a small
/// ridge may need coefficients too large for that. Only those that lower the training error count.
/// Of them, the one with the best validation error is taken, so that the result is never worse
/// there than the iterate it comes from, and shrunk; without a validation part, the most
/// regularised one whose training error is within kSlack of the best. If there is none, the readout
/// becomes zero, which the driver rejects.
template <class Scalar>
RelativeLoss finish_readout(PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                            double smallest_ridge, ThreadPool& pool) {
  const ReadoutMoments moments = readout_moments(network, problem.train, pool);
  const Eigen::MatrixXd trained = get_readout(network);
  std::vector<Eigen::MatrixXd> candidates{trained, trained * optimal_step(moments, trained)};
  for (double ridge = smallest_ridge; ridge < 1e2; ridge *= 100) {
    if (auto solved = solve_readout(moments, ridge)) candidates.push_back(std::move(*solved));
  }

  std::vector<ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) network.reserve(s, kForwardRows);
  std::vector<double> block_loss;
  const auto relative_loss = [&](const SampleView<Scalar>& samples) {
    return sample_loss(network, samples, scratch, block_loss, pool) / zero_loss(samples);
  };

  constexpr double kSlack = 1.01;
  Eigen::MatrixXd best = Eigen::MatrixXd::Zero(trained.rows(), trained.cols());
  RelativeLoss best_loss;
  double best_score = std::numeric_limits<double>::infinity();
  // From the least to the most regularised, so that a later one may win within the slack.
  for (const auto& candidate : candidates) {
    if (!candidate.template cast<Scalar>().allFinite()) continue;
    set_readout(network, candidate);
    RelativeLoss loss{relative_loss(problem.train)};
    if (!(loss.train < 1)) continue;
    if (problem.validation) loss.validation = relative_loss(*problem.validation);
    const double score = problem.validation ? loss.validation : loss.train / kSlack;
    if (score < best_score) {
      best = candidate;
      best_loss = loss;
      best_score = problem.validation ? score : std::min(best_score, loss.train);
    }
  }
  set_readout(network, best);
  shrink_readout(network, problem, best_loss, pool);
  return best_loss;
}

}  // namespace mgdl::detail
