// Only float and double are computed in; the error says so, and names the type.
// must fail with: .*(Scalar is float or double|long double)

#include "mgdl/core/dataset.hpp"

#ifdef MGDL_MUST_NOT_COMPILE
using Number = long double;
#else
using Number = double;
#endif

int main() {
  const mgdl::Matrix<Number> X = mgdl::Matrix<Number>::Ones(3, 2);
  return mgdl::Dataset(X, X).size() == 3 ? 0 : 1;
}
