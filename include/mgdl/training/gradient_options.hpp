#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// How GradientTrainer minimises.
enum class Optimizer {
  Adam,  ///< minibatches, Kingma & Ba (arXiv 1412.6980)
  Lbfgs  ///< all samples at once, limited-memory BFGS with a strong Wolfe line search
};

/// Course of Adam's learning rate after the warm-up.
enum class LearningRateSchedule {
  Cosine,       ///< half a cosine from the learning rate down to its final fraction
  Exponential,  ///< geometric decay to its final fraction, as in the multigrade papers
  Constant
};

/// Options of GradientTrainer.
struct GradientOptions {
  Index width = 64;         ///< units of each hidden layer, >= 1
  Index hidden_layers = 2;  ///< >= 1
  Optimizer optimizer = Optimizer::Adam;
  Index epochs = 200;           ///< Adam: passes over the samples; L-BFGS: iterations. >= 1
  Index batch_size = 256;       ///< samples in one Adam step, >= 1; more than n means all
  double learning_rate = 3e-3;  ///< Adam's peak rate, > 0
  std::vector<double> grade_learning_rates = {};  ///< if not empty: the peak rate of grade 1, 2,
                                                  ///< ...; the last one serves all further grades
  LearningRateSchedule schedule = LearningRateSchedule::Cosine;
  double warmup_fraction = 0.02;               ///< part of the steps with a rising rate, in [0, 1)
  double final_learning_rate_fraction = 1e-3;  ///< of the peak rate, in (0, 1]
  double beta1 = 0.9;                          ///< Adam's decay of the first moment, in [0, 1)
  double beta2 = 0.999;                        ///< Adam's decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                       ///< Adam's denominator guard, > 0
  Index history = 20;                          ///< pairs that L-BFGS keeps, >= 1
  double relative_tolerance = 1e-9;  ///< L-BFGS stops when `history` iterations together lower
                                     ///< the objective by less than this part of it; >= 0
  double weight_decay = 0;  ///< adds weight_decay * sum of squared weights (not biases) of the
                            ///< hidden layers to the objective; >= 0
  double ridge = 1e-12;  ///< smallest regularisation of the final readout's least squares problem,
                         ///< relative to its diagonal (dimensionless), > 0
  Index patience = 0;    ///< epochs without a better validation error before training stops; 0:
                         ///< never (the best iterate is restored in any case)
  double time_limit_seconds = std::numeric_limits<double>::infinity();  ///< per grade, > 0

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    const double infinity = std::numeric_limits<double>::infinity();
    require(width >= 1, "GradientOptions.width", "a value >= 1", width);
    require(hidden_layers >= 1, "GradientOptions.hidden_layers", "a value >= 1", hidden_layers);
    require(epochs >= 1, "GradientOptions.epochs", "a value >= 1", epochs);
    require(batch_size >= 1, "GradientOptions.batch_size", "a value >= 1", batch_size);
    require(learning_rate > 0 && learning_rate < infinity, "GradientOptions.learning_rate",
            "a finite value > 0", learning_rate);
    for (double rate : grade_learning_rates) {
      require(rate > 0 && rate < infinity, "GradientOptions.grade_learning_rates",
              "finite values > 0", rate);
    }
    require(warmup_fraction >= 0 && warmup_fraction < 1, "GradientOptions.warmup_fraction",
            "a value in [0, 1)", warmup_fraction);
    require(final_learning_rate_fraction > 0 && final_learning_rate_fraction <= 1,
            "GradientOptions.final_learning_rate_fraction", "a value in (0, 1]",
            final_learning_rate_fraction);
    require(beta1 >= 0 && beta1 < 1, "GradientOptions.beta1", "a value in [0, 1)", beta1);
    require(beta2 >= 0 && beta2 < 1, "GradientOptions.beta2", "a value in [0, 1)", beta2);
    require(epsilon > 0 && epsilon < infinity, "GradientOptions.epsilon", "a finite value > 0",
            epsilon);
    require(history >= 1, "GradientOptions.history", "a value >= 1", history);
    require(relative_tolerance >= 0, "GradientOptions.relative_tolerance", "a value >= 0",
            relative_tolerance);
    require(weight_decay >= 0 && weight_decay < infinity, "GradientOptions.weight_decay",
            "a finite value >= 0", weight_decay);
    require(ridge > 0 && ridge < infinity, "GradientOptions.ridge", "a finite value > 0", ridge);
    require(patience >= 0, "GradientOptions.patience", "a value >= 0", patience);
    require(time_limit_seconds > 0, "GradientOptions.time_limit_seconds", "a value > 0",
            time_limit_seconds);
  }

  /// Adam's peak learning rate for a grade, numbered from 1.
  double learning_rate_of(Index grade) const {
    if (grade_learning_rates.empty()) return learning_rate;
    const auto last = static_cast<Index>(grade_learning_rates.size()) - 1;
    return grade_learning_rates[static_cast<std::size_t>(std::min(grade - 1, last))];
  }
};

}  // namespace mgdl
