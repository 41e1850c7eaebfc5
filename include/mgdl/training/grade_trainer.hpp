#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl {

/// What a grade is asked to fit: a network g with g(inputs) close to targets, the residual of the
/// earlier grades. The driver scales the targets so that sum_i w_i |y_i|^2 is about 1.
template <class Scalar_ = double>
struct GradeProblem {
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// Features of the grade before, and the residual.
  Samples<Scalar> train;
  /// The same of the validation part.
  std::optional<Samples<Scalar>> validation = {};
  /// Number of this grade, from 1.
  Index grade = 1;
  /// Seed of the whole fit; grades use it together with their number.
  std::uint64_t seed = 0;
  /// Threads to use: those of whoever poses the problem.
  Executor threads = {};
  /// Seconds this grade may take.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// Whether fit_all() may leave this problem out, and all those after it, where time is short.
  bool optional = false;
  /// Called after every iteration.
  Observer observer = {};
  /// The grades so far, whose features and residual these are; null for a problem that stands
  /// alone.
  const MultigradeModel<Scalar>* model = nullptr;
  /// The residual in the model's standardised unit is targets * unit, a power of two.
  Scalar unit = 1;

  /// Whether all samples can be looked at; else they come in blocks (Samples::for_each_block), of
  /// which each rank has some. Only a trainer is given these that has a function `bool
  /// reads_blocks() const` and returns true.
  bool in_memory() const noexcept {
    const auto here = [](const Samples<Scalar>& samples) {
      return samples.in_memory() && samples.ranks() == nullptr;
    };
    return here(train) && (!validation || here(*validation));
  }
};

/// One of several trainers that were tried for a grade.
struct GradeTrial {
  /// Method and size.
  std::string trainer;
  /// Objective on the validation part, without one on the training part; relative to g = 0.
  double objective = std::numeric_limits<double>::quiet_NaN();
  /// Wall time of the training.
  double elapsed_seconds = 0;
  /// Epochs or iterations done.
  Index iterations = 0;
};

/// How the training of one grade went. Objectives are sum_i w_i |g(x_i) - y_i|^2, plus penalties if
/// the trainer has any, divided by the value for g = 0: comparable between grades, and below 1 for
/// every useful grade.
struct GradeFitReport {
  /// Method and size, e.g. "Adam 2x128".
  std::string trainer;
  /// Why training stopped.
  Termination termination = Termination::NotRun;
  /// One sentence on the outcome.
  std::string message;
  /// Epochs or iterations done.
  Index iterations = 0;
  /// Objective after initialisation.
  double initial_objective = std::numeric_limits<double>::quiet_NaN();
  /// Objective of the returned network, without penalties.
  double final_objective = std::numeric_limits<double>::quiet_NaN();
  /// The same on the validation part; NaN without one.
  double validation = std::numeric_limits<double>::quiet_NaN();
  /// Dead hidden units that were started anew.
  Index revived_units = 0;
  /// Wall time of the training.
  double elapsed_seconds = 0;
  /// Proof of how near the grade's convex problem is to its optimum, if the trainer solves one. In
  /// the unit of the problem's targets: its objective is half of the sum of squares, plus penalty.
  std::optional<Certificate> certificate = {};
  /// Where that is the gated problem: the certificate of the network itself, as a point of the ReLU
  /// problem with the same penalty and patterns.
  std::optional<Certificate> network_certificate = {};
  /// What the certificates were computed from, for those who want to check it.
  std::optional<CertificateWitness> witness = {};
  /// If the trainer tried several others: all of them, in that order.
  std::vector<GradeTrial> trials = {};
};

/// A trained grade.
template <class Scalar_ = double>
struct GradeFit {
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// The network, on the problem's inputs and in the unit of its targets.
  ReluNetwork<Scalar> network;
  /// How it came about.
  GradeFitReport report;
};

/// Anything that can train a grade. `fit` returns a network with the problem's inputs and outputs;
/// it need not lower the residual (the driver checks that and rejects a grade that does not).
template <class T>
concept GradeTrainer = requires(T trainer, const GradeProblem<typename T::Scalar>& problem) {
  { trainer.fit(problem) } -> std::same_as<GradeFit<typename T::Scalar>>;
};

