#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"

template class mgdl::ConstructiveTrainer<double>;
template class mgdl::GradientTrainer<double>;
template class mgdl::MultigradeTrainer<double>;
