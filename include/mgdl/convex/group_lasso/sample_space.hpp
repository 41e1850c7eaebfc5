#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/convex/group_lasso/dual_system.hpp"
#include "mgdl/convex/group_lasso/newton_space.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// What GroupLassoNewton computes with, one number per sample: N = K(eta)^-1 Y by conjugate
/// gradients, which a factorisation of K for an earlier eta preconditions.
template <class Real>
class SampleSpace : public NewtonSpace<Real> {
  using NewtonSpace<Real>::factored;
  using NewtonSpace<Real>::support;

 public:
  using NewtonSpace<Real>::factor;
  using NewtonSpace<Real>::forget;
  using NewtonSpace<Real>::is_factored;

  /// \param path  whether other penalties will follow, so that a factorisation serves for long
  SampleSpace(ThreadPool& pool, const GroupLassoProblem<Real>& problem, bool path)
      : m_pool(pool),
        m_problem(problem),
        m_far(path ? 0.3 : 0.05),
        m_kernel(problem.products(), problem.bias(), problem.outputs()),
        m_dual(problem.targets()) {}

  bool move_to(Real accuracy, Real lambda, Real near, GroupLassoPoint<Real>& point) override {
    const Vector<Real>& eta = point.eta;
    GroupCoefficients<Real>& U = point.coefficients;
    U.gates = support(eta);
    const bool worn = m_extra_steps * step_cost(U.gates) > m_kernel.cost(U.gates);
    if (factored().size() == 0 || worn ||
        (eta - factored()).template lpNorm<1>() > m_far * eta.template lpNorm<1>()) {
      if (!factor(eta)) return false;
    }
    while (!solve_dual(U.gates, eta(U.gates), accuracy, lambda, near)) {
      if (is_factored(eta)) {
        if (!m_kernel.use_double()) break;  // as good as it gets
        forget();
      }
      if (!factor(eta)) return false;
    }
    m_problem.products().correlate(m_pool, U.gates, m_dual, U.values);
    U.values.array().colwise() *= eta(U.gates).array();
    evaluate(m_pool, m_problem, lambda, point);
    return true;
  }

  void refine(Real lambda, GroupLassoPoint<Real>& point) override {
    GroupCoefficients<Real>& U = point.coefficients;
    RowMatrix<Real> image, share;
    for (int pass = 0; pass < 3; ++pass) {
      const Vector<Real> eta = point.eta(U.gates);
      RowMatrix<Real> step = point.correlation(U.gates, kAll);
      step.array().colwise() *= eta.array();
      step -= U.values;
      m_problem.products().apply(m_pool, U.gates, step, m_problem.outputs(), image);
      m_problem.project(image);
      m_problem.products().correlate(m_pool, U.gates, m_kernel.solve(m_pool, image), share);
      share.array().colwise() *= eta.array();
      U.values += step - share;
      evaluate(m_pool, m_problem, lambda, point);
    }
  }

  Matrix<Real> hessian(const std::vector<Index>& gates,
                       const RowMatrix<Real>& directions) override {
    return m_kernel.hessian(m_pool, gates, directions);
  }

  Real ridge() const override { return m_kernel.is_single() ? 1e-7 : 1e-13; }

  void keep() override { m_kept = m_dual; }
  void revert() override { m_dual = m_kept; }

 private:
  /// Steps that a move takes with a factorisation of its own eta.
  static constexpr Real kUsualSteps = 4;

  bool factorise(const std::vector<Index>& gates, const Vector<Real>& eta) override {
    m_extra_steps = -kUsualSteps;
    return m_kernel.factor(m_pool, gates, eta(gates));
  }

  /// Multiplications of a step of conjugate gradients.
  Real step_cost(const std::vector<Index>& gates) const {
    const auto n = static_cast<Real>(m_problem.products().size());
    const auto columns = static_cast<Real>(std::ssize(gates) * m_problem.products().dimension());
    return 4 * n * columns * static_cast<Real>(m_problem.outputs());
  }

  /// \returns false if the accuracy was not reached in the steps that a good preconditioner needs
  bool solve_dual(const std::vector<Index>& gates, const Vector<Real>& eta, Real accuracy,
                  Real lambda, Real primal) {
    constexpr int kMaxSteps = 40;
    const Index c = m_problem.outputs();
    RowMatrix<Real> work;
    const auto multiply = [&](const RowMatrix<Real>& V, RowMatrix<Real>& KV) {
      m_problem.products().correlate(m_pool, gates, V, work);
      work.array().colwise() *= eta.array();
      m_problem.products().apply(m_pool, gates, work, c, KV);
      m_problem.project(KV);
      KV += V;
    };
    const auto inner = [](const RowMatrix<Real>& a, const RowMatrix<Real>& b) {
      return RowVector<Real>((a.array() * b.array()).colwise().sum());
    };
    RowMatrix<Real> KV;
    multiply(m_dual, KV);
    RowMatrix<Real> r = m_problem.targets() - KV;
    RowMatrix<Real> z = m_kernel.solve(m_pool, r);
    RowMatrix<Real> direction = z;
    RowVector<Real> energy = inner(r, z);
    // An error e of N changes ||A_j'N|| by at most sqrt(<e, K e> min(1 / eta_j, ||A_j||^2)), and
    // lambda^2 eta_j is about the share of group j in the objective.
    const Real loose =
        primal * accuracy * accuracy / static_cast<Real>(std::max<Index>(1, eta.size()));
    const Real strict = std::pow(accuracy * lambda, 2) / m_problem.squared_norm();
    const Real limit = std::min(loose, strict);
    bool reached = energy.sum() <= limit;
    int step = 0;
    for (; step < kMaxSteps && !reached; ++step) {
      multiply(direction, KV);
      RowVector<Real> length = energy.array() / inner(direction, KV).array();
      for (Real& value : length) {
        if (!std::isfinite(value)) value = 0;  // this output is solved
      }
      m_dual.noalias() += direction * length.asDiagonal();
      r.noalias() -= KV * length.asDiagonal();
      z = m_kernel.solve(m_pool, r);
      const RowVector<Real> next = inner(r, z);
      RowVector<Real> ratio = next.array() / energy.array();
      for (Real& value : ratio) {
        if (!std::isfinite(value)) value = 0;
      }
      direction = z + direction * ratio.asDiagonal();
      const bool stalled = next.sum() > 0.25 * energy.sum();
      energy = next;
      reached = energy.sum() <= limit || (stalled && energy.sum() <= loose);
    }
    m_extra_steps += std::max<Real>(0, static_cast<Real>(step) - kUsualSteps);
    return reached;
  }

  ThreadPool& m_pool;
  const GroupLassoProblem<Real>& m_problem;
  Real m_far;  // a factorisation serves while eta has changed by less than this part of it
  DualSystem<Real> m_kernel;
  RowMatrix<Real> m_dual;  // N, from which the next move starts
  RowMatrix<Real> m_kept;
  Real m_extra_steps = 0;  // of conjugate gradients since then, that a new one would have saved
};

}  // namespace mgdl::detail
