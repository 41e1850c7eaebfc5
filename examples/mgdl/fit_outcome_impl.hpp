#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fit_outcome.hpp"
#include "interrupt.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "progress.hpp"
#include "samples.hpp"

/// \file
/// The definition of fit, for the two files that compile it: each takes a while.

namespace mgdl::command {

template <class Scalar>
struct FitData {
  Dataset<Scalar> samples;
  std::optional<Dataset<Scalar>> test = {};
  ColumnNames names = {};
  std::vector<std::string> texts = {};  ///< on what was taken of CSV files
};

/// For a file whose columns are found by their names.
inline CsvFlags without_columns(CsvFlags flags) {
  flags.columns.clear();
  flags.exclude.clear();
  return flags;
}

template <class Scalar>
FitData<Scalar> read_data(const FitOptions& o) {
  if (o.csv.empty()) {
    FitData<Scalar> data{read_npy_samples<Scalar>(o.input, o.target)};
    if (o.test_input.empty()) return data;
    data.test = read_npy_samples<Scalar>(o.test_input, o.test_target);
    const auto& train = data.samples;
    detail::require_cols(o.test_input, train.inputs().cols(), data.test->inputs().cols());
    detail::require_cols(o.test_target, train.targets().cols(), data.test->targets().cols());
    return data;
  }
  NamedSamples<Scalar> samples = read_csv_samples<Scalar>(o.csv, o.table, o.target_columns);
  FitData<Scalar> data{std::move(samples.data)};
  data.names = usable_names(std::move(samples.names));
  data.texts.push_back(std::move(samples.text));
  if (o.test_csv.empty()) return data;
  const bool named = !data.names.inputs.empty();
  NamedSamples<Scalar> test =
      read_csv_samples<Scalar>(o.test_csv, named ? without_columns(o.table) : o.table,
                               named ? std::vector<std::string>() : o.target_columns, data.names);
  detail::require_cols(o.test_csv, data.samples.inputs().cols(), test.data.inputs().cols());
  data.test = std::move(test.data);
  data.texts.push_back(std::move(test.text));
  return data;
}

template <class Scalar>
Curve curve_of(const MultigradeModel<Scalar>& model, const Dataset<Scalar>& samples) {
  constexpr Index max_samples = 2000;
  constexpr Index points = 1000;
  Curve curve;
  const Index step = (samples.size() + max_samples - 1) / max_samples;
  for (Index i = 0; i < samples.size(); i += step) {
    curve.sample_x.push_back(static_cast<double>(samples.inputs()(i, 0)));
    curve.sample_y.push_back(static_cast<double>(samples.targets()(i, 0)));
  }
  const Vector<Scalar> x =
      Vector<Scalar>::LinSpaced(points, samples.inputs().minCoeff(), samples.inputs().maxCoeff());
  const auto doubles = [](const auto& values) {
    std::vector<double> result;
    for (Index i = 0; i < values.rows(); ++i) result.push_back(static_cast<double>(values(i, 0)));
    return result;
  };
  curve.x = doubles(x);
  for (Index k = 1; k <= model.grades(); ++k) {
    curve.predictions.push_back(doubles(model.predict(x, k)));
  }
  return curve;
}

/// The trainers of grade 1, 2, ..., as the flags say.
template <class Scalar>
std::vector<AnyGradeTrainer<Scalar>> trainers_of(const FitOptions& options, Index inputs) {
  const auto named = [&](const std::string& name) -> AnyGradeTrainer<Scalar> {
    if (name == "affine") return AffineTrainer<Scalar>();
    if (name == "sampled") return SampledTrainer<Scalar>(sampled_options(options));
    if (name == "convex") return ConvexTrainer<Scalar>(convex_options(options));
    if (name == "constructive") return ConstructiveTrainer<Scalar>(constructive_options(options));
    return GradientTrainer<Scalar>(gradient_options(options));
  };
  std::vector<AnyGradeTrainer<Scalar>> trainers;
  for (const std::string& name : options.trainers) {
    if (name != "auto") {
      trainers.push_back(named(name));
      continue;
    }
    std::vector<AnyGradeTrainer<Scalar>> candidates;
    if (inputs == 1) candidates.push_back(named("convex"));
    candidates.push_back(named("sampled"));
    candidates.push_back(named("gradient"));
    if (trainers.empty()) {
      // An affine function leaves no other one.
      auto with_affine = candidates;
      with_affine.insert(with_affine.begin(), named("affine"));
      trainers.push_back(AutoTrainer<Scalar>(std::move(with_affine)));
      if (options.trainers.size() > 1) continue;
    }
    trainers.push_back(AutoTrainer<Scalar>(std::move(candidates)));
  }
  return trainers;
}

/// A trained model and what belongs to it.
template <class Scalar>
struct Trained {
  MultigradeFit<Scalar> fit;
  HeldOut held;
  std::optional<PredictionIntervals<Scalar>> intervals = {};
  std::optional<Curve> curve = {};

  /// Whether it might be another model, had it had more time.
  bool is_cut_short() const {
    const auto cut = [](Termination termination) {
      return termination == Termination::TimeLimit || termination == Termination::StoppedByObserver;
    };
    return cut(fit.report.termination) ||
           std::ranges::any_of(fit.report.grades,
                               [&](const auto& grade) { return cut(grade.fit.termination); });
  }

