// A model of integers.
// must fail with: .*Scalar is float or double

#include "mgdl/network/multigrade_model.hpp"

#ifdef MGDL_MUST_NOT_COMPILE
using Number = int;
#else
using Number = float;
#endif

int main() { return mgdl::MultigradeModel<Number>().inputs() == 0 ? 0 : 1; }
