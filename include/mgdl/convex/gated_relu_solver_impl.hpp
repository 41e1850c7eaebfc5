#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/group_lasso/fista.hpp"
#include "mgdl/convex/group_lasso/least_norm.hpp"
#include "mgdl/convex/group_lasso/newton.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

template <class Real>
void require_gated_match(const Dataset<Real>& data, const Gates& gates,
                         const GatedSolution* start) {
  require_rows("X", gates.samples(), data.size());
  require_cols("X", gates.dimension() - (gates.bias() ? 1 : 0), data.inputs().cols());
  if (start == nullptr) return;
  const auto count = static_cast<Index>(start->active.size());
  require_rows("start.coefficients", count * gates.dimension(), start->coefficients.rows());
  if (count > 0) {
    require_cols("start.coefficients", data.targets().cols(), start->coefficients.cols());
  }
  require_finite("start.coefficients", start->coefficients);
  for (const Index j : start->active) {
    if (j >= 0 && j < gates.size()) continue;
    throw InvalidArgument("start.active", "indices of gates below " + std::to_string(gates.size()),
                          std::to_string(j));
  }
}

template <class Real>
Real gated_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem) {
  RowMatrix<Real> correlation;
  problem.products().correlate(pool, problem.all_gates(), problem.targets(), correlation);
  return correlation.rowwise().norm().maxCoeff();
}

/// \param unit  of the blocks of `groups`
template <class Real>
GroupCoefficients<Real> to_groups(const GatedSolution& solution, Real unit) {
  const auto count = static_cast<Index>(solution.active.size());
  GroupCoefficients<Real> groups{solution.active, {}};
  if (count == 0) {
    groups.values.resize(0, solution.coefficients.size());
    return groups;
  }
  groups.values.resize(count, solution.coefficients.size() / count);
  for (Index k = 0; k < count; ++k) {
    const RowMatrix<Real> block = solution.block(k) / unit;
    groups.values.row(k) = Eigen::Map<const RowVector<Real>>(block.data(), block.size());
  }
  return groups;
}

template <class Real>
GatedSolution to_gated_solution(const Dataset<Real>& data, const Gates& gates, Real lambda,
                                bool output_bias, const Executor& threads,
                                const GroupLassoPoint<Real>& point, Real unit) {
  const Index p = gates.dimension();
  const Index c = data.targets().cols();
  GatedSolution solution;
  solution.lambda = lambda;
  solution.output_bias = output_bias;
  std::vector<Index> rows;
  for (Index k = 0; k < point.coefficients.values.rows(); ++k) {
    if (point.coefficients.values.row(k).squaredNorm() == 0) continue;
    rows.push_back(k);
    solution.active.push_back(point.coefficients.gates[static_cast<std::size_t>(k)]);
  }
  solution.coefficients.resize(static_cast<Index>(rows.size()) * p, c);
  for (Index k = 0; k < std::ssize(rows); ++k) {
    solution.coefficients.middleRows(k * p, p) = Eigen::Map<const RowMatrix<Real>>(
        point.coefficients.values.row(rows[static_cast<std::size_t>(k)]).data(), p, c);
  }
  solution.coefficients *= unit;
  solution.bias = RowVector<Real>::Zero(c);
  if (output_bias) {
    solution.bias = weighted_means<Real>(
        data, data.targets() - predict(solution, gates, data.inputs(), threads));
  }
  return solution;
}

/// GatedReluSolver::solve().
template <class Real>
GatedReluResult solve_gated(const ConvexOptions& options, const Dataset<Real>& data,
                            const Gates& gates, const GatedSolution* start) {
  require_gated_match(data, gates, start);
  const SolveControl control(options);
  ThreadPool& pool = options.threads.pool();
  const GroupLassoProblem<Real> problem(data, gates, options.output_bias);
  const Real lambda = penalty_of(options, problem.lambda_unit(), problem.rounding(),
                                 [&] { return gated_lambda_max(pool, problem); });
  GroupLassoPoint<Real> point;
  point.coefficients.values.resize(0, gates.dimension() * data.targets().cols());
  if (start != nullptr) {
    point.coefficients = to_groups<Real>(*start, problem.solution_unit());
  }
  GatedReluResult result;
  ConvexReport& report = result.report;
  if (lambda == 0) {
    report.termination = GroupLeastSquares(pool, problem).run(control, point, report.iterations);
  } else if (options.method == ConvexMethod::ProximalGradient) {
    report.termination =
        GroupLassoFista(pool, problem, lambda).run(control, point, report.iterations);
  } else {
    report.termination =
        solve_group_lasso(pool, problem, lambda, control, point, report.iterations);
  }
  result.solution =
      to_gated_solution(data, gates, options.lambda.value_or(lambda * problem.lambda_unit()),
                        options.output_bias, options.threads, point, problem.solution_unit());
  complete(report, options, data, gates.dimension(), gates.size(),
           std::ssize(result.solution.active),
           certify(data, gates, result.solution, options.threads));
  report.elapsed_seconds = control.seconds();
  return result;
}

}  // namespace mgdl::detail

namespace mgdl {

template <class Scalar>
GatedReluResult GatedReluSolver<Scalar>::solve(const Dataset<Scalar>& data, const Gates& gates,
                                               const GatedSolution* start) const {
  return detail::solve_gated(m_options, detail::in_double(data), gates, start);
}

template <class Scalar>
double GatedReluSolver<Scalar>::lambda_max(const Dataset<Scalar>& data, const Gates& gates) const {
  const auto& in_double = detail::in_double(data);
  detail::require_gated_match(in_double, gates, nullptr);
  const detail::GroupLassoProblem problem(in_double, gates, m_options.output_bias);
  return problem.lambda_unit() * detail::gated_lambda_max(m_options.threads.pool(), problem);
}

}  // namespace mgdl
