// A view of samples in float for a problem in double.
// must fail with: .*another type of number than Scalar

#include "mgdl/core/dataset.hpp"

int main() {
  const mgdl::Matrix<float> X = mgdl::Matrix<float>::Ones(3, 2);
  const mgdl::Vector<double> w = mgdl::Vector<double>::Constant(3, 0.25);
#ifdef MGDL_MUST_NOT_COMPILE
  const mgdl::SampleView<double> view{X, X, w};
#else
  const mgdl::SampleView<float> view{X, X, w.cast<float>()};
#endif
  return view.size() == 3 ? 0 : 1;
}
