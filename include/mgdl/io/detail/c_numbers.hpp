#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "mgdl/core/error.hpp"
#include "mgdl/io/detail/number_text.hpp"
#include "mgdl/io/file.hpp"

/// \file
/// Numbers and arrays as C and C++ source.

namespace mgdl::detail {

/// Throws InvalidArgument unless `name` can be that of a variable in C and C++; keywords are not
/// looked for.
inline void require_identifier(const char* argument, const std::string& name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (!name.empty() && is_letter(name.front()) && std::ranges::all_of(name, fits)) return;
  throw InvalidArgument(argument, "an identifier of C", excerpt(name));
}

/// A literal of the same type and value.
template <class Number>
std::string c_number(Number value) {
  std::string text;
  append_number(text, value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return sizeof(Number) == sizeof(float) ? text + "f" : text;
}

/// A definition, `declaration = {...};`, of lines that are not too long; print(value) gives the
/// text of each value.
template <class Values, class Print>
std::string array(const std::string& declaration, const Values& values, const Print& print) {
  constexpr std::size_t kLine = 100;
  std::string text = declaration + " = {\n ";
  std::size_t line = 0;
  bool first = true;
  for (const auto value : values) {
    const std::string number = print(value);
    if (!first) text += ',';
    if (line + 1 + number.size() > kLine) {
      text += "\n ";
      line = 0;
    }
    text += ' ';
    text += number;
    line += number.size() + 2;
    first = false;
  }
  return text + "};\n";
}

}  // namespace mgdl::detail
