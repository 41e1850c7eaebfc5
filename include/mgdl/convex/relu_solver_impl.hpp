#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/cone/column_generation.hpp"
#include "mgdl/convex/cone/newton.hpp"
#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/convex/trend_filter/trend_filter.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// One call of ReluSolver.
template <class Real>
class ReluRun {
 public:
  ReluRun(const ConvexOptions& options, const Dataset<Real>& data)
      : m_options(options), m_data(data), m_pool(options.threads.pool()), m_control(options) {}

  ReluResult over(const Gates& gates) const {
    require_match(gates);
    if (m_options.lambda.value_or(m_options.lambda_ratio) == 0) {
      throw InvalidArgument("ConvexOptions.lambda", "a value > 0 for the ReLU problem", "0");
    }
    const GroupLassoProblem<Real> problem(m_data, gates, m_options.output_bias);
    const ConeProjector<Real> projector(m_data, gates);
    ReluResult result;
    ReluSolution& solution = result.solution;
    const Real lambda = penalty_of(m_options, problem.lambda_unit(), problem.rounding(),
                                   [&] { return lambda_max(problem, projector); });
    solution.lambda = m_options.lambda.value_or(lambda * problem.lambda_unit());
    solution.separate_outputs = separate();
    if (solution.separate_outputs) {
      solve_outputs(problem, projector, lambda, result);
    } else {
      result.report.termination = solve_shared_problem<Real>(
          m_pool, problem, projector, lambda, m_control, solution, result.report.iterations);
    }
    solution.hidden *= problem.solution_unit();
    set_bias(solution);
    finish(gates.dimension(), gates.size(), certify(m_data, gates, solution, m_options.threads),
           result);
    return result;
  }

  Real lambda_max_over(const Gates& gates) const {
    require_match(gates);
    const GroupLassoProblem<Real> problem(m_data, gates, m_options.output_bias);
    const Real largest = lambda_max(problem, ConeProjector<Real>(m_data, gates));
    return largest > problem.rounding() ? problem.lambda_unit() * largest : 0;
  }

  ReluResult over_all_patterns() const {
    require_one_input();
    const Vector<Real> x = m_data.inputs().col(0);
    const Index c = m_data.targets().cols();
    const Real lambda =
        penalty_of(m_options, 1, rounding(), [&] { return lambda_max_over_all_patterns(); });
    ReluResult result;
    result.solution.lambda = lambda;
    result.report.termination = Termination::ToleranceReached;
    std::vector<TrendFilterResult<Real>> parts;
    for (Index o = 0; o < c; ++o) {
      parts.push_back(is_cut_short(result.report.termination)
                          ? no_neurons(m_data.size())
                          : solve_trend_filter<Real>(x, m_data.targets().col(o), m_data.weights(),
                                                     lambda,
                                                     trend_options(result.report.iterations)));
      result.report.iterations += parts.back().iterations;
      note(parts.back().termination, result.report.termination);
    }
    Index neurons = 0;
    for (const auto& part : parts) neurons += part.neurons.rows();
    result.solution.hidden.resize(neurons, 2);
    result.solution.output = RowMatrix<Real>::Zero(neurons, c);
    result.solution.dual.resize(m_data.size(), c);
    Index first = 0;
    for (Index o = 0; o < c; ++o) {
      const auto& part = parts[static_cast<std::size_t>(o)];
      result.solution.hidden.middleRows(first, part.neurons.rows()) = part.neurons;
      result.solution.output.col(o).segment(first, part.neurons.rows()) = part.signs;
      result.solution.dual.col(o) = part.dual_point;
      first += part.neurons.rows();
    }
    result.solution.gates.assign(static_cast<std::size_t>(neurons), -1);
    set_bias(result.solution);
    finish(2, 0, certify_all_patterns(m_data, result.solution, true, m_options.threads), result);
    return result;
  }

  Real lambda_max_over_all_patterns() const {
    require_one_input();
    const Vector<Real> x = m_data.inputs().col(0);
    Real largest = 0;
    for (Index o = 0; o < m_data.targets().cols(); ++o) {
      largest =
          std::max(largest, trend_filter_lambda_max<Real>(x, m_data.targets().col(o),
                                                          m_data.weights(), m_options.output_bias));
    }
    return largest;
  }

  /// As GroupLassoProblem::rounding, for all patterns of one input.
  Real rounding() const {
    const Vector<Real> roots = m_data.weights().cwiseSqrt();
    const RowMatrix<Real> X = roots.asDiagonal() * m_data.inputs();
    const RowMatrix<Real> Y = roots.asDiagonal() * m_data.targets();
    return 64 * std::numeric_limits<Real>::epsilon() * std::hypot(1, X.stableNorm()) *
           Y.stableNorm();
  }

 private:
  void require_match(const Gates& gates) const {
    require_rows("X", gates.samples(), m_data.size());
    require_cols("X", gates.dimension() - (gates.bias() ? 1 : 0), m_data.inputs().cols());
  }

  void require_one_input() const {
    if (m_data.inputs().cols() != 1) {
      throw InvalidArgument("X", "one column (two: enumerate_gates() and solve())",
                            std::to_string(m_data.inputs().cols()) + " columns");
    }
    if (m_options.shared_neurons && m_data.targets().cols() > 1) {
      throw InvalidArgument(
          "ConvexOptions.shared_neurons",
          "false for all patterns of one input (or enumerate_gates() and solve())", "true");
    }
  }

