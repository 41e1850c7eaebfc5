#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

template class mgdl::ConstructiveTrainer<float>;
template class mgdl::GradientTrainer<float>;
template class mgdl::MultigradeTrainer<float>;
