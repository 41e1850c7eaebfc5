#pragma once

/// \file
/// The convex solvers and their certificates. Apart from mgdl/mgdl.hpp because what is used of them
/// takes its time to compile; see docs/convex.md on how to pay for that once.

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/convex_report.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/gates.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/verify_model.hpp"
