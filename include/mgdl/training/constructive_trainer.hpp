#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/carried_coordinates.hpp"
#include "mgdl/detail/hat_network.hpp"
#include "mgdl/detail/hat_pass.hpp"
#include "mgdl/detail/stopwatch.hpp"
#include "mgdl/detail/unfinished_pass.hpp"
#include "mgdl/training/constructive_options.hpp"
#include "mgdl/training/grade_trainer.hpp"

namespace mgdl {

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
template <class Scalar_ = double>
class ConstructiveTrainer {
 public:
  /// The type of all numbers.
  using Scalar = Scalar_;

  /// \throws InvalidArgument if an option breaks its rule
  explicit ConstructiveTrainer(ConstructiveOptions options = {}) : m_options(options) {
    m_options.validate();
  }

  /// The options it was made with.
  const ConstructiveOptions& options() const noexcept { return m_options; }

  /// The next grade. Nothing is random: the samples and the model so far fix every bit. In the
  /// report, `iterations` are the grade's hats; ToleranceReached says that it ends a pass,
  /// MaxIterations that more of the pass is to come. Sup norms in the message are in the model's
  /// standardised unit.
  /// \throws InvalidArgument for more than 3 inputs
  GradeFit<Scalar> fit(const GradeProblem<Scalar>& problem);

 private:
  static constexpr double kRounding =
      256 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());

  /// The samples of positive weight: the others have no say.
  struct Samples {
    Samples(const SampleView<Scalar>& view, const detail::CarriedCoordinates& coordinates) {
      for (Index i = 0; i < view.size(); ++i) {
        if (view.weights[i] > 0) rows.push_back(i);
      }
      const auto n = static_cast<Index>(rows.size());
      points.resize(n, coordinates.count());
      residual.resize(n, view.targets.cols());
      weights.resize(n);
      for (Index i = 0; i < n; ++i) {
        const Index row = rows[static_cast<std::size_t>(i)];
        for (Index k = 0; k < coordinates.count(); ++k) {
          const auto c = static_cast<std::size_t>(k);
          const Index minus = coordinates.minus[c];
          points(i, k) = static_cast<double>(view.inputs(row, coordinates.plus[c])) -
                         (minus < 0 ? 0 : static_cast<double>(view.inputs(row, minus)));
        }
        residual.row(i) = view.targets.row(row).template cast<double>();
        weights[i] = static_cast<double>(view.weights[row]);
      }
    }

    std::vector<Index> rows;
    RowMatrix<double> points;
    RowMatrix<double> residual;
    Vector<double> weights;
  };

  static void require_inputs(const char* name, Index inputs) {
    if (inputs >= 1 && inputs <= detail::kMaxKuhnInputs) return;
    throw InvalidArgument(name, "1 to 3 columns for a constructive grade", std::to_string(inputs));
  }

  static detail::CarriedCoordinates coordinates_of(const GradeProblem<Scalar>& problem) {
    if (problem.model == nullptr) {
      require_inputs("train.inputs", problem.train.inputs.cols());
      return detail::CarriedCoordinates::plain(problem.train.inputs.cols());
    }
    require_inputs("X", problem.model->inputs());
    return detail::carried_coordinates(*problem.model, problem.model->grades());
  }

  detail::HatGrade<Scalar> no_hats(Index outputs) const {
    detail::HatGrade<Scalar> grade;
    grade.hats = m_options.hats;
    grade.values.resize(0, outputs);
    return grade;
  }

