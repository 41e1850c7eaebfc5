#include "mgdl/convex/trend_filter/polish_impl.hpp"
