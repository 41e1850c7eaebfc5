#pragma once

#include <cstdint>
#include <string>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// Random convex problems with everything that can go wrong, and their objective and bound in long
/// double, straight from the formulas.

namespace mgdl::test {

struct ConvexProblem {
  Dataset<double> data;
  Gates gates;
  std::string what;  ///< for messages
};

/// Problem number k of a series: sizes differ from problem to problem, and every few problems have
/// duplicated rows, collinear columns, a condition number of 1e8, n < p, constant or huge targets,
/// weights with zeros, or no bias.
ConvexProblem random_problem(std::uint64_t k, Index max_outputs = 4);

using Extended = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;

/// X~ in long double.
Extended extended_inputs(const Dataset<double>& data, const Gates& gates);

/// Of X~ the rows where gate j is active; zero elsewhere.
Extended masked(const Extended& X, const Gates& gates, Index j);

struct Bounds {
  long double primal = 0;
  long double dual = 0;
  long double lambda_max = 0;
};

/// Objective of a gated solution, the bound that its residual gives, and lambda_max.
Bounds gated_bounds(const Dataset<double>& data, const Gates& gates, const GatedSolution& solution);

}  // namespace mgdl::test
