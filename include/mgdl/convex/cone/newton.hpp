#pragma once

#include <vector>

#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/group_lasso/problem.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// A neuron of the ReLU problem: sign * max(0, x~.v), v in the cone of its gate.
template <class Real>
struct ConeNeuron {
  Index gate;
  Real sign;
  Vector<Real> v;
};

/// The smallest penalty for which the ReLU problem of one output has the solution zero: the largest
/// ||Proj(s A_j'Y)||.
///
/// \param output  the column of the targets
template <class Real>
Real cone_lambda_max(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                     const ConeProjector<Real>& projector, Index output);

/// Solves the ReLU problem of one output until `control` ends it, and appends the neurons.
///
/// \param output  the column of the targets
template <class Real>
Termination solve_cone_problem(ThreadPool& pool, const GroupLassoProblem<Real>& problem,
                               const ConeProjector<Real>& projector, Index output, Real lambda,
                               const SolveControl& control, std::vector<ConeNeuron<Real>>& neurons,
                               Index& iterations);

#ifdef MGDL_COMPILED
extern template double cone_lambda_max(ThreadPool&, const GroupLassoProblem<double>&,
                                       const ConeProjector<double>&, Index);
extern template Termination solve_cone_problem(ThreadPool&, const GroupLassoProblem<double>&,
                                               const ConeProjector<double>&, Index, double,
                                               const SolveControl&,
                                               std::vector<ConeNeuron<double>>&, Index&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/cone/newton_impl.hpp"  // IWYU pragma: export
#endif
