#pragma once

#include <cmath>
#include <limits>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

/// \file
/// From solutions of the convex problems to networks and back.

namespace mgdl {

/// The network of a ReLU solution: the same function, with as few neurons as that takes.
///
/// Neurons without an effect (hidden or output zero) are left out. Neurons whose hidden vectors are
/// positive multiples of each other, up to rounding (unit vectors within 8 eps), become one with
/// the sum of their outputs. Every neuron is balanced: hidden and output have the same length, the
/// one for which |hidden|^2 + |output|^2 is least, so that weight decay of the network is the
/// penalty of the solution. The order is that of the solution. Without neurons there is one of
/// zeros.
///
/// \param bias  whether the last column of solution.hidden is the bias of the hidden layer
///              (p = d + 1)
/// \throws InvalidArgument if parts of the solution do not fit together, or if a weight overflows
template <class Scalar = double>
ReluNetwork<Scalar> to_network(const ReluSolution& solution, bool bias = true);

/// A ReLU solution of one input as the piecewise linear function that it is, on [lower, upper].
///
/// \param bias  as for to_network()
/// \throws InvalidArgument for another number of inputs than 1, as to_network(), and for bounds
/// that
///         are not finite with lower < upper
template <class Real = double>
PiecewiseLinear to_spline(const ReluSolution& solution, double lower, double upper,
                          bool bias = true) {
  const ReluNetwork<Real> network = to_network<Real>(solution, bias);
  MultigradeModel<Real> model(Standardizer<Real>::identity(network.inputs()),
                              Standardizer<Real>::identity(network.outputs()));
  model.add_grade({network});
  return to_spline(model, lower, upper);
}

/// Which problem a network is to be taken as a solution of: see ReluSolution.
struct NetworkProblem {
  double lambda = 0;             ///< the penalty, >= 0
  bool bias = true;              ///< whether x~ = [x 1] or x~ = x
  bool output_bias = false;      ///< whether there is an output bias without penalty
  bool separate_outputs = true;  ///< whether every output has neurons of its own
};

/// A network as a point of the ReLU problem, to be certified. Its neurons belong to no gate (-1).
///
/// \throws InvalidArgument for more than one hidden layer, for biases that the problem does not
///         have, or for a negative or infinite penalty
template <class Scalar>
ReluSolution to_solution(const ReluNetwork<Scalar>& network, const NetworkProblem& problem);

/// How gated units become ReLU neurons.
enum class ConeDecomposition {
  Exact,       ///< two neurons that give the same values at the samples, of least total length
  Approximate  ///< two neurons near to the unit and to its negative; other values, shorter
};

/// What to_relu has done, on the samples of the problem.
struct RecoveryReport {
  /// Largest violation of the cones by the neurons, relative to |x~||v|: rounding.
  double violation = 0;
  /// Largest difference of a value at a sample, relative to the largest value of the gated model.
  double difference = 0;
  /// Units (columns of U_j) that had to be approximated although Exact was asked for: those in
  /// cones without interior.
  Index approximated = 0;
  double penalty_gated = 0;    ///< sum_j ||U_j||_F
  double penalty_relu = 0;     ///< sum_k |hidden_k| |output_k|: the price of the cones
  double objective_gated = 0;  ///< of the gated problem
  double objective_relu = 0;   ///< of the ReLU problem with the same penalty
};

/// What to_relu returns.
struct RecoveredRelu {
  ReluSolution solution;  ///< with separate outputs
  RecoveryReport report;  ///< what the conversion has cost
};

/// Makes ReLU neurons from a gated solution: every column u of an active block U_j is written as
/// v - w with v and w in the cone of pattern j, so that D_j X~ u = max(0, X~ v) - max(0, X~ w).
///
/// With ConeDecomposition::Exact the network has the values of the gated model at the samples, up
/// to rounding, and v, w are the shortest for which that is so; in a narrow cone they can be longer
/// than u by any factor. With Approximate, v and w are the projections of u and -u onto the cone,
/// no longer than u, and the network has other values. The report says what that costs.
///
/// Source: Mishkin, Sahiner & Pilanci, "Fast convex optimization for two-layer ReLU networks"
/// (arXiv 2202.01331), section 3.
///
/// \throws InvalidArgument if the arguments do not fit together or hold NaN or infinities
template <class Scalar>
RecoveredRelu to_relu(const Dataset<Scalar>& data, const Gates& gates, const GatedSolution& gated,
                      ConeDecomposition method = ConeDecomposition::Exact,
                      const Executor& threads = {});

/// How recover() has found the neurons of a network.
enum class RecoveryMethod {
  Shortest,     ///< the shortest neurons with the same values, ConeDecomposition::Exact
  Conditioned,  ///< neurons with the same values that are shortest in the metric of the samples
  Refitted      ///< these and the nearest ones, with the output weights that come nearest
};

/// The enumerator's name.
constexpr const char* to_string(RecoveryMethod method) noexcept {
  switch (method) {
    case RecoveryMethod::Shortest: return "Shortest";
    case RecoveryMethod::Conditioned: return "Conditioned";
    case RecoveryMethod::Refitted: return "Refitted";
  }
  return "unknown";
}

/// What recover() returns.
struct Recovery {
  ReluSolution solution = {};                        ///< with separate outputs
  RecoveryReport report = {};                        ///< what the conversion has cost
  RecoveryMethod method = RecoveryMethod::Shortest;  ///< how the network was found
  /// Root mean square of what the values of the network, its weights rounded to Scalar, differ from
  /// those of the gated solution, in units of sqrt(2 P) + 1e-3 s, P the gated objective (with the
  /// loss of a quantile: of P + 1e-3 s) and s the standard deviation of the targets: the network's
  /// loss exceeds the gated one by little of P, or where P is next to nothing, by little of 1e-6 of
  /// what there is to fit.
  double difference = 0;
  /// Whether the difference is at most recovery_tolerance(): what is proven of the gated solution
  /// then holds for the values of the network.
  bool same_values = false;
};

/// The largest Recovery::difference of a network that counts as the gated solution: 1e-6 in double,
/// 1e-3 in float.
template <class Scalar>
constexpr double recovery_tolerance() noexcept {
  return sizeof(Scalar) < sizeof(double) ? 1e-3 : 1e-6;
}

/// The ReLU network that is nearest to a gated solution at the samples, of those that can be found
/// and computed with: where cones are thin, the exact decomposition of to_relu() has neurons so
/// long that rounding them moves the sum. Then tried are the decomposition in coordinates in which
/// the samples have the unit matrix as covariance, and last the neurons of both, and the
/// projections of the units, with output weights from a regularised least squares fit to the values
/// of the gated solution.
///
/// \tparam Scalar  of the network that is to be made
/// \throws InvalidArgument as to_relu()
template <class Scalar = double>
Recovery recover(const Dataset<double>& data, const Gates& gates, const GatedSolution& gated,
                 const Executor& threads = {});

}  // namespace mgdl

