#include "mgdl/training/constructive_trainer_impl.hpp"
