#pragma once

#include <string>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"

/// \file
/// Certificates: duality gaps of solutions, from the raw data, by code that shares nothing with the
/// solvers.
///
/// A dual point is N = s W R (over all patterns also the multiples of ReluSolution.dual), where R =
/// Y - f are the residuals of the solution (with an output bias: centred, so that N sums to 0) and
/// s is the best factor for which N satisfies the dual constraints. Its value <N, Y> - 1/2 sum_i
/// |N_i|^2 / w_i is a lower bound of the optimum whatever the solution is, and equals the objective
/// at the optimum. For lambda = 0 it is 0, except where R satisfies the constraints X~' D_j W R = 0
/// to the last bit: there is no gap to be seen without a penalty.
///
/// Sums are rounded, to about 1e-13 of the sum of the absolute values of their terms; maxima over
/// patterns by projections and by all_patterns_maximum() are rounded up.

namespace mgdl {

/// Certificate of a point of the gated problem
///
///     min_U  1/2 sum_i w_i |y_i - sum_j D_j,ii x~_i U_j - b|^2 + lambda sum_j ||U_j||_F,
///
/// b only if solution.output_bias. The dual constraints are ||X~' D_j N||_F <= lambda for all
/// gates. O(n P p c) operations, O(P p c) numbers beside the samples.
///
/// The scope is AllPatterns if the gates say so and a count confirms it: for one or two inputs with
/// bias. Otherwise it is SampledPatterns.
///
/// \param data   the samples of the problem
/// \param gates  gates of these samples; only their vectors are used
/// \throws InvalidArgument if the arguments do not fit together, hold NaN or infinities, or if the
///         objective overflows
Certificate certify(const Dataset<double>& data, const Gates& gates, const GatedSolution& solution,
                    int threads = 0);

/// Certificate of a network over the cones of the gates,
///
///     1/2 sum_i w_i |y_i - sum_k max(0, x~_i.v_k) o_k - b|^2 + lambda sum_k ||v_k|| |o_k|,
///
/// b only if solution.output_bias. With separate outputs |o_k| is the sum of absolute values, so
/// that a neuron counts once for every output that it serves, and there is a dual for each output;
/// otherwise it is the Euclidean norm. The objective is that of the network: gates play no part.
///
/// The dual constraints are those of the patterns: ||Proj(+-X~' D_j N)|| <= lambda with projections
/// onto the cones {u : (2 D_j - I) X~ u >= 0}. For shared neurons and more than one output they are
/// replaced by ||X~' D_j N||_2 <= lambda (spectral norm), which is stronger: the bound is then
/// SpectralRelaxation, and lambda_max is an upper bound of the penalty that makes zero optimal.
///
/// The dual bounds the objective of networks in the cones. cone_violation says how far this one is
/// outside of those that solution.gates names, samples of weight 0 included; a neuron with gate -1
/// counts with the nearest cone. A claim over SampledPatterns is as good as this number.
///
/// If the gates say AllPatterns and p <= 3, the constraint is the maximum over all patterns, found
/// from the samples alone as in certify_all_patterns(), and the scope is AllPatterns. Otherwise it
/// is SampledPatterns.
///
/// \throws InvalidArgument if the arguments do not fit together, hold NaN or infinities, or if the
///         objective overflows
Certificate certify(const Dataset<double>& data, const Gates& gates, const ReluSolution& solution,
                    int threads = 0);

/// Certificate of a network among all networks with one hidden layer: over all patterns that the
/// samples admit, without gates. solution.gates is not used and there are no cones to violate.
///
/// The dual constraint is max over unit vectors u of |sum_i max(0, x~_i.u) N_i| <= lambda, for each
/// output or, with shared neurons, for vectors N_i; the bound is exact in both cases. It is found
/// by sorting in O(n log n) for p <= 2, and in the arrangement of the samples' great circles in
/// about O(n^2 log n) for p = 3.
///
/// \param bias  whether x~ = [x 1] (p = d + 1) or x~ = x (p = d)
/// \throws InvalidArgument for p > 3, if the arguments do not fit together, hold NaN or infinities,
///         or if the objective overflows
Certificate certify_all_patterns(const Dataset<double>& data, const ReluSolution& solution,
                                 bool bias = true, int threads = 0);

/// What verify() has found.
struct Verification {
  bool valid = false;      ///< whether the claim of the certificate is true
  Certificate recomputed;  ///< the certificate as it should be
  std::string message;     ///< the first field that claims too much, or that there is none
};

namespace detail {

Verification compare_certificates(const Certificate& stated, const Certificate& recomputed,
                                  double tolerance);

}  // namespace detail

/// Recomputes a certificate and says whether its claim is true: primal, lambda and lambda_max are
/// what is found, and nothing is claimed that is stronger than what is found. A smaller dual, a
/// larger cone violation, SampledPatterns for AllPatterns or SpectralRelaxation for Exact are
/// weaker claims and so true.
///
/// \param solution   GatedSolution or ReluSolution
/// \param tolerance  at least 0; of primal and dual relative to primal, of lambda and lambda_max
///                   relative to themselves, of the cone violation as it is
/// \throws InvalidArgument as certify()
template <class Solution>
Verification verify(const Certificate& certificate, const Dataset<double>& data, const Gates& gates,
                    const Solution& solution, double tolerance = 1e-9, int threads = 0) {
  return detail::compare_certificates(certificate, certify(data, gates, solution, threads),
                                      tolerance);
}

/// The same for certify_all_patterns().
Verification verify_all_patterns(const Certificate& certificate, const Dataset<double>& data,
                                 const ReluSolution& solution, bool bias = true,
                                 double tolerance = 1e-9, int threads = 0);

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/convex/certify_impl.hpp"  // IWYU pragma: export
#endif
