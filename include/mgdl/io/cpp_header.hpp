#pragma once

#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/export/source_text.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/network/fixed_model.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/version.hpp"

namespace mgdl {

/// Writes a model as a C++ header that defines the FixedModel `NAME`, with all numbers in it: a
/// program that includes it predicts with `NAME.predict(x)`, to the same bits as this model, and
/// reads no file. A second model of this name in one source file does not compile; in different
/// source files of one program, each has its own. The object is a constant of the program
/// (`constexpr`) for up to 200,000 parameters; a larger one, for which compilers would need too
/// long, is filled when the program starts.
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

template <class Scalar>
void write_cpp_header(std::ostream& out, const MultigradeModel<Scalar>& model,
                      const std::string& name) {
  detail::require_identifier("name", name);
  if (model.grades() == 0) throw InvalidArgument("model", "at least one grade", "none");
  const std::string scalar = sizeof(Scalar) == sizeof(float) ? "float" : "double";
  std::string type = "mgdl::FixedModel<" + scalar + ", " + std::to_string(model.inputs()) + ", " +
                     std::to_string(model.outputs()) +
                     ", mgdl::FeatureLink::" + to_string(model.link());
  for (Index g = 1; g <= model.grades(); ++g) {
    const auto& layers = model.grade(g).network.layers();
    std::string hidden = "mgdl::HiddenLayers<";
    std::string groups;
    bool grouped = false;
    for (std::size_t l = 0; l + 1 < layers.size(); ++l) {
      hidden += (l > 0 ? ", " : "") + std::to_string(layers[l].outputs());
      groups += ", " + std::to_string(layers[l].groups());
      grouped = grouped || layers[l].groups() > 1;
    }
    hidden += ">";
    if (grouped) hidden = "mgdl::Grouped<" + hidden + groups + ">";
    type += ",\n                         " + hidden;
  }
  const std::vector<Scalar> values = detail::flat_parameters(model);
  const bool constant = values.size() <= 200000;
  const std::string definitions =
      detail::array("inline constexpr " + scalar + " " + name + "_parameters[]", values,
                    [](Scalar value) { return detail::c_number(value); }) +
      "\ninline " + (constant ? "constexpr " : "const ") + type + ">\n    " + name + "(" + name +
      "_parameters);\n";
  // By its content, so that models of one name in several files of a program are not taken for one.
  const std::string space = "mgdl_" + detail::digest(definitions);
  out << "// Written by mgdl " << version() << ". Include it and call " << name << ".predict(x).\n"
      << "#pragma once\n\n#include \"mgdl/network/fixed_model.hpp\"\n\n"
      << detail::claim_of(name) << "\ninline namespace " << space << " {\n\n"
      << definitions << "\n}  // namespace " << space << '\n';
}

template <class Scalar>
void write_cpp_header(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                      const std::string& name) {
  write_file(path, [&](std::ostream& out) { write_cpp_header(out, model, name); });
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template void write_cpp_header(std::ostream&, const MultigradeModel<float>&,
                                      const std::string&);
extern template void write_cpp_header(std::ostream&, const MultigradeModel<double>&,
                                      const std::string&);
extern template void write_cpp_header(const std::filesystem::path&, const MultigradeModel<float>&,
                                      const std::string&);
extern template void write_cpp_header(const std::filesystem::path&, const MultigradeModel<double>&,
                                      const std::string&);
}  // namespace mgdl
#endif
