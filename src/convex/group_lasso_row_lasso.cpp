#include "mgdl/convex/group_lasso/row_lasso_impl.hpp"
