#pragma once

#include <cstdlib>
#include <iostream>

/// \file
/// What the fuzz targets have in common. A target returns for input that is refused with the error
/// that is documented, and ends the program for any other outcome that is not right.

namespace mgdl::fuzz {

/// Ends the program unless `ok`.
inline void require(bool ok, const char* what) {
  if (ok) return;
  std::cerr << what << '\n';
  std::abort();
}

}  // namespace mgdl::fuzz
