#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/multigrade_options.hpp"
#include "mgdl/training/multigrade_report.hpp"

namespace mgdl {

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

/// Trains a MultigradeModel grade by grade: each grade is fitted to the residual of the grades
/// before it, on top of their features, which stay as they are.
///
/// What holds for every run, checked and reported, not assumed:
/// - the weighted sum of squares of the training residual never grows: a grade that does not lower
///   it is rejected and training ends with Termination::NoProgress;
/// - earlier grades do not change: predict(X, k) has the same bits before and after grade k + 1;
/// - with a validation part, the prefix that is best on it is the one kept;
/// - the seed and the samples fix every bit of the model, for any number of threads, and also when
///   the grades are added in several runs (`resume`), unless there is a
///   time limit or an observer stops.
///
/// Sources: Xu, arXiv 2302.00150; Fang & Xu, arXiv 2410.16105 and 2507.20351; Zhang, Shen & Xu,
/// arXiv 2601.16884.
template <class Scalar_ = double>
class MultigradeTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// One trainer for all grades.
  /// \throws InvalidArgument if an option breaks its rule
  template <GradeTrainer T>
  explicit MultigradeTrainer(T trainer, MultigradeOptions options = {})
      : MultigradeTrainer(
            std::vector<AnyGradeTrainer<Scalar>>{AnyGradeTrainer<Scalar>(std::move(trainer))},
            std::move(options)) {}

  /// Trainer i for grade i + 1; the last one serves all further grades.
  /// \throws InvalidArgument for an empty list or if an option breaks its rule
  explicit MultigradeTrainer(std::vector<AnyGradeTrainer<Scalar>> trainers,
                             MultigradeOptions options = {})
      : m_trainers(std::move(trainers)), m_options(std::move(options)) {
    if (m_trainers.empty()) throw InvalidArgument("trainers", "at least one trainer", "none");
    m_options.validate();
  }

  /// The options it was made with.
  const MultigradeOptions& options() const noexcept { return m_options; }

  /// Trains on samples X (n x d), Y (n x c) and weights (n; empty: all alike), of which
  /// `validation_fraction` are held out.
  /// \throws InvalidArgument for unusable samples, see Dataset
  MultigradeFit<Scalar> fit(const ConstMatrixRef<Scalar>& X, const ConstMatrixRef<Scalar>& Y,
                            const ConstVectorRef<Scalar>& weights = Vector<Scalar>());

  /// Trains on given training and validation parts.
  MultigradeFit<Scalar> fit(const DataSplit<Scalar>& data);

  /// Adds up to `max_grades` grades to a trained model, on the same samples (which continues the
  /// run that made it) or on new ones. The model's own grades and standardisation stay. \throws
  /// InvalidArgument for unusable samples or if their columns are not the model's
  MultigradeFit<Scalar> resume(MultigradeModel<Scalar> model, const ConstMatrixRef<Scalar>& X,
                               const ConstMatrixRef<Scalar>& Y,
                               const ConstVectorRef<Scalar>& weights = Vector<Scalar>());

  /// The same on given training and validation parts.
  MultigradeFit<Scalar> resume(MultigradeModel<Scalar> model, const DataSplit<Scalar>& data);

 private:
  struct Run;

  static void require_matching(const DataSplit<Scalar>& data);

  MultigradeFit<Scalar> add_grades(MultigradeModel<Scalar> model, const DataSplit<Scalar>& data);

  /// Trains one grade; false when training is over, with the reason in the report.
  bool add_grade(Run& run, Index first);

  /// Evaluates an accepted grade on the validation part, and compares it there with the best prefix
  /// before it, sample by sample: what both find hard cancels out.
  static void judge(Run& run, const ReluNetwork<Scalar>& network, bool features, GradeReport& line);

  bool may_continue(Run& run, const GradeReport& line, Index first) const;
  Action observe_grade(Run& run, const GradeReport& line, Index first) const;
  GradeProblem<Scalar> problem(Run& run, Index number, Index first, Scalar unit) const;

  /// Below this, residuals are rounding errors of predictions: nothing is left to learn.
  static constexpr double rounding_rse() {
    const auto epsilon = static_cast<double>(std::numeric_limits<Scalar>::epsilon());
    return epsilon * epsilon;
  }

  /// A trainer of the user's may return anything.
  static void require_fitting(const MultigradeModel<Scalar>& model,
                              const ReluNetwork<Scalar>& network);

  static void scale_residuals(Run& run, Scalar factor);

  /// The grade in the residual's own scale; if that overflows, zero, which is then rejected.
  static ReluNetwork<Scalar> scaled_or_zero(const ReluNetwork<Scalar>& network, Scalar scale);

  std::vector<AnyGradeTrainer<Scalar>> m_trainers;
  MultigradeOptions m_options;
};

/// MultigradeTrainer{GradientTrainer<float>{...}} is a MultigradeTrainer<float>.
template <GradeTrainer T>
MultigradeTrainer(T, MultigradeOptions = {}) -> MultigradeTrainer<typename T::Scalar>;

#ifdef MGDL_COMPILED
extern template class MultigradeTrainer<float>;
extern template class MultigradeTrainer<double>;
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/detail/multigrade_trainer_impl.hpp"  // IWYU pragma: export
#endif
