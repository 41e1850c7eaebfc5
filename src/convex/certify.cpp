#include "mgdl/convex/certify_impl.hpp"
