#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

/// Options of ConstructiveTrainer.
struct ConstructiveOptions {
  /// Hat functions in each grade, >= 1. The grade's width is this plus two units for each input.
  Index hats = 32;
  /// Hats up to the middle of the residual's range instead of its minimum: half of the error after
  /// a pass over the nodes, but residuals are nonincreasing from pass to pass only, not from grade
  /// to grade.
  bool balanced = false;

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    detail::require_option(hats >= 1, "ConstructiveOptions.hats", "a value >= 1", hats);
  }
};

namespace detail {

struct CarriedCoordinates;
template <class Scalar>
struct HatGrade;
struct UnfinishedPass;

}  // namespace detail

/// Writes grades down instead of training them, for samples with 1 to 3 inputs: each adds hat
/// functions so low that the residual of no sample grows,
///
///     g(x) = sum_j s_j phi_j(x),    s_j = sign(r) min {|r_i| : phi_j(x_i) > 0} if r keeps its sign
///     there, else 0,
///
/// on the nodes j of a Kuhn triangulation whose spacing is a power of two in the unit of the
/// standardised inputs. A pass over all nodes takes as many grades as it needs, with `hats` hats
/// each. Its spacing is the coarsest for which the pass at least halves the largest residual of
/// every output. What holds, at the training samples of positive weight:
/// - no residual grows in size from grade to grade (balanced: from pass to pass);
/// - a pass halves the largest residual of every output, not counting what equal inputs with
///   different targets forbid to take away. If that is all there is, the grade is zero and the
///   report says Termination::NoProgress;
/// - all grades have the same widths.
///
/// The first is checked for every grade as it comes out of the network, up to rounding. Between
/// samples nothing is promised; see approximate_lipschitz for that.
///
/// A grade needs the coordinates of the samples. It finds them among its features by the weights of
/// the grades before: those of its own kind hand them on, and FeatureLink::LastHiddenAndInput does
/// for all. Without them its grade is zero, with Termination::NoProgress. It keeps no state: what
/// belongs to a pass that is not at its end is read off the model.
///
/// Source: docs/theorem.md, after Zhang, Shen & Xu (arXiv 2601.16884).
///
/// Keeps its options alone, so several threads may use one at a time.
template <class Scalar_ = double>
class ConstructiveTrainer {
  static_assert(detail::is_scalar<Scalar_>, "Scalar is float or double");

 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit ConstructiveTrainer(ConstructiveOptions options = {}) : m_options(options) {
    m_options.validate();
  }

  /// The options it was made with.
  /// \{
  const ConstructiveOptions& options() const& noexcept { return m_options; }
  ConstructiveOptions options() && { return std::move(m_options); }
  /// \}

  /// The next grade. Nothing is random: the samples and the model so far fix every bit. In the
  /// report, `iterations` are the grade's hats; ToleranceReached says that it ends a pass,
  /// MaxIterations that more of the pass is to come. Sup norms in the message are in the model's
  /// standardised unit.
  /// \throws InvalidArgument for more than 3 inputs
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  static constexpr double kRounding =
      256 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());

  struct Samples;

  static void require_inputs(const char* name, Index inputs);
  static detail::CarriedCoordinates coordinates_of(const GradeProblem<Scalar>& problem);
  detail::HatGrade<Scalar> no_hats(Index outputs) const;
  std::optional<detail::UnfinishedPass> next_pass(const GradeProblem<Scalar>& problem,
                                                  const Samples& samples) const;

  /// Residuals of the samples that count, as the network itself leaves them.
  static RowMatrix<double> measure(const ReluNetwork<Scalar>& network,
                                   const GradeProblem<Scalar>& problem, const Samples& samples);

  /// sum w |values|^2
  static double square(const RowMatrix<double>& values, const Vector<double>& weights);

  static double validation_objective(const ReluNetwork<Scalar>& network,
                                     const SampleView<Scalar>& view, const Executor& threads);
  static std::string power_text(double spacing);

  ConstructiveOptions m_options;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class ConstructiveTrainer<float>;
extern template class ConstructiveTrainer<double>;
}  // namespace mgdl
#else
#include "mgdl/training/constructive_trainer_impl.hpp"  // IWYU pragma: export
#endif
