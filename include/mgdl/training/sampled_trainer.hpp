#pragma once

#include <utility>
#include <vector>

#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/sampled_options.hpp"

namespace mgdl {

/// Trains a grade without iterations: hidden units are drawn, the readout is solved.
///
/// Each hidden unit comes from a pair of samples (a, b): its kink goes through a, and it grows
/// towards b. Pairs are drawn with probability in proportion to the difference of their residuals
/// over the distance of their inputs (several outputs: the largest difference), so that units are
/// where the residual is steep; further layers do the same with the values of the layer below.
/// Units that repeat an earlier one are left out. The
/// readout is solved by ridge regression on sums over blocks of samples, so that the values of the
/// units at all samples are never held in memory; the ridge is chosen by generalised
/// cross-validation.
///
/// Source: Bolager et al., "Sampling weights of deep neural networks" (arXiv 2306.16830).
template <class Scalar_ = double>
class SampledTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit SampledTrainer(SampledOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  const SampledOptions& options() const noexcept { return m_options; }

  /// The bits of the result depend on the problem's samples, seed and grade number only.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  std::vector<double> ridges() const;

  SampledOptions m_options;
};

#ifdef MGDL_COMPILED
extern template class SampledTrainer<float>;
extern template class SampledTrainer<double>;
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/detail/sampled_trainer_impl.hpp"  // IWYU pragma: export
#endif
