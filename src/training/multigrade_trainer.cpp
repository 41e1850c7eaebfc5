#include "mgdl/training/multigrade_trainer_impl.hpp"
