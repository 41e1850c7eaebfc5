#pragma once

/// \file
/// Catch2 for tests, version 2 (Debian 12) or version 3. Tests include this header only and use
/// what both versions have, by version 3's names.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>

namespace Catch::Matchers {

/// Version 3 renamed it, because Contains is now a matcher for ranges.
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }

}  // namespace Catch::Matchers
#endif

#include <cstdint>
#include <cstdlib>

namespace mgdl::test {

/// Draws of random problems: `few` guard a change, `many` are for `script/test --thorough`, which
/// sets MGDL_TEST_THOROUGH.
inline int draws(int few, int many) { return std::getenv("MGDL_TEST_THOROUGH") ? many : few; }

/// The seed given by --rng-seed: where all random numbers of a test come from.
inline std::uint32_t seed() {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::getSeed();
#else
  return Catch::rngSeed();
#endif
}

}  // namespace mgdl::test
