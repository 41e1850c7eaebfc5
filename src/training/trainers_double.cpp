#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

template class mgdl::ConstructiveTrainer<double>;
template class mgdl::ConvexTrainer<double>;
template class mgdl::GradientTrainer<double>;
template class mgdl::SampledTrainer<double>;
template class mgdl::MultigradeTrainer<double>;
