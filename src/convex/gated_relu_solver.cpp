#include "mgdl/convex/gated_relu_solver_impl.hpp"