  /// Of a model without grades infinite: any other is better.
  double validation_rse() const {
    const auto& model = fit.model;
    return model.grades() > 0 ? model.grade(model.grades()).validation_rse
                              : std::numeric_limits<double>::infinity();
  }
};

template <class Scalar>
FitOutcome fit(const FitOptions& options) {
  FitData<Scalar> data = read_data<Scalar>(options);
  const Index samples = data.samples.size();
  const Index inputs = data.samples.inputs().cols();
  const Index outputs = data.samples.targets().cols();
  const HeldOut held = held_out(options, samples);
  check_samples(options, inputs, outputs, samples, held.fraction > 0 || held.folds > 0);

  catch_interrupts();
  FitOutcome outcome;
  ProgressDisplay display(options.quiet, options.time_limit);
  for (const std::string& text : data.texts) display.note(text);
  bool told = false;
  MultigradeOptions multigrade = multigrade_options(options);
  multigrade.observer = [&](const Progress& progress) {
    if (progress.event == Progress::Event::Iteration) {
      outcome.trace.push_back({progress.grade, progress.objective});
    } else if (outcome.trace.empty() || outcome.trace.back().grade != progress.grade) {
      outcome.trace.push_back({progress.grade, NAN});  // its place in the plot
    }
    display.show(progress);
    if (!interrupted()) return Action::Continue;
    if (!std::exchange(told, true)) display.note("stopping; once more to give up at once");
    return Action::Stop;
  };
  // The last run takes the samples, which may be many.
  const auto train = [&](HeldOut part, bool last) {
    outcome.trace.clear();
    MultigradeTrainer<Scalar> trainer(trainers_of<Scalar>(options, inputs), multigrade);
    const auto run = [&](const auto& parts, const Dataset<Scalar>& rest, bool calibrates) {
      display.note(sizes_text(rest.size(), samples - rest.size(), part.folds, inputs, outputs));
      Trained<Scalar> result{.fit = trainer.fit(parts), .held = part};
      if (calibrates) {
        const IntervalOptions intervals{.seed = options.seed, .threads = multigrade.threads};
        result.intervals = calibrate(result.fit, parts, intervals);
      }
      if (!options.plot.empty() && inputs == 1 && outputs == 1) {
        result.curve = curve_of(result.fit.model, rest);
      }
      return result;
    };
    Dataset<Scalar> taken = last ? std::move(data.samples) : data.samples;
    if (part.folds > 0) {
      const auto parts = folds(std::move(taken), part.folds, options.seed);
      return run(parts, parts.all, true);
    }
    const auto parts = split(std::move(taken), part.fraction, options.seed);
    return run(parts, parts.train, parts.validation.has_value());
  };
  // Folds take several times as long as one model, and not much is left of the fits of folds that
  // are cut short. So one model comes first where time is limited; what folds give is the same
  // then.
  constexpr Index kFewToTry = 200;
  const bool try_first = held.folds > 0 && !options.folds && samples >= kFewToTry &&
                         options.time_limit < std::numeric_limits<double>::infinity();
  std::optional<Trained<Scalar>> best;
  if (try_first) {
    const detail::Stopwatch watch;
    best = train({0.1, 0}, /*last=*/false);
    const double seconds = watch.seconds();
    multigrade.time_limit_seconds = options.time_limit - seconds;
    const bool too_long =
        0.7 * static_cast<double>(held.folds) * seconds > multigrade.time_limit_seconds;
    if (!best->is_cut_short() && !too_long && !interrupted()) {
      auto trace = outcome.trace;
      Trained<Scalar> other = train(held, /*last=*/true);
      if (other.is_cut_short() && !(other.validation_rse() <= best->validation_rse())) {
        outcome.trace = std::move(trace);
      } else {
        best = std::move(other);
      }
    }
  } else {
    best = train(held, /*last=*/true);
  }
  const MultigradeFit<Scalar>& fit = best->fit;
  display.note("");
  // Of several trainings side by side the errors make no curve.
  for (const GradeReport& grade : fit.report.grades) {
    if (fit.report.folds == 0 && grade.fit.trials.empty()) continue;
    std::erase_if(outcome.trace, [&](const auto& point) { return point.grade == grade.grade; });
    const auto place = std::ranges::find_if(
        outcome.trace, [&](const auto& point) { return point.grade > grade.grade; });
    outcome.trace.insert(place, {grade.grade, NAN});
  }

  outcome.summary =
      summarise(fit, data.test ? &*data.test : nullptr, options.peak, options.threads);
  outcome.curve = std::move(best->curve);
  outcome.summary.seed = options.seed;
  outcome.summary.validation_fraction = best->held.fraction;
  outcome.targets = data.names.targets;
  outcome.write_model = [model = fit.model, intervals = std::move(best->intervals),
                         names = std::move(data.names)](const std::string& path,
                                                        const FitSummary& report) {
    save_model(path, model, &report, intervals ? &*intervals : nullptr, &names);
  };
  return outcome;
}

}  // namespace mgdl::command
