#include "mgdl/detail/regularization_path_impl.hpp"
