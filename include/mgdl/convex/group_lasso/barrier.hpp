#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

/// \file
/// An interior point method for both convex problems: slower than Newton's method in one number per
/// group, and not stopped by what stops that.

namespace mgdl::detail {

/// An unknown v (q values) of a BarrierProblem: it adds A v to the fit, costs lambda |v| and lies
/// in the cone B v >= 0.
template <class Real>
struct BarrierBlock {
  Matrix<Real> A;      ///< N x q
  Matrix<Real> B;      ///< r x q, rows of length 1; r = 0: no cone
  Vector<Real> start;  ///< inside of the cone, B start > 0; without a cone zero
  bool free = false;   ///< costs nothing: an output bias
};

/// 1/2 |r|^2 as BarrierMethod sees it. Another loss has kSquared = false and what
/// ClippedBarrierLoss has.
struct BarrierSquares {
  static constexpr bool kSquared = true;
};

/// What solve_barrier has found.
template <class Real>
struct BarrierResult {
  std::vector<Vector<Real>> v;  ///< of every block
  Real primal = 0;
  Real dual = 0;            ///< a lower bound of the optimum over these blocks
  Vector<Real> point = {};  ///< of the dual, that has proved it; empty for squares: r proves it
};

/// min  1/2 |y - sum_k A_k v_k|^2 + lambda sum_k |v_k|   with   B_k v_k >= 0
///
/// by Newton's method on the objective with barriers of falling weight mu: |v| becomes the minimum
/// over t of t - (mu / lambda) log(t^2 - |v|^2), a cone the sum of -mu log(b_i.v). With z_i = mu /
/// (b_i.v) >= 0 and r the residual, the minimum for a mu satisfies |A'r + B'z| <= lambda, so that r
/// is a point of the dual, with a gap of mu times the number of barriers. The number of steps
/// hardly depends on the data: there are no active sets that have to be found, and the system of a
/// step, I + sum_k A_k H_k^-1 A_k', is as well conditioned as its blocks H_k.
///
/// Another loss than the squares has barriers too, see ClippedBarrierLoss; with its slopes in place
/// of r and its curvature in place of 1 all else is the same.
///
/// Source: Boyd & Vandenberghe, "Convex Optimization" (2004), sections 11.3 and 11.6.
template <class Real, class Loss = BarrierSquares>
class BarrierMethod {
 public:
  BarrierMethod(Vector<Real> y, std::vector<BarrierBlock<Real>> blocks, Real lambda, Loss loss = {})
      : m_y(std::move(y)), m_blocks(std::move(blocks)), m_lambda(lambda), m_loss(std::move(loss)) {
    m_barriers = 0;
    for (const auto& block : m_blocks) {
      m_first.push_back(m_size);
      m_size += block.A.cols();
      m_bounded += block.free ? 0 : block.A.cols();
      m_barriers += block.free ? 0 : static_cast<Real>(2 + block.B.rows());
    }
    if constexpr (!Loss::kSquared) m_barriers += 2 * static_cast<Real>(m_y.size());
    m_first.push_back(m_size);
  }

  /// Multiplications of a step.
  static Real cost(Real samples, Real unknowns) {
    const Real small = std::min(samples, unknowns);
    return samples * unknowns * small + small * small * small / 3;
  }

