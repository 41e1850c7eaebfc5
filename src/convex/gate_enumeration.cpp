#include "mgdl/convex/gate_enumeration_impl.hpp"
