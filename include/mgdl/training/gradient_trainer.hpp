#pragma once

#include <string>
#include <utility>

#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient_options.hpp"

namespace mgdl {

/// Trains a grade of equally wide hidden ReLU layers by its gradient, with Adam or L-BFGS.
///
/// Minimises sum_i w_i |g(x_i) - y_i|^2 + weight_decay * |hidden weights|^2 in four steps.
/// - The inputs are whitened: made uncorrelated with variance 1. They are the frozen features of
/// the
///   grade before, so this is done once, and it is folded into the first layer's weights at the
///   end. It is what lets later grades learn fine detail quickly.
/// - Hidden units start as GradientOptions.initialization says, the readout as a least squares fit.
/// - The optimiser runs. The iterate with the best validation error (without a validation part:
///   training error) is kept. Hidden units that are zero on all samples start anew.
/// - The readout is solved by regularised least squares, so the returned network never fits the
///   training samples worse than the zero function.
template <class Scalar_ = double>
class GradientTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit GradientTrainer(GradientOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  const GradientOptions& options() const noexcept { return m_options; }

  /// The bits of the result depend on the problem's samples, seed and grade number, not on the
  /// number of threads (unless there is a time limit, which also steers the learning rate, or an
  /// observer that stops).
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  struct Whitened;

  std::string name() const;

  GradientOptions m_options;
};

#ifdef MGDL_COMPILED
extern template class GradientTrainer<float>;
extern template class GradientTrainer<double>;
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/training/gradient_trainer_impl.hpp"  // IWYU pragma: export
#endif