  /// \param tolerance  wanted relative gap
  /// \param proceed    called before every step with the relative gap; false ends the work
  template <class Proceed>
  BarrierResult<Real> run(Real tolerance, const Proceed& proceed) {
    constexpr int kMaxSteps = 300;
    BarrierResult<Real> best;
    best.primal = std::numeric_limits<Real>::infinity();
    m_v = start();
    Real mu = loss_at(m_y) / m_barriers;
    const Real least = std::numeric_limits<Real>::epsilon() * mu;
    Vector<Real> r = residual(m_v);
    for (int step = 0; step < kMaxSteps; ++step) {
      const auto [gradient, ok] = differentiate(r, mu);
      if (!ok) break;
      note(r, best);
      const Real gap = best.primal > 0 ? (best.primal - best.dual) / best.primal : 0;
      if (gap <= tolerance || !proceed(gap)) break;
      Vector<Real> direction;
      if (!newton_step(gradient, direction)) break;
      if constexpr (!Loss::kSquared) {
        // The slopes at the end of the step, to first order: these bear ||A'N|| <= lambda to second
        // order, where those of a residual near to its kink are still far off.
        const Vector<Real> moved = residual(m_v + direction) - r;
        note_point(m_slopes + m_curvature.cwiseProduct(moved), best);
      }
      const Real decrement = -gradient.dot(direction);
      if (!std::isfinite(decrement)) break;
      const bool moved = decrement > 0 && move(direction, decrement, mu, r);
      if (moved && decrement > mu) continue;
      if (mu <= least) break;
      // Near the path: a lower weight. If the step before has hardly moved, rounding is in the way.
      mu *= moved ? 0.2 : 0.5;
    }
    return best;
  }

 private:
  auto part(const Vector<Real>& v, Index k) const {
    return v.segment(m_first[static_cast<std::size_t>(k)],
                     m_blocks[static_cast<std::size_t>(k)].A.cols());
  }
  auto part(Vector<Real>& v, Index k) const {
    return v.segment(m_first[static_cast<std::size_t>(k)],
                     m_blocks[static_cast<std::size_t>(k)].A.cols());
  }
  const BarrierBlock<Real>& block(Index k) const { return m_blocks[static_cast<std::size_t>(k)]; }
  Index blocks() const noexcept { return static_cast<Index>(m_blocks.size()); }

  /// The loss without barriers.
  Real loss_at(const Vector<Real>& r) const {
    if constexpr (Loss::kSquared) {
      return 0.5 * r.squaredNorm();
    } else {
      return m_loss(r);
    }
  }

  Vector<Real> residual(const Vector<Real>& v) const {
    Vector<Real> r = m_y;
    for (Index k = 0; k < blocks(); ++k) r.noalias() -= block(k).A * part(v, k);
    return r;
  }

