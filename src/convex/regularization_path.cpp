#include "mgdl/convex/regularization_path_impl.hpp"
