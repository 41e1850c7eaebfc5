#pragma once

#include <string>

#include "mgdl/convex/gates.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl::test {

/// The pattern of a gate, as 0 and 1 for every sample.
inline std::string pattern_of(const Gates& gates, Index j) {
  std::string pattern;
  for (Index i = 0; i < gates.samples(); ++i) pattern += gates.active(i, j) ? '1' : '0';
  return pattern;
}

}  // namespace mgdl::test