  /// Inside of the cones, and so short that the fit is hardly changed.
  Vector<Real> start() const {
    Vector<Real> v = Vector<Real>::Zero(m_size);
    Real most = 0;
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).B.rows() == 0) continue;
      part(v, k) = block(k).start;
      most += (block(k).A * block(k).start).norm();
    }
    if (most > 0) v *= 1e-2 * m_y.norm() / most;
    return v;
  }

  /// mu + sqrt(mu^2 + lambda^2 |v|^2) = lambda t, and the root.
  std::pair<Real, Real> smoothed(Real norm, Real mu) const {
    const Real root = std::hypot(mu, m_lambda * norm);
    return {mu + root, root};
  }

  /// The objective with barriers; infinite outside.
  Real value(const Vector<Real>& v, const Vector<Real>& r, Real mu) const {
    Real sum = 0;
    if constexpr (Loss::kSquared) {
      sum = 0.5 * r.squaredNorm();
    } else {
      sum = m_loss.smoothed(r, mu);
    }
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) continue;
      const auto [length, root] = smoothed(part(v, k).norm(), mu);
      // t^2 - |v|^2 = 2 mu t / lambda.
      sum += length - mu * std::log(length);
      if (block(k).B.rows() == 0) continue;
      const Vector<Real> inside = block(k).B * part(v, k);
      if (!(inside.minCoeff() > 0)) return std::numeric_limits<Real>::infinity();
      sum -= mu * inside.array().log().sum();
    }
    return sum;
  }

  /// The gradient at m_v; fills the factors of the blocks of the Hessian.
  std::pair<Vector<Real>, bool> differentiate(const Vector<Real>& r, Real mu) {
    Vector<Real> gradient(m_size);
    m_factors.resize(m_blocks.size());
    m_pulls.resize(m_blocks.size());
    bool ok = true;
    if constexpr (!Loss::kSquared) m_loss.differentiate(r, mu, m_slopes, m_curvature);
    const Vector<Real>& slopes = Loss::kSquared ? r : m_slopes;
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) {
        part(gradient, k).noalias() = -(block(k).A.transpose() * slopes);
        continue;
      }
      const Vector<Real> v = part(m_v, k);
      const Index q = v.size();
      const Real norm = v.norm();
      const auto [length, root] = smoothed(norm, mu);
      const Real stiffness = m_lambda * m_lambda / length;
      Matrix<Real> H = Matrix<Real>::Identity(q, q);
      if (norm > 0) H.noalias() -= ((root - mu) / root / (norm * norm)) * v * v.transpose();
      H *= stiffness;
      Vector<Real> pull = block(k).A.transpose() * slopes;
      if (block(k).B.rows() > 0) {
        const Vector<Real> inverse = (block(k).B * v).cwiseInverse();
        const Matrix<Real> scaled = inverse.asDiagonal() * block(k).B;
        H.noalias() += mu * scaled.transpose() * scaled;
        pull.noalias() += mu * block(k).B.transpose() * inverse;
      }
      m_pulls[static_cast<std::size_t>(k)] = pull.norm();
      part(gradient, k) = stiffness * v - pull;
      ok = m_factors[static_cast<std::size_t>(k)].compute(H) && ok;
    }
    return {gradient, ok && gradient.allFinite()};
  }

  /// Objective and bound at m_v; `best` keeps the lower objective with its v, and the best bound.
  void note(const Vector<Real>& r, BarrierResult<Real>& best) const {
    Real primal = loss_at(r);
    Real largest = 0;
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) continue;
      primal += m_lambda * part(m_v, k).norm();
      largest = std::max(largest, m_pulls[static_cast<std::size_t>(k)]);
    }
    if constexpr (Loss::kSquared) {
      const Real limit = largest > 0 ? m_lambda / largest : std::numeric_limits<Real>::max();
      const Real squares = r.squaredNorm();
      const Real inner = r.dot(m_y);
      const Real s = squares > 0 ? std::min(std::max(Real(0), inner / squares), limit) : Real(0);
      best.dual = std::max(best.dual, s * inner - Real(0.5) * s * s * squares);
    } else {
      note_point(m_slopes, best);
    }
    if (!(primal < best.primal)) return;
    best.primal = primal;
    best.v.clear();
    for (Index k = 0; k < blocks(); ++k) best.v.emplace_back(part(m_v, k));
  }

  /// The bound of slopes, brought between their bounds and made orthogonal to the bias.
  void note_point(Vector<Real> point, BarrierResult<Real>& best) const {
    m_loss.admit(point);
    Real largest = 0;
    for (Index k = 0; k < blocks(); ++k) {
      if (!block(k).free) largest = std::max(largest, (block(k).A.transpose() * point).norm());
    }
    const Real bound = m_loss.dual(point, m_y, largest > 0 ? m_lambda / largest : Real(1));
    if (best.point.size() > 0 && !(bound > best.dual)) return;
    best.dual = std::max(best.dual, bound);
    best.point = std::move(point);
  }

  /// direction = -(H + A'A)^-1 gradient, with a step of refinement.
  bool newton_step(const Vector<Real>& gradient, Vector<Real>& direction) {
    const Index n = m_y.size();
    const bool by_samples = n < m_bounded;
    // H = L L' by blocks, M = A L'^-1: (H + A'A)^-1 = L'^-1 (I + M'M)^-1 L^-1.
    Matrix<Real> M(n, m_bounded);
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) continue;
      Matrix<Real> rows = block(k).A.transpose();
      m_factors[static_cast<std::size_t>(k)].solve_lower(rows);
      M.middleCols(m_first[static_cast<std::size_t>(k)], rows.rows()) = rows.transpose();
    }
    if constexpr (!Loss::kSquared) M.array().colwise() *= m_curvature.array().sqrt();
    Matrix<Real> K = by_samples ? product<Real>(M, M.transpose()) : transposed_product<Real>(M, M);
    K.diagonal().array() += 1;
    Cholesky<Real> factor;
    if (!factor.compute(K)) return false;
    const auto solve = [&](const Vector<Real>& b) {
      if (!by_samples) return Vector<Real>(factor.solve(b));
      const Vector<Real> image = M * b;
      return Vector<Real>(b - M.transpose() * factor.solve(image));
    };
    const auto refined = [&](const Vector<Real>& b) {
      Vector<Real> x = solve(b);
      const Vector<Real> image = M * x;
      x += solve(Vector<Real>(b - x - M.transpose() * image));
      return x;
    };
    const Vector<Real> b = -lower(gradient);
    if (m_bounded == m_size) {
      direction = upper(refined(b));
    } else if (!bordered_step(M, refined, b, -gradient.tail(m_size - m_bounded), direction)) {
      return false;
    }
    return direction.allFinite();
  }

  /// The same with free unknowns, whose columns are X: they are eliminated last. What M leaves of X
  /// is a sum of squares, |X - M Z|^2 + |Z|^2 with Z = (I + M'M)^-1 M'X, so that no digits cancel.
  template <class Solve>
  bool bordered_step(const Matrix<Real>& M, const Solve& solve, const Vector<Real>& b,
                     const Vector<Real>& b_free, Vector<Real>& direction) const {
    const Index free = m_size - m_bounded;
    Matrix<Real> X(m_y.size(), free);
    for (Index k = 0; k < blocks(); ++k) {
      if (!block(k).free) continue;
      X.middleCols(m_first[static_cast<std::size_t>(k)] - m_bounded, block(k).A.cols()) =
          block(k).A;
    }
    if constexpr (!Loss::kSquared) X.array().colwise() *= m_curvature.array().sqrt();
    Matrix<Real> Z(m_bounded, free);
    for (Index k = 0; k < free; ++k) {
      const Vector<Real> image = M.transpose() * X.col(k);
      Z.col(k) = solve(image);
    }
    const Matrix<Real> rest = X - M * Z;
    Matrix<Real> S = rest.transpose() * rest + Z.transpose() * Z;
    S.diagonal() *= 1 + 16 * std::numeric_limits<Real>::epsilon();
    Cholesky<Real> factor;
    if (!factor.compute(S)) return false;
    const Vector<Real> along = b_free - Z.transpose() * b;
    const Vector<Real> moved = factor.solve(along);
    const Vector<Real> x = solve(b) - Z * moved;
    direction.resize(m_size);
    direction.head(m_bounded) = upper(x);
    direction.tail(free) = moved;
    return true;
  }

  /// L^-1 b and L'^-1 b.
  /// \{
  Vector<Real> lower(const Vector<Real>& b) const {
    Vector<Real> result(m_bounded);
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) continue;
      Matrix<Real> x = part(b, k);
      m_factors[static_cast<std::size_t>(k)].solve_lower(x);
      part(result, k) = x;
    }
    return result;
  }
  Vector<Real> upper(const Vector<Real>& b) const {
    Vector<Real> result(m_bounded);
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).free) continue;
      Matrix<Real> x = part(b, k);
      m_factors[static_cast<std::size_t>(k)].solve_upper(x);
      part(result, k) = x;
    }
    return result;
  }
  /// \}

  /// Goes along the direction, but not out of a cone, until the objective falls.
  bool move(const Vector<Real>& direction, Real decrement, Real mu, Vector<Real>& r) {
    Real length = 1;
    for (Index k = 0; k < blocks(); ++k) {
      if (block(k).B.rows() == 0) continue;
      const Vector<Real> inside = block(k).B * part(m_v, k);
      const Vector<Real> rate = block(k).B * part(direction, k);
      for (Index i = 0; i < rate.size(); ++i) {
        if (rate[i] < 0) length = std::min(length, Real(-0.95) * inside[i] / rate[i]);
      }
    }
    const Real before = value(m_v, r, mu);
    for (; length > 1e-10; length /= 2) {
      const Vector<Real> trial = m_v + length * direction;
      const Vector<Real> rest = residual(trial);
      if (!(value(trial, rest, mu) <= before - 1e-4 * length * decrement)) continue;
      m_v = trial;
      r = rest;
      return true;
    }
    return false;
  }

  Vector<Real> m_y;
  std::vector<BarrierBlock<Real>> m_blocks;
  Real m_lambda;
  Loss m_loss;
  Vector<Real> m_slopes;       // of the loss with barriers, where it is not squared
  Vector<Real> m_curvature;    // the same
  Index m_size = 0;            // unknowns
  Index m_bounded = 0;         // those that are not free, which come first
  Real m_barriers = 0;         // terms
  std::vector<Index> m_first;  // of the blocks
  Vector<Real> m_v;
  std::vector<Cholesky<Real>> m_factors;  // of the blocks of H
  std::vector<Real> m_pulls;              // |A'r + B'z|
};