  std::optional<detail::UnfinishedPass> next_pass(const GradeProblem<Scalar>& problem,
                                                  const Samples& samples) const {
    if (problem.model != nullptr) {
      auto work = detail::continue_pass(*problem.model, static_cast<double>(problem.unit),
                                        samples.points, samples.residual, m_options.balanced);
      if (work) return work;
    }
    auto chosen = detail::choose_pass(samples.points, samples.residual, m_options.balanced,
                                      static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
    if (!chosen) return {};
    auto left = detail::nodes_left(chosen->pass, {});
    if (left.empty()) return {};
    return detail::UnfinishedPass{std::move(*chosen), samples.residual, std::move(left), 0};
  }

  /// Residuals of the samples that count, as the network itself leaves them.
  static RowMatrix<double> measure(const ReluNetwork<Scalar>& network,
                                   const GradeProblem<Scalar>& problem, const Samples& samples) {
    const RowMatrix<Scalar> output = network.predict(problem.train.inputs, problem.threads);
    RowMatrix<double> left = samples.residual;
    for (Index i = 0; i < left.rows(); ++i) {
      const Index row = samples.rows[static_cast<std::size_t>(i)];
      left.row(i) -= output.row(row).template cast<double>();
    }
    return left;
  }

  /// sum w |values|^2
  static double square(const RowMatrix<double>& values, const Vector<double>& weights) {
    return weights.dot(values.rowwise().squaredNorm());
  }

  static double validation_objective(const ReluNetwork<Scalar>& network,
                                     const SampleView<Scalar>& view, int threads) {
    const RowMatrix<double> targets = view.targets.template cast<double>();
    const Vector<double> weights = view.weights.template cast<double>();
    const RowMatrix<double> left =
        targets - network.predict(view.inputs, threads).template cast<double>();
    return square(left, weights) / square(targets, weights);
  }

  static std::string power_text(double spacing) {
    return "2^" + std::to_string(std::ilogb(spacing));
  }

  ConstructiveOptions m_options;
};

template <class Scalar>
GradeFit<Scalar> ConstructiveTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const detail::Stopwatch clock;
  const detail::CarriedCoordinates coordinates = coordinates_of(problem);
  const Index outputs = problem.train.targets.cols();
  GradeFit<Scalar> fit{detail::hat_network(coordinates, no_hats(outputs)), {}};
  GradeFitReport& report = fit.report;
  report.trainer = "hats " + std::to_string(m_options.hats);
  report.initial_objective = 1;
  report.final_objective = 1;
  if (problem.validation) report.validation = 1;
  const auto give_up = [&](Termination termination, std::string message) {
    report.termination = termination;
    report.message = std::move(message);
    report.elapsed_seconds = clock.seconds();
    return fit;
  };
  if (!coordinates.complete()) {
    return give_up(Termination::NoProgress,
                   "The features do not carry all coordinates of the samples; "
                   "FeatureLink::LastHiddenAndInput makes them do so.");
  }
  const Samples samples(problem.train, coordinates);
  const auto work = next_pass(problem, samples);
  if (!work) {
    return give_up(Termination::NoProgress,
                   "No function of the inputs lowers the largest residuals: they belong to equal "
                   "inputs with different targets, or all are zero.");
  }

  const detail::HatPass& pass = work->chosen.pass;
  const std::vector<Index> share = detail::next_share(*work, samples.weights, m_options.hats);
  detail::HatGrade<Scalar> grade = no_hats(outputs);
  grade.spacing = work->chosen.spacing;
  grade.position = work->position;
  grade.values.resize(static_cast<Index>(share.size()), outputs);
  for (const Index j : share) {
    grade.values.row(static_cast<Index>(grade.nodes.size())) =
        pass.values.row(j).template cast<Scalar>();
    grade.nodes.push_back(pass.lattice.nodes()[static_cast<std::size_t>(j)]);
  }
  report.trainer += ", spacing " + power_text(grade.spacing);
  const bool last = share.size() == work->left.size();

  // The claim, on what the network computes and not on what was meant.
  const ReluNetwork<Scalar> network = detail::hat_network(coordinates, grade);
  const RowMatrix<double> after = measure(network, problem, samples);
  const double slack = kRounding * work->start.cwiseAbs().maxCoeff();
  const RowMatrix<double>& before = m_options.balanced ? work->start : samples.residual;
  const bool nonincreasing =
      (after.array().abs() <= before.array().abs() + slack).all();  // false for NaN
  if (!nonincreasing && (last || !m_options.balanced)) {
    return give_up(Termination::NumericalFailure,
                   "A residual would grow by more than rounding; the grade was made zero.");
  }
  fit.network = network;
  report.iterations = static_cast<Index>(share.size());
  report.final_objective =
      square(after, samples.weights) / square(samples.residual, samples.weights);
  if (problem.validation) {
    report.validation = validation_objective(network, *problem.validation, problem.threads);
  }
  report.termination = last ? Termination::ToleranceReached : Termination::MaxIterations;
  const double unit = static_cast<double>(problem.unit);
  std::ostringstream message;
  message << "Grade " << work->position + 1 << " of a pass: " << share.size() << " hats, "
          << work->left.size() - share.size() << " to come; sup norm "
          << samples.residual.cwiseAbs().maxCoeff() * unit << " -> "
          << after.cwiseAbs().maxCoeff() * unit << '.';
  report.message = message.str();
  report.elapsed_seconds = clock.seconds();
  if (problem.observer) {
    Progress progress;
    progress.grade = problem.grade;
    progress.iteration = progress.max_iterations = 1;
    progress.objective = report.final_objective;
    progress.validation = report.validation;
    progress.elapsed_seconds = report.elapsed_seconds;
    if (problem.observer(progress) == Action::Stop) {
      report.termination = Termination::StoppedByObserver;
    }
  }
  return fit;
}

#ifdef MGDL_COMPILED
extern template class ConstructiveTrainer<float>;
extern template class ConstructiveTrainer<double>;
#endif

}  // namespace mgdl
