// Trainers of two types of numbers in one driver.
// must fail with: .*this trainer computes in another type of number

#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

int main() {
#ifdef MGDL_MUST_NOT_COMPILE
  using Second = mgdl::SampledTrainer<float>;
#else
  using Second = mgdl::SampledTrainer<double>;
#endif
  mgdl::MultigradeTrainer<double> trainer({mgdl::SampledTrainer<double>(), Second()});
  return trainer.options().max_grades == 4 ? 0 : 1;
}
