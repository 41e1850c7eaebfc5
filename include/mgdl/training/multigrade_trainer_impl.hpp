#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/row_share.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/model_average.hpp"
#include "mgdl/training/chain/residual_chain.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

namespace mgdl::detail {

template <class Scalar>
std::vector<MultigradeModel<Scalar>> fold_members(const MultigradeModel<Scalar>& model, Index count,
                                                  const std::vector<GradeReport>& grades) {
  if (std::ssize(grades) != model.grades()) {
    throw InvalidArgument("grades", std::to_string(model.grades()) + ", those of the model",
                          std::to_string(grades.size()));
  }
  if (model.grades() == 0) return {model};  // they are all alike
  std::vector<MultigradeModel<Scalar>> members;
  for (Index b = 0; b < count; ++b) {
    std::vector<RowVector<Scalar>> biases;
    for (const auto& grade : grades) {
      const auto i = static_cast<std::size_t>(b);
      if (std::ssize(grade.member_biases) != count ||
          std::ssize(grade.member_biases[i]) != model.outputs()) {
        throw InvalidArgument("member_biases", "those of each member", "others, or none");
      }
      biases.push_back(
          Eigen::Map<const RowVector<double>>(grade.member_biases[i].data(), model.outputs())
              .template cast<Scalar>());
    }
    members.push_back(member(model, b, count, biases));
  }
  return members;
}

}  // namespace mgdl::detail

namespace mgdl {

/// What a member is trained on and what judges it.
template <class Scalar>
struct MultigradeTrainer<Scalar>::Parts {
  /// \param ranks  who share the samples; null: this process has all
  explicit Parts(const DataSplit<Scalar>& data, Communicator* ranks = nullptr)
      : train(part_of(data.train, ranks)) {
    if (data.validation) validation.emplace(part_of(*data.validation, ranks));
  }

  /// \param held_out  may be null
  Parts(const SampleSource<Scalar>& source, const SampleSource<Scalar>* held_out,
        Communicator* ranks)
      : train(source, ranks) {
    if (held_out != nullptr) validation.emplace(*held_out, ranks);
  }

  static Samples<Scalar> part_of(const Dataset<Scalar>& data, Communicator* ranks) {
    const detail::RowShare share(data.size(), ranks);
    const Samples<Scalar> all(data);
    if (share.ranks() == nullptr) return all;
    return {detail::rows_of<Scalar>(all, share.first(), share.count()), share};
  }

  /// Of all samples, that of the training part.
  double share() const {
    const auto n = static_cast<double>(train.size());
    return validation ? n / (n + static_cast<double>(validation->size())) : 1.0;
  }

  std::string fingerprint() const {
    return detail::fingerprint(train, validation ? &*validation : nullptr);
  }

  Samples<Scalar> train;
  std::optional<Samples<Scalar>> validation;
};

/// A model in training, with its samples.
template <class Scalar>
struct MultigradeTrainer<Scalar>::Member {
  Member(MultigradeModel<Scalar> start, const Parts& data, const MultigradeOptions& options,
         double memory)
      : model(std::move(start)), train(data.train, model, options.threads, data.share() * memory) {
    if (data.validation) {
      validation.emplace(*data.validation, model, options.threads, (1 - data.share()) * memory);
    }
  }

  MultigradeModel<Scalar> model;
  detail::ResidualChain<Scalar> train;
  std::optional<detail::ResidualChain<Scalar>> validation;
};

/// State of one run, so that the trainer itself keeps none.
template <class Scalar>
struct MultigradeTrainer<Scalar>::Run {
  using Verdict = detail::PairedComparison::Verdict;

  /// One member, with the grades that there are.
  Run(MultigradeModel<Scalar> start, const Parts& data, const MultigradeOptions& options)
      : first(start.grades()),
        samples(data.fingerprint()),
        control(options.observer, options.time_limit_seconds, 0, data.train.ranks()),
        best_grades(first) {
    members.push_back(
        std::make_unique<Member>(std::move(start), data, options, options.memory_limit_bytes));
    Member& member = *members.front();
    for (Index k = 1; k <= first; ++k) {
      const auto& network = member.model.grade(k).network;
      member.train.try_grade(network);
      member.train.accept();
      if (!member.validation) continue;
      member.validation->try_grade(network);
      member.validation->accept();
    }
    if (member.validation) {
      shares = {1};
      judges = data.validation->share();
      validation_weights.resize(judges.count());
      data.validation->for_each_block([&](const SampleView<Scalar>& block, Index row) {
        validation_weights.segment(row - judges.first(), block.size()) =
            block.weights.template cast<double>();
      });
      best_errors = validation_errors();
    }
    report.initial_rse = member.train.rse();
  }

