#pragma once

#include <functional>

#include "mgdl/convex/trend_filter/dual.hpp"
#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// A network with what its own residuals prove.
template <class Real>
struct TrendPolished {
  TrendNetwork<Real> network;
  TrendBound<Real> bound;
};

/// Moves the neurons of a nearly optimal network to where the optimality conditions hold, to
/// rounding if it can. Works until the gap of the network by its own residuals is at most `target`,
/// no progress is made or the work is too much; with less effort once the gap is at most
/// `tolerance`.
///
/// \param samples  at least two
/// \param slack    part of lambda by which the correlation may be larger inside a gap than at the
///                 sample that bounds it, before a kink leaves that sample
/// \param work     that may be done, in cubes of the number of coordinates; reduced by this
/// \param go_on    asked before every step, with the gap; false ends it
/// \returns the best network, by its own bound
template <class Real>
TrendPolished<Real> polish_network(const TrendSamples<Real>& samples, Real lambda, bool output_bias,
                                   Real slack, const TrendNetwork<Real>& start, Real tolerance,
                                   Real target, Real& work, const std::function<bool(Real)>& go_on);

#ifdef MGDL_COMPILED
extern template TrendPolished<double> polish_network(const TrendSamples<double>&, double, bool,
                                                     double, const TrendNetwork<double>&, double,
                                                     double, double&,
                                                     const std::function<bool(double)>&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/trend_filter/polish_impl.hpp"  // IWYU pragma: export
#endif
