// Samples in float for a data set in double.
// must fail with: .*another type of number than Scalar

#include "mgdl/core/dataset.hpp"

int main() {
  const mgdl::Matrix<float> X = mgdl::Matrix<float>::Ones(3, 2);
  const mgdl::Matrix<double> Y = mgdl::Matrix<double>::Ones(3, 2);
#ifdef MGDL_MUST_NOT_COMPILE
  const mgdl::Dataset<double> data(X, Y);
#else
  const mgdl::Dataset<double> data(X.cast<double>(), Y);
#endif
  return data.size() == 3 ? 0 : 1;
}
