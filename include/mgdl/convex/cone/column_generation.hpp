#pragma once

#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The ReLU problem of several outputs with neurons that serve them all.

namespace mgdl::detail {

/// max_j ||X' D_j Y||_2: from here on the solution is zero. Because of the cones it may be zero for
/// smaller penalties already.
template <class Real>
Real shared_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                       const ConeProjector<Real>& projector);

/// Fills hidden, output (rows of length 1) and gates of `solution`.
///
/// \returns NoProgress if no neuron was found that lowers the objective and the relaxed bound does
///          not prove the tolerance
template <class Real>
Termination solve_shared_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                                 const ConeProjector<Real>& projector, Real lambda,
                                 const SolveControl& control, ReluSolution& solution,
                                 Index& iterations);

#ifdef MGDL_COMPILED
extern template double shared_lambda_max(ThreadPool&, const GroupLassoProblem<double>&,
                                         const ConeProjector<double>&);
extern template Termination solve_shared_problem(ThreadPool&, const GroupLassoProblem<double>&,
                                                 const ConeProjector<double>&, double,
                                                 const SolveControl&, ReluSolution&, Index&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/cone/column_generation_impl.hpp"  // IWYU pragma: export
#endif
