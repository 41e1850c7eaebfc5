#include "mgdl/training/convex_trainer_impl.hpp"

template class mgdl::ConvexTrainer<float>;
template class mgdl::ConvexTrainer<double>;
