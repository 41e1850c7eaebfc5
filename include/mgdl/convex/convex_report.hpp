#pragma once

#include <algorithm>
#include <limits>
#include <sstream>
#include <string>
#include <utility>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl {

/// What GatedReluSolver or ReluSolver did.
struct ConvexReport {
  Termination termination = Termination::NotRun;  ///< why it stopped
  std::string message;                            ///< one sentence on the outcome
  Certificate certificate;  ///< of the returned solution, recomputed from the raw data
  Index samples = 0;        ///< n
  Index dimension = 0;      ///< p
  Index outputs = 0;        ///< c
  Index patterns = 0;       ///< P
  Index active_groups = 0;  ///< groups (gated) or neurons (ReLU) that are not zero
  Index iterations = 0;     ///< Newton steps or proximal gradient steps
  /// Gated: matrices that Newton's method has factorised, which is most of its work; a step with
  /// the matrix of an earlier one is cheap.
  Index factorisations = 0;
  /// Gated: whether Newton's method computed with the products of columns alone, whose number the
  /// samples are many times; else with the samples.
  bool covariance = false;
  double elapsed_seconds = 0;  ///< wall time of solve()
};

}  // namespace mgdl

namespace mgdl::detail {

/// The termination that the certificate allows, which the solver had no part in: with its gap
/// within the tolerance nothing is left to do, and without it the tolerance was not reached.
inline Termination judged(Termination termination, const Certificate& certificate,
                          double tolerance) {
  if (termination == Termination::NumericalFailure) return termination;
  // What rounding can make of a certificate.
  constexpr double kRounding = 1e-10;
  const double gap = certificate.relative_gap();
  if (gap <= tolerance) return Termination::ToleranceReached;
  const bool reached = gap <= 1.01 * tolerance + kRounding;
  return termination == Termination::ToleranceReached && !reached ? Termination::NoProgress
                                                                  : termination;
}

/// The longest column of X~ by the smallest factor of its columns in their order: no more than its
/// condition. 1 where there are fewer samples than columns.
template <class Real>
Real column_condition(const Dataset<Real>& data, bool bias) {
  const Index d = data.inputs().cols();
  Matrix<Real> X = Matrix<Real>::Ones(data.size(), d + (bias ? 1 : 0));
  X.rightCols(d) = data.inputs();
  if (X.rows() < X.cols()) return 1;
  X /= X.cwiseAbs().maxCoeff();
  const Vector<Real> factors =
      orthogonal_coordinates<Real>(X, Matrix<Real>::Zero(X.rows(), 1)).first.diagonal().cwiseAbs();
  const Real longest = X.colwise().norm().maxCoeff();
  return longest / std::max(factors.minCoeff(), std::numeric_limits<Real>::min());
}

/// One sentence on the outcome of a convex solver.
inline std::string convex_message(const ConvexReport& report, const ConvexOptions& options) {
  std::ostringstream text;
  text.precision(3);
  const Certificate& certificate = report.certificate;
  if (certificate.lambda == 0 && report.termination == Termination::NoProgress) {
    text << "least squares of least norm, without a bound";
    return text.str();
  }
  switch (report.termination) {
    case Termination::ToleranceReached: text << "solved"; break;
    case Termination::NoProgress:
      text << "no step lowers the objective beyond rounding any more";
      break;
    case Termination::NumericalFailure: text << "a non-finite value arose"; break;
    default: text << "stopped early"; break;
  }
  text << ": at most " << certificate.relative_gap() << " of the objective above the optimum";
  const bool asked = options.lambda || options.lambda_ratio >= 1 || options.lambda_ratio == 0;
  if (!asked && (certificate.lambda == 0 || certificate.lambda >= certificate.lambda_max)) {
    text
        << "; what the patterns explain of the targets is rounding, so that the penalty is that of "
           "the solution zero";
  }
  return text.str();
}

/// Fills in what is known once a solution has its certificate; termination and iterations are
/// there.
template <class Real>
void complete(ConvexReport& report, const ConvexOptions& options, const Dataset<Real>& data,
              Index dimension, Index patterns, Index active, Certificate certificate) {
  report.certificate = std::move(certificate);
  report.termination = judged(report.termination, report.certificate, options.relative_tolerance);
  report.samples = data.size();
  report.dimension = dimension;
  report.outputs = data.targets().cols();
  report.patterns = patterns;
  report.active_groups = active;
  report.message = convex_message(report, options);
  if (report.termination != Termination::NoProgress || report.certificate.lambda == 0) return;
  // The smaller the penalty is, the larger are the multiples of X~ X~' that a step adds to 1.
  constexpr Real kLarge = 1e8;
  const Real condition = column_condition(data, dimension > data.inputs().cols());
  const Real ratio = report.certificate.lambda / report.certificate.lambda_max;
  if (!(condition * condition > kLarge * std::min<Real>(1, ratio))) return;
  std::ostringstream text;
  text.precision(1);
  text << "; the columns of X~ have a condition of at least " << condition;
  if (ratio < 0.1) text << ", and the penalty is small";
  text << ", so that cones and sums are thinner than rounding: subtract the means of the inputs "
          "and divide by their deviations first";
  report.message += text.str();
}

/// Weighted means of the columns of `values`: the best output bias for residuals.
template <class Real>
RowVector<Real> weighted_means(const Dataset<Real>& data, const RowMatrix<Real>& values) {
  return data.weights().transpose() * values / data.weights().sum();
}

/// The same for any loss: the constants of least loss.
template <class Real>
RowVector<Real> best_constants(const Loss& loss, const Dataset<Real>& data,
                               const RowMatrix<Real>& values) {
  if (loss.is_squared()) return weighted_means(data, values);
  RowVector<Real> result(values.cols());
  for (Index o = 0; o < values.cols(); ++o) {
    result[o] = best_constant(loss, values.col(o), data.weights());
  }
  return result;
}

}  // namespace mgdl::detail
