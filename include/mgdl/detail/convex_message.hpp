#pragma once

#include <sstream>
#include <string>

#include "mgdl/convex/convex_report.hpp"

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

}  // namespace mgdl::detail