/// A grade trainer that can do the grades of several problems together, those of the folds of a
/// cross-validation: to choose something for all of them alike. It returns a fit for each, in their
/// order; the last ones may be missing if their problems are `optional`.
template <class T>
concept JointGradeTrainer = GradeTrainer<T> &&
    requires(T trainer, const std::vector<GradeProblem<typename T::Scalar>>& problems) {
  { trainer.fit_all(problems) } -> std::same_as<std::vector<GradeFit<typename T::Scalar>>>;
};

namespace detail {

/// So many of the problems, from the first on, that they hold out enough samples to choose
/// settings by; eight, or all of them, if there are not enough.
template <class Scalar>
Index enough_to_choose_on(const std::vector<GradeProblem<Scalar>>& problems) {
  constexpr Index kEnough = 1000;
  constexpr Index kMost = 8;
  Index held_out = 0;
  Index count = 0;
  for (const auto& problem : problems) {
    if (held_out >= kEnough || count == kMost) break;
    held_out += problem.validation ? problem.validation->size() : 0;
    ++count;
  }
  return count;
}

/// Whether a trainer can do with samples that are not in memory.
template <class T>
bool reads_blocks(const T& trainer) {
  if constexpr (requires { trainer.reads_blocks(); }) {
    return trainer.reads_blocks();
  } else {
    return false;
  }
}

/// Something that has a type of numbers, as trainers do.
template <class T>
concept HasScalar = requires {
  typename T::Scalar;
};

/// Instantiated for what is given as a trainer and is none, so that the error says why.
template <class T, class Scalar>
struct RequireGradeTrainer {
  static_assert(HasScalar<T>,
                "a trainer has to say in which type of number it computes: using Scalar = double;");
  static_assert(GradeTrainer<T>,
                "a trainer has to have a function "
                "`GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem)`");
  static_assert(std::same_as<typename T::Scalar, Scalar>,
                "this trainer computes in another type of number than the model");
};

}  // namespace detail

/// A grade trainer of any type: what lets one driver use different trainers for different grades.
/// One that was moved from throws InvalidArgument.
template <class Scalar_ = double>
class AnyGradeTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// Holds a copy of the trainer.
  template <GradeTrainer T>
  requires(!std::same_as<T, AnyGradeTrainer> && std::same_as<typename T::Scalar, Scalar>)
      AnyGradeTrainer(
          T trainer)  // NOLINT(google-explicit-constructor): this conversion is its purpose
      : m_reads_blocks(detail::reads_blocks(trainer)),
        m_fit_all([trainer = std::move(trainer)](const Problems& problems) mutable {
          if constexpr (JointGradeTrainer<T>) {
            return trainer.fit_all(problems);
          } else {
            return fit_each(trainer, problems);
          }
        }) {}

  /// Does not compile: something that is no trainer, or one of another type of number.
  template <detail::HasScalar T>
  requires(!std::same_as<T, AnyGradeTrainer> &&
           !(GradeTrainer<T> && std::same_as<typename T::Scalar, Scalar>))
      AnyGradeTrainer(T)  // NOLINT(google-explicit-constructor): as the one above
  {
    static_cast<void>(sizeof(detail::RequireGradeTrainer<T, Scalar>));
  }

  /// Whether it can do with samples that are not in memory.
  bool reads_blocks() const noexcept { return m_reads_blocks; }

  /// What the trainer returns for the problem.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem) {
    return std::move(fit_all({problem}).front());
  }

  /// What it returns for each of the problems, which share their time limit; see JointGradeTrainer.
  std::vector<GradeFit<Scalar>> fit_all(const std::vector<GradeProblem<Scalar>>& problems) {
    if (!m_fit_all) throw InvalidArgument("trainer", "a trainer", "one that was moved from");
    return m_fit_all(problems);
  }

 private:
  using Problems = std::vector<GradeProblem<Scalar>>;

  template <class T>
  static std::vector<GradeFit<Scalar>> fit_each(T& trainer, const Problems& problems) {
    const detail::Stopwatch clock;
    std::vector<GradeFit<Scalar>> fits;
    for (const auto& problem : problems) {
      GradeProblem<Scalar> part = problem;
      const auto left = static_cast<double>(problems.size() - fits.size());
      part.time_limit_seconds = (problem.time_limit_seconds - clock.seconds()) / left;
      fits.push_back(trainer.fit(part));
    }
    return fits;
  }

  bool m_reads_blocks;
  std::function<std::vector<GradeFit<Scalar>>(const Problems&)> m_fit_all;
};

}  // namespace mgdl
