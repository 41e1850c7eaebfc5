#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certificate/arrangement.hpp"
#include "mgdl/convex/certificate/half_spaces.hpp"
#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The left sides of the dual constraints, and the best multiple of a residual that satisfies them.

namespace mgdl::detail {

/// Makes values sum to 0, to the last bit: rounds them to whole numbers of a unit, 2^-50 of the
/// largest one's power of two, and takes what these sum to from that value which can bear it.
///
/// Over the samples, x~_i N_i may cancel down to what N sums to times |x~_i|, which can be large.
///
/// \param bearer  whose value takes what is left
template <class Column>
void centre_exactly(Column&& N, Index bearer) {
  const double largest = N.size() > 0 ? N.cwiseAbs().maxCoeff() : 0;
  if (!(largest > 0) || !std::isfinite(largest)) return;
  const int exponent = std::ilogb(largest) - 50;
  std::uint64_t sum = 0;  // modulo 2^64; what is left is small
  for (Index i = 0; i < N.size(); ++i) {
    const double units = std::nearbyint(std::ldexp(N[i], -exponent));
    N[i] = std::ldexp(units, exponent);
    sum += static_cast<std::uint64_t>(static_cast<std::int64_t>(units));
  }
  const auto left = static_cast<double>(static_cast<std::int64_t>(sum));
  N[bearer] -= std::ldexp(left, exponent);
}

/// Residuals with the sums that the objective and the dual need.
template <class Real>
struct CertifyResidual {
  /// N = W (Y - f), n x c; with an output bias Y - f is centred first, so that every column sums to
  /// 0, exactly.
  RowMatrix<Real> weighted;
  /// <N, Y>, one value an output.
  Vector<Real> linear;
  /// <N, W^-1 N>, one value an output.
  Vector<Real> quadratic;
  Real loss = 0;  ///< 1/2 sum_i w_i |y_i - f_i - bias|^2, not centred; or another loss of these
  /// The largest multiple of N whose slopes N_i / w_i the loss has; multiples are not negative
  /// then.
  Real longest = std::numeric_limits<Real>::infinity();
};

/// A loss as its conjugate sees it: L*(s) = curvature s^2 / 2 for slopes s between the bounds.
struct LossSlopes {
  long double curvature, lower, upper;

  explicit LossSlopes(const Loss& loss) {
    const long double parameter = loss.parameter;
    const bool huber = loss.kind == LossKind::Huber;
    curvature = huber ? 1 : 0;
    lower = huber ? -parameter : parameter - 1;
    upper = parameter;
  }

  /// L(r), the largest s r - L*(s).
  long double value(long double r) const {
    if (curvature == 0) return std::max(lower * r, upper * r);
    const long double s = clip(r);
    return s * r - s * s / 2;
  }
  long double clip(long double s) const { return std::clamp(s, lower, upper); }
};

/// Slopes shifted so that they sum to 0 with the weights: those of clip(s_i - t), for the t where
/// that is so.
template <class Wide>
void centre_slopes(const LossSlopes& loss, const Vector<double>& w, Vector<Wide>& slopes) {
  const Vector<Wide> before = slopes;
  const auto shifted = [&](Wide shift) {
    Wide sum = 0;
    for (Index i = 0; i < slopes.size(); ++i) {
      slopes[i] = loss.clip(before[i] - shift);
      sum += w[i] * slopes[i];
    }
    return sum;
  };
  Wide low = before.minCoeff() - loss.upper;
  Wide high = before.maxCoeff() - loss.lower;
  while (true) {  // the sum falls with the shift
    const Wide middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) break;
    (shifted(middle) > 0 ? low : high) = middle;
  }
  // Where the sum jumps, the values between both sides are slopes as well: it is a kink.
  const Wide above = shifted(low);
  const Vector<Wide> at_low = slopes;
  const Wide below = shifted(high);
  if (above > below) slopes += (-below / (above - below)) * (at_low - slopes);
}

