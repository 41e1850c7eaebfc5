#pragma once

#include <sstream>
#include <string>
#include <utility>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// What GatedReluSolver or ReluSolver did.
struct ConvexReport {
  Termination termination = Termination::NotRun;  ///< why it stopped
  std::string message;                            ///< one sentence on the outcome
  Certificate certificate;     ///< of the returned solution, recomputed from the raw data
  Index samples = 0;           ///< n
  Index dimension = 0;         ///< p
  Index outputs = 0;           ///< c
  Index patterns = 0;          ///< P
  Index active_groups = 0;     ///< groups (gated) or neurons (ReLU) that are not zero
  Index iterations = 0;        ///< Newton steps or proximal gradient steps
  double elapsed_seconds = 0;  ///< wall time of solve()
};

}  // namespace mgdl

namespace mgdl::detail {

/// One sentence on the outcome of a convex solver.
inline std::string convex_message(const ConvexReport& report) {
  std::ostringstream text;
  text.precision(3);
  const Certificate& certificate = report.certificate;
  switch (report.termination) {
    case Termination::ToleranceReached: text << "solved"; break;
    case Termination::NoProgress: text << "rounding allows no further progress"; break;
    case Termination::NumericalFailure: text << "a non-finite value arose"; break;
    default: text << "stopped early"; break;
  }
  if (certificate.lambda == 0) {
    text << ": least squares of least norm, without a bound";
  } else {
    text << ": at most " << certificate.relative_gap() << " of the objective above the optimum";
  }
  return text.str();
}

/// Fills in what is known once a solution has its certificate; termination and iterations are
/// there.
template <class Real>
void complete(ConvexReport& report, const Dataset<Real>& data, Index dimension, Index patterns,
              Index active, Certificate certificate) {
  report.certificate = std::move(certificate);
  report.samples = data.size();
  report.dimension = dimension;
  report.outputs = data.targets().cols();
  report.patterns = patterns;
  report.active_groups = active;
  report.message = convex_message(report);
}

/// Weighted means of the columns of `values`: the best output bias for residuals.
template <class Real>
RowVector<Real> weighted_means(const Dataset<Real>& data, const RowMatrix<Real>& values) {
  return data.weights().transpose() * values / data.weights().sum();
}

}  // namespace mgdl::detail
