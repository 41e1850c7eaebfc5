#pragma once

#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

/// \file
/// Figures that documentation quotes, see `script/benchmark --help`.

namespace mgdl_benchmark {

/// Writes a figure to the file that the environment variable MGDL_FIGURES names, if there is one.
/// \param key  what the documentation names it by, without blanks
inline void figure(const std::string& key, double value) {
  const char* path = std::getenv("MGDL_FIGURES");
  if (path == nullptr) return;
  std::ofstream out(path, std::ios::app);
  out.precision(std::numeric_limits<double>::max_digits10);
  out << key << ' ' << value << '\n';
}

}  // namespace mgdl_benchmark
