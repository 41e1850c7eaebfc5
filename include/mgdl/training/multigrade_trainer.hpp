#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/communicator.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// In which unit squared errors of several outputs are added: what a fit minimises and RSE means.
enum class OutputScale {
  Own,    ///< each output in that of its standard deviation: outputs of any units count alike
  Common  ///< one for all: for outputs of one unit, of which the large ones matter most
};

/// The enumerator's name.
constexpr const char* to_string(OutputScale scale) noexcept {
  return scale == OutputScale::Own ? "Own" : "Common";
}

/// Options of MultigradeTrainer.
struct MultigradeOptions {
  /// Grades to add at most, >= 1.
  Index max_grades = 4;
  /// Stop once the error is at most this, in the unit of `measure`, >= 0.
  double tolerance = 0;
  /// The error that the tolerance is about.
  ErrorMeasure measure = ErrorMeasure::Rse;
  /// Compare the training error with the tolerance, even if there is a validation part.
  bool tolerance_on_training = false;
  /// A grade that lowers the training RSE by less than this part of it is rejected and ends the
  /// training, in [0, 1).
  double minimum_progress = 1e-6;
  /// A grade that lowers the validation RSE, but by less than this part of it, is the last one, in
  /// [0, 1).
  double minimum_gain = 0;
  /// Grades that are no better on the validation part before training stops, >= 1. The best prefix
  /// is kept. Better is what the mean squared error says if its difference, sample by sample, is
  /// above its standard error, if not the mean absolute error in the same way.
  Index patience = 1;
  /// Part of the samples that `fit(X, Y)` holds out for validation, in [0, 1).
  double validation_fraction = 0;
  /// Instead of holding a part out: K parts of the samples, each of which is held out once, >= 2;
  /// 0: none. See MultigradeTrainer.
  Index folds = 0;
  /// Where time is limited, trainers may leave out the last folds, in the first grade: as many
  /// members as there is time for, instead of all of them cut short.
  bool fewer_folds = false;
  /// Seconds for all grades, > 0; each grade may take half of what is left (with folds, the first
  /// one two thirds), the last one all of it.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// What a grade hands to the next one.
  FeatureLink link = FeatureLink::LastHidden;
  /// In which unit the squared errors of several outputs are added.
  OutputScale output_scale = OutputScale::Own;
  /// Bytes that features and residuals of the samples may take, with samples that are read from a
  /// source, > 0; what does not fit is computed anew where it is needed, block by block, which
  /// takes longer and changes no bit. Beside it come a few blocks and what a trainer needs for
  /// them.
  double memory_limit_bytes = std::numeric_limits<double>::infinity();
  /// Fixes all random choices.
  std::uint64_t seed = 0;
  /// Threads to use: a number >= 0 of them (0: all available), or those of somebody else. Never
  /// changes the result.
  Executor threads = {};
  /// Called after every iteration and every grade.
  Observer observer = {};
  /// Processes that share the work, each with the same options and the same samples, of which it
  /// reads its part; null: this one alone. All get the same model, whose bits do not depend on how
  /// many they are. For trainers that read samples in blocks, and without folds.
  std::shared_ptr<Communicator> ranks = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(max_grades >= 1, "MultigradeOptions.max_grades", "a value >= 1", max_grades);
    require(tolerance >= 0, "MultigradeOptions.tolerance", "a value >= 0", tolerance);
    require(minimum_progress >= 0 && minimum_progress < 1, "MultigradeOptions.minimum_progress",
            "a value in [0, 1)", minimum_progress);
    require(minimum_gain >= 0 && minimum_gain < 1, "MultigradeOptions.minimum_gain",
            "a value in [0, 1)", minimum_gain);
    require(patience >= 1, "MultigradeOptions.patience", "a value >= 1", patience);
    require(validation_fraction >= 0 && validation_fraction < 1,
            "MultigradeOptions.validation_fraction", "a value in [0, 1)", validation_fraction);
    require(folds == 0 || (folds >= 2 && validation_fraction == 0), "MultigradeOptions.folds",
            "0, or a value >= 2 with validation_fraction 0", folds);
    require(folds == 0 || !ranks || ranks->size() == 1, "MultigradeOptions.folds",
            "0 with several ranks", folds);
    require(time_limit_seconds > 0, "MultigradeOptions.time_limit_seconds", "a value > 0",
            time_limit_seconds);
    require(memory_limit_bytes > 0, "MultigradeOptions.memory_limit_bytes", "a value > 0",
            memory_limit_bytes);
    detail::require_threads("MultigradeOptions.threads", threads);
  }
};

