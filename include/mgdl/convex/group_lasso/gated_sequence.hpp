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
#include "mgdl/convex/group_lasso/clipped_barrier.hpp"
#include "mgdl/convex/group_lasso/clipped_space.hpp"
#include "mgdl/convex/group_lasso/covariance_space.hpp"
#include "mgdl/convex/group_lasso/fista.hpp"
#include "mgdl/convex/group_lasso/least_norm.hpp"
#include "mgdl/convex/group_lasso/newton.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/group_lasso/sample_space.hpp"
#include "mgdl/convex/loss.hpp"
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

/// \param N  the dual point of the solution zero: the targets, for the squared loss
template <class Real>
Real gated_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                      const RowMatrix<Real>& N) {
  RowMatrix<Real> correlation;
  problem.products().correlate(pool, problem.all_gates(), N, correlation);
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
                                bool output_bias, const Loss& loss, const Executor& threads,
                                const GroupLassoPoint<Real>& point, Real unit) {
  const Index p = gates.dimension();
  const Index c = data.targets().cols();
  GatedSolution solution;
  solution.lambda = lambda;
  solution.output_bias = output_bias;
  solution.loss = loss;
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
    solution.bias = best_constants<Real>(
        loss, data, data.targets() - predict(solution, gates, data.inputs(), threads));
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
      m_covariance =
          m_options.loss.is_squared() && CovarianceSpace<Real>::pays(*m_problem, m_penalties);
    }
    return *m_problem;
  }

  /// The loss of a quantile has the unit of the targets, the others its square.
  Real lambda_unit() {
    const bool linear = m_options.loss.kind == LossKind::Quantile;
    return linear ? problem().lambda_unit() / problem().target_unit() : problem().lambda_unit();
  }

  /// N of the solution zero.
  RowMatrix<Real> dual_at_zero();

  Real scaled_lambda_max() {
    return gated_lambda_max(m_options.threads.pool(), problem(), dual_at_zero());
  }

  /// With a loss of bounded slope.
  Termination solve_clipped(Real lambda, const SolveControl& control, ConvexReport& report);

  /// Whether it is not a limit that has ended a run.
  static bool may_go_on(Termination termination) {
    return termination == Termination::ToleranceReached || termination == Termination::NoProgress ||
           termination == Termination::NumericalFailure;
  }

  /// Where Newton's method has stalled with such a loss.
  Termination by_barriers(Real lambda, const SolveControl& control, ConvexReport& report);

  /// The loss of a quantile by the proximal point method: every step has a curvature that would
  /// leave a tenth of the gap of the one before, and pulls to the N of that one.
  Termination by_proximal_points(Real lambda, const SolveControl& control, ConvexReport& report);

  /// N of the last point, in the unit of the samples; 0 for samples without weight.
  RowMatrix<double> dual_of_samples();

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
  ClippedSpace<Real>* m_clipped = nullptr;  // that of m_newton, for another loss
  bool m_zero = false;            // whether the last penalty has the solution zero, provably
  GroupLassoPoint<Real> m_point;  // of the last penalty
  RowMatrix<Real> m_dual;         // N of that, for another loss
  Real m_objective = 0;           // of m_point for the loss of a quantile
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
  return lambda_unit() * scaled_lambda_max();
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
  const Real lambda =
      penalty_of(options, lambda_unit(), problem().rounding(), [&] { return scaled_lambda_max(); });
  GatedSolution solution;
  ConvexReport report;
  const auto certify = [&] {
    solution = to_gated_solution(m_data, m_gates, options.lambda.value_or(lambda * lambda_unit()),
                                 m_options.output_bias, m_options.loss, m_options.threads, m_point,
                                 problem().solution_unit());
    if (m_options.loss.kind == LossKind::Quantile) solution.dual = dual_of_samples();
    return m_certify(solution);
  };
  Certificate certificate;
  if (!m_options.loss.is_squared()) {
    report.termination = solve_clipped(lambda, control, report);
    certificate = certify();
    // Residuals that are all rounding prove less than N, which Huber's loss has without them.
    const auto with_dual = [&] {
      if (is_within(certificate, options) || m_zero) return;
      solution.dual = dual_of_samples();
      certificate = m_certify(solution);
    };
    with_dual();
    if (!m_zero && !is_within(certificate, options) && may_go_on(report.termination)) {
      report.termination = by_barriers(lambda, control, report);
      certificate = certify();
      with_dual();
    }
  } else if (lambda == 0) {
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

template <class Real>
RowMatrix<Real> GatedSequence<Real>::dual_at_zero() {
  if (m_options.loss.is_squared()) return problem().targets();
  const ClippedLoss loss(m_options.loss, problem().target_unit());
  const Vector<Real>& root = problem().root_weights();
  const Vector<Real> weights = root.cwiseAbs2();
  RowMatrix<Real> N = problem().targets();
  for (Index o = 0; o < N.cols(); ++o) {
    const Vector<Real> values = N.col(o).cwiseQuotient(root);
    const bool biased = m_options.output_bias;
    const Loss scaled = m_options.loss.in_unit(problem().target_unit());
    const Vector<Real> rest =
        values.array() - (biased ? best_constant(scaled, values, weights) : Real(0));
    Real sum = 0, open = 0;
    for (Index i = 0; i < rest.size(); ++i) {
      const Real slope = m_options.loss.kind == LossKind::Huber ? loss.slope(rest[i])
                                                                : (rest[i] > 0   ? loss.upper
                                                                   : rest[i] < 0 ? loss.lower
                                                                                 : 0);
      N(i, o) = root[i] * slope;
      sum += weights[i] * slope;
      if (rest[i] == 0) open += weights[i];
    }
    if (!biased || m_options.loss.kind == LossKind::Huber || open == 0) continue;
    // Samples at the quantile bear what is left, each its part.
    for (Index i = 0; i < rest.size(); ++i) {
      if (rest[i] == 0) N(i, o) = -root[i] * sum / open;
    }
  }
  return N;
}

template <class Real>
Termination GatedSequence<Real>::solve_clipped(Real lambda, const SolveControl& control,
                                               ConvexReport& report) {
  ThreadPool& pool = m_options.threads.pool();
  m_zero = lambda == 0 || lambda >= (1 - 1e-12) * scaled_lambda_max();
  if (m_zero) {
    m_point = {};
    m_point.coefficients.values.resize(0, m_gates.dimension() * m_data.targets().cols());
    return Termination::ToleranceReached;
  }
  if (!m_newton) {
    auto space = std::make_unique<ClippedSpace<Real>>(
        pool, problem(), ClippedLoss(m_options.loss, problem().target_unit()));
    m_clipped = space.get();
    m_newton.emplace(pool, problem(), std::move(space), m_penalties > 1);
  }
  const Index before = m_newton->factorisations();
  Termination termination = Termination::NotRun;
  if (m_options.loss.kind == LossKind::Huber) {
    termination = m_newton->run(lambda, control, m_point, report.iterations);
  } else {
    termination = by_proximal_points(lambda, control, report);
  }
  report.factorisations += m_newton->factorisations() - before;
  m_dual = m_clipped->dual();
  return termination;
}

template <class Real>
Termination GatedSequence<Real>::by_barriers(Real lambda, const SolveControl& control,
                                             ConvexReport& report) {
  ClippedLoss loss(m_options.loss, problem().target_unit());
  if (m_options.loss.kind == LossKind::Quantile) loss.curvature = 0;
  ClippedBarrierSolver<Real> barriers(m_options.threads.pool(), problem(), loss, lambda);
  const Termination termination =
      barriers.run(control, m_clipped->bias(), m_dual, m_point, report.iterations);
  m_dual = barriers.dual();
  return termination;
}

template <class Real>
Termination GatedSequence<Real>::by_proximal_points(Real lambda, const SolveControl& control,
                                                    ConvexReport& report) {
  constexpr Real kFirst = 0.1;
  constexpr Real kLast = 1e-12;
  const Real level = m_options.loss.parameter;
  const Real spread = level * (1 - level);  // curvature times it is about the gap it makes
  const Real tolerance = control.relative_tolerance();
  if (!(m_objective > 0)) m_objective = m_clipped->objective_at_zero(m_options.loss);
  for (Real part = kFirst;; part /= 10) {
    if (!(m_objective > 0)) return Termination::ToleranceReached;  // nothing is left to explain
    m_clipped->approach(part * m_objective / spread);
    if (m_point.eta.size() > 0 && !m_clipped->move_to(1e-3, lambda, m_objective, m_point)) {
      return Termination::NumericalFailure;
    }
    const Real enough = std::max(0.01 * part, 0.2 * tolerance);
    const Termination termination =
        m_newton->run(lambda, control.with_tolerance(enough), m_point, report.iterations);
    m_objective = m_clipped->true_primal(lambda, m_point, m_options.loss);
    if (m_objective - m_clipped->true_dual(lambda, m_point) <= tolerance * m_objective) {
      return Termination::ToleranceReached;
    }
    if (termination != Termination::ToleranceReached && termination != Termination::NoProgress) {
      return termination;
    }
    if (part <= kLast) return Termination::NoProgress;
  }
}

template <class Real>
RowMatrix<double> GatedSequence<Real>::dual_of_samples() {
  if (m_zero) return {};  // the residuals say it all
  RowMatrix<double> N = RowMatrix<double>::Zero(m_data.size(), m_data.targets().cols());
  Index row = 0;
  for (Index i = 0; i < m_data.size(); ++i) {
    if (!(m_data.weights()[i] > 0)) continue;
    N.row(i) = problem().root_weights()[row] * m_dual.row(row);
    ++row;
  }
  return N;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class GatedSequence<double>;
}  // namespace mgdl::detail
#endif
