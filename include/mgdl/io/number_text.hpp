#pragma once

#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

/// \file
/// Numbers as text, the same in every locale. Uses std::from_chars and std::to_chars; a standard
/// library that has them for integers only (__cpp_lib_to_chars undefined) falls back to streams.

namespace mgdl::detail {

enum class NumberStatus { Ok, NotANumber, NotFinite, TooLarge };

template <class Scalar>
struct ParsedNumber {
  NumberStatus status;
  const char* end;  ///< behind the last character that belongs to the number
  Scalar value;
};

/// Parses the longest number at the start of [first, last) with a stream of the classic locale.
template <class Scalar>
ParsedNumber<Scalar> parse_number_with_stream(const char* first, const char* last) {
  const std::string_view text(first, static_cast<std::size_t>(last - first));
  const std::string_view run = text.substr(0, text.find_first_not_of("+-.0123456789eE"));
  std::istringstream in{std::string(run)};
  in.imbue(std::locale::classic());
  Scalar value{};
  in >> value;
  // Overflow sets failbit and the largest value; text that is no number sets failbit and zero.
  const bool failed = in.fail();
  in.clear();
  if (failed && std::abs(value) < std::numeric_limits<Scalar>::max()) {
    return {NumberStatus::NotANumber, first, value};
  }
  return {failed ? NumberStatus::TooLarge : NumberStatus::Ok, first + in.tellg(), value};
}

/// Parses the longest number at the start of [first, last), after an optional '+'. What is too
/// small for Scalar becomes zero or subnormal; "nan", "inf" and "infinity" are recognised as
/// NotFinite.
template <class Scalar>
ParsedNumber<Scalar> parse_number(const char* first, const char* last) {
  const char* start = first;
  if (start != last && *start == '+') ++start;
  if (start == last || (start != first && (*start == '-' || *start == '+'))) {
    return {NumberStatus::NotANumber, first, Scalar{}};
  }
#ifdef __cpp_lib_to_chars
  Scalar value{};
  const auto [end, error] = std::from_chars(start, last, value);
  if (error == std::errc::invalid_argument) return {NumberStatus::NotANumber, first, value};
  // from_chars reports too small and too large alike; only the stream tells which.
  if (error == std::errc::result_out_of_range) return parse_number_with_stream<Scalar>(start, last);
  return {std::isfinite(value) ? NumberStatus::Ok : NumberStatus::NotFinite, end, value};
#else
  const char* word = start + (*start == '-' ? 1 : 0);
  for (const std::string_view name : {"infinity", "inf", "nan"}) {
    if (static_cast<std::size_t>(last - word) < name.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < name.size(); ++i) same = same && (word[i] | 0x20) == name[i];
    if (same) return {NumberStatus::NotFinite, word + name.size(), Scalar{}};
  }
  return parse_number_with_stream<Scalar>(start, last);
#endif
}

/// Appends the fewest digits that read back as the same number, found by trying.
template <class Scalar>
void append_number_with_stream(std::string& text, Scalar value) {
  std::string digits;
  for (int precision = std::numeric_limits<Scalar>::digits10;
       precision <= std::numeric_limits<Scalar>::max_digits10; ++precision) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out.precision(precision);
    out << value;
    digits = out.str();
    const char* first = digits.data();
    const auto back = parse_number_with_stream<Scalar>(first, first + digits.size());
    if (back.status == NumberStatus::Ok && back.value == value)
      break;  // else rounded, or too large
  }
  text += digits;
}

/// Appends the shortest text that reads back as the same number.
template <class Scalar>
void append_number(std::string& text, Scalar value) {
#ifdef __cpp_lib_to_chars
  char digits[64];
  text.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
#else
  append_number_with_stream(text, value);
#endif
}

}  // namespace mgdl::detail