/// One grade of a MultigradeTrainer run. Errors are those of predictions of the prefix that ends
/// with the grade, as predict() computes and rounds them.
struct GradeReport {
  /// Number in the model, from 1.
  Index grade = 0;
  /// What the grade's trainer said.
  GradeFitReport fit;
  /// Relative squared error on the training samples, each output in the unit of the model's
  /// output_standardizer(), see Metrics::rse; NaN if the grade was rejected.
  double train_rse = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part; NaN without one.
  double validation_rse = std::numeric_limits<double>::quiet_NaN();
  /// Coefficients of determination, see Metrics::r2: 0 for the best constant, 1 for no error.
  /// \{
  double train_r2 = std::numeric_limits<double>::quiet_NaN();
  double validation_r2 = std::numeric_limits<double>::quiet_NaN();
  /// \}
  /// Root mean squared error of each output, in its own unit. Empty where it is not known.
  /// \{
  std::vector<double> train_output_rmse = {};
  std::vector<double> validation_output_rmse = {};
  /// \}
  /// Largest absolute error of any output at any training sample, in the unit of the targets.
  double train_max_error = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part.
  double validation_max_error = std::numeric_limits<double>::quiet_NaN();
  /// How far this grade let the residual of any one training sample grow, relative to the largest
  /// residual before it (dimensionless); at most 0: no residual has grown anywhere. About the
  /// residual that grades are trained on, before predictions are rounded.
  double pointwise_growth = std::numeric_limits<double>::quiet_NaN();
  /// Largest fall of the residual of any one training sample by this grade, relative to the largest
  /// residual before it, if no residual has grown anywhere; else 0. Above 0, the weighted L^p norm
  /// of the residual has fallen strictly, for every 1 <= p < infinity (docs/theorem.md).
  double pointwise_drop = 0;
  /// By how much the validation RSE is below that of the best prefix before, and the standard error
  /// of this difference over the validation samples.
  double validation_gain = std::numeric_limits<double>::quiet_NaN();
  /// See validation_gain.
  double validation_gain_error = std::numeric_limits<double>::quiet_NaN();
  /// Weights and biases of this grade.
  Index parameters = 0;
  /// With folds: the biases of each member's readout, of which the model has the mean only; with
  /// them, member() gives the members back.
  std::vector<std::vector<double>> member_biases = {};
  /// Wall time of training and evaluating this grade; NaN if not known.
  double seconds = std::numeric_limits<double>::quiet_NaN();
  /// False if it was rejected or a shorter prefix was better.
  bool kept = false;
  /// On samples that nobody was fitted to or chosen by; NaN until summarise() is given some.
  double test_rse = std::numeric_limits<double>::quiet_NaN();
  /// See test_rse and train_r2.
  double test_r2 = std::numeric_limits<double>::quiet_NaN();
  /// See test_rse and train_output_rmse.
  std::vector<double> test_output_rmse = {};
  /// Peak signal to noise ratios in dB on the training part and on the test samples; NaN until
  /// summarise() is told the peak.
  double train_psnr = std::numeric_limits<double>::quiet_NaN();
  /// See train_psnr.
  double test_psnr = std::numeric_limits<double>::quiet_NaN();
};

/// What MultigradeTrainer did.
struct MultigradeReport {
  /// One entry for each grade that was trained.
  std::vector<GradeReport> grades;
  /// Why training stopped.
  Termination termination = Termination::NotRun;
  /// One sentence on the outcome.
  std::string message;
  /// Folds that the samples were dealt to, of which each has a member in the model; 0: none.
  Index folds = 0;
  /// The last of them, which have none because there was no time for it. Every member has seen
  /// their samples.
  Index idle_folds = 0;
  /// Training RSE before the first of `grades`.
  double initial_rse = std::numeric_limits<double>::quiet_NaN();
  /// Wall time of the whole run.
  double elapsed_seconds = 0;
};

/// A table with one line a grade, then why training stopped.
inline std::ostream& operator<<(std::ostream& out, const MultigradeReport& report) {
  std::vector<std::vector<std::string>> rows{{"grade", "trainer", "train RSE", "valid. RSE",
                                              "iterations", "parameters", "seconds", "stopped"}};
  for (const auto& grade : report.grades) {
    rows.push_back(
        {std::to_string(grade.grade), grade.fit.trainer, detail::error_text(grade.train_rse),
         detail::error_text(grade.validation_rse), std::to_string(grade.fit.iterations),
         std::to_string(grade.parameters), detail::fixed_text(grade.seconds, 2),
         to_string(grade.fit.termination) + std::string(grade.kept ? "" : " (not kept)")});
  }
  return out << detail::table_text(rows) << to_string(report.termination) << " after "
             << detail::fixed_text(report.elapsed_seconds, 2) << " s: " << report.message << '\n';
}

