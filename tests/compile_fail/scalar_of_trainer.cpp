// A trainer in long double.
// must fail with: .*Scalar is float or double

#include "mgdl/training/gradient_trainer.hpp"

#ifdef MGDL_MUST_NOT_COMPILE
using Number = long double;
#else
using Number = double;
#endif

int main() { return mgdl::GradientTrainer<Number>({.width = 4}).options().width == 4 ? 0 : 1; }
