#pragma once

#include <type_traits>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Improves a point of the gated problem by Newton's method, from its coefficients, until `control`
/// ends it.
template <class Real>
Termination solve_group_lasso(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                              std::type_identity_t<Real> lambda, const SolveControl& control,
                              GroupLassoPoint<Real>& point, Index& iterations);

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template Termination solve_group_lasso(ThreadPool&, const GroupLassoProblem<double>&, double,
                                              const SolveControl&, GroupLassoPoint<double>&,
                                              Index&);
}  // namespace mgdl::detail
#else
#include "mgdl/convex/group_lasso/newton_impl.hpp"  // IWYU pragma: export
#endif
