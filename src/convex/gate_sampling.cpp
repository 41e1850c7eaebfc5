#include "mgdl/convex/gate_sampling_impl.hpp"
