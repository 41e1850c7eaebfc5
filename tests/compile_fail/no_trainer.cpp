// A trainer whose fit returns no GradeFit.
// must fail with: .*a trainer has to have a function

#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"

struct Trainer {
  using Scalar = double;

#ifdef MGDL_MUST_NOT_COMPILE
  mgdl::ReluNetwork<double>
#else
  mgdl::GradeFit<double>
#endif
  fit(const mgdl::GradeProblem<double>& problem);

  int width = 3;
};

int main() {
  using Fit = mgdl::MultigradeFit<double>(const Trainer&, const Eigen::VectorXd&);
  Fit* const fit = [](const Trainer& trainer, const Eigen::VectorXd& x) {
    return mgdl::MultigradeTrainer(trainer, {.max_grades = 2}).fit(x, x);
  };
  return fit == nullptr ? 1 : 0;
}
