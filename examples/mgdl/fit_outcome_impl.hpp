#pragma once

#include <algorithm>
#include <cmath>
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

template <class Scalar>
FitOutcome fit(const FitOptions& options) {
  FitData<Scalar> data = read_data<Scalar>(options);
  const Index samples = data.samples.size();
  const Index inputs = data.samples.inputs().cols();
  const Index outputs = data.samples.targets().cols();
  const HeldOut held = held_out(options, samples);
  check_samples(options, inputs, outputs, samples, held.fraction > 0 || held.folds > 0);
  // One of the two holds the samples.
  std::optional<DataFolds<Scalar>> in_folds;
  std::optional<DataSplit<Scalar>> in_parts;
  if (held.folds > 0) {
    in_folds.emplace(folds(std::move(data.samples), held.folds, options.seed));
  } else {
    in_parts.emplace(split(std::move(data.samples), held.fraction, options.seed));
  }
  const Dataset<Scalar>& train = in_folds ? in_folds->all : in_parts->train;

  catch_interrupts();
  FitOutcome outcome;
  ProgressDisplay display(options.quiet, options.time_limit);
  for (const std::string& text : data.texts) display.note(text);
  display.note(sizes_text(train.size(), samples - train.size(), held.folds, inputs, outputs));
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
  MultigradeTrainer<Scalar> trainer(trainers_of<Scalar>(options, inputs), multigrade);
  const MultigradeFit<Scalar> fit = in_folds ? trainer.fit(*in_folds) : trainer.fit(*in_parts);
  display.note("");
  if (fit.report.idle_folds > 0) {
    display.note("time for " + std::to_string(fit.report.folds - fit.report.idle_folds) + " of " +
                 std::to_string(fit.report.folds) + " folds");
  }
  // Of several trainings side by side the errors make no curve.
  for (const GradeReport& grade : fit.report.grades) {
    if (fit.report.folds == 0 && grade.fit.trials.empty()) continue;
    std::erase_if(outcome.trace, [&](const auto& point) { return point.grade == grade.grade; });
    const auto place = std::ranges::find_if(
        outcome.trace, [&](const auto& point) { return point.grade > grade.grade; });
    outcome.trace.insert(place, {grade.grade, NAN});
  }
  std::optional<PredictionIntervals<Scalar>> intervals;
  const IntervalOptions interval_options{.seed = options.seed, .threads = multigrade.threads};
  if (in_folds) {
    intervals = calibrate(fit, *in_folds, interval_options);
  } else if (in_parts->validation) {
    intervals = calibrate(fit, *in_parts, interval_options);
  }

  outcome.summary =
      summarise(fit, data.test ? &*data.test : nullptr, options.peak, options.threads);
  if (!options.plot.empty() && fit.model.inputs() == 1 && fit.model.outputs() == 1) {
    outcome.curve = curve_of(fit.model, train);
  }
  outcome.summary.seed = options.seed;
  outcome.summary.validation_fraction = held.fraction;
  outcome.targets = data.names.targets;
  outcome.write_model = [model = fit.model, intervals = std::move(intervals),
                         names = std::move(data.names)](const std::string& path,
                                                        const FitSummary& report) {
    save_model(path, model, &report, intervals ? &*intervals : nullptr, &names);
  };
  return outcome;
}

}  // namespace mgdl::command
