#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl {

namespace detail {

/// The network on some of its inputs.
/// \throws InvalidArgument for columns that are not there or not ascending, and for a weight of
///         another input
template <class Scalar>
ReluNetwork<Scalar> restricted(const ReluNetwork<Scalar>& network,
                               const std::vector<Index>& columns) {
  if (columns.empty()) throw InvalidArgument("columns", "at least one", "none");
  const RowMatrix<Scalar> weights = network.layers().front().dense_weights();
  auto next = columns.begin();
  for (Index i = 0; i < weights.rows(); ++i) {
    if (next != columns.end() && *next == i) {
      ++next;
    } else if ((weights.row(i).array() != 0).any()) {
      throw InvalidArgument("network", "weights of zero for inputs that it does not look at",
                            "others", "input " + std::to_string(i));
    }
  }
  if (next != columns.end()) {
    throw InvalidArgument("columns", "ascending numbers below " + std::to_string(weights.rows()),
                          std::to_string(*next));
  }
  auto layers = network.layers();
  layers.front() = {weights(columns, kAll), network.layers().front().bias()};
  return ReluNetwork<Scalar>(std::move(layers));
}

/// \param values     of the gated solution, n x c
/// \param objective  of the gated problem
template <class Scalar>
void require_same_values(const ReluNetwork<Scalar>& network, const RowMatrix<double>& values,
                         const Dataset<double>& data, double objective, const Loss& loss) {
  const double difference = value_difference(network, values, data, objective, loss);
  if (difference <= recovery_tolerance<Scalar>()) return;
  throw InvalidArgument("network", "the values of the gated solution at the samples",
                        "others, by " + to_text(difference) + " of its root mean square error");
}

}  // namespace detail

/// Adds the patterns of a network's own neurons to those of a witness, so that the bound is about
/// this network too: after polishing it may have left the cones that it was solved in. Nothing
/// without gates, where all patterns are meant.
///
/// \param data  as for recertify()
template <class Scalar>
void cover(CertificateWitness& witness, const Dataset<double>& data,
           const ReluNetwork<Scalar>& network) {
  if (witness.gates.size() == 0) return;
  const ReluNetwork<Scalar> on_columns = detail::restricted(network, witness.columns);
  const RowMatrix<double> neurons =
      to_solution(on_columns, {.bias = witness.bias, .output_bias = true}).hidden;
  RowMatrix<double> vectors(witness.gates.rows() + neurons.rows(), witness.gates.cols());
  vectors << witness.gates, neurons;
  witness.gates = Gates(data.inputs(), vectors, witness.bias).vectors();
}

/// The certificate of a grade, from the samples of its convex problem, the network and what else it
/// was computed from.
///
/// \param data     columns `witness.columns` of the grade's inputs, and its targets
/// \param network  on all of the grade's inputs, in the unit of the targets
/// \param lambda   the penalty
/// \throws InvalidArgument if the arguments do not fit together, as certify(); also if the values
///         of a gated solution are not those of the network, see recovery_tolerance()
template <class Scalar>
Certificate recertify(const CertificateWitness& witness, double lambda, const Dataset<double>& data,
                      const ReluNetwork<Scalar>& network, const Executor& threads = {}) {
  const ReluNetwork<Scalar> on_columns = detail::restricted(network, witness.columns);
  if (witness.gated) {
    if (witness.gated->output_bias != witness.output_bias) {
      throw InvalidArgument("output_bias", "the one of the gated solution", "another one");
    }
    const Gates gates(data.inputs(), witness.gates, witness.bias, witness.scope);
    GatedSolution solution = *witness.gated;
    solution.lambda = lambda;
    solution.loss = witness.loss;
    solution.dual = witness.dual;
    const Certificate certificate = certify(data, gates, solution, threads);
    detail::require_same_values(on_columns, predict(solution, gates, data.inputs(), threads), data,
                                certificate.primal, solution.loss);
    return certificate;
  }
  ReluSolution point = to_solution(on_columns, {.lambda = lambda,
                                                .bias = witness.bias,
                                                .output_bias = witness.output_bias,
                                                .separate_outputs = witness.separate_outputs});
  point.loss = witness.loss;
  point.dual = witness.dual;
  if (witness.gates.size() == 0) return certify_all_patterns(data, point, witness.bias, threads);
  return certify(data, Gates(data.inputs(), witness.gates, witness.bias, witness.scope), point,
                 threads);
}

}  // namespace mgdl
