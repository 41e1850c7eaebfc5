#include "mgdl/training/sampled_trainer_impl.hpp"

template class mgdl::SampledTrainer<float>;
template class mgdl::SampledTrainer<double>;
