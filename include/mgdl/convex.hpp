#pragma once

/// \file
/// The convex part. Apart from mgdl/mgdl.hpp because it takes much longer to compile than the rest.

#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gates.hpp"
