#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fit_outcome.hpp"
#include "interrupt.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/split_source.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/npy_source.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "progress.hpp"
#include "ranks.hpp"
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

/// Samples to test on, if there are some.
template <class Scalar>
std::optional<Dataset<Scalar>> read_npy_test(const FitOptions& o, Index inputs, Index outputs) {
  if (o.test_input.empty()) return std::nullopt;
  auto test = read_npy_samples<Scalar>(o.test_input, o.test_target);
  detail::require_cols(o.test_input, inputs, test.inputs().cols());
  detail::require_cols(o.test_target, outputs, test.targets().cols());
  return test;
}

template <class Scalar>
FitData<Scalar> read_data(const FitOptions& o) {
  if (o.csv.empty()) {
    FitData<Scalar> data{read_npy_samples<Scalar>(o.input, o.target)};
    data.test =
        read_npy_test<Scalar>(o, data.samples.inputs().cols(), data.samples.targets().cols());
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

/// What shows a training, collects its course, and stops it.
class FitProgress {
 public:
  FitProgress(const FitOptions& options, FitOutcome& outcome)
      : m_display(options.quiet, options.time_limit), m_outcome(outcome) {
    catch_interrupts();
  }

  void note(const std::string& text) { m_display.note(text); }

  /// Refers to this.
  Observer observer() {
    return [this](const Progress& progress) {
      auto& trace = m_outcome.trace;
      if (progress.event == Progress::Event::Iteration) {
        trace.push_back({progress.grade, progress.objective});
      } else if (trace.empty() || trace.back().grade != progress.grade) {
        trace.push_back({progress.grade, NAN});  // its place in the plot
      }
      m_display.show(progress);
      if (!interrupted()) return Action::Continue;
      if (!std::exchange(m_told, true)) note("stopping; once more to give up at once");
      return Action::Stop;
    };
  }

  /// Of several trainings side by side the errors make no curve.
  void finish(const MultigradeReport& report) {
    note("");
    auto& trace = m_outcome.trace;
    for (const GradeReport& grade : report.grades) {
      if (report.folds == 0 && grade.fit.trials.empty()) continue;
      std::erase_if(trace, [&](const auto& point) { return point.grade == grade.grade; });
      const auto place =
          std::ranges::find_if(trace, [&](const auto& point) { return point.grade > grade.grade; });
      trace.insert(place, {grade.grade, NAN});
    }
  }

 private:
  ProgressDisplay m_display;
  FitOutcome& m_outcome;
  bool m_told = false;
};

/// Where a fit starts and what is stored of it on the way.
template <class Scalar>
class Checkpoints {
 public:
  /// Reads the model to go on with, if there is one.
  Checkpoints(const FitOptions& options, const nlohmann::ordered_json& recorded,
              ColumnNames names = {})
      : m_options(options), m_recorded(recorded), m_names(std::move(names)) {
    if (options.resume.empty()) return;
    m_saved.emplace(load_model<Scalar>(std::filesystem::path(options.resume)));
    const auto fail = [&](const char* expected, const std::string& found) {
      throw InvalidArgument("--resume", expected, found, options.resume);
    };
    if (!m_saved->report) fail("a model of mgdl fit", "another one");
    if (m_saved->report->folds > 0) fail("a model without folds", "one with folds");
    if (m_saved->report->seed != options.seed) {
      fail("the --seed of this run", std::to_string(m_saved->report->seed));
    }
    // Those that only say when to stop may change.
    nlohmann::ordered_json before = m_saved->report->options;
    nlohmann::ordered_json now = recorded;
    for (const char* flag :
         {"grades", "tolerance", "tolerance_on_training", "measure", "time_limit"}) {
      before.erase(flag);
      now.erase(flag);
    }
    if (before != now) fail("a model of the same flags", "others: mgdl inspect shows them");
    if (grades() == 0 || grades() >= options.grades) {
      fail("a model of one grade or more, but fewer than --grades", std::to_string(grades()));
    }
  }

  /// Grades that there are.
  Index grades() const { return m_saved ? m_saved->model.grades() : 0; }

  /// Trains on the samples, which are what the trainer takes.
  template <class... Parts>
  MultigradeFit<Scalar> train(MultigradeTrainer<Scalar>& trainer, double validation_fraction,
                              const Parts&... parts) {
    if (!m_options.checkpoint.empty()) {
      trainer.on_grade([this, validation_fraction](const auto& model, const auto& report) {
        FitSummary summary = complete(summarise(MultigradeFit<Scalar>{model, report}));
        summary.validation_fraction = validation_fraction;
        summary.split_by_row = validation_fraction > 0 && reads_blocks(m_options);
        summary.options = m_recorded;
        // Hours of work are worth more than a file on the way.
        ResultFiles("fit").write(m_options.checkpoint, [&](const std::string& path) {
          save_model<Scalar>(path, model, &summary, nullptr, &m_names);
        });
      });
    }
    if (!m_saved) return trainer.fit(parts...);
    const std::string& before = m_saved->model.grade(grades()).samples;
    const std::string now = name_of(parts...);
    if (now != before) {
      throw InvalidArgument("--resume",
                            "the samples that it was fitted to (fingerprint " + before + ")", now,
                            m_options.resume);
    }
    return trainer.resume(m_saved->model, parts...);
  }

  /// With what the file says of the grades that were there.
  FitSummary complete(FitSummary summary) const {
    summary.seed = m_options.seed;
    if (!m_saved) return summary;
    const auto& before = m_saved->report->grades;
    const auto count =
        std::min({before.size(), summary.grades.size(), static_cast<std::size_t>(grades())});
    for (std::size_t k = 0; k < count; ++k) {
      const GradeReport now = std::exchange(summary.grades[k], before[k]);
      GradeReport& line = summary.grades[k];
      line.test_rse = now.test_rse;
      line.test_r2 = now.test_r2;
      line.test_output_rmse = now.test_output_rmse;
      line.test_psnr = now.test_psnr;
    }
    summary.initial_rse = m_saved->report->initial_rse;
    return summary;
  }

 private:
  static std::string name_of(const DataSplit<Scalar>& data) { return fingerprint(data); }
  static std::string name_of(const SampleSource<Scalar>& train,
                             const SampleSource<Scalar>* validation = nullptr) {
    return fingerprint(train, validation, ranks().get());
  }

  const FitOptions& m_options;
  nlohmann::ordered_json m_recorded;
  ColumnNames m_names;
  std::optional<SavedModel<Scalar>> m_saved;
};

/// Throws InvalidArgument unless rounding the numbers in the files to float32 moves them by little.
inline void require_float32_files(const FitOptions& options) {
  const NpySource<double> exact({options.input}, {options.target});
  Float32Rounding inputs(exact.inputs()), targets(exact.outputs());
  Samples<double>(exact).for_each_block([&](const SampleView<double>& block, Index) {
    inputs.add(block.inputs);
    targets.add(block.targets);
  });
  inputs.check(options.input, {});
  targets.check(options.target, {});
}

/// The fit of samples that stay in their files.
template <class Scalar>
FitOutcome fit_files(const FitOptions& options, const nlohmann::ordered_json& recorded) {
  const NpySource<Scalar> source({options.input}, {options.target});
  if (std::same_as<Scalar, float> && speaks()) require_float32_files(options);
  const HeldOut held = held_out(options, source.size());
  check_samples(options, source.inputs(), source.outputs(), source.size(), held.fraction > 0);
  using Split = SplitSource<Scalar>;
  std::optional<Split> train, validation;
  if (held.fraction > 0) {
    train.emplace(source, held.fraction, options.seed, Split::Part::Train);
    validation.emplace(source, held.fraction, options.seed, Split::Part::HeldOut);
  }
  const auto test = read_npy_test<Scalar>(options, source.inputs(), source.outputs());

  FitOutcome outcome;
  FitProgress progress(options, outcome);
  const Index held_out_samples = validation ? validation->size() : 0;
  progress.note(sizes_text(source.size() - held_out_samples, held_out_samples, 0, source.inputs(),
                           source.outputs()));
  MultigradeOptions multigrade = multigrade_options(options);
  multigrade.observer = progress.observer();
  Checkpoints<Scalar> checkpoints(options, recorded);
  multigrade.max_grades -= checkpoints.grades();
  MultigradeTrainer<Scalar> trainer(trainers_of<Scalar>(options, source.inputs()), multigrade);
  const auto fit = train ? checkpoints.train(trainer, held.fraction, *train, &*validation)
                         : checkpoints.train(trainer, held.fraction, source);
  progress.finish(fit.report);
  outcome.summary =
      checkpoints.complete(summarise(fit, test ? &*test : nullptr, options.peak, options.threads));
  outcome.summary.validation_fraction = held.fraction;
  outcome.summary.split_by_row = held.fraction > 0;
  outcome.write_model = [model = fit.model](const std::string& path, const FitSummary& report) {
    save_model<Scalar>(path, model, &report, nullptr, nullptr);
  };
  return outcome;
}

template <class Scalar>
FitOutcome fit(const FitOptions& options, const nlohmann::ordered_json& recorded) {
  if (reads_blocks(options)) return fit_files<Scalar>(options, recorded);
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

  FitOutcome outcome;
  FitProgress progress(options, outcome);
  for (const std::string& text : data.texts) progress.note(text);
  progress.note(sizes_text(train.size(), samples - train.size(), held.folds, inputs, outputs));
  MultigradeOptions multigrade = multigrade_options(options);
  multigrade.observer = progress.observer();
  Checkpoints<Scalar> checkpoints(options, recorded, data.names);
  multigrade.max_grades -= checkpoints.grades();
  MultigradeTrainer<Scalar> trainer(trainers_of<Scalar>(options, inputs), multigrade);
  const MultigradeFit<Scalar> fit =
      in_folds ? trainer.fit(*in_folds) : checkpoints.train(trainer, held.fraction, *in_parts);
  progress.finish(fit.report);
  if (fit.report.idle_folds > 0) {
    progress.note("time for " + std::to_string(fit.report.folds - fit.report.idle_folds) + " of " +
                  std::to_string(fit.report.folds) + " folds");
  }
  std::optional<PredictionIntervals<Scalar>> intervals;
  const IntervalOptions interval_options{.seed = options.seed, .threads = multigrade.threads};
  if (in_folds) {
    intervals = calibrate(fit, *in_folds, interval_options);
  } else if (in_parts->validation) {
    intervals = calibrate(fit, *in_parts, interval_options);
  }

  outcome.summary = checkpoints.complete(
      summarise(fit, data.test ? &*data.test : nullptr, options.peak, options.threads));
  if (!options.plot.empty() && fit.model.inputs() == 1 && fit.model.outputs() == 1) {
    outcome.curve = curve_of(fit.model, train);
  }
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
