#include "mgdl/convex/group_lasso/masked_products_impl.hpp"