  /// Whether every output has neurons of its own.
  bool separate() const { return !m_options.shared_neurons || m_data.targets().cols() == 1; }

  Real lambda_max(const GroupLassoProblem<Real>& problem,
                  const ConeProjector<Real>& projector) const {
    if (!separate()) return shared_lambda_max(m_pool, problem, projector);
    Real largest = 0;
    for (Index o = 0; o < problem.outputs(); ++o) {
      largest = std::max(largest, cone_lambda_max(m_pool, problem, projector, o));
    }
    return largest;
  }

  /// Whether the outputs that are still to be solved have to do without neurons.
  static bool is_cut_short(Termination termination) noexcept {
    return termination == Termination::MaxIterations || termination == Termination::TimeLimit ||
           termination == Termination::StoppedByObserver;
  }

  /// Adds what became of one output to what became of those before it.
  static void note(Termination output, Termination& all) noexcept {
    if (output != Termination::ToleranceReached && !is_cut_short(all)) all = output;
  }

  static TrendFilterResult<Real> no_neurons(Index samples) {
    TrendFilterResult<Real> result;
    result.neurons.resize(0, 2);
    result.dual_point.setZero(samples);
    result.termination = Termination::ToleranceReached;
    return result;
  }

  /// What is left for an output after `done` steps for those before it.
  TrendFilterOptions trend_options(Index done) const {
    TrendFilterOptions options{.relative_tolerance = m_options.relative_tolerance,
                               .output_bias = m_options.output_bias,
                               .fewest_neurons = m_options.fewest_neurons};
    options.max_iterations = std::max<Index>(1, m_options.max_iterations - done);
    options.time_limit_seconds = std::max(m_options.time_limit_seconds - m_control.seconds(),
                                          std::numeric_limits<Real>::min());
    if (m_options.observer) {
      options.observer = [this, done](Progress progress) {
        progress.iteration += done;
        progress.max_iterations = m_options.max_iterations;
        progress.elapsed_seconds = m_control.seconds();
        return m_options.observer(progress);
      };
    }
    return options;
  }

  void solve_outputs(const GroupLassoProblem<Real>& problem, const ConeProjector<Real>& projector,
                     Real lambda, ReluResult& result) const {
    const Index c = m_data.targets().cols();
    result.report.termination = Termination::ToleranceReached;
    std::vector<ConeNeuron<Real>> neurons;
    std::vector<Index> outputs;
    for (Index o = 0; o < c && !is_cut_short(result.report.termination); ++o) {
      note(solve_cone_problem<Real>(m_pool, problem, projector, o, lambda, m_control, neurons,
                                    result.report.iterations),
           result.report.termination);
      outputs.resize(neurons.size(), o);
    }
    ReluSolution& solution = result.solution;
    const auto count = static_cast<Index>(neurons.size());
    solution.hidden.resize(count, projector.dimension());
    solution.output = RowMatrix<Real>::Zero(count, c);
    for (Index k = 0; k < count; ++k) {
      const auto& neuron = neurons[static_cast<std::size_t>(k)];
      solution.hidden.row(k) = neuron.v;
      solution.output(k, outputs[static_cast<std::size_t>(k)]) = neuron.sign;
      solution.gates.push_back(neuron.gate);
    }
  }

  /// The output bias is the weighted mean of what the neurons leave.
  void set_bias(ReluSolution& solution) const {
    solution.output_bias = m_options.output_bias;
    solution.bias = RowVector<Real>::Zero(m_data.targets().cols());
    if (!m_options.output_bias) return;
    solution.bias =
        weighted_means<Real>(m_data, m_data.targets() - predict(solution, m_data.inputs()));
  }

  void finish(Index dimension, Index patterns, Certificate certificate, ReluResult& result) const {
    complete(result.report, m_options, m_data, dimension, patterns, result.solution.hidden.rows(),
             std::move(certificate));
    result.report.elapsed_seconds = m_control.seconds();
  }

  const ConvexOptions& m_options;
  const Dataset<Real>& m_data;
  ThreadPool& m_pool;
  SolveControl m_control;
};

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
ReluResult ReluSolver<Scalar>::solve(const Dataset<Scalar>& data, const Gates& gates) const {
  const auto& samples = detail::in_double(data);
  return detail::ReluRun(m_options, samples).over(gates);
}

template <class Scalar>
ReluResult ReluSolver<Scalar>::solve_all_patterns(const Dataset<Scalar>& data) const {
  const auto& samples = detail::in_double(data);
  return detail::ReluRun(m_options, samples).over_all_patterns();
}

template <class Scalar>
double ReluSolver<Scalar>::lambda_max(const Dataset<Scalar>& data, const Gates& gates) const {
  const auto& samples = detail::in_double(data);
  return detail::ReluRun(m_options, samples).lambda_max_over(gates);
}

template <class Scalar>
double ReluSolver<Scalar>::lambda_max_all_patterns(const Dataset<Scalar>& data) const {
  const auto& samples = detail::in_double(data);
  const detail::ReluRun<double> run(m_options, samples);
  const double largest = run.lambda_max_over_all_patterns();
  return largest > run.rounding() ? largest : 0;
}

}  // namespace mgdl
