#include "mgdl/linalg/tiled_cholesky_impl.hpp"
