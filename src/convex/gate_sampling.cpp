#include "mgdl/detail/gate_sampling_impl.hpp"