namespace mgdl::detail {

/// Recovery::difference.
/// \param values     of the gated solution, n x c
/// \param objective  of the gated problem with this loss
template <class Scalar>
double value_difference(const ReluNetwork<Scalar>& network, const RowMatrix<double>& values,
                        const Dataset<double>& data, double objective, const Loss& loss) {
  require_cols("network", values.cols(), network.outputs());
  const RowMatrix<Scalar> X = data.inputs().template cast<Scalar>();
  const RowMatrix<double> other = network.predict(X, /*threads=*/1).template cast<double>();
  const Vector<double> roots = data.weights().cwiseSqrt();
  const double difference = (roots.asDiagonal() * (values - other)).stableNorm();
  if (difference == 0) return 0;
  const RowVector<double> mean = data.weights().transpose() * data.targets();
  const double deviation =
      (roots.asDiagonal() * (data.targets().rowwise() - mean).eval()).stableNorm();
  const double error = loss.kind == LossKind::Quantile ? objective : std::sqrt(2 * objective);
  const double unit = error + 1e-3 * deviation;
  return unit > 0 ? difference / unit : std::numeric_limits<double>::infinity();
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl {
extern template Recovery recover<float>(const Dataset<double>&, const Gates&, const GatedSolution&,
                                        const Executor&);
extern template Recovery recover<double>(const Dataset<double>&, const Gates&, const GatedSolution&,
                                         const Executor&);
extern template ReluNetwork<float> to_network(const ReluSolution&, bool);
extern template ReluNetwork<double> to_network(const ReluSolution&, bool);
extern template ReluSolution to_solution(const ReluNetwork<float>&, const NetworkProblem&);
extern template ReluSolution to_solution(const ReluNetwork<double>&, const NetworkProblem&);
extern template RecoveredRelu to_relu(const Dataset<float>&, const Gates&, const GatedSolution&,
                                      ConeDecomposition, const Executor&);
extern template RecoveredRelu to_relu(const Dataset<double>&, const Gates&, const GatedSolution&,
                                      ConeDecomposition, const Executor&);
}  // namespace mgdl
#else
#include "mgdl/convex/recovery_impl.hpp"  // IWYU pragma: export
#endif
