#pragma once

#include <cstdlib>
#include <string>

/// \file
/// Runs other programs, compilers for one.

namespace mgdl::test {

/// Exit code of a command of the shell; -1 if it was ended by a signal.
inline int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return status >= 0 && status % 256 == 0 ? status / 256 : -1;
}

inline bool has_program(const std::string& name) {
  return shell("command -v " + name + " > /dev/null 2>&1") == 0;
}

/// A path as one word of a command.
inline std::string quoted(const std::string& path) { return "'" + path + "'"; }

}  // namespace mgdl::test
