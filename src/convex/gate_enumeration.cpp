#include "mgdl/detail/gate_enumeration_impl.hpp"
