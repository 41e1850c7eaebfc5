#include "mgdl/linalg/adam.hpp"

#include <cmath>

#include "mgdl/core/types.hpp"
#include "mgdl/linalg/simd.hpp"
#include "support/catch.hpp"

namespace {

/// Steps after which some parameter is subnormal, of a unit that only weight decay moves.
template <class Scalar>
int subnormal_steps(Scalar start) {
  constexpr mgdl::Index n = 16;
  constexpr int steps = 60000;
  mgdl::detail::Adam<Scalar> adam(n, 0.9, 0.999, 1e-8);
  mgdl::detail::AlignedVector<Scalar> x(n);
  mgdl::detail::AlignedVector<Scalar> gradient(n);
  gradient.setZero();
  for (mgdl::Index i = 0; i < n; ++i) x[i] = start * static_cast<Scalar>(i + 1);
  int count = 0;
  for (int step = 0; step < steps; ++step) {
    adam.begin_step(5e-3);
    adam.update(0, n, gradient.data(), x.data(), Scalar(2e-5));
    bool subnormal = false;
    for (mgdl::Index i = 0; i < n; ++i) {
      subnormal = subnormal || std::fpclassify(x[i]) == FP_SUBNORMAL;
    }
    count += subnormal;
  }
  return count;
}

}  // namespace

// Arithmetic with them made training of networks with silent units five times slower.
TEST_CASE("Adam: weights that decay become zero, not subnormal", "[linalg/adam]") {
  CHECK(subnormal_steps(1e-3) == 0);
  CHECK(subnormal_steps(1e-3F) == 0);
}