  /// A member for each fold, and their mean.
  Run(const MultigradeModel<Scalar>& start, const DataFolds<Scalar>& data,
      const MultigradeOptions& options)
      : samples(fingerprint(data)), control(options.observer, options.time_limit_seconds) {
    // The whole and each member take about as much.
    const double memory = options.memory_limit_bytes / static_cast<double>(data.size() + 1);
    for (const auto& fold : data.folds) {
      members.push_back(std::make_unique<Member>(start, Parts(fold), options, memory));
    }
    mean.emplace(start);
    all.emplace(data.all, start, options.threads, memory);
    validation_weights = data.held_out_weights();
    judges = detail::RowShare(validation_weights.size());
    Index seen = 0;
    for (const auto& rows : data.held_out) {
      shares.push_back(validation_weights.segment(seen, std::ssize(rows)).sum());
      seen += std::ssize(rows);
    }
    best_errors = validation_errors();
    report.initial_rse = all->rse();
    report.folds = data.size();
  }

  bool has_validation() const noexcept { return !shares.empty(); }

  /// Goes on without the last members, which have no grades.
  void keep_members(std::size_t count) {
    report.idle_folds += std::ssize(members) - static_cast<Index>(count);
    members.resize(count);
    shares.resize(count);
    Index samples_left = 0;
    for (const auto& member : members) samples_left += member->validation->size();
    double sum = 0;
    for (const double share : shares) sum += share;
    for (double& share : shares) share /= sum;
    validation_weights = Vector<double>(validation_weights.head(samples_left) / sum);
    best_errors = Vector<double>(best_errors.head(samples_left));
    judges = detail::RowShare(samples_left);
  }

  MultigradeModel<Scalar>& model() { return mean ? *mean : members.front()->model; }

  /// All samples that the model is fitted to.
  detail::ResidualChain<Scalar>& whole() { return all ? *all : members.front()->train; }

  /// Errors on the validation parts, each by the member that has not seen it.
  detail::ErrorSums validation_sums() const {
    detail::ErrorSums sums;
    for (std::size_t k = 0; k < members.size(); ++k) {
      sums.add(members[k]->validation->sums(), shares[k]);
    }
    return sums;
  }

  /// The same, sample by sample, of this rank.
  Vector<double> validation_errors() const {
    Vector<double> errors(validation_weights.size());
    Index first_row = 0;
    for (const auto& member : members) {
      const Vector<double> part = member->validation->errors();
      errors.segment(first_row, part.size()) = part;
      first_row += part.size();
    }
    return errors;
  }

  /// What is compared with the tolerance.
  double judged_error(const MultigradeOptions& options) {
    const bool on_training = !has_validation() || options.tolerance_on_training;
    return (on_training ? whole().sums() : validation_sums()).error(options.measure);
  }

  bool stop(Termination termination, std::string message) {
    report.termination = termination;
    report.message = std::move(message);
    return false;
  }

