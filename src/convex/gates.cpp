#include "mgdl/detail/gate_enumeration_impl.hpp"
#include "mgdl/detail/gate_sampling_impl.hpp"
