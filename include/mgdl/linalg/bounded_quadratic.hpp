#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// Minimises 1/2 x' H x - g' x over x >= lower.
///
/// \param H      symmetric positive semidefinite, lower triangle
/// \param ridge  this multiple of the mean diagonal of H is added to its diagonal, and more if that
///               is not enough to make it positive definite
template <class Real>
Vector<Real> minimise_bounded(const Matrix<Real>& H, const Vector<Real>& g,
                              const Vector<Real>& lower, Real ridge);

/// The Newton step in eta that GroupLassoNewton describes: it solves ||g_j|| = lambda, which is
/// nearly linear in eta, rather than the gradient (lambda^2 - ||g_j||^2) / 2 = 0.
///
/// \param H       H_jk = <phi_j, K^-1 phi_k>, lower triangle
/// \param norms   ||g_j||
/// \param bounds  -eta
template <class Real>
Vector<Real> secular_step(const Matrix<Real>& H, const Vector<Real>& norms,
                          const Vector<Real>& bounds, Real lambda, Real ridge = 1e-13);

/// Newton's step for the gradient: slower where norms are far from lambda, but f falls along it.
template <class Real>
Vector<Real> descent_step(const Matrix<Real>& H, const Vector<Real>& norms,
                          const Vector<Real>& bounds, Real lambda, Real ridge = 1e-13);

/// Minimises 1/2 x' H x - g' x over x >= lower, H symmetric and positive definite, by block
/// principal pivoting: solve for the free variables, then exchange all that violate their bound or
/// the sign of their multiplier; when that stops to pay, exchange only the last one, which is known
/// to end.
///
/// Source: Judice & Pires, "A block principal pivoting algorithm for large-scale strictly monotone
/// linear complementarity problems" (Computers & Operations Research 21, 1994).
///
/// \returns false if H is not positive definite in this arithmetic
template <class Real>
bool pivot_to_minimum(const Matrix<Real>& H, const Vector<Real>& g, const Vector<Real>& lower,
                      Vector<Real>& x) {
  const Index n = g.size();
  const Real tolerance = 1e-14 * g.cwiseAbs().maxCoeff();
  std::vector<bool> is_free(static_cast<std::size_t>(n), true);
  Index fewest = n + 1;
  int patience = 3;
  for (Index iteration = 0; iteration < 20 * n + 100; ++iteration) {
    std::vector<Index> free, fixed;
    for (Index i = 0; i < n; ++i) {
      (is_free[static_cast<std::size_t>(i)] ? free : fixed).push_back(i);
    }
    x = lower;
    if (!free.empty()) {
      const Matrix<Real> block = H(free, free);
      const Cholesky<Real> factor(block);
      if (!factor.ok()) return false;
      Vector<Real> solution = g(free);
      if (!fixed.empty()) solution -= H(free, fixed) * Vector<Real>(lower(fixed));
      x(free) = factor.solve(solution);
    }
    const Vector<Real> multiplier = H * x - g;
    std::vector<Index> violated;
    for (const Index i : free) {
      if (x[i] < lower[i]) violated.push_back(i);
    }
    for (const Index i : fixed) {
      if (multiplier[i] < -tolerance) violated.push_back(i);
    }
    if (violated.empty()) break;
    const auto count = static_cast<Index>(violated.size());
    const bool all = count < fewest || patience > 0;
    if (count < fewest) {
      fewest = count;
      patience = 3;
    } else if (patience > 0) {
      --patience;
    }
    const Index last = *std::max_element(violated.begin(), violated.end());
    for (const Index i : violated) {
      if (all || i == last) {
        is_free[static_cast<std::size_t>(i)] = !is_free[static_cast<std::size_t>(i)];
      }
    }
  }
  x = x.cwiseMax(lower);
  return true;
}

template <class Real>
Vector<Real> minimise_bounded(const Matrix<Real>& H, const Vector<Real>& g,
                              const Vector<Real>& lower, Real ridge) {
  Vector<Real> x = lower.cwiseMax(0);
  if (g.size() == 0) return x;
  Matrix<Real> full = H.template selfadjointView<Eigen::Lower>();
  const Real mean = full.diagonal().cwiseAbs().mean();
  for (Real added = 0; ridge < 1e3; ridge = std::max(100 * ridge, 1e-15)) {
    full.diagonal().array() += ridge * mean - added;
    added = ridge * mean;
    if (pivot_to_minimum<Real>(full, g, lower, x)) break;
  }
  return x;
}

template <class Real>
Vector<Real> secular_step(const Matrix<Real>& H, const Vector<Real>& norms,
                          const Vector<Real>& bounds, Real lambda, Real ridge) {
  return minimise_bounded<Real>(H, norms.array() - lambda, lambda * bounds, ridge) / lambda;
}

template <class Real>
Vector<Real> descent_step(const Matrix<Real>& H, const Vector<Real>& norms,
                          const Vector<Real>& bounds, Real lambda, Real ridge) {
  return minimise_bounded<Real>(norms.asDiagonal() * H * norms.asDiagonal(),
                                0.5 * (norms.array().square() - lambda * lambda), bounds, ridge);
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Vector<double> minimise_bounded(const Matrix<double>&, const Vector<double>&,
                                                const Vector<double>&, double);
extern template Vector<double> secular_step(const Matrix<double>&, const Vector<double>&,
                                            const Vector<double>&, double, double);
extern template Vector<double> descent_step(const Matrix<double>&, const Vector<double>&,
                                            const Vector<double>&, double, double);
}  // namespace mgdl::detail
#endif
