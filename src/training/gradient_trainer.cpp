#include "mgdl/training/gradient_trainer_impl.hpp"
