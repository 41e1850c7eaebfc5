#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/observer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// Fits an affine function x -> x B + b by ridge regression, the ridge chosen by generalised
/// cross-validation. As a ReLU network it has two units for each input, max(0, x_j) and max(0,
/// -x_j), whose difference is x_j; the grades after it can make of them what they like.
///
/// What linear regression can do, at its cost: as the first grade it keeps a model from losing to
/// it, and where noise hides everything else it is the best there is. Keeps nothing, so several
/// threads may use one at a time.
template <class Scalar_ = double>
class AffineTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// Samples need not be in memory.
  static constexpr bool reads_blocks() noexcept { return true; }

  /// The bits of the result depend on the problem's samples alone.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);
};

template <class Scalar>
GradeFit<Scalar> AffineTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const Index d = problem.train.inputs.cols();
  detail::PanelNetwork<Scalar> network({d, 2 * d, problem.train.targets.cols()});
  // Of the readout's rows, the bias last, only differences of two units count.
  Matrix<double> basis = Matrix<double>::Zero(2 * d + 1, d + 1);
  for (Index j = 0; j < d; ++j) {
    network.weight(0, j, j) = 1;
    network.weight(0, j, d + j) = -1;
    basis(j, j) = 1;
    basis(d + j, j) = -1;
  }
  basis(2 * d, d) = 1;
  std::vector<double> ridges;
  for (int exponent = -24; exponent <= 6; ++exponent)
    ridges.push_back(std::pow(10.0, exponent / 2.0));
  double ridge = 0;
  detail::StepControl control(problem.observer, problem.time_limit_seconds, problem.grade,
                              detail::moment_steps(problem.train.size()) + std::ssize(ridges),
                              problem.train.ranks());
  const detail::RelativeLoss loss =
      detail::gcv_readout(network, problem, ridges, problem.threads.pool(), ridge, basis,
                          [&control] { return control.proceed(); });
  GradeFitReport report;
  report.termination = ridge > 0 ? Termination::ToleranceReached : Termination::NoProgress;
  report.message = ridge > 0 ? "Linear regression with ridge " + detail::to_text(ridge) + "."
                             : "No affine function lowers the residual.";
  if (control.reason() != Termination::NotRun) {
    report.termination = control.reason();
    report.message = detail::RunControl::explain(control.reason());
  }
  report.trainer = "affine";
  report.iterations = 1;
  report.initial_objective = 1;
  report.final_objective = loss.train;
  report.validation = loss.validation;
  report.elapsed_seconds = control.seconds();
  return {ReluNetwork<Scalar>(network.to_layers()), std::move(report)};
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class AffineTrainer<float>;
extern template class AffineTrainer<double>;
}  // namespace mgdl
#endif