/// Slopes of a kinked loss at residuals: those at zero are open, and with an output bias share what
/// the others leave.
template <class Wide>
void kinked_slopes(const LossSlopes& loss, const Vector<double>& w, bool centred,
                   const Vector<Wide>& residual, Vector<Wide>& slopes) {
  std::vector<Index> order;
  Wide total = 0;
  for (Index i = 0; i < residual.size(); ++i) {
    if (w[i] > 0) order.push_back(i);
    total += w[i];
  }
  Wide kink = 0;
  if (centred) {  // at the quantile of the residuals
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return residual[a] < residual[b]; });
    Wide below = 0;
    for (const Index i : order) {
      kink = residual[i];
      below += w[i];
      if (below >= loss.upper * total * (1 - 1e-14L)) break;
    }
  }
  Wide sum = 0, open = 0;
  for (Index i = 0; i < residual.size(); ++i) {
    const Wide r = residual[i] - kink;
    slopes[i] = r > 0 ? loss.upper : r < 0 ? loss.lower : 0;
    sum += w[i] * slopes[i];
    if (r == 0) open += w[i];
  }
  if (!centred || !(open > 0)) return;
  for (Index i = 0; i < residual.size(); ++i) {
    if (residual[i] == kink) slopes[i] = loss.clip(-sum / open);
  }
}

/// certify_residual() for the other losses.
///
/// \param dual  N, n x c, of a dual point to take instead of the slopes at the residuals; null:
/// none
template <class Real>
CertifyResidual<Real> certify_slopes(const Dataset<Real>& data, const RowMatrix<Real>& prediction,
                                     const RowVector<Real>& bias, bool centred, const Loss& which,
                                     const RowMatrix<Real>* dual = nullptr) {
  using Wide = long double;
  const LossSlopes loss(which);
  const Index n = data.size();
  const Index c = data.targets().cols();
  const Vector<Real>& w = data.weights();
  CertifyResidual<Real> result;
  result.weighted.resize(n, c);
  result.linear.resize(c);
  result.quadratic.resize(c);
  Index heaviest = 0;
  w.maxCoeff(&heaviest);
  Wide total_loss = 0;
  Wide longest = std::numeric_limits<Wide>::infinity();
  Vector<Wide> residual(n), slopes(n);
  for (Index o = 0; o < c; ++o) {
    for (Index i = 0; i < n; ++i) {
      residual[i] = static_cast<Wide>(data.targets()(i, o)) - static_cast<Wide>(prediction(i, o)) -
                    (centred ? 0 : bias[o]);
      total_loss += w[i] * loss.value(residual[i] - (centred ? bias[o] : 0));
    }
    if (dual != nullptr) {
      for (Index i = 0; i < n; ++i) {
        slopes[i] = w[i] > 0 ? loss.clip(static_cast<Wide>((*dual)(i, o)) / w[i]) : 0;
      }
      if (centred) centre_slopes(loss, w, slopes);
    } else if (loss.curvature == 0) {
      kinked_slopes(loss, w, centred, residual, slopes);
    } else {
      slopes = residual;
      if (centred) centre_slopes(loss, w, slopes);
      for (Wide& slope : slopes) slope = loss.clip(slope);
    }
    auto N = result.weighted.col(o);
    for (Index i = 0; i < n; ++i) N[i] = static_cast<Real>(w[i] * slopes[i]);
    if (centred) centre_exactly(N, heaviest);
    Wide linear = 0;
    Wide quadratic = 0;
    const Wide mean = centred ? w.dot(data.targets().col(o)) / w.sum() : 0;
    for (Index i = 0; i < n; ++i) {
      if (N[i] == 0) continue;
      const Wide slope = static_cast<Wide>(N[i]) / w[i];
      linear += N[i] * (data.targets()(i, o) - mean);
      quadratic += N[i] * slope;
      longest = std::min(longest, (slope > 0 ? loss.upper : loss.lower) / slope);
    }
    result.linear[o] = static_cast<Real>(linear);
    result.quadratic[o] = static_cast<Real>(loss.curvature * quadratic);
  }
  result.loss = static_cast<Real>(total_loss);
  // Rounded down.
  result.longest = static_cast<Real>(longest) * (1 - std::numeric_limits<Real>::epsilon());
  return result;
}

