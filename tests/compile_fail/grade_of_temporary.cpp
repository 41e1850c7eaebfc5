// A grade of a model that is gone must not be pointed to.
// must fail with: taking (the )?address of

#include "mgdl/network/multigrade_model.hpp"

mgdl::MultigradeModel<double> make();

double train_rse(const mgdl::MultigradeModel<double>& model) {
#ifdef MGDL_MUST_NOT_COMPILE
  const auto* grade = &make().grade(1);
#else
  const auto* grade = &model.grade(1);
#endif
  return grade->train_rse;
}

int main() { return 0; }
