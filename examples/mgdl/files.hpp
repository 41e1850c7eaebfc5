#pragma once

#include <string>
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

/// The end of a file name, e.g. ".csv", in lower case.
std::string extension_of(const std::string& path);

/// Throws InvalidArgument that names the file unless `values` has a row and a column and is finite.
template <class Scalar>
void check_values(const std::string& file, const Matrix<Scalar>& values);

extern template void check_values(const std::string&, const Matrix<float>&);
extern template void check_values(const std::string&, const Matrix<double>&);

}  // namespace mgdl::command
