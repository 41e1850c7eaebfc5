#include "mgdl/training/constructive_trainer_impl.hpp"

template class mgdl::ConstructiveTrainer<float>;
template class mgdl::ConstructiveTrainer<double>;
