#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

// GCC 12 takes enumerators of a scoped enumeration for declarations that shadow mgdl::Automatic.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
/// Which activation patterns a convex grade is solved over.
enum class PatternSource {
  Automatic,  ///< All for one input, else Pairs
  Pairs,      ///< drawn from pairs of samples where the residual is steep (sample_pair_gates)
  Gaussian,   ///< drawn at random (sample_gaussian_gates)
  All         ///< every pattern that the samples admit; one or two inputs only
};
#pragma GCC diagnostic pop

/// Which convex problem a grade is the solution of.
enum class ConvexProblem {
  Relu,  ///< the ReLU problem: the certificate is about the network itself
  Gated  ///< the gated problem, faster; its neurons are found afterwards, with the same values at
         ///< the samples if they can be computed with, see recover()
};

/// How the penalty of a convex grade is chosen.
enum class PenaltyChoice {
  Ratio,       ///< as `solver` says, lambda or lambda_ratio
  Validation,  ///< of a path down to that, the one with the lowest validation error
  Width        ///< of a path down to that, the smallest one with at most `width` neurons
};

/// Options of ConvexTrainer.
struct ConvexTrainerOptions {
  /// The problem that is solved.
  ConvexProblem problem = ConvexProblem::Gated;
  /// Where the patterns come from.
  PatternSource source = PatternSource::Automatic;
  /// Patterns to draw, >= 1. One more is always there: all samples active.
  Index patterns = 50;
  /// Inputs that the neurons look at, >= 1. Of a grade with more, these are the columns that
  /// explain most of the variance; the others have weight zero.
  Index max_inputs = 32;
  /// How the penalty is chosen.
  PenaltyChoice penalty = PenaltyChoice::Ratio;
  /// Penalties of a path, >= 2.
  Index path_count = 20;
  /// PenaltyChoice::Width: neurons at most, >= 1.
  Index width = 64;
  /// Iterations of L-BFGS on the weights of the solution, with the same penalty, >= 0; the outcome
  /// is kept only if the objective has fallen. It may leave the patterns: a gap below zero is then
  /// no contradiction. Certificate, message and termination are those of the polished network.
  Index polish_iterations = 0;
  /// Newton steps over patterns that are drawn, >= 1: with many inputs and small penalties every
  /// one takes long. What is left is in the certificate's gap.
  Index max_newton_steps = 100;
  /// Options of the solver; threads, time limit and observer are those of the grade.
  ConvexOptions solver = {.lambda_ratio = 1e-3, .output_bias = true};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    const auto require = [](bool ok, const char* field, const char* rule, auto value) {
      detail::require_option(ok, field, rule, value);
    };
    solver.validate();
    require(solver.loss.is_squared(), "ConvexTrainerOptions.solver.loss",
            "the squared loss, which grades are about", to_string(solver.loss.kind));
    require(patterns >= 1, "ConvexTrainerOptions.patterns", "a value >= 1", patterns);
    require(max_inputs >= 1, "ConvexTrainerOptions.max_inputs", "a value >= 1", max_inputs);
    require(path_count >= 2, "ConvexTrainerOptions.path_count", "a value >= 2", path_count);
    require(width >= 1, "ConvexTrainerOptions.width", "a value >= 1", width);
    require(max_newton_steps >= 1, "ConvexTrainerOptions.max_newton_steps", "a value >= 1",
            max_newton_steps);
    require(polish_iterations >= 0, "ConvexTrainerOptions.polish_iterations", "a value >= 0",
            polish_iterations);
    if (polish_iterations > 0 && problem == ConvexProblem::Gated) {
      throw InvalidArgument("ConvexTrainerOptions.polish_iterations",
                            "0 for ConvexProblem::Gated, whose neurons are not short",
                            std::to_string(polish_iterations));
    }
    const double least = solver.lambda.value_or(solver.lambda_ratio);
    require(
        problem == ConvexProblem::Gated && penalty == PenaltyChoice::Ratio ? least >= 0 : least > 0,
        "ConvexTrainerOptions.solver", "a penalty > 0", least);
    if (solver.shared_neurons && source == PatternSource::All) {
      throw InvalidArgument("ConvexTrainerOptions.solver",
                            "separate outputs for PatternSource::All", "shared neurons");
    }
  }
};

template <class Solution>
struct PathResult;

/// Trains a grade of one hidden layer by the convex solver: the best such network over a set of
/// activation patterns, with a certificate that says how far it can be from that (for one input,
/// over all patterns: from the best network of any width).
///
/// Minimises 1/2 sum_i w_i |y_i - g(x_i)|^2 + penalty over the patterns that
/// ConvexTrainerOptions.source says, on the grade's inputs as they are, or on the columns() of them
/// if there are many. The certificate is in GradeFitReport.certificate: anyone can recompute it
/// from the samples and GradeFitReport.witness, and columns() and gates() depend on the samples,
/// the seed and the number of the grade alone. What the next grade gets are the ReLU outputs of the
/// neurons.
///
/// Sources: Pilanci & Ergen (arXiv 2002.10553); Fang & Xu (arXiv 2507.20351) for grades that are
/// convex programs.
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class ConvexTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers of the network; the solver works in double.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit ConvexTrainer(ConvexTrainerOptions options = {}) : m_options(std::move(options)) {
    m_options.validate();
  }

  /// The options it was made with.
  /// \{
  const ConvexTrainerOptions& options() const& noexcept { return m_options; }
  ConvexTrainerOptions options() && { return std::move(m_options); }
  /// \}

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

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class ConvexTrainer<float>;
extern template class ConvexTrainer<double>;
}  // namespace mgdl
#else
#include "mgdl/training/convex_trainer_impl.hpp"  // IWYU pragma: export
#endif
