#include "mgdl/training/verify_model_impl.hpp"
