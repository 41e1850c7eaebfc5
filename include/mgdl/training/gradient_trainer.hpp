#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

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

/// What hidden units start as.
enum class Initialization {
  WhiteNoise,  ///< linear fits of white noise with their kinks among the samples
  Sampled,     ///< drawn from pairs of samples where the residual is steep, as by SampledTrainer
  He           ///< normal weights, no biases (He et al., arXiv 1502.01852), on whitened inputs
};

/// Options of GradientTrainer.
struct GradientOptions {
  /// Units of each hidden layer, >= 1.
  Index width = 64;
  /// Hidden layers, >= 1.
  Index hidden_layers = 2;
  /// How to minimise.
  Optimizer optimizer = Optimizer::Adam;
  /// Adam: passes over the samples; L-BFGS: iterations. >= 1.
  Index epochs = 200;
  /// What hidden units start as.
  Initialization initialization = Initialization::WhiteNoise;
  /// Independent random starts, each trained in full; the best is kept. Worth more than long
  /// training where grades are narrow. >= 1.
  Index starts = 1;
  /// Samples in one Adam step, >= 1; more than there are means all of them.
  Index batch_size = 256;
  /// Adam's peak learning rate, > 0.
  double learning_rate = 3e-3;
  /// If not empty: the peak rates of grade 1, 2, ...; the last one serves all further grades. > 0.
  std::vector<double> grade_learning_rates = {};
  /// Course of the learning rate after the warm-up.
  LearningRateSchedule schedule = LearningRateSchedule::Cosine;
  /// Part of the steps during which the rate rises, in [0, 1).
  double warmup_fraction = 0.02;
  /// Where the schedule ends, as a part of the peak rate, in (0, 1].
  double final_learning_rate_fraction = 1e-3;
  /// Adam's decay of the first moment, in [0, 1).
  double beta1 = 0.9;
  /// Adam's decay of the second moment, in [0, 1).
  double beta2 = 0.999;
  /// Guard of Adam's denominator, > 0.
  double epsilon = 1e-8;
  /// Pairs of steps that L-BFGS keeps, >= 1.
  Index history = 20;
  /// L-BFGS stops when `history` iterations together lower the objective by at most this part of
  /// it, >= 0.
  double relative_tolerance = 1e-9;
  /// Adds weight_decay * (sum of squared weights of the hidden layers, on whitened inputs, without
  /// biases) to the objective, >= 0.
  double weight_decay = 0;
  /// Directions of the grade's inputs with less variance than this part of the mean are damped
  /// instead of whitened (dimensionless), in [0, 1). Larger values make smoother grades: 1e-2 suits
  /// smooth functions of many variables.
  double feature_floor = 1e-7;
  /// Ridge of the fits of white noise that units start as (dimensionless), > 0. Larger values start
  /// with smoother units.
  double start_ridge = 3e-3;
  /// Smallest regularisation of the final readout's least squares problem, relative to the mean
  /// square of the features (dimensionless), > 0.
  double ridge = 1e-12;
  /// Iterations without a better validation error before training stops; 0: never. The best iterate
  /// is restored in any case.
  Index patience = 0;
  /// Seconds for one grade, > 0. Adam's schedule ends in time.
  double time_limit_seconds = std::numeric_limits<double>::infinity();

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
    require(starts >= 1, "GradientOptions.starts", "a value >= 1", starts);
    require(feature_floor >= 0 && feature_floor < 1, "GradientOptions.feature_floor",
            "a value in [0, 1)", feature_floor);
    require(start_ridge > 0 && start_ridge < infinity, "GradientOptions.start_ridge",
            "a finite value > 0", start_ridge);
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

/// Trains a grade of equally wide hidden ReLU layers by its gradient, with Adam or L-BFGS.
///
/// Minimises sum_i w_i |g(x_i) - y_i|^2 + weight_decay * |hidden weights|^2 in four steps.
/// - The inputs are whitened: made uncorrelated with variance 1. They are the frozen features of
/// the
///   grade before, so this is done once, and it is folded into the first layer's weights at the
///   end. It is what lets later grades learn fine detail quickly.
/// - Hidden units start as GradientOptions.initialization says, the readout as a least squares fit.
/// - The optimiser runs. The iterate with the best validation error (without a validation part:
///   training error) is kept. Hidden units that are zero on all samples start anew.
/// - The readout is solved by regularised least squares, so the returned network never fits the
///   training samples worse than the zero function.
template <class Scalar_ = double>
class GradientTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit GradientTrainer(GradientOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  const GradientOptions& options() const noexcept { return m_options; }

  /// The bits of the result depend on the problem's samples, seed and grade number, not on the
  /// number of threads (unless there is a time limit, which also steers the learning rate, or an
  /// observer that stops).
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  struct Whitened;

  std::string name() const;

  GradientOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class GradientTrainer<float>;
extern template class GradientTrainer<double>;
}  // namespace mgdl
#else
#include "mgdl/training/gradient_trainer_impl.hpp"  // IWYU pragma: export
#endif
