#pragma once

#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What the lower bound of a certificate is a bound of.
enum class DualBound {
  Exact,              ///< the dual of the problem itself: at the optimum the gap is zero
  SpectralRelaxation  ///< shared neurons: a valid bound that need not be tight
};

/// The enumerator's name.
constexpr const char* to_string(DualBound bound) noexcept {
  return bound == DualBound::Exact ? "Exact" : "SpectralRelaxation";
}

/// Proof of how far a solution can be from the optimum, recomputed from the raw data: the optimum
/// lies between `dual` and `primal`. Made by certify() and certify_all_patterns(), checked by
/// verify().
///
/// `dual` bounds the optimum over the networks that `scope` covers. With SampledPatterns these are
/// the networks whose neurons lie in the cones of the given gates, so for a solution outside of all
/// of them (cone_violation > 0) it is a bound for the others but not for the solution itself. With
/// AllPatterns they are all networks with one hidden layer, of any width.
struct Certificate {
  double primal = 0;      ///< objective of the solution
  double dual = 0;        ///< lower bound of the optimum
  double lambda = 0;      ///< the penalty
  double lambda_max = 0;  ///< smallest penalty with the zero solution (or a bound, see certify)
  double cone_violation =
      0;  ///< ReLU: largest violation of x~.v >= 0 (or <= 0) relative to |x~||v|
  /// Objectives below this are rounding: 1e-22 of 1/2 sum_i w_i |y_i|^2; for a quantile 1e-11 of
  /// sum_i w_i |y_i|.
  double rounding = 0;
  PatternScope scope = PatternScope::SampledPatterns;  ///< what the bound covers
  DualBound bound = DualBound::Exact;                  ///< how it was made
  Index patterns = 0;  ///< distinct ones that the bound covers; 0: all of them, or not known
  Loss loss = {};      ///< what the objective is about

  /// How far above the optimum the solution can be.
  double gap() const noexcept { return primal - dual; }
  /// The gap as part of the objective (of `rounding`, if the objective is less).
  double relative_gap() const noexcept {
    const double unit = primal > rounding ? primal : rounding;
    return unit > 0 ? gap() / unit : 0;
  }
};

/// What the bound covers, in a few words.
inline std::string scope_text(const Certificate& certificate) {
  std::ostringstream text;
  text << to_string(certificate.scope);
  if (certificate.patterns > 0) text << " (" << certificate.patterns << ")";
  text << ", " << to_string(certificate.bound) << ", cone violation " << certificate.cone_violation;
  return text.str();
}

/// Three lines: the objective and its bound, the penalty, what is covered; before these the loss,
/// if it is not the squared one.
inline std::ostream& operator<<(std::ostream& out, const Certificate& certificate) {
  if (!certificate.loss.is_squared()) out << "loss " << certificate.loss << "\n";
  return out << "objective " << certificate.primal << ", optimum at least " << certificate.dual
             << " (relative gap " << certificate.relative_gap() << ")\nlambda "
             << certificate.lambda << ", lambda_max " << certificate.lambda_max << "\n"
             << to_string(certificate.scope) << ", bound " << to_string(certificate.bound)
             << ", cone violation " << certificate.cone_violation << "\n";
}

/// What a grade's certificate was computed from, beside the samples and the network: whoever has
/// all three can compute it again, see recertify() and verify_model().
struct CertificateWitness {
  /// Columns of the grade's inputs that its neurons look at, ascending; the samples of the convex
  /// problem are these.
  std::vector<Index> columns;
  /// The problem's targets are the residual, in the model's standardised unit, divided by this
  /// power of two.
  double unit = 1;
  /// Whether x~ = [x 1] or x~ = x.
  bool bias = true;
  /// Whether there is an output bias without penalty.
  bool output_bias = false;
  /// Of the problem.
  Loss loss = {};
  /// Whether every output has neurons of its own.
  bool separate_outputs = true;
  /// Gate vectors, P x p, with distinct patterns. None: the claim is about all patterns, which are
  /// found from the samples.
  RowMatrix<double> gates = {};
  /// What the gates were known to hold.
  PatternScope scope = PatternScope::SampledPatterns;
  /// The point of the gated problem that the certificate is about, on these gates; its network has
  /// the same values at the samples. None: the certificate is about the network itself.
  std::optional<GatedSolution> gated = {};
  /// ReluSolution::dual or GatedSolution::dual, n x c; may be empty.
  RowMatrix<double> dual = {};
};

/// The witness of a solution; its columns and its unit are left to be set.
///
/// \param gates     what the problem was solved over; none: all kinks of one input
/// \param solution  the network
/// \param gated     of which it has the values, if the gated problem was solved
inline CertificateWitness make_witness(const std::optional<Gates>& gates,
                                       const ReluSolution& solution,
                                       std::optional<GatedSolution> gated) {
  CertificateWitness witness;
  witness.output_bias = solution.output_bias;
  witness.loss = solution.loss;
  witness.separate_outputs = solution.separate_outputs;
  witness.dual = gated ? gated->dual : solution.dual;
  if (gates) {
    witness.bias = gates->bias();
    witness.scope = gates->scope();
    // For a network, all patterns are found from the samples.
    if (gated || witness.scope != PatternScope::AllPatterns) witness.gates = gates->vectors();
  }
  witness.gated = std::move(gated);
  return witness;
}

/// What recertify() needs for the certificate of the network itself, as a point of the ReLU problem
/// with the penalty and the patterns of the gated one.
///
/// \param witness  of a gated problem or of a network, which it then is itself
inline CertificateWitness network_witness(CertificateWitness witness) {
  witness.gated.reset();
  return witness;
}

}  // namespace mgdl
