#include "mgdl/convex/relu_solver_impl.hpp"