/// \param prediction  f without output bias, n x c
template <class Real>
CertifyResidual<Real> certify_residual(const Dataset<Real>& data, const RowMatrix<Real>& prediction,
                                       const RowVector<Real>& bias, bool centred,
                                       const Loss& loss_of_residuals = {}) {
  if (!loss_of_residuals.is_squared()) {
    return certify_slopes(data, prediction, bias, centred, loss_of_residuals);
  }
  using Wide = long double;
  const Index n = data.size();
  const Index c = data.targets().cols();
  const Vector<Real>& w = data.weights();
  CertifyResidual<Real> result;
  result.weighted.resize(n, c);
  result.linear.resize(c);
  result.quadratic.resize(c);
  Wide loss = 0;
  const auto total = w.template cast<Wide>().sum();
  Index heaviest = 0;
  w.maxCoeff(&heaviest);
  Vector<Wide> residual(n);
  for (Index o = 0; o < c; ++o) {
    Wide target_mean = 0;
    for (Index i = 0; i < n; ++i) {
      residual[i] = static_cast<Wide>(data.targets()(i, o)) - static_cast<Wide>(prediction(i, o));
      const Wide rest = residual[i] - bias[o];
      loss += w[i] * rest * rest;
      target_mean += static_cast<Wide>(w[i]) * data.targets()(i, o);
    }
    target_mean /= total;
    // Twice: where predictions without bias are large, the first mean leaves their rounding.
    for (int pass = 0; centred && pass < 2; ++pass) {
      Wide mean = 0;
      for (Index i = 0; i < n; ++i) mean += w[i] * residual[i];
      mean /= total;
      for (Index i = 0; i < n; ++i) residual[i] -= mean;
    }
    auto N = result.weighted.col(o);
    for (Index i = 0; i < n; ++i) N[i] = static_cast<Real>(w[i] * residual[i]);
    if (centred) centre_exactly(N, heaviest);
    Wide linear = 0;
    Wide quadratic = 0;
    for (Index i = 0; i < n; ++i) {
      if (N[i] == 0) continue;
      linear += N[i] * (data.targets()(i, o) - (centred ? target_mean : 0));
      quadratic += static_cast<Wide>(N[i]) * N[i] / w[i];
    }
    result.linear[o] = static_cast<Real>(linear);
    result.quadratic[o] = static_cast<Real>(quadratic);
  }
  result.loss = static_cast<Real>(loss / 2);
  return result;
}

/// The same for any point N of the dual instead of W R, without loss. Of samples without weight N
/// is 0; with an output bias columns are made to sum to 0.
///
/// \param name  of N in messages
template <class Real>
CertifyResidual<Real> certify_dual_point(const Dataset<Real>& data, const RowMatrix<Real>& N,
                                         bool centred, const Loss& loss, const std::string& name) {
  require_rows(name, data.size(), N.rows());
  require_cols(name, data.targets().cols(), N.cols());
  require_finite(name, N);
  const Vector<Real>& w = data.weights();
  if (!loss.is_squared()) {
    return certify_slopes<Real>(data, data.targets(), RowVector<Real>::Zero(N.cols()), centred,
                                loss, &N);
  }
  RowMatrix<Real> residual = RowMatrix<Real>::Zero(N.rows(), N.cols());
  for (Index i = 0; i < N.rows(); ++i) {
    if (w[i] > 0) residual.row(i) = N.row(i) / w[i];
  }
  // With the residual as targets and nothing predicted, all that counts is where <N, Y> comes from.
  CertifyResidual<Real> result = certify_residual<Real>(Dataset<Real>(data.inputs(), residual, w),
                                                        RowMatrix<Real>::Zero(N.rows(), N.cols()),
                                                        RowVector<Real>::Zero(N.cols()), centred);
  for (Index o = 0; o < N.cols(); ++o) {
    long double linear = 0;
    for (Index i = 0; i < N.rows(); ++i) {
      linear += static_cast<long double>(result.weighted(i, o)) * data.targets()(i, o);
    }
    result.linear[o] = static_cast<Real>(linear);
  }
  return result;
}

/// The largest <N, Y> - 1/2 |W^{-1/2} N|^2 over N = s W R with |s| maximum <= lambda, where
/// `maximum` is the left side of the constraints at W R; at least 0, the value at s = 0. Another
/// loss has 0 <= s <= longest, and its conjugate instead of |W^{-1/2} N|^2.
template <class Real>
Real largest_dual(Real linear, Real quadratic, Real maximum, Real lambda,
                  Real longest = std::numeric_limits<Real>::infinity()) {
  Real limit = maximum > 0 ? lambda / maximum : std::numeric_limits<Real>::infinity();
  if (std::isfinite(longest)) {
    limit = std::min(limit, longest);
    const Real best = quadratic > 0 ? linear / quadratic : linear > 0 ? limit : 0;
    const Real s = std::clamp<Real>(best, 0, limit);
    return std::max(0.0, s * (linear - s * quadratic / 2));
  }
  if (!(quadratic > 0)) return 0;  // R = 0
  const Real s = std::clamp(linear / quadratic, -limit, limit);
  return std::max(0.0, s * (linear - s * quadratic / 2));
}

