#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "mgdl/convex/loss.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// How the gated problem is solved.
enum class ConvexMethod {
  WorkingSet,       ///< Newton steps on a growing set of groups
  ProximalGradient  ///< accelerated proximal gradient with restarts (FISTA), the baseline
};

/// Options of GatedReluSolver and ReluSolver.
struct ConvexOptions {
  /// The penalty, >= 0. Without it, lambda_ratio times lambda_max.
  std::optional<double> lambda = {};
  /// Penalty relative to lambda_max, the smallest penalty whose solution is zero; >= 0.
  double lambda_ratio = 1e-2;
  /// Stop once (primal - dual) / primal is at most this, >= 0.
  double relative_tolerance = 1e-6;
  /// What residuals cost. Another one than the squared loss: the gated problem alone, by
  /// WorkingSet, with a penalty > 0.
  Loss loss = {};
  /// An output bias that is not penalised.
  bool output_bias = false;
  /// Iterations at most, >= 1: Newton steps, or steps of the proximal gradient. Newton's method
  /// ends long before, because it is left when it no longer halves the gap within 40 steps.
  Index max_iterations = 10000;
  /// Seconds for the solution, > 0.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// The algorithm of the gated problem.
  ConvexMethod method = ConvexMethod::WorkingSet;
  /// ReLU problem with several outputs: neurons that serve all outputs, with the penalty
  /// |hidden| |output| and a dual bound by spectral norms; otherwise one problem per output.
  bool shared_neurons = false;
  /// All patterns of one input: of networks within the tolerance one with few neurons, whose kinks
  /// may lie between samples. Otherwise kinks stay at samples where that costs no more than the
  /// tolerance, so that a network that follows the samples closely is nearly straight between them.
  bool fewest_neurons = false;
  /// Threads to work with: a number of them, >= 0 (0: all available), or those of somebody else.
  /// Never changes the result.
  Executor threads = {};
  /// Called after every iteration; `objective` is the relative gap.
  Observer observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (lambda) {
      require(*lambda >= 0 && *lambda < infinity, "ConvexOptions.lambda", "a finite value >= 0",
              *lambda);
    }
    require(lambda_ratio >= 0 && lambda_ratio < infinity, "ConvexOptions.lambda_ratio",
            "a finite value >= 0", lambda_ratio);
    require(relative_tolerance >= 0, "ConvexOptions.relative_tolerance", "a value >= 0",
            relative_tolerance);
    loss.validate("ConvexOptions.loss");
    if (!loss.is_squared()) {
      require(lambda.value_or(lambda_ratio) > 0,
              lambda ? "ConvexOptions.lambda" : "ConvexOptions.lambda_ratio",
              "a value > 0 with another loss than the squared one", lambda.value_or(lambda_ratio));
      require(method == ConvexMethod::WorkingSet, "ConvexOptions.method",
              "WorkingSet with another loss than the squared one", "ProximalGradient");
    }
    require(max_iterations >= 1, "ConvexOptions.max_iterations", "a value >= 1", max_iterations);
    require(time_limit_seconds > 0, "ConvexOptions.time_limit_seconds", "a value > 0",
            time_limit_seconds);
    detail::require_threads("ConvexOptions.threads", threads);
  }
};

}  // namespace mgdl

namespace mgdl::detail {

/// The penalty that the options ask for, in the unit of the problem. Where the targets correlate
/// with the gates by no more than rounding, that is the penalty in the place of a part of
/// lambda_max: it has the solution zero, provably.
///
/// \param lambda_max  of the problem, called if it is needed
template <class LambdaMax>
double penalty_of(const ConvexOptions& options, double unit, double rounding,
                  const LambdaMax& lambda_max) {
  if (options.lambda) return *options.lambda / unit;
  const double largest = lambda_max();
  if (options.lambda_ratio > 0 && largest <= rounding) return rounding;
  return options.lambda_ratio * largest;
}

/// Notices that an iteration no longer leads anywhere: it has not halved its gap within so many
/// steps. What rounding lets through looks like progress otherwise, without end.
class StallWatch {
 public:
  /// \param gap  of the start
  explicit StallWatch(double gap, int steps = 40) : m_target(0.5 * gap), m_steps(steps) {}

  /// \param best  the smallest gap so far, asked for before every step
  bool stalled(double best) noexcept {
    if (best <= m_target) {
      m_target = 0.5 * best;
      m_left = m_steps;
    }
    return m_left-- <= 0;
  }

 private:
  double m_target;
  int m_steps;
  int m_left = m_steps;
};

/// When an iteration of a convex solver ends.
class SolveControl : public RunControl {
 public:
  explicit SolveControl(const ConvexOptions& options)
      : RunControl(options.observer, options.time_limit_seconds, options.max_iterations),
        m_relative_tolerance(options.relative_tolerance) {}

  double relative_tolerance() const noexcept { return m_relative_tolerance; }
  /// The same limits with another tolerance.
  SolveControl with_tolerance(double tolerance) const {
    SolveControl result = *this;
    result.m_relative_tolerance = tolerance;
    return result;
  }

  /// Asked after every iteration; Termination::NotRun means go on.
  Termination check(Index iteration, double relative_gap) const {
    const Termination limits =
        RunControl::check({.iteration = iteration, .objective = relative_gap});
    if (relative_gap <= m_relative_tolerance) return Termination::ToleranceReached;
    if (limits == Termination::StoppedByObserver) return limits;
    return relative_gap == relative_gap ? limits : Termination::NumericalFailure;
  }

 private:
  double m_relative_tolerance;
};

}  // namespace mgdl::detail
