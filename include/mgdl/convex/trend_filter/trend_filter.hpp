#pragma once

#include <limits>
#include <type_traits>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

/// Options of solve_trend_filter.
struct TrendFilterOptions {
  /// Stop once (primal - bound) / primal is at most this, >= 0, with the bound that the network's
  /// own residuals prove, or where these are rounding (more than about 800 neurons are not polished
  /// to that end) with the one that dual_point proves. Rounding allows about 1e-11, and not much
  /// less than 1e-16 lambda_max / lambda.
  double relative_tolerance = 1e-6;
  /// An output bias that is not penalised.
  bool output_bias = false;
  /// Of the networks within the tolerance, one with few neurons: kinks that one between two samples
  /// can replace are joined. Without, kinks stay at samples where that costs no more than the
  /// tolerance, and a network that interpolates is straight between samples.
  bool fewest_neurons = true;
  /// Steps at most, of the interior point method and of polishing, over all rounds, >= 1.
  Index max_iterations = 10000;
  /// Seconds for the solution, > 0.
  double time_limit_seconds = std::numeric_limits<double>::infinity();
  /// Called before every step; `objective` is the relative gap of the best network so far.
  Observer observer = {};

  /// \throws InvalidArgument naming the first field that breaks its rule
  void validate() const {
    require_option(relative_tolerance >= 0, "TrendFilterOptions.relative_tolerance", "a value >= 0",
                   relative_tolerance);
    require_option(max_iterations >= 1, "TrendFilterOptions.max_iterations", "a value >= 1",
                   max_iterations);
    require_option(time_limit_seconds > 0, "TrendFilterOptions.time_limit_seconds", "a value > 0",
                   time_limit_seconds);
  }
};

/// What solve_trend_filter found.
template <class Real>
struct TrendFilterResult {
  Matrix<Real> neurons;     ///< m x 2, rows (a, b); output weights are the signs
  Vector<Real> signs;       ///< m, +1 or -1
  Real bias = 0;            ///< output bias, 0 without one
  Real primal = 0;          ///< objective of the network, evaluated at all samples
  Real dual = 0;            ///< lower bound of the optimum over all networks
  Vector<Real> dual_point;  ///< n, N that proves the bound: it is feasible for every neuron
  Real lambda_max = 0;      ///< smallest penalty whose solution is zero
  Index iterations = 0;     ///< steps
  Termination termination = Termination::NotRun;  ///< why it stopped

  Real relative_gap() const noexcept { return primal > 0 ? (primal - dual) / primal : 0; }
};

/// Smallest lambda whose solution has no neurons: the largest |sum_i w_i y_i max(0, a x_i + b)|
/// over
/// |(a, b)| = 1; with a bias, of y_i minus the mean. Exact: over all kinks, between samples too.
///
/// \param x  n inputs, \param y  n targets, \param w  n weights >= 0, one of them positive
/// \throws InvalidArgument for no samples, sizes that differ, non-finite values or bad weights
template <class Real>
Real trend_filter_lambda_max(const Vector<Real>& x, const Vector<Real>& y, const Vector<Real>& w,
                             bool output_bias);

/// Global optimum of the non-convex training problem of a one-hidden-layer ReLU network with one
/// input and one output, any number of neurons, and weight decay:
///
///     min  1/2 sum_i w_i (y_i - f(x_i))^2 + lambda sum_k |(a_k, b_k)|,
///     f(x) = sum_k sign_k max(0, a_k x + b_k) [+ bias]
///
/// with a lower bound from a point N of its dual problem,
///
///     max  sum_i [N_i y_i - N_i^2 / (2 w_i)],   |sum_i N_i max(0, a x_i + b)| <= lambda |(a, b)|
///     for all (a, b)
///
/// (with a bias also sum_i N_i = 0). If it can, it makes the network so accurate that its own
/// residuals, N_i = s w_i (y_i - f(x_i)) with the best s, are such a point. The result's dual_point
/// is the best one known. The work is a few sorts and scans
/// of the samples and some tens of interior point steps on the knots in question. Sources: Pilanci
/// & Ergen (arXiv 2002.10553); Kim, Koh, Boyd & Gorinevsky, "l1 trend filtering" (SIAM Review 51,
/// 2009).
///
/// lambda = 0 gives a network that interpolates the weighted means of the targets at distinct
/// inputs. It is not the cheapest one: that is the limit of small lambda.
///
/// \param x  n inputs, \param y  n targets, \param w  n weights >= 0, one of them positive
/// \throws InvalidArgument for no samples, sizes that differ, non-finite values, bad weights, or
///         lambda < 0
template <class Real>
TrendFilterResult<Real> solve_trend_filter(const Vector<Real>& x, const Vector<Real>& y,
                                           const Vector<Real>& w, std::type_identity_t<Real> lambda,
                                           const TrendFilterOptions& options = {});

#ifdef MGDL_COMPILED
extern template double trend_filter_lambda_max(const Vector<double>&, const Vector<double>&,
                                               const Vector<double>&, bool);
extern template TrendFilterResult<double> solve_trend_filter(const Vector<double>&,
                                                             const Vector<double>&,
                                                             const Vector<double>&, double,
                                                             const TrendFilterOptions&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/convex/trend_filter/trend_filter_impl.hpp"  // IWYU pragma: export
#endif