/// Largest ||C_j||_F over the gates; column j of `products` holds C_j, p x c, column by column,
/// from row `first` on.
template <class Real>
Real frobenius_maximum(const Matrix<Real>& products, Index first, Index size) {
  Real maximum = 0;
  for (Index j = 0; j < products.cols(); ++j) {
    maximum = std::max(maximum, safe_norm(products.col(j).segment(first, size)));
  }
  return maximum;
}

/// Largest spectral norm of C_j over the gates; arguments as above.
template <class Real>
Real spectral_maximum(const Matrix<Real>& products, Index first, Index p, Index c) {
  Real maximum = 0;
  std::vector<Real> gram(static_cast<std::size_t>(c * c));
  for (Index j = 0; j < products.cols(); ++j) {
    const Real* C = products.col(j).data() + first;
    // The Frobenius norm is no smaller.
    if (products.col(j).segment(first, p * c).norm() <= maximum) continue;
    for (Index a = 0; a < c; ++a) {
      for (Index b = 0; b < c; ++b) {
        Real sum = 0;
        for (Index k = 0; k < p; ++k) sum += C[a * p + k] * C[b * p + k];
        gram[static_cast<std::size_t>(a * c + b)] = sum;
      }
    }
    const std::vector<Real> v = largest_eigenvector(gram, c);
    Real squared = 0;
    for (Index k = 0; k < p; ++k) {
      Real sum = 0;
      for (Index a = 0; a < c; ++a) sum += C[a * p + k] * v[static_cast<std::size_t>(a)];
      squared += sum * sum;
    }
    maximum = std::max(maximum, std::sqrt(squared));
  }
  return maximum;
}

template <class Real>
void raise(std::atomic<Real>& value, Real candidate) {
  Real current = value.load();
  while (candidate > current && !value.compare_exchange_weak(current, candidate)) {
  }
}

/// For every q the largest {|u.c_j| : u in the cone of gate j, |u| <= 1} over the gates, rounded
/// up; c_j is column q of C_j, and a column of `products` holds C_j, p x q, column by column.
///
/// The maximum for a gate is the longer projection of c_j and -c_j onto its cone. The gate itself
/// lies in the cone, which gives a lower bound, and gates whose upper bound is below the largest
/// lower bound need no projection. What is skipped depends on the order in which threads come by,
/// the result does not: a gate is skipped only if its bound is below the final maximum.
template <class Real>
std::vector<Real> cone_maxima(const CertifySamples<Real>& samples, const Gates& gates,
                              const Matrix<Real>& products, ThreadPool& pool) {
  const Index p = samples.dimension();
  const Index quantities = products.rows() / p;
  std::vector<std::atomic<Real>> maxima(static_cast<std::size_t>(quantities));
  const Vector<Real> gate_norms = gates.vectors().rowwise().norm();
  for (Index j = 0; j < gates.size(); ++j) {
    if (gate_norms[j] == 0) continue;
    for (Index q = 0; q < quantities; ++q) {
      const Real along = gates.vectors().row(j).dot(products.col(j).segment(q * p, p));
      raise<Real>(maxima[static_cast<std::size_t>(q)], std::abs(along) / gate_norms[j]);
    }
  }
  std::vector<HalfSpaces<Real>> cones(static_cast<std::size_t>(pool.size()), HalfSpaces(samples));
  pool.parallel_for(gates.size(), [&](Index j, int thread) {
    HalfSpaces<Real>& cone = cones[static_cast<std::size_t>(thread)];
    bool ready = false;
    for (Index q = 0; q < quantities; ++q) {
      std::atomic<Real>& maximum = maxima[static_cast<std::size_t>(q)];
      const Vector<Real> c = products.col(j).segment(q * p, p);
      for (const Real sign : {1.0, -1.0}) {
        if (c.norm() <= maximum.load()) break;
        if (!ready) cone.set_gate(gates.vectors().row(j).data());
        ready = true;
        raise<Real>(maximum, cone.project(sign * c, {}, maximum.load()).length);
      }
    }
  });
  return {maxima.begin(), maxima.end()};
}

/// See Certificate::rounding.
template <class Real>
Real rounding_of(const RowMatrix<Real>& targets, const Vector<Real>& weights, const Loss& loss) {
  constexpr Real kRounding = 1e-11;
  if (loss.kind == LossKind::Quantile) {
    return kRounding * weights.dot(targets.cwiseAbs().rowwise().sum());
  }
  return kRounding * kRounding * 0.5 * weights.dot(targets.rowwise().squaredNorm());
}

[[noreturn]] inline void throw_infinite_objective() {
  throw InvalidArgument("solution", "a finite objective", "an overflow");
}

