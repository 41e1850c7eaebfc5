// Inputs in double for a model in float.
// must fail with: .*another type of number than Scalar

#include "mgdl/network/multigrade_model.hpp"

double at(const mgdl::MultigradeModel<float>& model, const Eigen::MatrixXd& X) {
#ifdef MGDL_MUST_NOT_COMPILE
  return static_cast<double>(model.predict(X)(0, 0));
#else
  return static_cast<double>(model.predict(X.cast<float>())(0, 0));
#endif
}

int main() { return 0; }