/// A trained model and how it came about.
template <class Scalar_ = double>
struct MultigradeFit {
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// The grades that were kept.
  MultigradeModel<Scalar> model;
  /// How they came about.
  MultigradeReport report;
};

namespace detail {

/// The members of a model of folds.
/// \param grades  reports of its grades, in order
/// \throws InvalidArgument unless they have the biases of so many members
template <class Scalar>
std::vector<MultigradeModel<Scalar>> fold_members(const MultigradeModel<Scalar>& model, Index count,
                                                  const std::vector<GradeReport>& grades);

}  // namespace detail

/// Trains a MultigradeModel grade by grade: each grade is fitted to the residual of the grades
/// before it, on top of their features, which stay as they are.
///
/// With `folds` it trains K models side by side, each with another Kth of the samples held out, and
/// the model is their mean(), grade by grade: member k has not seen the samples of fold k. A grade
/// is trained for all members with the same settings, chosen by the mean over the folds; the
/// validation errors are those of every sample by the member that has not seen it, and the training
/// errors those of the model on all samples. No sample is lost to validation, and the mean of K
/// models has a lower error than one of them nearly always; it costs K times the work. With
/// `fewer_folds` and a time limit, the model may be the mean of fewer members, and samples that no
/// member has held out have no part in validation errors.
///
/// What holds for every run, checked and reported, not assumed:
/// - the weighted sum of squares of the training residual never grows, neither that of predictions
///   as they are rounded nor that before it: a grade that does not lower both is rejected and
///   training ends with Termination::NoProgress (with folds, that of the model on all samples and
///   that of every member on its own: a grade that overshoots is scaled);
/// - earlier grades do not change: predict(X, k) has the same bits before and after grade k + 1;
/// - with a validation part, the prefix that is best on it is the one kept;
/// - the seed and the samples fix every bit of the model, for any number of threads, and also when
///   the grades are added in several runs (`resume`), unless there is a
///   time limit or an observer stops.
///
/// Sources: Xu, arXiv 2302.00150; Fang & Xu, arXiv 2410.16105 and 2507.20351; Zhang, Shen & Xu,
/// arXiv 2601.16884.
///
/// Training may change the trainers that it holds, so one must not be used by two threads at a
/// time. One that was moved from throws InvalidArgument.
template <class Scalar_ = double>
class MultigradeTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// One trainer for all grades.
  /// \throws InvalidArgument if an option breaks its rule
  template <class T>
  requires(detail::HasScalar<T> && !std::same_as<T, MultigradeTrainer>) explicit MultigradeTrainer(
      T trainer, MultigradeOptions options = {})
      : MultigradeTrainer(
            std::vector<AnyGradeTrainer<Scalar>>{AnyGradeTrainer<Scalar>(std::move(trainer))},
            std::move(options)) {}

  /// Trainer i for grade i + 1; the last one serves all further grades.
  /// \throws InvalidArgument for an empty list or if an option breaks its rule
  explicit MultigradeTrainer(std::vector<AnyGradeTrainer<Scalar>> trainers,
                             MultigradeOptions options = {})
      : m_trainers(std::move(trainers)), m_options(std::move(options)) {
    require_trainers();
    m_options.validate();
  }

  /// The options it was made with.
  /// \{
  const MultigradeOptions& options() const& noexcept { return m_options; }
  MultigradeOptions options() && { return std::move(m_options); }
  /// \}

  /// Trains on samples X (n x d), Y (n x c) and weights (n; empty: all alike), of which
  /// `validation_fraction` are held out.
  /// \throws InvalidArgument for unusable samples, see Dataset
  MultigradeFit<Scalar> fit(const ConstMatrixRef<Scalar>& X, const ConstMatrixRef<Scalar>& Y,
                            const ConstVectorRef<Scalar>& weights = Vector<Scalar>());

  /// Does not compile: values of another type of number.
  template <class... Values>
  requires(detail::OtherNumbers<Values, Scalar> ||
           ...) MultigradeFit<Scalar> fit(const Values&...) {
    static_cast<void>(sizeof(detail::RefuseOtherNumbers<Scalar, Values...>));
    return {};
  }

  /// Trains on given training and validation parts.
  MultigradeFit<Scalar> fit(const DataSplit<Scalar>& data);

  /// Trains on samples that need not be in memory, with trainers that read them in blocks:
  /// GradientTrainer, SampledTrainer, AffineTrainer. The bits are those of the same samples in
  /// memory.
  ///
  /// \param validation  what judges the grades; may be null
  /// \throws InvalidArgument for unusable samples, see Dataset; and what the sources throw
  MultigradeFit<Scalar> fit(const SampleSource<Scalar>& train,
                            const SampleSource<Scalar>* validation = nullptr);

  /// Trains on given folds.
  MultigradeFit<Scalar> fit(const DataFolds<Scalar>& data);

  /// Adds up to `max_grades` grades to a trained model, on the same samples (which continues the
  /// run that made it) or on new ones. The model's own grades and standardisation stay. Not with
  /// folds.
  /// \throws InvalidArgument for unusable samples, if their columns are not the model's, or with
  ///         folds
  MultigradeFit<Scalar> resume(MultigradeModel<Scalar> model, const ConstMatrixRef<Scalar>& X,
                               const ConstMatrixRef<Scalar>& Y,
                               const ConstVectorRef<Scalar>& weights = Vector<Scalar>());

  /// The same on given training and validation parts.
  MultigradeFit<Scalar> resume(MultigradeModel<Scalar> model, const DataSplit<Scalar>& data);

  /// The same on samples that need not be in memory.
  MultigradeFit<Scalar> resume(MultigradeModel<Scalar> model, const SampleSource<Scalar>& train,
                               const SampleSource<Scalar>* validation = nullptr);

  /// What is given the model and the report so far after every grade that others will follow: to
  /// store them, say, so that resume() can go on from there.
  using GradeCallback =
      std::function<void(const MultigradeModel<Scalar>&, const MultigradeReport&)>;

  /// Sets what is called; an empty function: nothing. What it throws ends the training.
  void on_grade(GradeCallback callback) { m_on_grade = std::move(callback); }

 private:
  struct Parts;
  struct Member;
  struct Run;

  void require_trainers() const {
    if (m_trainers.empty()) throw InvalidArgument("trainers", "at least one trainer", "none");
  }

  static void require_matching(const DataSplit<Scalar>& data);
  static void require_alike(Index inputs, Index outputs, Index validation_inputs,
                            Index validation_outputs);

  /// A model without grades for these samples.
  MultigradeModel<Scalar> start(const Samples<Scalar>& samples) const;

  MultigradeFit<Scalar> resume_parts(MultigradeModel<Scalar> model, const Parts& parts);

  MultigradeFit<Scalar> add_grades(Run& run);

  /// Trains one grade; false when training is over, with the reason in the report.
  bool add_grade(Run& run);

  /// What the trainer makes of the members' problems, in the unit of their residuals.
  std::vector<ReluNetwork<Scalar>> train(Run& run, GradeReport& line);

  /// Adds a grade's networks to the members and to the model, if that lowers the residual of the
  /// model by `minimum_progress`.
  bool accept(Run& run, std::vector<ReluNetwork<Scalar>> networks, GradeReport& line) const;

  /// Evaluates an accepted grade on the validation parts, and compares it there with the best
  /// prefix before it, sample by sample: what both find hard cancels out.
  static void judge(Run& run, const std::vector<ReluNetwork<Scalar>>& networks, bool features,
                    GradeReport& line);

  bool may_continue(Run& run, const GradeReport& line) const;
  std::vector<GradeProblem<Scalar>> problems(Run& run, const std::vector<Scalar>& units,
                                             const AnyGradeTrainer<Scalar>& trainer) const;

  /// Below this, residuals are rounding errors of predictions: nothing is left to learn.
  static constexpr double rounding_rse() {
    const auto epsilon = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    return epsilon * epsilon;
  }

  /// A trainer of the user's may return anything.
  static void require_fitting(const MultigradeModel<Scalar>& model,
                              const ReluNetwork<Scalar>& network);

  /// The grade in the residual's own scale; if that overflows, zero, which is then rejected.
  static ReluNetwork<Scalar> scaled_or_zero(const ReluNetwork<Scalar>& network, Scalar scale);

  /// Calls use(train, validation) with the checked sources.
  template <class Use>
  MultigradeFit<Scalar> with_checked(const SampleSource<Scalar>& train,
                                     const SampleSource<Scalar>* validation, const Use& use);

  std::vector<AnyGradeTrainer<Scalar>> m_trainers;
  MultigradeOptions m_options;
  GradeCallback m_on_grade;
};

/// MultigradeTrainer{GradientTrainer<float>{...}} is a MultigradeTrainer<float>.
template <detail::HasScalar T>
MultigradeTrainer(T, MultigradeOptions = {}) -> MultigradeTrainer<typename T::Scalar>;

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class MultigradeTrainer<float>;
extern template class MultigradeTrainer<double>;
extern template std::vector<MultigradeModel<float>> detail::fold_members(
    const MultigradeModel<float>&, Index, const std::vector<GradeReport>&);
extern template std::vector<MultigradeModel<double>> detail::fold_members(
    const MultigradeModel<double>&, Index, const std::vector<GradeReport>&);
}  // namespace mgdl
#else
#include "mgdl/training/multigrade_trainer_impl.hpp"  // IWYU pragma: export
#endif
