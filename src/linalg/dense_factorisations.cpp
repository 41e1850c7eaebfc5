#include "mgdl/linalg/dense_factorisations_impl.hpp"
