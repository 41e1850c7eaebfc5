#pragma once

#include "mgdl/core/types.hpp"

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

#ifdef MGDL_COMPILED
extern template Vector<double> minimise_bounded(const Matrix<double>&, const Vector<double>&,
                                                const Vector<double>&, double);
extern template Vector<double> secular_step(const Matrix<double>&, const Vector<double>&,
                                            const Vector<double>&, double, double);
extern template Vector<double> descent_step(const Matrix<double>&, const Vector<double>&,
                                            const Vector<double>&, double, double);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/linalg/bounded_quadratic_impl.hpp"  // IWYU pragma: export
#endif
