#pragma once

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/convex/trend_filter/working_set.hpp"
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

template <class Real>
void require_trend_samples(const Vector<Real>& x, const Vector<Real>& y, const Vector<Real>& w) {
  if (x.size() == 0) throw InvalidArgument("x", "at least one sample", "none");
  require_rows("y", x.size(), y.size());
  require_rows("weights", x.size(), w.size());
  require_finite("x", x);
  require_finite("y", y);
  require_weights(w);
}

template <class Real>
Real trend_filter_lambda_max(const TrendSamples<Real>& samples, bool output_bias) {
  const Real start = output_bias ? samples.mean(samples.y) : 0;
  const Vector<Real> N = samples.w.cwiseProduct((samples.y.array() - start).matrix());
  return DualFunction(samples, N).norm();
}

template <class Real>
Real trend_filter_lambda_max(const Vector<Real>& x, const Vector<Real>& y, const Vector<Real>& w,
                             bool output_bias) {
  require_trend_samples(x, y, w);
  const TrendSamples<Real> samples = merge_trend_samples(x, y, w);
  return samples.unit * trend_filter_lambda_max(samples, output_bias);
}

template <class Real>
TrendFilterResult<Real> solve_trend_filter(const Vector<Real>& x, const Vector<Real>& y,
                                           const Vector<Real>& w, std::type_identity_t<Real> lambda,
                                           const TrendFilterOptions& options) {
  require_trend_samples(x, y, w);
  require_option(lambda >= 0 && std::isfinite(lambda), "lambda", "a finite value >= 0", lambda);
  options.validate();
  const RunControl control(options.observer, options.time_limit_seconds, options.max_iterations);
  const TrendSamples<Real> samples = merge_trend_samples(x, y, w);
  const Real unit = samples.unit;
  TrendFilterResult<Real> result;
  const Real lambda_max = trend_filter_lambda_max(samples, options.output_bias);
  result.lambda_max = unit * lambda_max;

  TrendNetwork<Real> network;
  Vector<Real> dual_point = Vector<Real>::Zero(samples.size());
  Real dual = samples.scatter;
  if (lambda >= result.lambda_max) {
    assess(network, samples, lambda / unit, options.output_bias);
    dual = network.primal;
    dual_point = samples.w.cwiseProduct((samples.y.array() - network.bias).matrix());
    result.termination = Termination::ToleranceReached;
  } else if (lambda == 0) {
    network = interpolate(samples, options.output_bias);
    result.termination = Termination::ToleranceReached;
  } else if (samples.size() == 1) {
    // Without a bias, as lambda < lambda_max; the best neuron is along (x, 1).
    const Real norm = samples.norm[0];
    const Real residual = std::copysign(lambda / unit / (norm * samples.w[0]), samples.y[0]);
    TrendSamples<Real> shrunk = samples;
    shrunk.y[0] -= residual;
    network = interpolate(shrunk, false);
    assess(network, samples, lambda / unit, false);
    dual_point[0] = samples.w[0] * residual;
    dual += dual_point[0] * (samples.y[0] - 0.5 * residual);
    result.termination = Termination::ToleranceReached;
  } else {
    TrendWorkingSet<Real> method(samples, lambda / unit, options.output_bias,
                                 options.relative_tolerance, options.fewest_neurons);
    const auto proceed = [&](Real gap) {
      if (result.iterations >= control.max_iterations()) {
        result.termination = Termination::MaxIterations;
      } else if (control.out_of_time()) {
        result.termination = Termination::TimeLimit;
      } else if (control.check({.iteration = ++result.iterations, .objective = gap}) ==
                 Termination::StoppedByObserver) {
        result.termination = Termination::StoppedByObserver;
      }
      return result.termination == Termination::NotRun;
    };
    const TrendOutcome outcome = method.run(proceed);
    if (outcome == TrendOutcome::Converged) result.termination = Termination::ToleranceReached;
    network = method.network();
    dual = method.dual();
    if (outcome == TrendOutcome::Stalled) {
      const bool proven = network.primal - dual <= options.relative_tolerance * network.primal;
      result.termination = proven ? Termination::ToleranceReached : Termination::NoProgress;
    }
    dual_point = method.dual_point();
  }

  const auto size = static_cast<Index>(network.neurons.size());
  result.neurons.resize(size, 2);
  result.signs.resize(size);
  for (Index k = 0; k < size; ++k) {
    const auto& neuron = network.neurons.data()[k];
    result.neurons.row(k) << unit * neuron.a, unit * neuron.b;
    result.signs[k] = neuron.sign;
  }
  result.bias = unit * network.bias;
  result.primal = unit * unit * network.primal;
  result.dual = unit * unit * dual;
  result.dual_point.setZero(x.size());
  for (Index i = 0; i < x.size(); ++i) {
    const Index group = samples.group[static_cast<std::size_t>(i)];
    if (group < 0) continue;
    result.dual_point[i] = w[i] * (unit * dual_point[group] / samples.w[group]) +
                           w[i] * (y[i] - unit * samples.y[group]);
  }
  return result;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template double trend_filter_lambda_max(const Vector<double>&, const Vector<double>&,
                                               const Vector<double>&, bool);
extern template TrendFilterResult<double> solve_trend_filter(const Vector<double>&,
                                                             const Vector<double>&,
                                                             const Vector<double>&, double,
                                                             const TrendFilterOptions&);
}  // namespace mgdl::detail
#endif
