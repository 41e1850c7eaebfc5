#pragma once

#include <algorithm>
#include <limits>
#include <optional>
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

/// What hidden units start as.
///
/// Units that start large, with a readout solved on them, hardly move in training (the "lazy"
/// regime): right for fine detail of few inputs. Units that start small turn to the directions that
/// matter (the "rich" regime): right for smooth functions of many inputs. Sources: Chizat, Oyallon
/// & Bach (arXiv 1812.07956); Woodworth et al., "Kernel and rich regimes in overparametrized
/// models" (arXiv 2002.09277).
enum class Initialization {
  WhiteNoise,  ///< large: linear fits of white noise with their kinks among the samples
  Sampled,     ///< drawn from pairs of samples where the residual is steep, as by SampledTrainer
  He,          ///< normal weights, no biases (He et al., arXiv 1502.01852), on whitened inputs
  Rich         ///< small: those of He times GradientOptions.start_scale, with a random readout
};

/// The enumerator's name.
constexpr const char* to_string(Initialization initialization) noexcept {
  switch (initialization) {
    case Initialization::WhiteNoise: return "WhiteNoise";
    case Initialization::Sampled: return "Sampled";
    case Initialization::He: return "He";
    case Initialization::Rich: break;
  }
  return "Rich";
}

/// Value of an option that is left to be chosen.
inline constexpr std::nullopt_t Automatic = std::nullopt;

/// Options of GradientTrainer. Those that are Automatic are chosen on the validation part, see
/// GradientTrainer; without one they have the value that is given here.
struct GradientOptions {
  /// Units of each hidden layer, >= 1.
  Index width = 64;
  /// Hidden layers, >= 1. Automatic: 2.
  std::optional<Index> hidden_layers = Automatic;
  /// How to minimise. Automatic: Adam.
  std::optional<Optimizer> optimizer = Automatic;
  /// Adam: passes over the samples at most; L-BFGS: iterations. >= 1. Automatic: 200.
  std::optional<Index> epochs = Automatic;
  /// What hidden units start as. Automatic: WhiteNoise.
  std::optional<Initialization> initialization = Automatic;
  /// Independent random starts; the best is kept. Worth more than long training where grades are
  /// narrow. >= 1.
  Index starts = 1;
  /// Samples in one Adam step, >= 1; more than there are means all of them. Automatic: 256.
  std::optional<Index> batch_size = Automatic;
  /// Adam's peak learning rate, > 0. Automatic: 3e-3.
  std::optional<double> learning_rate = Automatic;
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
  /// Adds weight_decay * (sum of squared weights of all layers, on whitened inputs, without biases)
  /// to the objective, >= 0. Automatic: 0.
  std::optional<double> weight_decay = Automatic;
  /// Directions of the grade's inputs with less variance than this part of the mean are damped
  /// instead of whitened (dimensionless), in [0, 1). Larger values make smoother grades: 1e-2 suits
  /// smooth functions of many variables. Automatic: 1e-7.
  std::optional<double> feature_floor = Automatic;
  /// Size of units that start small (Initialization::Rich): hidden weights have a standard
  /// deviation of start_scale * sqrt(2 / inputs), > 0.
  double start_scale = 0.25;
  /// The same of the readout that they start with, > 0.
  double start_readout = 0.3;
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
    const auto require_if = [&](auto option, auto rule_holds, const char* field, const char* rule) {
      if (option) require(rule_holds(*option), field, rule, *option);
    };
    const double infinity = std::numeric_limits<double>::infinity();
    const auto at_least_one = [](Index value) { return value >= 1; };
    const auto finite_positive = [=](double value) { return value > 0 && value < infinity; };
    require(width >= 1, "GradientOptions.width", "a value >= 1", width);
    require_if(
        hidden_layers, [](Index value) { return value >= 1; }, "GradientOptions.hidden_layers",
        "a value >= 1");
    require_if(epochs, at_least_one, "GradientOptions.epochs", "a value >= 1");
    require_if(batch_size, at_least_one, "GradientOptions.batch_size", "a value >= 1");
    require_if(learning_rate, finite_positive, "GradientOptions.learning_rate",
               "a finite value > 0");
    for (double rate : grade_learning_rates) {
      require(finite_positive(rate), "GradientOptions.grade_learning_rates", "finite values > 0",
              rate);
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
    require_if(
        weight_decay, [=](double value) { return value >= 0 && value < infinity; },
        "GradientOptions.weight_decay", "a finite value >= 0");
    require(starts >= 1, "GradientOptions.starts", "a value >= 1", starts);
    require_if(
        feature_floor, [](double value) { return value >= 0 && value < 1; },
        "GradientOptions.feature_floor", "a value in [0, 1)");
    require(finite_positive(start_scale), "GradientOptions.start_scale", "a finite value > 0",
            start_scale);
    require(finite_positive(start_readout), "GradientOptions.start_readout", "a finite value > 0",
            start_readout);
    require(start_ridge > 0 && start_ridge < infinity, "GradientOptions.start_ridge",
            "a finite value > 0", start_ridge);
    require(ridge > 0 && ridge < infinity, "GradientOptions.ridge", "a finite value > 0", ridge);
    require(patience >= 0, "GradientOptions.patience", "a value >= 0", patience);
    require(time_limit_seconds > 0, "GradientOptions.time_limit_seconds", "a value > 0",
            time_limit_seconds);
  }

  /// The same options with nothing left to choose: what is Automatic has the value that it has
  /// without a validation part.
  GradientOptions fixed() const {
    GradientOptions result = *this;
    result.hidden_layers = hidden_layers.value_or(2);
    result.optimizer = optimizer.value_or(Optimizer::Adam);
    result.epochs = epochs.value_or(200);
    result.initialization = initialization.value_or(Initialization::WhiteNoise);
    result.batch_size = batch_size.value_or(256);
    result.learning_rate = learning_rate.value_or(3e-3);
    result.weight_decay = weight_decay.value_or(0);
    result.feature_floor = feature_floor.value_or(1e-7);
    return result;
  }

  /// Adam's peak learning rate for a grade, numbered from 1; Automatic if there is none.
  std::optional<double> learning_rate_of(Index grade) const {
    if (grade_learning_rates.empty()) return learning_rate;
    const auto last = static_cast<Index>(grade_learning_rates.size()) - 1;
    return grade_learning_rates[static_cast<std::size_t>(std::min(grade - 1, last))];
  }
};

}  // namespace mgdl
