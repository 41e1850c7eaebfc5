#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate/gated.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/covariance_space.hpp"
#include "mgdl/convex/group_lasso/fista.hpp"
#include "mgdl/convex/group_lasso/least_norm.hpp"
#include "mgdl/convex/group_lasso/newton.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/group_lasso/sample_space.hpp"
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

/// The gated problem of some samples and gates, for one penalty after another: each starts where
/// the one before has ended, with what that knew.
template <class Real>
class GatedSequence {
 public:
  /// \param options    for all penalties
  /// \param data       which it refers to, as to `gates`
  /// \param penalties  about how many there will be
  GatedSequence(const ConvexOptions& options, const Dataset<Real>& data, const Gates& gates,
                Index penalties);

  /// GatedReluSolver::lambda_max().
  Real lambda_max();

  /// The next penalty starts from here.
  void set_start(const GatedSolution& start);

  /// GatedReluSolver::solve(), for the penalty and the time limit of these options.
  std::pair<GatedSolution, ConvexReport> solve(const ConvexOptions& options);

 private:
  static bool is_within(const Certificate& certificate, const ConvexOptions& options) {
    return certificate.relative_gap() <= options.relative_tolerance;
  }

  const GroupLassoProblem<Real>& problem() {
    if (!m_problem) {
      m_problem.emplace(m_data, m_gates, m_options.output_bias);
      m_covariance = CovarianceSpace<Real>::pays(*m_problem, m_penalties);
    }
    return *m_problem;
  }

  GroupLassoNewton<Real>& newton() {
    if (!m_newton) {
      ThreadPool& pool = m_options.threads.pool();
      std::unique_ptr<NewtonSpace<Real>> space;
      if (m_covariance) {
        space = std::make_unique<CovarianceSpace<Real>>(pool, problem());
      } else {
        space = std::make_unique<SampleSpace<Real>>(pool, problem(), m_penalties > 1);
      }
      m_newton.emplace(pool, problem(), std::move(space), m_penalties > 1);
    }
    return *m_newton;
  }

  ConvexOptions m_options;
  const Dataset<Real>& m_data;
  const Gates& m_gates;
  Index m_penalties;
  GatedCertifier<Real> m_certify;
  std::optional<GroupLassoProblem<Real>> m_problem;  // made by the first that asks for it
  bool m_covariance = false;
  std::optional<GroupLassoNewton<Real>> m_newton;
  GroupLassoPoint<Real> m_point;  // of the last penalty
};

template <class Real>
GatedSequence<Real>::GatedSequence(const ConvexOptions& options, const Dataset<Real>& data,
                                   const Gates& gates, Index penalties)
    : m_options(options),
      m_data(data),
      m_gates(gates),
      m_penalties(penalties),
      m_certify(data, gates, m_options.threads) {
  require_gated_match<Real>(data, gates, nullptr);
  m_point.coefficients.values.resize(0, gates.dimension() * data.targets().cols());
}

template <class Real>
Real GatedSequence<Real>::lambda_max() {
  return problem().lambda_unit() * gated_lambda_max(m_options.threads.pool(), problem());
}

template <class Real>
void GatedSequence<Real>::set_start(const GatedSolution& start) {
  require_gated_match(m_data, m_gates, &start);
  m_point = {};
  m_point.coefficients = to_groups<Real>(start, problem().solution_unit());
}

template <class Real>
std::pair<GatedSolution, ConvexReport> GatedSequence<Real>::solve(const ConvexOptions& options) {
  const SolveControl control(options);
  ThreadPool& pool = m_options.threads.pool();
  const Real lambda = penalty_of(options, problem().lambda_unit(), problem().rounding(),
                                 [&] { return gated_lambda_max(pool, problem()); });
  GatedSolution solution;
  ConvexReport report;
  const auto certify = [&] {
    solution = to_gated_solution(
        m_data, m_gates, options.lambda.value_or(lambda * problem().lambda_unit()),
        m_options.output_bias, m_options.threads, m_point, problem().solution_unit());
    return m_certify(solution);
  };
  Certificate certificate;
  if (lambda == 0) {
    m_point.eta.resize(0);
    report.termination =
        GroupLeastSquares(pool, problem()).run(control, m_point, report.iterations);
    certificate = certify();
  } else if (m_options.method == ConvexMethod::ProximalGradient) {
    report.termination =
        GroupLassoFista(pool, problem(), lambda).run(control, m_point, report.iterations);
    certificate = certify();
  } else {
    const auto run = [&] {
      const Index before = newton().factorisations();
      report.termination = newton().run(lambda, control, m_point, report.iterations);
      report.factorisations += newton().factorisations() - before;
      certificate = certify();
    };
    run();
    // Where samples are only known by their products, rounding may hide behind these.
    if (m_covariance && !is_within(certificate, options) && is_usable(report.termination)) {
      m_covariance = false;
      m_newton.reset();
      m_point.eta.resize(0);
      run();
    }
    report.covariance = m_covariance;
  }
  complete(report, options, m_data, m_gates.dimension(), m_gates.size(),
           std::ssize(solution.active), std::move(certificate));
  report.elapsed_seconds = control.seconds();
  return {std::move(solution), std::move(report)};
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class GatedSequence<double>;
}  // namespace mgdl::detail
#endif
