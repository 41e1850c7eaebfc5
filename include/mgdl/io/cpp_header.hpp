#pragma once

#include <filesystem>
#include <ostream>
#include <string>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl {

/// Writes a model as a C++ header that defines the FixedModel `NAME`, with all numbers in it: a
/// program that includes it predicts with `NAME.predict(x)`, to the same bits as this model, and
/// reads no file. The object is a constant of the program (`constexpr`) for up to 200,000
/// parameters; a larger one, for which compilers would need too long, is filled when the program
/// starts.
///
/// \param name  a C++ identifier
/// \throws InvalidArgument for another name, and for a model without grades
template <class Scalar>
void write_cpp_header(std::ostream& out, const MultigradeModel<Scalar>& model,
                      const std::string& name = "model");

/// The same into a file, all of it or nothing.
/// \throws InvalidArgument as above, and if `path` cannot be written
template <class Scalar>
void write_cpp_header(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                      const std::string& name = "model");

#ifdef MGDL_COMPILED
extern template void write_cpp_header(std::ostream&, const MultigradeModel<float>&,
                                      const std::string&);
extern template void write_cpp_header(std::ostream&, const MultigradeModel<double>&,
                                      const std::string&);
extern template void write_cpp_header(const std::filesystem::path&, const MultigradeModel<float>&,
                                      const std::string&);
extern template void write_cpp_header(const std::filesystem::path&, const MultigradeModel<double>&,
                                      const std::string&);
#endif

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/io/cpp_header_impl.hpp"  // IWYU pragma: export
#endif
