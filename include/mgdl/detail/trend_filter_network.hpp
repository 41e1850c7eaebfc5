#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/trend_filter_dual.hpp"
#include "mgdl/detail/trend_filter_samples.hpp"

namespace mgdl::detail {

/// A network f(x) = sum_k sign_k max(0, a_k x + b_k) + bias of one input.
struct TrendNetwork {
  struct Neuron {
    double a = 0;
    double b = 0;
    double sign = 1;

    HingeSide side() const noexcept { return a < 0 ? HingeSide::Left : HingeSide::Right; }
    double kink() const noexcept { return -b / a; }
  };

  std::vector<Neuron> neurons;
  double bias = 0;
  double primal = 0;  ///< objective
};

/// A sum to about twice the precision of double (two-sum, Knuth).
struct WideSum {
  double high = 0;
  double low = 0;

  void add(double v) noexcept {
    const double sum = high + v;
    const double part = sum - high;
    low += (high - (sum - part)) + (v - part);
    high = sum;
  }
  double value() const noexcept { return high + low; }
};

/// Values of sum_k sign_k max(0, a_k x + b_k) at ascending inputs, in O(n + m log m).
///
/// Where many neurons are active, their sum is far smaller than its terms. It is kept to twice the
/// precision of double, so that the values are those of the network and not of an order of
/// summation.
inline Vector<double> evaluate(const std::vector<TrendNetwork::Neuron>& neurons,
                               const Vector<double>& x) {
  const Index n = x.size();
  std::vector<WideSum> values(static_cast<std::size_t>(n));
  struct Start {
    double at = 0;  // in the direction of the sweep
    double a = 0;
    double b = 0;
  };
  const auto sweep = [&](HingeSide side) {
    const double direction = side == HingeSide::Right ? 1 : -1;
    std::vector<Start> order;
    for (const auto& neuron : neurons) {
      if (neuron.side() != side || (neuron.a == 0 && !(neuron.b > 0))) continue;
      const double at =
          neuron.a == 0 ? -std::numeric_limits<double>::infinity() : direction * neuron.kink();
      order.push_back({at, neuron.sign * neuron.a, neuron.sign * neuron.b});
    }
    std::sort(order.begin(), order.end(),
              [](const Start& k, const Start& l) { return k.at < l.at; });
    WideSum a;
    WideSum b;
    auto next = order.begin();
    for (Index step = 0; step < n; ++step) {
      const Index i = side == HingeSide::Right ? step : n - 1 - step;
      for (; next != order.end() && next->at < direction * x[i]; ++next) {
        a.add(next->a);
        b.add(next->b);
      }
      const double product = a.high * x[i];
      WideSum& value = values.data()[i];
      value.add(product);
      value.add(b.high);
      value.low += std::fma(a.high, x[i], -product) + (a.low * x[i] + b.low);
    }
  };
  sweep(HingeSide::Right);
  sweep(HingeSide::Left);
  Vector<double> result(n);
  for (Index i = 0; i < n; ++i) result[i] = values.data()[i].value();
  return result;
}

/// Sets the objective, and the bias: the best one with `output_bias`, else 0.
inline void assess(TrendNetwork& network, const TrendSamples& samples, double lambda,
                   bool output_bias) {
  Vector<double> residual = samples.y - evaluate(network.neurons, samples.x);
  network.bias = output_bias ? samples.mean(residual) : 0;
  residual.array() -= network.bias;
  network.primal = samples.scatter + 0.5 * samples.w.dot(residual.cwiseAbs2());
  for (const auto& neuron : network.neurons) {
    network.primal += lambda * std::hypot(neuron.a, neuron.b);
  }
}

/// A network that is straight between samples and equals their targets: the solution for lambda =
/// 0, not the cheapest one. Hinges open away from the middle sample, which keeps their sums small.
inline TrendNetwork interpolate(const TrendSamples& samples, bool output_bias) {
  const Index m = samples.size();
  const auto& x = samples.x;
  const auto& y = samples.y;
  TrendNetwork network;
  const auto add = [&](double a, double b, double sign) {
    if (a != 0 || b != 0) network.neurons.push_back({a, b, sign});
  };
  if (m == 1) {  // the cheapest neuron is along (x, 1)
    const double size = std::abs(y[0]) / (samples.norm[0] * samples.norm[0]);
    if (!output_bias) add(size * x[0], size, y[0] < 0 ? -1 : 1);
    assess(network, samples, 0, output_bias);
    return network;
  }
  const auto slope = [&](Index gap) { return (y[gap + 1] - y[gap]) / (x[gap + 1] - x[gap]); };
  const Index middle = (m - 1) / 2;  // the gap whose line goes on without a kink
  for (Index k = 1; k + 1 < m; ++k) {
    const double turn = slope(k) - slope(k - 1);
    const double a = k > middle ? std::abs(turn) : -std::abs(turn);
    add(a, -a * x[k], turn < 0 ? -1 : 1);
  }
  // The line is a difference of two that are not negative on the samples.
  const double first = y[middle] + slope(middle) * (x[0] - x[middle]);
  const double last = y[middle] + slope(middle) * (x[m - 1] - x[middle]);
  for (const double sign : {1.0, -1.0}) {
    const double from = std::max(0.0, sign * first);
    const double to = std::max(0.0, sign * last);
    const double a = (to - from) / (x[m - 1] - x[0]);
    // From its larger end, where rounding of the product does not matter.
    add(a, from > to ? from - a * x[0] : to - a * x[m - 1], sign);
  }
  assess(network, samples, 0, output_bias);
  return network;
}

}  // namespace mgdl::detail
