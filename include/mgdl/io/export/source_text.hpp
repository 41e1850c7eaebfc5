#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "mgdl/core/error.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"

/// \file
/// Names, numbers and arrays as C and C++ source.

namespace mgdl::detail {

/// Keywords of C23 and C++23, and names that are taken where a variable would be.
inline constexpr std::string_view kTakenNames[] = {
    "alignas",   "alignof",   "and",           "and_eq",       "asm",
    "auto",      "bitand",    "bitor",         "bool",         "break",
    "case",      "catch",     "char",          "char16_t",     "char32_t",
    "char8_t",   "class",     "co_await",      "co_return",    "co_yield",
    "compl",     "concept",   "const",         "const_cast",   "consteval",
    "constexpr", "constinit", "continue",      "decltype",     "default",
    "delete",    "do",        "double",        "dynamic_cast", "else",
    "enum",      "explicit",  "export",        "extern",       "false",
    "float",     "for",       "friend",        "goto",         "if",
    "inline",    "int",       "long",          "main",         "mgdl",
    "mutable",   "namespace", "new",           "noexcept",     "not",
    "not_eq",    "nullptr",   "operator",      "or",           "or_eq",
    "private",   "protected", "public",        "register",     "reinterpret_cast",
    "requires",  "restrict",  "return",        "short",        "signed",
    "sizeof",    "static",    "static_assert", "static_cast",  "std",
    "struct",    "switch",    "template",      "this",         "thread_local",
    "throw",     "true",      "try",           "typedef",      "typeid",
    "typename",  "typeof",    "typeof_unqual", "union",        "unsigned",
    "using",     "virtual",   "void",          "volatile",     "wchar_t",
    "while",     "xor",       "xor_eq"};

/// Throws InvalidArgument unless `name` can be that of a variable in C and C++: letters, digits and
/// underscores, no keyword, and none of the names that both languages keep for themselves.
inline void require_identifier(const char* argument, const std::string& name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (name.empty() || !is_letter(name.front()) || !std::ranges::all_of(name, fits)) {
    throw InvalidArgument(argument, "an identifier of C", excerpt(name));
  }
  if (std::ranges::find(kTakenNames, name) != std::end(kTakenNames)) {
    throw InvalidArgument(argument, "an identifier that is free in C and C++", excerpt(name));
  }
  const bool reserved = name.front() == '_' || name.find("__") != std::string::npos;
  if (!reserved) return;
  throw InvalidArgument(argument, "an identifier without a leading or a double underscore",
                        excerpt(name));
}

/// 16 hexadecimal digits that differ for different texts, up to chance. FNV-1a, 64 bits.
inline std::string digest(std::string_view text) {
  std::uint64_t value = 0xCBF29CE484222325u;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  std::string digits(16, '0');
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, value >>= 4) {
    *digit = "0123456789abcdef"[value & 15];
  }
  return digits;
}

/// Preprocessor lines after which a second model called `name` is an error, instead of one that is
/// never looked at, or that shares its names with the first.
inline std::string claim_of(const std::string& name) {
  return "#ifdef MGDL_MODEL_" + name + "\n#error \"two models are called " + name +
         " here: export one of them under another name\"\n#endif\n#define MGDL_MODEL_" + name +
         "\n";
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

/// The numbers of a vector, or of a row-major matrix.
template <class Values>
auto span_of(const Values& values) {
  return std::span(values.data(), static_cast<std::size_t>(values.size()));
}

}  // namespace mgdl::detail
