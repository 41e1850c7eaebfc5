#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "mgdl/core/observer.hpp"
#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl {

/// What a grade is asked to fit: a network g with g(inputs) close to targets, the residual of the
/// earlier grades. The driver scales the targets so that sum_i w_i |y_i|^2 is about 1.
template <class Scalar_ = double>
struct GradeProblem {
  using Scalar = Scalar_;

  SampleView<Scalar> train;  ///< features of the grade before, and the residual
  std::optional<SampleView<Scalar>> validation = {};  ///< the same of the validation part
  Index grade = 1;                                    ///< number of this grade, from 1
  std::uint64_t seed = 0;  ///< of the whole fit; grades use it with their number
  int threads = 0;         ///< 0: all available
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  Observer observer = {};  ///< called after every iteration
};

/// How the training of one grade went. Objectives are sum_i w_i |g(x_i) - y_i|^2 divided by its
/// value for g = 0, so they start near 1 and are comparable between grades.
struct GradeFitReport {
  std::string trainer;  ///< e.g. "Adam 2x128"
  Termination termination = Termination::NotRun;
  std::string message;   ///< one sentence on the outcome
  Index iterations = 0;  ///< epochs or iterations done
  double initial_objective = std::numeric_limits<double>::quiet_NaN();  ///< after initialisation
  double final_objective = std::numeric_limits<double>::quiet_NaN();    ///< of the returned network
  double validation =
      std::numeric_limits<double>::quiet_NaN();  ///< the same on the validation part
  Index revived_units = 0;                       ///< dead hidden units that were started anew
  double elapsed_seconds = 0;
};

/// A trained grade.
template <class Scalar_ = double>
struct GradeFit {
  using Scalar = Scalar_;

  ReluNetwork<Scalar> network;
  GradeFitReport report;
};

/// Anything that can train a grade. `fit` returns a network with the problem's inputs and outputs;
/// it need not lower the residual (the driver checks that and rejects a grade that does not).
template <class T>
concept GradeTrainer = requires(T trainer, const GradeProblem<typename T::Scalar>& problem) {
  { trainer.fit(problem) } -> std::same_as<GradeFit<typename T::Scalar>>;
};

/// A grade trainer of any type: what lets one driver use different trainers for different grades.
template <class Scalar_ = double>
class AnyGradeTrainer {
 public:
  using Scalar = Scalar_;

  template <GradeTrainer T>
  requires(!std::same_as<T, AnyGradeTrainer> && std::same_as<typename T::Scalar, Scalar>)
      AnyGradeTrainer(
          T trainer)  // NOLINT(google-explicit-constructor): this conversion is its purpose
      : m_fit([trainer = std::move(trainer)](const GradeProblem<Scalar>& problem) mutable {
          return trainer.fit(problem);
        }) {}

  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem) { return m_fit(problem); }

 private:
  std::function<GradeFit<Scalar>(const GradeProblem<Scalar>&)> m_fit;
};

}  // namespace mgdl
