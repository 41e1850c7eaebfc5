#include "mgdl/detail/relu_solver_impl.hpp"
