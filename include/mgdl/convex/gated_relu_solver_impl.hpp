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
#include "mgdl/core/linkage.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

namespace detail {

inline void require_gated_match(const Dataset<double>& data, const Gates& gates,
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

inline double gated_lambda_max(ThreadPool& pool, const GroupLassoProblem& problem) {
  RowMatrix<double> correlation;
  problem.products().correlate(pool, problem.all_gates(), problem.targets(), correlation);
  return correlation.rowwise().norm().maxCoeff();
}

inline GroupCoefficients to_groups(const GatedSolution& solution) {
  const auto count = static_cast<Index>(solution.active.size());
  GroupCoefficients groups{solution.active, {}};
  if (count == 0) {
    groups.values.resize(0, solution.coefficients.size());
    return groups;
  }
  groups.values.resize(count, solution.coefficients.size() / count);
  for (Index k = 0; k < count; ++k) {
    const RowMatrix<double> block = solution.block(k);
    groups.values.row(k) = Eigen::Map<const RowVector<double>>(block.data(), block.size());
  }
  return groups;
}

inline GatedSolution to_gated_solution(const Dataset<double>& data, const Gates& gates,
                                       double lambda, bool output_bias, int threads,
                                       const GroupLassoPoint& point) {
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
    solution.coefficients.middleRows(k * p, p) = Eigen::Map<const RowMatrix<double>>(
        point.coefficients.values.row(rows[static_cast<std::size_t>(k)]).data(), p, c);
  }
  solution.bias = RowVector<double>::Zero(c);
  if (output_bias) {
    solution.bias =
        weighted_means(data, data.targets() - predict(solution, gates, data.inputs(), threads));
  }
  return solution;
}

}  // namespace detail

MGDL_INLINE GatedReluResult GatedReluSolver::solve(const Dataset<double>& data, const Gates& gates,
                                                   const GatedSolution* start) const {
  detail::require_gated_match(data, gates, start);
  const detail::SolveControl control(m_options);
  detail::ThreadPool pool(detail::thread_count(m_options.threads));
  const detail::GroupLassoProblem problem(data, gates, m_options.output_bias);
  const double lambda =
      m_options.lambda.value_or(m_options.lambda_ratio * detail::gated_lambda_max(pool, problem));
  detail::GroupLassoPoint point;
  point.coefficients.values.resize(0, gates.dimension() * data.targets().cols());
  if (start != nullptr) point.coefficients = detail::to_groups(*start);
  GatedReluResult result;
  ConvexReport& report = result.report;
  if (lambda == 0) {
    report.termination =
        detail::GroupLeastSquares(pool, problem).run(control, point, report.iterations);
  } else if (m_options.method == ConvexMethod::ProximalGradient) {
    report.termination =
        detail::GroupLassoFista(pool, problem, lambda).run(control, point, report.iterations);
  } else {
    report.termination =
        detail::GroupLassoNewton(pool, problem, lambda).run(control, point, report.iterations);
  }
  result.solution = detail::to_gated_solution(data, gates, lambda, m_options.output_bias,
                                              m_options.threads, point);
  detail::complete(report, data, gates.dimension(), gates.size(),
                   std::ssize(result.solution.active),
                   certify(data, gates, result.solution, m_options.threads));
  report.elapsed_seconds = control.seconds();
  return result;
}

MGDL_INLINE double GatedReluSolver::lambda_max(const Dataset<double>& data,
                                               const Gates& gates) const {
  detail::require_gated_match(data, gates, nullptr);
  detail::ThreadPool pool(detail::thread_count(m_options.threads));
  return detail::gated_lambda_max(pool,
                                  detail::GroupLassoProblem(data, gates, m_options.output_bias));
}

}  // namespace mgdl
