#pragma once

#include <string>

#include "mgdl/convex/certificate.hpp"
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
