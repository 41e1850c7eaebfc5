#include "mgdl/training/sampled_trainer_impl.hpp"