  Index first = 0;      // grades that were there before
  std::string samples;  // that the errors of the others are about
  detail::RunControl control;
  std::vector<std::unique_ptr<Member>> members;  // chains refer to models
  std::optional<MultigradeModel<Scalar>> mean;   // of the members, if there are several
  std::optional<detail::ResidualChain<Scalar>> all;
  std::vector<double> shares;         // of all weight, in the members' validation parts
  detail::RowShare judges;            // which samples in them this rank has
  Vector<double> validation_weights;  // of these; sum 1 over all
  MultigradeReport report;
  Index best_grades = 0;
  Vector<double> best_errors;         // of the validation samples, by the best prefix
  Verdict verdict = Verdict::Better;  // on the last grade
};

template <class Scalar>
void MultigradeTrainer<Scalar>::require_matching(const DataSplit<Scalar>& data) {
  if (!data.validation) return;
  require_alike(data.train.inputs().cols(), data.train.targets().cols(),
                data.validation->inputs().cols(), data.validation->targets().cols());
}

template <class Scalar>
void MultigradeTrainer<Scalar>::require_alike(Index inputs, Index outputs, Index validation_inputs,
                                              Index validation_outputs) {
  detail::require_cols("validation X", inputs, validation_inputs);
  detail::require_cols("validation Y", outputs, validation_outputs);
}

template <class Scalar>
bool MultigradeTrainer<Scalar>::add_grade(Run& run) {
  const double started = run.control.seconds();
  GradeReport line;
  line.grade = run.model().grades() + 1;
  std::vector<ReluNetwork<Scalar>> networks = train(run, line);
  const bool lower = accept(run, std::move(networks), line);
  line.seconds = run.control.seconds() - started;
  run.report.grades.push_back(line);
  if (!lower) {
    // A grade that was cut short says why; any other has simply nothing left to learn.
    const Termination reason = line.fit.termination;
    const bool cut_short = reason == Termination::NumericalFailure ||
                           reason == Termination::StoppedByObserver ||
                           reason == Termination::TimeLimit;
    return run.stop(cut_short ? reason : Termination::NoProgress,
                    "Grade " + std::to_string(line.grade) +
                        " did not lower the training residual and was rejected." +
                        (line.fit.message.empty() ? "" : " Its trainer: " + line.fit.message));
  }
  return may_continue(run, line);
}

template <class Scalar>
std::vector<ReluNetwork<Scalar>> MultigradeTrainer<Scalar>::train(Run& run, GradeReport& line) {
  const auto trainer =
      static_cast<std::size_t>(std::min(line.grade, static_cast<Index>(m_trainers.size())) - 1);
  std::vector<Scalar> units;
  for (auto& member : run.members) {
    units.push_back(detail::residual_scale<Scalar>(member->train.square()));
  }
  const std::vector<GradeFit<Scalar>> fits =
      m_trainers[trainer].fit_all(problems(run, units, m_trainers[trainer]));
  std::vector<ReluNetwork<Scalar>> networks;
  if (fits.size() < run.members.size()) run.keep_members(fits.size());
  for (std::size_t k = 0; k < run.members.size(); ++k) {
    Member& member = *run.members[k];
    require_fitting(member.model, fits[k].network);
    networks.push_back(scaled_or_zero(fits[k].network, units[k]));
  }
  line.fit = fits.front().report;
  if (fits.size() == 1) return networks;

  // One report for all members: what is the same for all, and means.
  line.fit.certificate.reset();
  line.fit.network_certificate.reset();
  line.fit.witness.reset();
  line.fit.initial_objective = 0;
  line.fit.final_objective = 0;
  line.fit.validation = 0;
  line.fit.revived_units = 0;
  for (const auto& fit : fits) {
    const auto count = static_cast<double>(fits.size());
    line.fit.initial_objective += fit.report.initial_objective / count;
    line.fit.final_objective += fit.report.final_objective / count;
    line.fit.validation += fit.report.validation / count;
    line.fit.revived_units += fit.report.revived_units;
    if (fit.report.termination == Termination::NumericalFailure ||
        fit.report.termination == Termination::StoppedByObserver) {
      line.fit.termination = fit.report.termination;
      line.fit.message = fit.report.message;
    }
  }
  networks = detail::equally_wide(std::move(networks));
  for (auto& network : networks) {
    network = network.with_readout(
        detail::divisible_readout(network.readout(), static_cast<Index>(networks.size())));
  }
  return networks;
}

template <class Scalar>
bool MultigradeTrainer<Scalar>::accept(Run& run, std::vector<ReluNetwork<Scalar>> networks,
                                       GradeReport& line) const {
  const bool features = line.grade - run.first < m_options.max_grades;
  auto& whole = run.whole();
  const auto lowers = [&](const ReluNetwork<Scalar>& grade) {
    whole.try_grade(grade, features);
    return whole.lowers(m_options.minimum_progress);
  };
  std::optional<ReluNetwork<Scalar>> network;
  if (!run.mean) {
    network.emplace(networks.front());
    line.parameters = network->parameters();
    if (!lowers(*network)) return false;
  } else {
    const auto count = static_cast<Index>(networks.size());
    const auto scale = [count](ReluNetwork<Scalar>& one, Scalar factor) {
      one = one.scaled(factor);
      one = one.with_readout(detail::divisible_readout(one.readout(), count));
    };
    // The mean of networks that each lower their own residual lowers that of all samples but for
    // those that a member has not seen. Where it does not, it is scaled once; between zero and the
    // whole of it, the members' residuals are lower, too.
    for (bool again = true;; again = false) {
      for (std::size_t k = 0; k < run.members.size(); ++k) {
        auto& member = *run.members[k];
        const double after = member.train.try_grade(networks[k], features);
        if (after < member.train.square()) continue;
        scale(networks[k], 0);
        member.train.try_grade(networks[k], features);
      }
      const Index inputs = run.mean->inputs();
      const bool linked = run.mean->link() == FeatureLink::LastHiddenAndInput;
      network.emplace(average(networks, run.mean->grades() == 0 ? inputs : (linked ? inputs : 0)));
      line.parameters = network->parameters();
      if (lowers(*network)) break;
      const double step = again ? whole.best_step() : 0;
      if (!(step > 0 && step < 1)) return false;
      for (auto& one : networks) scale(one, static_cast<Scalar>(step));
    }
    for (const auto& one : networks) {
      const auto& bias = one.readout().bias();
      line.member_biases.emplace_back(bias.begin(), bias.end());
    }
    for (auto& member : run.members) member->train.accept();
  }
  whole.accept();
  const detail::ErrorSums sums = whole.sums();
  line.train_rse = sums.rse();
  line.train_r2 = sums.r2();
  line.train_output_rmse = sums.output_rmse();
  line.train_max_error = sums.error(ErrorMeasure::MaxError);
  line.pointwise_growth = whole.pointwise_growth();
  line.pointwise_drop = line.pointwise_growth <= 0 ? whole.pointwise_fall() : 0;
  if (run.has_validation()) judge(run, networks, features, line);
  if (run.mean) {
    for (std::size_t k = 0; k < run.members.size(); ++k) {
      run.members[k]->model.add_grade({std::move(networks[k])});
    }
  }
  run.model().add_grade({std::move(*network), line.train_rse, line.validation_rse, run.samples});
  if (run.verdict == Run::Verdict::Better) run.best_grades = line.grade;
  return true;
}

template <class Scalar>
void MultigradeTrainer<Scalar>::judge(Run& run, const std::vector<ReluNetwork<Scalar>>& networks,
                                      bool features, GradeReport& line) {
  const detail::ErrorSums before = run.validation_sums();
  for (std::size_t k = 0; k < run.members.size(); ++k) {
    auto& validation = *run.members[k]->validation;
    validation.try_grade(networks[k], features);
    validation.accept();
  }
  const detail::ErrorSums after = run.validation_sums();
  line.validation_rse = after.rse();
  line.validation_r2 = after.r2();
  line.validation_output_rmse = after.output_rmse();
  line.validation_max_error = after.error(ErrorMeasure::MaxError);
  const double unit = before.square > 0 ? before.rse() / before.square : 0;
  Vector<double> errors = run.validation_errors();
  const auto comparison =
      detail::compare_errors(run.best_errors, errors, run.validation_weights, run.judges);
  line.validation_gain = comparison.gain * unit;
  line.validation_gain_error = comparison.gain_error * unit;
  run.verdict = comparison.verdict;
  if (run.verdict == Run::Verdict::Better) run.best_errors = std::move(errors);
}

template <class Scalar>
bool MultigradeTrainer<Scalar>::may_continue(Run& run, const GradeReport& line) const {
  const Termination reason = run.control.observe({.event = Progress::Event::Grade,
                                                  .grade = line.grade,
                                                  .max_grades = run.first + m_options.max_grades,
                                                  .iteration = line.fit.iterations,
                                                  .objective = line.train_rse,
                                                  .validation = line.validation_rse});
  const bool stop_asked = reason == Termination::StoppedByObserver ||
                          line.fit.termination == Termination::StoppedByObserver;
  if (run.judged_error(m_options) <= m_options.tolerance) {
    return run.stop(Termination::ToleranceReached, "The error is within the tolerance.");
  }
  if (run.whole().rse() <= rounding_rse()) {
    return run.stop(Termination::ToleranceReached, "The residual is down to rounding.");
  }
  if (stop_asked) {
    return run.stop(Termination::StoppedByObserver,
                    detail::RunControl::explain(Termination::StoppedByObserver));
  }
  if (line.fit.termination == Termination::NumericalFailure) {
    return run.stop(Termination::NumericalFailure, line.fit.message);
  }
  if (run.control.out_of_time()) {
    return run.stop(Termination::TimeLimit, detail::RunControl::explain(Termination::TimeLimit));
  }
  if (line.grade - run.best_grades >= m_options.patience) {
    if (run.verdict == Run::Verdict::Flat) {
      return run.stop(Termination::Plateau,
                      "The validation error is flat within its standard error, and the best prefix "
                      "was kept. More samples, wider grades or more patience may find more.");
    }
    return run.stop(Termination::ValidationStop,
                    "The validation error did not fall; the best prefix was kept.");
  }
  if (line.grade == run.best_grades &&
      line.validation_gain <
          m_options.minimum_gain * (line.validation_rse + line.validation_gain)) {
    return run.stop(Termination::Plateau,
                    "The last grade lowered the validation error by little; it was kept.");
  }
  if (line.grade - run.first >= m_options.max_grades) {
    return run.stop(Termination::MaxIterations, "All grades were trained.");
  }
  return true;
}

template <class Scalar>
std::vector<GradeProblem<Scalar>> MultigradeTrainer<Scalar>::problems(
    Run& run, const std::vector<Scalar>& units, const AnyGradeTrainer<Scalar>& trainer) const {
  const Index number = run.model().grades() + 1;
  const double elapsed = run.control.seconds();
  std::vector<GradeProblem<Scalar>> result;
  for (std::size_t k = 0; k < run.members.size(); ++k) {
    Member& member = *run.members[k];
    const Scalar factor = 1 / units[k];
    auto& problem =
        result.emplace_back(GradeProblem<Scalar>{member.train.problem(factor), std::nullopt});
    if (member.validation) problem.validation.emplace(member.validation->problem(factor));
    if (!trainer.reads_blocks() && !problem.in_memory()) {
      throw InvalidArgument("trainer",
                            "one that reads samples in blocks, as GradientTrainer, SampledTrainer "
                            "and AffineTrainer do, or a larger memory_limit_bytes on a single rank",
                            "one that needs all samples in memory");
    }
    problem.grade = number;
    problem.seed = m_options.seed;
    problem.threads = m_options.threads;
    problem.model = &member.model;
    problem.unit = units[k];
    problem.optional = m_options.fewer_folds && k > 0 && number == 1;
    // The grades to come get their share.
    const Index grades_left = run.first + m_options.max_grades - number + 1;
    const double share = grades_left == 1 ? 1 : (run.mean && number == 1 ? 2.0 / 3 : 0.5);
    problem.time_limit_seconds = share * (m_options.time_limit_seconds - elapsed);
    if (m_options.observer) {
      problem.observer = [this, number, first = run.first, elapsed](Progress progress) {
        progress.grade = number;
        progress.max_grades = first + m_options.max_grades;
        progress.elapsed_seconds += elapsed;
        return m_options.observer(progress);
      };
    }
  }
  return result;
}

template <class Scalar>
void MultigradeTrainer<Scalar>::require_fitting(const MultigradeModel<Scalar>& model,
                                                const ReluNetwork<Scalar>& network) {
  const Index inputs = model.feature_count(model.grades());
  if (network.inputs() != inputs) {
    throw InvalidArgument("network of the grade's trainer", std::to_string(inputs) + " inputs",
                          std::to_string(network.inputs()));
  }
  if (network.outputs() != model.outputs()) {
    throw InvalidArgument("network of the grade's trainer",
                          std::to_string(model.outputs()) + " outputs",
                          std::to_string(network.outputs()));
  }
}

template <class Scalar>
ReluNetwork<Scalar> MultigradeTrainer<Scalar>::scaled_or_zero(const ReluNetwork<Scalar>& network,
                                                              Scalar scale) {
  const auto finite_times = [scale](const auto& values) {
    for (Index i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values.data()[i] * scale)) return false;
    }
    return true;
  };
  const auto& readout = network.readout();
  const bool finite = finite_times(readout.weights()) && finite_times(readout.bias());
  return network.scaled(finite ? scale : Scalar(0));
}

