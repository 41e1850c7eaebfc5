// Samples of a data set that is gone must not be pointed to.
// must fail with: taking (the )?address of

#include "mgdl/core/dataset.hpp"

mgdl::Dataset<double> make();

double first(const mgdl::Dataset<double>& data) {
#ifdef MGDL_MUST_NOT_COMPILE
  const mgdl::RowMatrix<double>* inputs = &make().inputs();
#else
  const mgdl::RowMatrix<double>* inputs = &data.inputs();
#endif
  return (*inputs)(0, 0);
}

int main() { return 0; }
