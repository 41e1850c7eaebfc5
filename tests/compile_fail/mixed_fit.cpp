// A fit of samples in float by a trainer in double.
// must fail with: .*another type of number than Scalar

#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

int main() {
  const Eigen::VectorXf x = Eigen::VectorXf::LinSpaced(9, 0, 1);
  mgdl::MultigradeTrainer trainer(mgdl::SampledTrainer<double>({.width = 3}));
#ifdef MGDL_MUST_NOT_COMPILE
  const auto fit = trainer.fit(x, x);
#else
  const auto fit = trainer.fit(x.cast<double>(), x.cast<double>());
#endif
  return fit.model.grades() > 0 ? 0 : 1;
}