template <class Scalar>
MultigradeModel<Scalar> MultigradeTrainer<Scalar>::start(const Samples<Scalar>& samples) const {
  const auto inputs = [&](const auto& visit) {
    samples.for_each_block(
        [&](const SampleView<Scalar>& block, Index) { visit(block.inputs, block.weights); });
  };
  const auto targets = [&](const auto& visit) {
    samples.for_each_block(
        [&](const SampleView<Scalar>& block, Index) { visit(block.targets, block.weights); });
  };
  const detail::RowShare& share = samples.share();
  const Index c = samples.output_count();
  const bool own = m_options.output_scale == OutputScale::Own;
  return {Standardizer<Scalar>::fit_blocks(samples.input_count(), share, inputs),
          own ? Standardizer<Scalar>::fit_blocks(c, share, targets)
              : Standardizer<Scalar>::fit_blocks_common_scale(c, share, targets),
          m_options.link};
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const ConstMatrixRef<Scalar>& X,
                                                     const ConstMatrixRef<Scalar>& Y,
                                                     const ConstVectorRef<Scalar>& weights) {
  Dataset<Scalar> data(X, Y, weights);
  if (m_options.folds > 0) return fit(folds(std::move(data), m_options.folds, m_options.seed));
  return fit(split(std::move(data), m_options.validation_fraction, m_options.seed));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const DataSplit<Scalar>& data) {
  require_trainers();
  require_matching(data);
  const Parts parts(data, m_options.ranks.get());
  Run run(start(parts.train), parts, m_options);
  return add_grades(run);
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const SampleSource<Scalar>& train,
                                                     const SampleSource<Scalar>* validation) {
  return with_checked(train, validation, [&](const Parts& parts) {
    Run run(start(parts.train), parts, m_options);
    return add_grades(run);
  });
}

