#pragma once

#include <concepts>
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

/// Throws InvalidArgument that names file and column unless rounding to float32 leaves of each
/// column what is in it: it moves values by at most 1e-4 of the column's standard deviation (root
/// mean squares), and keeps at least half of all distinct values apart.
/// \param names  of the columns; none: their numbers, from 1
void check_survives_float32(const std::string& file, const Matrix<double>& values,
                            const std::vector<std::string>& names = {});

/// The first half of that for values that are not all there at a time: how far rounding moves them.
class Float32Rounding {
 public:
  explicit Float32Rounding(Index cols)
      : m_mean(Vector<double>::Zero(cols)), m_squares(m_mean), m_moved(m_mean), m_largest(m_mean) {}

  void add(const ConstRowMatrixRef<double>& rows);

  /// \throws InvalidArgument as check_survives_float32
  void check(const std::string& file, const std::vector<std::string>& names) const;

 private:
  double m_count = 0;
  Vector<double> m_mean, m_squares;  ///< of each column, the squares around the mean
  Vector<double> m_moved;            ///< sum of squares
  Vector<double> m_largest;
};

/// The values in the number type of a model.
/// \throws InvalidArgument if they do not survive that
template <class Scalar>
Matrix<Scalar> in_scalar(const std::string& file, const Matrix<double>& values,
                         const std::vector<std::string>& names = {}) {
  if constexpr (std::same_as<Scalar, double>) {
    return values;
  } else {
    check_survives_float32(file, values, names);
    return values.template cast<Scalar>();
  }
}

extern template void check_values(const std::string&, const Matrix<float>&);
extern template void check_values(const std::string&, const Matrix<double>&);

}  // namespace mgdl::command
