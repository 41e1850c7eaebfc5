#pragma once

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

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

/// Calls of the compilers that are there, up to the output: with all warnings, of `source`.c as C99
/// and of `source`.cpp as C++.
inline std::vector<std::string> c_compilers(const std::string& source) {
  std::vector<std::string> lines;
  const std::vector<std::array<std::string, 3>> known{{"gcc", "c99", "c"},
                                                      {"clang", "c99", "c"},
                                                      {"g++", "c++11", "cpp"},
                                                      {"clang++", "c++20", "cpp"}};
  for (const auto& [name, standard, suffix] : known) {
    if (!has_program(name)) continue;
    lines.push_back(name + " -std=" + standard +
                    " -O1 -Wall -Wextra -pedantic -Wconversion -Wshadow -Werror " +
                    quoted(source + "." + suffix));
  }
  return lines;
}

}  // namespace mgdl::test