/// [R Y], so that both get their constraints in one pass over the samples.
template <class Real>
RowMatrix<Real> side_by_side(const RowMatrix<Real>& left, const RowMatrix<Real>& right) {
  RowMatrix<Real> both(left.rows(), left.cols() + right.cols());
  both << left, right;
  return both;
}

/// The best dual value of multiples of a point, with the left sides of its constraints: one for
/// each output, or one for all.
template <class Real>
Real dual_value(const CertifyResidual<Real>& point, const std::vector<Real>& maxima, Real lambda) {
  const Index problems = std::ssize(maxima);
  const Index outputs = point.linear.size() / problems;
  Real value = 0;
  for (Index o = 0; o < problems; ++o) {
    value += largest_dual(point.linear.segment(o * outputs, outputs).sum(),
                          point.quadratic.segment(o * outputs, outputs).sum(),
                          maxima[static_cast<std::size_t>(o)], lambda, point.longest);
  }
  return value;
}

/// Objective and dual of a ReLU solution, once the left sides of the constraints are known: first
/// those for its residuals, one for each output or one for all of them, then as many for the
/// targets.
template <class Real>
void complete_relu(const CertifyResidual<Real>& residual, const std::vector<Real>& maxima,
                   const ReluSolution& solution, Certificate& certificate) {
  Real penalty = 0;
  for (Index k = 0; k < solution.hidden.rows(); ++k) {
    const Real output = solution.separate_outputs ? solution.output.row(k).template lpNorm<1>()
                                                  : safe_norm(solution.output.row(k));
    penalty += safe_norm(solution.hidden.row(k)) * output;
  }
  certificate.lambda = solution.lambda;
  certificate.loss = solution.loss;
  certificate.primal = residual.loss + solution.lambda * penalty;
  const auto middle = maxima.begin() + std::ssize(maxima) / 2;
  certificate.dual = dual_value<Real>(residual, {maxima.begin(), middle}, solution.lambda);
  certificate.lambda_max = *std::max_element(middle, maxima.end());
  if (!std::isfinite(certificate.primal)) throw_infinite_objective();
}

/// Left sides of the constraints over all patterns: one for each output, or one for all of them.
template <class Real>
std::vector<Real> all_patterns_maxima(const CertifySamples<Real>& samples, const RowMatrix<Real>& N,
                                      bool separate, ThreadPool& pool) {
  const Matrix<Real> X = samples.values().topRows(samples.size());
  const Index problems = separate ? N.cols() : 1;
  const Index outputs = N.cols() / problems;
  std::vector<Real> maxima(static_cast<std::size_t>(problems));
  pool.parallel_for(problems, [&](Index k, int) {
    maxima[static_cast<std::size_t>(k)] =
        all_patterns_maximum<Real>(X, N.middleCols(k * outputs, outputs));
  });
  return maxima;
}

template <class Real>
Certificate certify_all_patterns(const Dataset<Real>& data, const ReluSolution& solution,
                                 const CertifySamples<Real>& samples, ThreadPool& pool) {
  const Index c = data.targets().cols();
  const auto residual = certify_residual<Real>(data, predict_relu(samples, solution, c, pool),
                                               solution.bias, solution.output_bias, solution.loss);
  if (!std::isfinite(residual.loss)) throw_infinite_objective();
  const auto zero =
      certify_residual<Real>(data, RowMatrix<Real>::Zero(data.size(), c), RowVector<Real>::Zero(c),
                             solution.output_bias, solution.loss);
  Certificate certificate;
  certificate.rounding = rounding_of(data.targets(), data.weights(), solution.loss);
  certificate.scope = PatternScope::AllPatterns;
  const bool separate = solution.separate_outputs;
  auto maxima = all_patterns_maxima(samples, residual.weighted, separate, pool);
  const auto at_zero = all_patterns_maxima(samples, zero.weighted, separate, pool);
  maxima.insert(maxima.end(), at_zero.begin(), at_zero.end());
  complete_relu(residual, maxima, solution, certificate);
  if (solution.dual.size() > 0) {
    const auto point = certify_dual_point(data, solution.dual, solution.output_bias, solution.loss,
                                          "ReluSolution.dual");
    certificate.dual =
        std::max(certificate.dual,
                 dual_value(point, all_patterns_maxima(samples, point.weighted, separate, pool),
                            solution.lambda));
  }
  return certificate;
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template CertifyResidual<double> certify_residual(const Dataset<double>&,
                                                         const RowMatrix<double>&,
                                                         const RowVector<double>&, bool,
                                                         const Loss&);
}  // namespace mgdl::detail
#endif
