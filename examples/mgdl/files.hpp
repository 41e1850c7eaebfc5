#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::command {

/// A file that a command is going to write, and the flag that asks for it.
struct OutputFile {
  const char* flag;
  std::string path;  ///< empty: not asked for
};

/// Checks that all files can be written and that none of them is another one or an input. Changes
/// nothing. To be called before long work, whose result would be lost otherwise.
/// \throws InvalidArgument
void check_outputs(const std::vector<OutputFile>& outputs, const std::vector<std::string>& inputs);

/// A message as it may be shown: control characters, which names of files and of flags may have,
/// are escaped.
std::string one_line(const std::string& text);

/// Prints a message of a command on the standard error stream.
void complain(const std::string& command, const std::string& text);

/// Writes the results of a command. A file that fails must not take the others with it: the work of
/// hours may be in them.
class ResultFiles {
 public:
  explicit ResultFiles(std::string command) : m_command(std::move(command)) {}

  /// Calls write(path), unless no file is asked for, and complains if that throws.
  template <class Write>
  void write(const std::string& path, const Write& write) {
    if (path.empty()) return;
    try {
      write(path);
    } catch (const std::exception& error) {
      complain(m_command, error.what());
      m_failed = true;
    }
  }
  bool failed() const noexcept { return m_failed; }

 private:
  std::string m_command;
  bool m_failed = false;
};

/// The end of a file name, e.g. ".csv", in lower case.
std::string extension_of(const std::string& path);

/// Throws InvalidArgument that names the file unless `values` has a row and a column and is finite.
template <class Scalar>
void check_values(const std::string& file, const Matrix<Scalar>& values);

extern template void check_values(const std::string&, const Matrix<float>&);
extern template void check_values(const std::string&, const Matrix<double>&);

}  // namespace mgdl::command
