#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/convex_trainer.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

template class mgdl::ConstructiveTrainer<float>;
template class mgdl::ConvexTrainer<float>;
template class mgdl::GradientTrainer<float>;
template class mgdl::SampledTrainer<float>;
template class mgdl::MultigradeTrainer<float>;
