#include "mgdl/convex/recovery_impl.hpp"
