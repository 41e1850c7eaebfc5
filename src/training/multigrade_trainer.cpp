#include "mgdl/training/multigrade_trainer_impl.hpp"

template class mgdl::MultigradeTrainer<float>;
template class mgdl::MultigradeTrainer<double>;
