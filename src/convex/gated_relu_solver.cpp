#include "mgdl/detail/gated_relu_solver_impl.hpp"
