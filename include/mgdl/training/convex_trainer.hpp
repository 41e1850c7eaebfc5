#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/convex_trainer_options.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

template <class Solution>
struct PathResult;

/// Trains a grade of one hidden layer by the convex solver: the best such network over a set of
/// activation patterns, with a certificate that says how far it can be from that (for one input,
/// over all patterns: from the best network of any width).
///
/// Minimises 1/2 sum_i w_i |y_i - g(x_i)|^2 + penalty over the patterns that
/// ConvexTrainerOptions.source says, on the grade's inputs as they are, or on the columns() of them
/// if there are many. The certificate is in GradeFitReport.certificate: anyone can recompute it,
/// because columns() and gates() depend on the samples, the seed and the number of the grade alone.
/// What the next grade gets are the ReLU outputs of the neurons.
///
/// Sources: Pilanci & Ergen (arXiv 2002.10553); Fang & Xu (arXiv 2507.20351) for grades that are
/// convex programs.
template <class Scalar_ = double>
class ConvexTrainer {
 public:
  /// The type of all numbers of the network; the solver works in double.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit ConvexTrainer(ConvexTrainerOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  const ConvexTrainerOptions& options() const noexcept { return m_options; }

  /// Same bits for any number of threads, without a time limit.
  /// \throws InvalidArgument for PenaltyChoice::Validation without a validation part, and for
  ///         PatternSource::All with more than two inputs or too many samples
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

  /// The columns of the grade's inputs that its neurons look at, in ascending order.
  std::vector<Index> columns(const SampleView<Scalar>& samples) const;

  /// The patterns that grade `grade` of a run with `seed` is solved over.
  /// \param X  columns() of its inputs, n x d
  /// \param Y  its targets, n x c
  Gates gates(const ConstRowMatrixRef<double>& X, const ConstRowMatrixRef<double>& Y,
              std::uint64_t seed, Index grade) const;

 private:
  struct Solved;

  /// All kinks of one input, without a list of patterns.
  bool by_kinks(Index inputs) const;

  template <class Solution, class ToRelu>
  Solved choose(PathResult<Solution> path, const ToRelu& to_relu_solution) const;

  Solved solve(const Dataset<double>& data, const Dataset<double>* validation,
               const std::optional<Gates>& patterns, const ConvexOptions& solver) const;

  static Dataset<double> in_double(const SampleView<Scalar>& samples,
                                   const std::vector<Index>& columns);

  ConvexTrainerOptions m_options;
};

#ifdef MGDL_COMPILED
extern template class ConvexTrainer<float>;
extern template class ConvexTrainer<double>;
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/detail/convex_trainer_impl.hpp"  // IWYU pragma: export
#endif
