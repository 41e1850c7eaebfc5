#pragma once

#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/gradient_options.hpp"

namespace mgdl {

/// Trains a grade of equally wide hidden ReLU layers by its gradient, with Adam or L-BFGS.
///
/// Minimises sum_i w_i |g(x_i) - y_i|^2 + weight_decay * |weights|^2 in four steps.
/// - The inputs are whitened: made uncorrelated with variance 1. They are the frozen features of
///   the grade before, so this is done once, and it is folded into the first layer's weights at the
///   end. It is what lets later grades learn fine detail quickly.
/// - Hidden units start as GradientOptions.initialization says, the readout as a least squares fit
///   (Initialization::Rich: at random, too).
/// - The optimiser runs. The iterate with the best validation error (without a validation part:
///   training error) is kept. Hidden units that are zero on all samples start anew.
/// - The readout is solved by regularised least squares, so the returned network never fits the
///   training samples worse than the zero function.
///
/// With a validation part, what is Automatic in the options is chosen on it: several settings race.
/// All train for a few epochs, in one cycle of the learning rate; the better half goes on for twice
/// as many, and so on (but all that are left after the second cycle go on), until one is left.
/// (Successive halving: Jamieson & Talwalkar, arXiv 1502.07943; cycles: Loshchilov & Hutter, arXiv
/// 1608.03983.) Then this one is trained: with Adam anew, in a single cycle of all epochs; with
/// L-BFGS from where it is. After grade 1 the race is all there is if a cycle lowers the lowest of
/// all errors by less than 0.5 %, or the race has not lowered the validation error by 2 %. It is
/// counted in epochs. Under a time limit that does not do for this, the race has a quarter of the
/// time, and its winner the rest.
///
/// From 262,145 samples on the race is run on 131,072 of them and 16,384 of the validation part,
/// drawn at random; the winner is trained on all. From 160,000 on it has fewer epochs, in inverse
/// proportion to the root of their number; from 16,384 on, less weight decay is tried, in inverse
/// proportion to their number.
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class GradientTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit GradientTrainer(GradientOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  /// \{
  const GradientOptions& options() const& noexcept { return m_options; }
  GradientOptions options() && { return std::move(m_options); }
  /// \}

  /// Samples need not be in memory.
  static constexpr bool reads_blocks() noexcept { return true; }

  /// The bits of the result depend on the problem's samples, seed and grade number, not on the
  /// number of threads, unless a time limit binds or an observer stops.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem) {
    return std::move(fit_all({problem}).front());
  }

  /// The same for several problems at once, the folds of a cross-validation, with the same settings
  /// for all: those whose mean validation error is lowest on the first problems, so many that they
  /// have 1000 validation samples, or eight, or all. Problems that are `optional` are left out
  /// where the time does not do for half of the winner's epochs on them.
  std::vector<GradeFit<Scalar>> fit_all(const std::vector<GradeProblem<Scalar>>& problems);

 private:
  GradientOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class GradientTrainer<float>;
extern template class GradientTrainer<double>;
}  // namespace mgdl
#else
#include "mgdl/training/gradient_trainer_impl.hpp"  // IWYU pragma: export
#endif
