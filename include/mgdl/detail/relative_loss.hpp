#pragma once

#include <limits>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/detail/training_pass.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl::detail {

/// Objectives of a network, relative to the zero function.
struct RelativeLoss {
  double train = 1;
  double validation = std::numeric_limits<double>::quiet_NaN();
};

/// sum_i w_i |g(x_i) - y_i|^2 / sum_i w_i |y_i|^2.
template <class Scalar>
double relative_loss(const PanelNetwork<Scalar>& network, const SampleView<Scalar>& samples,
                     ThreadPool& pool) {
  std::vector<ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) network.reserve(s, kForwardRows);
  std::vector<double> block_loss;
  return sample_loss(network, samples, scratch, block_loss, pool) / zero_loss(samples);
}

/// The same on both parts of a problem.
template <class Scalar>
RelativeLoss relative_loss(const PanelNetwork<Scalar>& network, const GradeProblem<Scalar>& problem,
                           ThreadPool& pool) {
  RelativeLoss loss{relative_loss(network, problem.train, pool)};
  if (problem.validation) loss.validation = relative_loss(network, *problem.validation, pool);
  return loss;
}

}  // namespace mgdl::detail
