#pragma once

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// A constant L with ||f(x) - f(y)||_2 <= L ||x - y||_2 for all x, y, where f is the model's first
/// k grades in exact arithmetic; in target unit per input unit.
///
/// One input: the smallest such L, the largest slope of all linear pieces on the whole line (see
/// to_spline, which takes as long; exact up to rounding in double, kinks that rounding makes
/// coincide counting as one). More inputs: an upper bound with all rounding accounted for, the
/// smaller of
///
///     sum_k ||W_{k,readout}||_2 * (product of ||W||_2 over the hidden layers up to grade k)
///
/// (with spectral norms that are bounded from above, not estimated) and the norm of interval bounds
/// on each entry of the Jacobian. It never looks at data, and it grows with depth: it is within a
/// small factor of the truth for small models only.
/// Sources: Szegedy et al., arXiv 1312.6199 (products of norms); Moore, interval analysis.
///
/// \throws InvalidArgument for k out of range
template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model, Index k);

/// The same for all grades.
template <class Scalar>
double lipschitz_bound(const MultigradeModel<Scalar>& model) {
  return lipschitz_bound(model, model.grades());
}

#ifdef MGDL_COMPILED
extern template double lipschitz_bound(const MultigradeModel<float>&, Index);
extern template double lipschitz_bound(const MultigradeModel<double>&, Index);
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/network/bounds_impl.hpp"  // IWYU pragma: export
#endif
