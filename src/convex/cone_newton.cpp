#include "mgdl/convex/cone/newton_impl.hpp"
