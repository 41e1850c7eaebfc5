#include "mgdl/linalg/bounded_quadratic_impl.hpp"
