#pragma once

#include <cmath>
#include <type_traits>
#include <utility>

#include "mgdl/convex/trend_filter/dual.hpp"
#include "mgdl/convex/trend_filter/problem.hpp"
#include "mgdl/convex/trend_filter/trend_filter.hpp"
#include "mgdl/convex/trend_filter/working_set.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/run_control.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::detail {

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

#ifdef MGDL_COMPILED
template double trend_filter_lambda_max(const Vector<double>&, const Vector<double>&,
                                        const Vector<double>&, bool);
template TrendFilterResult<double> solve_trend_filter(const Vector<double>&, const Vector<double>&,
                                                      const Vector<double>&, double,
                                                      const TrendFilterOptions&);
#endif

}  // namespace mgdl::detail
