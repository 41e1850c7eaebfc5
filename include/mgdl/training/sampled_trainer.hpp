#pragma once

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// Options of SampledTrainer.
struct SampledOptions {
  /// Units of each hidden layer at most, >= 1; fewer if the samples do not have so many different
  /// pairs.
  Index width = 512;
  /// Hidden layers, >= 1.
  Index hidden_layers = 1;
  /// Ridge of the readout, relative to the mean square of the features (dimensionless), > 0.
  /// Without one, chosen from 1e-14, 1e-13, ..., 10 by generalised cross-validation.
  std::optional<double> ridge = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    require(width >= 1, "SampledOptions.width", "a value >= 1", width);
    require(hidden_layers >= 1, "SampledOptions.hidden_layers", "a value >= 1", hidden_layers);
    if (ridge) {
      require(*ridge > 0 && *ridge < std::numeric_limits<double>::infinity(),
              "SampledOptions.ridge", "a finite value > 0", *ridge);
    }
  }
};

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
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class SampledTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit SampledTrainer(SampledOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  /// \{
  const SampledOptions& options() const& noexcept { return m_options; }
  SampledOptions options() && { return std::move(m_options); }
  /// \}

  /// Samples need not be in memory.
  static constexpr bool reads_blocks() noexcept { return true; }

  /// The bits of the result depend on the problem's samples, seed and grade number only.
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  std::vector<double> ridges() const;

  SampledOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class SampledTrainer<float>;
extern template class SampledTrainer<double>;
}  // namespace mgdl
#else
#include "mgdl/training/sampled_trainer_impl.hpp"  // IWYU pragma: export
#endif
