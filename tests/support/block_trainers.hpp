#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

namespace mgdl::test {

inline GradientOptions small_gradient(Optimizer optimizer, Index epochs, Index batch) {
  GradientOptions options;
  options.width = 8;
  options.hidden_layers = 2;
  options.optimizer = optimizer;
  options.epochs = epochs;
  options.batch_size = batch;
  return options;
}

/// Every kind of trainer that reads samples in blocks, with its name.
template <class Scalar>
std::vector<std::pair<std::string, AnyGradeTrainer<Scalar>>> block_trainers(Index epochs,
                                                                            Index batch) {
  const SampledTrainer<Scalar> sampled({.width = 12});
  const GradientTrainer<Scalar> adam(small_gradient(Optimizer::Adam, epochs, batch));
  const GradientTrainer<Scalar> lbfgs(small_gradient(Optimizer::Lbfgs, 4, batch));
  return {{"affine", AffineTrainer<Scalar>()},
          {"sampled", sampled},
          {"Adam", adam},
          {"L-BFGS", lbfgs},
          {"auto", AutoTrainer<Scalar>({AffineTrainer<Scalar>(), sampled, adam})}};
}

}  // namespace mgdl::test
