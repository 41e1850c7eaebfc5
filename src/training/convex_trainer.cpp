#include "mgdl/training/convex_trainer_impl.hpp"
