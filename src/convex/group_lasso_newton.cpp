#include "mgdl/convex/group_lasso/newton_impl.hpp"