/// Groups of a convex problem, and the block of each; the group of a free block is kFreeGroup.
inline constexpr Index kFreeGroup = -1;
template <class Real>
struct BarrierGroups {
  std::vector<Index> groups;
  std::vector<BarrierBlock<Real>> blocks;
};

/// Solves for the groups in use and those that violate their bound most by BarrierMethod, with more
/// of these until the gap over all groups is within the tolerance. Inside of the barriers no group
/// is zero: those that the gap does not need are left out.
///
/// \param y        the targets, one vector
/// \param next     (groups solved last) -> the groups to be solved next
/// \param blocks   (groups) -> the BarrierGroups of those that have an inside
/// \param gap      () -> the relative gap over all groups of the best solution so far
/// \param attempt  (groups, their unknowns, BarrierResult::point): takes this solution if its gap
/// is smaller
template <class Real, class Next, class Blocks, class Gap, class Attempt,
          class Loss = BarrierSquares>
Termination solve_by_barriers(const Vector<Real>& y, Real lambda, const SolveControl& control,
                              Index& iterations, const Next& next, const Blocks& blocks,
                              const Gap& gap, const Attempt& attempt, const Loss& loss = {}) {
  constexpr int kRounds = 20;
  constexpr Real kMostWork = 5e8;  // multiplications of a step, about 0.1 s
  const Real tolerance = control.relative_tolerance();
  Termination termination = Termination::NotRun;
  std::vector<Index> groups;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<Index> wanted = next(groups);
    if (wanted.size() == groups.size()) break;
    groups = std::move(wanted);
    BarrierGroups<Real> solved = blocks(groups);
    Index unknowns = 0;
    for (const auto& block : solved.blocks) unknowns += block.A.cols();
    const Real cost = BarrierMethod<Real>::cost(static_cast<Real>(y.size()),  //
                                                static_cast<Real>(unknowns));
    if (unknowns == 0 || cost > kMostWork) break;
    BarrierMethod<Real, Loss> method(y, std::move(solved.blocks), lambda, loss);
    const BarrierResult<Real> result = method.run(0.5 * tolerance, [&](Real inner_gap) {
      termination = control.check(++iterations, std::max(inner_gap, gap()));
      return termination == Termination::NotRun;
    });
    if (result.v.empty()) break;
    Real largest = 0;
    for (std::size_t k = 0; k < result.v.size(); ++k) {
      if (solved.groups[k] != kFreeGroup) largest = std::max(largest, result.v[k].norm());
    }
    for (const Real part : {1e-3, 1e-5, 1e-7, 1e-9, 0.0}) {
      std::vector<Index> kept;
      std::vector<Vector<Real>> values;
      for (std::size_t k = 0; k < result.v.size(); ++k) {
        const bool free = solved.groups[k] == kFreeGroup;
        if (!free && result.v[k].norm() <= part * largest) continue;
        kept.push_back(solved.groups[k]);
        values.push_back(result.v[k]);
      }
      attempt(kept, values, result.point);
      if (gap() <= tolerance) return Termination::ToleranceReached;
    }
    if (termination != Termination::NotRun) return termination;
  }
  return Termination::NoProgress;
}

}  // namespace mgdl::detail
