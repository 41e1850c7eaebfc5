#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/cone_newton.hpp"
#include "mgdl/detail/cone_projection.hpp"
#include "mgdl/detail/convex_linkage.hpp"
#include "mgdl/detail/convex_message.hpp"
#include "mgdl/detail/group_lasso_problem.hpp"
#include "mgdl/detail/shared_neurons.hpp"
#include "mgdl/detail/solve_control.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/detail/trend_filter.hpp"

namespace mgdl {

namespace detail {

/// One call of ReluSolver.
class ReluRun {
 public:
  ReluRun(const ConvexOptions& options, const Dataset<double>& data)
      : m_options(options), m_data(data), m_control(options) {}

  ReluResult over(const Gates& gates) const {
    require_rows("X", gates.samples(), m_data.size());
    require_cols("X", gates.dimension() - (gates.bias() ? 1 : 0), m_data.inputs().cols());
    if (m_options.lambda.value_or(m_options.lambda_ratio) == 0) {
      throw InvalidArgument("ConvexOptions.lambda", "a value > 0 for the ReLU problem", "0");
    }
    ThreadPool pool(thread_count(m_options.threads));
    const GroupLassoProblem problem(m_data, gates, m_options.output_bias);
    const ConeProjector projector(m_data, gates);
    const bool separate = !m_options.shared_neurons || m_data.targets().cols() == 1;
    ReluResult result;
    ReluSolution& solution = result.solution;
    solution.separate_outputs = separate;
    if (separate) {
      solve_outputs(gates, pool, problem, projector, result);
    } else {
      const double lambda =
          lambda_or([&] { return SharedNeurons(pool, problem, projector).lambda_max(); });
      result.report.termination = SharedNeurons(pool, problem, projector)
                                      .run(lambda, m_control, solution, result.report.iterations);
      solution.lambda = lambda;
    }
    set_bias(gates.bias(), solution);
    complete(gates.dimension(), gates.size(), certify(m_data, gates, solution), result);
    return result;
  }

  ReluResult over_all_patterns() const {
    if (m_data.inputs().cols() != 1) {
      throw InvalidArgument("X", "one column (two: enumerate_gates() and solve())",
                            std::to_string(m_data.inputs().cols()) + " columns");
    }
    const Vector<double> x = m_data.inputs().col(0);
    const Index c = m_data.targets().cols();
    const double lambda = lambda_or([&] {
      double largest = 0;
      for (Index o = 0; o < c; ++o) {
        largest =
            std::max(largest, trend_filter_lambda_max(x, m_data.targets().col(o), m_data.weights(),
                                                      m_options.output_bias));
      }
      return largest;
    });
    ReluResult result;
    result.solution.lambda = lambda;
    result.report.termination = Termination::ToleranceReached;
    std::vector<TrendFilterResult> parts;
    for (Index o = 0; o < c; ++o) {
      parts.push_back(solve_trend_filter(x, m_data.targets().col(o), m_data.weights(), lambda,
                                         trend_options()));
      result.report.iterations += parts.back().iterations;
      if (parts.back().termination != Termination::ToleranceReached) {
        result.report.termination = parts.back().termination;
      }
    }
    Index neurons = 0;
    for (const auto& part : parts) neurons += part.neurons.rows();
    result.solution.hidden.resize(neurons, 2);
    result.solution.output = RowMatrix<double>::Zero(neurons, c);
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
    set_bias(true, result.solution);
    complete(2, 0, certify_all_patterns(m_data, result.solution), result);
    return result;
  }

 private:
  template <class LambdaMax>
  double lambda_or(const LambdaMax& lambda_max) const {
    return m_options.lambda ? *m_options.lambda : m_options.lambda_ratio * lambda_max();
  }

  TrendFilterOptions trend_options() const {
    return {.relative_tolerance = m_options.relative_tolerance,
            .output_bias = m_options.output_bias,
            .fewest_neurons = m_options.fewest_neurons,
            .max_iterations = m_options.max_iterations,
            .time_limit_seconds = m_options.time_limit_seconds,
            .observer = m_options.observer};
  }

  void solve_outputs(const Gates& gates, ThreadPool& pool, const GroupLassoProblem& problem,
                     const ConeProjector& projector, ReluResult& result) const {
    const Index c = m_data.targets().cols();
    const double lambda = lambda_or([&] {
      double largest = 0;
      for (Index o = 0; o < c; ++o) {
        largest = std::max(largest, ConeNewton(pool, problem, projector, o).lambda_max());
      }
      return largest;
    });
    result.solution.lambda = lambda;
    result.report.termination = Termination::ToleranceReached;
    std::vector<ConeNeuron> neurons;
    std::vector<Index> outputs;
    for (Index o = 0; o < c; ++o) {
      const Termination termination =
          ConeNewton(pool, problem, projector, o)
              .run(lambda, m_control, neurons, result.report.iterations);
      if (termination != Termination::ToleranceReached) result.report.termination = termination;
      outputs.resize(neurons.size(), o);
    }
    ReluSolution& solution = result.solution;
    const auto count = static_cast<Index>(neurons.size());
    solution.hidden.resize(count, gates.dimension());
    solution.output = RowMatrix<double>::Zero(count, c);
    for (Index k = 0; k < count; ++k) {
      const auto& neuron = neurons[static_cast<std::size_t>(k)];
      solution.hidden.row(k) = neuron.v;
      solution.output(k, outputs[static_cast<std::size_t>(k)]) = neuron.sign;
      solution.gates.push_back(neuron.gate);
    }
  }

  /// The output bias is the weighted mean of what the neurons leave.
  void set_bias(bool bias, ReluSolution& solution) const {
    solution.output_bias = m_options.output_bias;
    solution.bias = RowVector<double>::Zero(m_data.targets().cols());
    if (!m_options.output_bias) return;
    const Index d = m_data.inputs().cols();
    RowMatrix<double> residual = m_data.targets();
    if (solution.hidden.rows() > 0) {
      RowMatrix<double> hidden = m_data.inputs() * solution.hidden.leftCols(d).transpose();
      if (bias) hidden.rowwise() += solution.hidden.col(d).transpose();
      residual.noalias() -= hidden.cwiseMax(0) * solution.output;
    }
    solution.bias = m_data.weights().transpose() * residual / m_data.weights().sum();
  }

  void complete(Index dimension, Index patterns, Certificate certificate,
                ReluResult& result) const {
    ConvexReport& report = result.report;
    report.certificate = std::move(certificate);
    // The dual point may prove what the residuals of the network do not.
    if (report.termination == Termination::NoProgress &&
        report.certificate.relative_gap() <= m_options.relative_tolerance) {
      report.termination = Termination::ToleranceReached;
    }
    report.samples = m_data.size();
    report.dimension = dimension;
    report.outputs = m_data.targets().cols();
    report.patterns = patterns;
    report.active_groups = result.solution.hidden.rows();
    report.message = convex_message(report);
    report.elapsed_seconds = m_control.seconds();
  }

  const ConvexOptions& m_options;
  const Dataset<double>& m_data;
  SolveControl m_control;
};

}  // namespace detail

MGDL_CONVEX_INLINE ReluResult ReluSolver::solve(const Dataset<double>& data,
                                                const Gates& gates) const {
  return detail::ReluRun(m_options, data).over(gates);
}

MGDL_CONVEX_INLINE ReluResult ReluSolver::solve_all_patterns(const Dataset<double>& data) const {
  return detail::ReluRun(m_options, data).over_all_patterns();
}

}  // namespace mgdl
