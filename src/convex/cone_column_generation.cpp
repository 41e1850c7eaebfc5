#include "mgdl/convex/cone/column_generation_impl.hpp"
