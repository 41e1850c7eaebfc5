// A Termination is not a truth value: NotRun would be false and NumericalFailure true.
// must fail with: .*Termination

#include "mgdl/core/termination.hpp"

int main() {
  constexpr mgdl::Termination termination = mgdl::Termination::ToleranceReached;
#ifdef MGDL_MUST_NOT_COMPILE
  if (termination) return 0;
#else
  if (is_usable(termination)) return 0;
#endif
  return 1;
}
