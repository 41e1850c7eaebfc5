#include "mgdl/convex/trend_filter/trend_filter_impl.hpp"
