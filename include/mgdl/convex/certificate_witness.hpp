#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "mgdl/convex/gated_solution.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/relu_solution.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

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
  /// ReluSolution::dual, n x c; may be empty.
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
  witness.separate_outputs = solution.separate_outputs;
  witness.dual = solution.dual;
  if (gates) {
    witness.bias = gates->bias();
    witness.scope = gates->scope();
    // For a network, all patterns are found from the samples.
    if (gated || witness.scope != PatternScope::AllPatterns) witness.gates = gates->vectors();
  }
  witness.gated = std::move(gated);
  return witness;
}

}  // namespace mgdl
