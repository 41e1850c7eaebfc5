#include "mgdl/detail/certify_impl.hpp"
