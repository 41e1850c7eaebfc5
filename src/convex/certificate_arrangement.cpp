#include "mgdl/convex/certificate/arrangement_impl.hpp"
