#include "mgdl/training/gradient_trainer_impl.hpp"

template class mgdl::GradientTrainer<float>;
template class mgdl::GradientTrainer<double>;
