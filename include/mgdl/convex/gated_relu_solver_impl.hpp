#pragma once

#include <utility>

#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/group_lasso/gated_sequence.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"

namespace mgdl {

template <class Scalar>
GatedReluResult GatedReluSolver<Scalar>::solve(const Dataset<Scalar>& data, const Gates& gates,
                                               const GatedSolution* start) const {
  const auto& samples = detail::in_double(data);
  detail::GatedSequence<double> sequence(m_options, samples, gates, 1);
  if (start != nullptr) sequence.set_start(*start);
  auto [solution, report] = sequence.solve(m_options);
  return {std::move(solution), std::move(report)};
}

template <class Scalar>
double GatedReluSolver<Scalar>::lambda_max(const Dataset<Scalar>& data, const Gates& gates) const {
  const auto& samples = detail::in_double(data);
  return detail::GatedSequence<double>(m_options, samples, gates, 1).lambda_max();
}

}  // namespace mgdl