template <class Scalar>
template <class Use>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::with_checked(
    const SampleSource<Scalar>& train, const SampleSource<Scalar>* validation, const Use& use) {
  require_trainers();
  Communicator* ranks = m_options.ranks.get();
  const detail::CheckedSource<Scalar> checked(train, ranks);
  std::optional<detail::CheckedSource<Scalar>> held_out;
  if (validation != nullptr) {
    require_alike(train.inputs(), train.outputs(), validation->inputs(), validation->outputs());
    held_out.emplace(*validation, ranks);
  }
  return use(Parts(checked, held_out ? &*held_out : nullptr, ranks));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::fit(const DataFolds<Scalar>& data) {
  require_trainers();
  detail::require_option(!m_options.ranks || m_options.ranks->size() == 1, "folds",
                         "none with several ranks", data.size());
  Run run(start(data.all), data, m_options);
  return add_grades(run);
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume(MultigradeModel<Scalar> model,
                                                        const ConstMatrixRef<Scalar>& X,
                                                        const ConstMatrixRef<Scalar>& Y,
                                                        const ConstVectorRef<Scalar>& weights) {
  return resume(std::move(model), split(Dataset<Scalar>(X, Y, weights),
                                        m_options.validation_fraction, m_options.seed));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume(MultigradeModel<Scalar> model,
                                                        const DataSplit<Scalar>& data) {
  require_trainers();
  require_matching(data);
  return resume_parts(std::move(model), Parts(data, m_options.ranks.get()));
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume(MultigradeModel<Scalar> model,
                                                        const SampleSource<Scalar>& train,
                                                        const SampleSource<Scalar>* validation) {
  return with_checked(train, validation,
                      [&](const Parts& parts) { return resume_parts(std::move(model), parts); });
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::resume_parts(MultigradeModel<Scalar> model,
                                                              const Parts& parts) {
  model.feature_count(0);  // throws for one without inputs
  detail::require_option(m_options.folds == 0, "MultigradeOptions.folds", "0 to resume",
                         m_options.folds);
  detail::require_cols("X", model.inputs(), parts.train.input_count());
  detail::require_cols("Y", model.outputs(), parts.train.output_count());
  Run run(std::move(model), parts, m_options);
  return add_grades(run);
}

template <class Scalar>
MultigradeFit<Scalar> MultigradeTrainer<Scalar>::add_grades(Run& run) {
  if (run.judged_error(m_options) <= m_options.tolerance || run.whole().rse() <= rounding_rse()) {
    run.stop(Termination::ToleranceReached, "The model meets the tolerance as it is.");
  } else {
    while (add_grade(run)) {
      if (!m_on_grade) continue;
      MultigradeReport report = run.report;
      for (auto& grade : report.grades) grade.kept = true;
      report.elapsed_seconds = run.control.seconds();
      m_on_grade(run.model(), report);
    }
  }
  MultigradeModel<Scalar>& model = run.model();
  model.truncate(run.best_grades);
  for (auto& grade : run.report.grades) grade.kept = grade.grade <= run.best_grades;
  run.report.elapsed_seconds = run.control.seconds();
  return {std::move(model), std::move(run.report)};
}

}  // namespace mgdl
