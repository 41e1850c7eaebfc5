#pragma once

#include "mgdl/core/sample_view.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/lbfgs.hpp"
#include "mgdl/detail/panel_network.hpp"
#include "mgdl/detail/thread_pool.hpp"
#include "mgdl/detail/training_pass.hpp"

namespace mgdl::detail {

/// Lowers 1/2 sum_i w_i |y_i - g(x_i)|^2 + lambda/2 (sum of squared weights, hidden biases
/// included) of a network with one hidden layer by L-BFGS, where output weights that are zero stay
/// zero, so that each neuron goes on serving the same outputs. Returns whether it has fallen; if
/// not, the network is as it was.
///
/// For balanced neurons the second term is the penalty lambda sum_k |v_k| |o_k| of the convex
/// problem, and otherwise it is larger.
///
/// \param proceed  called after every iteration; false ends the work
template <class Proceed>
bool polish_neurons(PanelNetwork<double>& network, const SampleView<double>& samples, double lambda,
                    Index iterations, ThreadPool& pool, const Proceed& proceed) {
  const Index n = samples.size();
  const Vector<double> start = network.parameters();
  Vector<double> penalised = Vector<double>::Ones(start.size());
  Vector<double> fixed = Vector<double>::Zero(start.size());
  const auto& readout = network.layers().back();
  penalised.segment(readout.bias, readout.stride()).setZero();
  for (Index i = readout.weights; i < readout.bias; ++i) fixed[i] = start[i] == 0 ? 1 : 0;

  TrainingPass<double> pass(network, n, pool);
  const auto evaluate = [&](const Vector<double>& x, Vector<double>& gradient) {
    if (x.data() != network.parameters().data()) network.parameters() = x;
    pass.refresh();
    const double loss = pass.run(samples, {nullptr, 0, n}, 0.5, false, [](Index, Index) {});
    gradient = pass.gradient() + lambda * penalised.cwiseProduct(network.parameters());
    gradient = (fixed.array() > 0).select(0.0, gradient);
    return loss + lambda / 2 * penalised.cwiseProduct(network.parameters()).squaredNorm();
  };
  LbfgsOptions options;
  options.max_iterations = iterations;
  Lbfgs<double> lbfgs(start.size(), options);
  Vector<double> ignored(start.size());
  const double before = evaluate(network.parameters(), ignored);
  double after = before;
  lbfgs.minimise(network.parameters(), evaluate, [&](Index, double value) {
    after = value;
    return proceed();
  });
  if (after < before) return true;
  network.parameters() = start;
  return false;
}

}  // namespace mgdl::detail
