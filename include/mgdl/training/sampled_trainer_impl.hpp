#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/training/chain/readout.hpp"
#include "mgdl/training/sampled/units.hpp"
#include "mgdl/training/sampled_trainer.hpp"

namespace mgdl {

template <class Scalar>
std::vector<double> SampledTrainer<Scalar>::ridges() const {
  if (m_options.ridge) return {*m_options.ridge};
  std::vector<double> list;
  for (int exponent = -14; exponent <= 1; ++exponent) list.push_back(std::pow(10.0, exponent));
  return list;
}

template <class Scalar>
GradeFit<Scalar> SampledTrainer<Scalar>::fit(const GradeProblem<Scalar>& problem) {
  const std::vector<double> ridges = this->ridges();
  detail::StepControl control(
      problem.observer, problem.time_limit_seconds, problem.grade,
      m_options.hidden_layers * detail::SampledUnits<>::steps(m_options.width) +
          detail::moment_steps(problem.train.size()) + std::ssize(ridges),
      problem.train.ranks());
  const auto proceed = [&control] { return control.proceed(); };
  detail::ThreadPool& pool = problem.threads.pool();
  RandomStream random(problem.seed, 0x5A3D000000 + static_cast<std::uint64_t>(problem.grade));
  detail::SampledUnits<> sampler(problem.train, m_options.width, random);
  std::vector<DenseLayer<Scalar>> layers;
  for (Index l = 0; l < m_options.hidden_layers; ++l) {
    auto units = sampler.draw(m_options.width, proceed);
    if (units.bias.size() == 0) {
      // All samples are alike: what is left is a constant, which the readout's bias fits.
      units = {RowMatrix<double>::Zero(units.weights.rows(), 1), RowVector<double>::Zero(1)};
    }
    if (l + 1 < m_options.hidden_layers) sampler.advance(units);
    layers.emplace_back(units.weights.template cast<Scalar>(), units.bias.template cast<Scalar>());
  }
  const Index width = layers.back().outputs();
  const Index outputs = problem.train.targets.cols();
  layers.emplace_back(RowMatrix<Scalar>::Zero(width, outputs), RowVector<Scalar>::Zero(outputs));
  detail::PanelNetwork<Scalar> network(layers);

  double ridge = 0;
  detail::RelativeLoss loss;
  if (control.reason() == Termination::NotRun) {
    loss = detail::gcv_readout(network, problem, ridges, pool, ridge, {}, proceed);
  }
  if (control.reason() == Termination::NotRun) {
    detail::shrink_readout(network, problem, loss, pool);
  }
  GradeFitReport report;
  report.termination = ridge > 0 ? Termination::ToleranceReached : Termination::NoProgress;
  report.message = ridge > 0 ? "The readout is a least squares solution with ridge " +
                                   detail::to_text(ridge) + "."
                             : "No readout lowers the residual.";
  if (control.reason() != Termination::NotRun) {
    report.termination = control.reason();
    report.message = detail::RunControl::explain(control.reason()) +
                     std::string(ridge > 0 ? " Not all ridges were tried."
                                           : " It came before there was a readout.");
  }
  report.trainer =
      "sampled " + std::to_string(m_options.hidden_layers) + "x" + std::to_string(width);
  report.iterations = 1;
  report.initial_objective = 1;
  report.final_objective = loss.train;
  report.validation = loss.validation;
  report.elapsed_seconds = control.seconds();
  return {ReluNetwork<Scalar>(network.to_layers()), std::move(report)};
}

}  // namespace mgdl
