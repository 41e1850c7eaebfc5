#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <utility>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

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
/// \param data   the samples of the problem; computed is in double
/// \param gates  gates of these samples; only their vectors are used
/// \throws InvalidArgument if the arguments do not fit together, hold NaN or infinities, or if the
///         objective overflows
template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const GatedSolution& solution,
                    const Executor& threads = {});

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
template <class Scalar>
Certificate certify(const Dataset<Scalar>& data, const Gates& gates, const ReluSolution& solution,
                    const Executor& threads = {});

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
template <class Scalar>
Certificate certify_all_patterns(const Dataset<Scalar>& data, const ReluSolution& solution,
                                 bool bias = true, const Executor& threads = {});

/// What verify() has found.
struct Verification {
  bool valid = false;      ///< whether the claim of the certificate is true
  Certificate recomputed;  ///< the certificate as it should be
  std::string message;     ///< the first field that claims too much, or that there is none
};

namespace detail {

/// verify() with the recomputed certificate.
inline Verification compare_certificates(const Certificate& stated, const Certificate& recomputed,
                                         double tolerance) {
  require_option(tolerance >= 0, "tolerance", "a value >= 0", tolerance);
  Verification result{false, recomputed, {}};
  const auto fails = [&](bool holds, const char* field, const auto& claim, const auto& found) {
    if (holds) return false;
    std::ostringstream text;
    text.precision(12);
    text << field << ": stated " << claim << ", recomputed " << found;
    result.message = text.str();
    return true;
  };
  // Written so that NaN fails.
  const auto near = [&](double a, double b) { return std::abs(a - b) <= tolerance * std::abs(b); };
  const double unit = tolerance * std::max(recomputed.primal, recomputed.rounding);
  const auto& [s, r] = std::pair<const Certificate&, const Certificate&>(stated, recomputed);
  result.valid =
      !fails(s.loss == r.loss, "loss", s.loss, r.loss) &&
      !fails(std::abs(s.primal - r.primal) <= unit, "primal", s.primal, r.primal) &&
      !fails(s.dual <= r.dual + unit, "dual", s.dual, r.dual) &&
      !fails(s.dual <= s.primal + unit, "dual above primal", s.dual, r.dual) &&
      !fails(near(s.lambda, r.lambda), "lambda", s.lambda, r.lambda) &&
      !fails(near(s.lambda_max, r.lambda_max), "lambda_max", s.lambda_max, r.lambda_max) &&
      !fails(std::abs(s.cone_violation - r.cone_violation) <= tolerance, "cone_violation",
             s.cone_violation, r.cone_violation) &&
      !fails(s.patterns == 0 || s.patterns == r.patterns || r.patterns == 0, "patterns", s.patterns,
             r.patterns) &&
      !fails(s.rounding <= r.rounding * (1 + tolerance), "rounding", s.rounding, r.rounding) &&
      !fails(s.scope == r.scope || s.scope == PatternScope::SampledPatterns, "scope",
             to_string(s.scope), to_string(r.scope)) &&
      !fails(s.bound == r.bound || s.bound == DualBound::SpectralRelaxation, "bound",
             to_string(s.bound), to_string(r.bound));
  if (result.valid) result.message = "the certificate holds";
  return result;
}

}  // namespace detail

/// Recomputes a certificate and says whether its claim is true: primal, lambda, lambda_max and cone
/// violation are what is found, the dual is not above the primal, and nothing is claimed that is
/// stronger than what is found. A smaller dual, SampledPatterns for AllPatterns or
/// SpectralRelaxation for Exact are weaker claims and so true.
///
/// \param solution   GatedSolution or ReluSolution
/// \param tolerance  at least 0; of primal and dual relative to primal, of lambda and lambda_max
///                   relative to themselves, of the cone violation as it is
/// \throws InvalidArgument as certify()
template <class Scalar, class Solution>
Verification verify(const Certificate& certificate, const Dataset<Scalar>& data, const Gates& gates,
                    const Solution& solution, double tolerance = 1e-9,
                    const Executor& threads = {}) {
  return detail::compare_certificates(certificate, certify(data, gates, solution, threads),
                                      tolerance);
}

/// The same for certify_all_patterns().
template <class Scalar>
Verification verify_all_patterns(const Certificate& certificate, const Dataset<Scalar>& data,
                                 const ReluSolution& solution, bool bias = true,
                                 double tolerance = 1e-9, const Executor& threads = {}) {
  return detail::compare_certificates(
      certificate, certify_all_patterns(data, solution, bias, threads), tolerance);
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template Certificate certify(const Dataset<float>&, const Gates&, const GatedSolution&,
                                    const Executor&);
extern template Certificate certify(const Dataset<double>&, const Gates&, const GatedSolution&,
                                    const Executor&);
extern template Certificate certify(const Dataset<float>&, const Gates&, const ReluSolution&,
                                    const Executor&);
extern template Certificate certify(const Dataset<double>&, const Gates&, const ReluSolution&,
                                    const Executor&);
extern template Certificate certify_all_patterns(const Dataset<float>&, const ReluSolution&, bool,
                                                 const Executor&);
extern template Certificate certify_all_patterns(const Dataset<double>&, const ReluSolution&, bool,
                                                 const Executor&);
}  // namespace mgdl
#else
#include "mgdl/convex/certify_impl.hpp"  // IWYU pragma: export
#endif
