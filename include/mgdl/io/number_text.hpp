#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

/// \file
/// Numbers as text, the same in every locale.

namespace mgdl::detail {

enum class NumberStatus { Ok, NotANumber, NotFinite, TooLarge };

template <class Scalar>
struct ParsedNumber {
  NumberStatus status;
  const char* end;  ///< behind the last character that belongs to the number
  Scalar value;
};

/// Whether a number that is beyond the range of its type is too large, not too small: whether its
/// first digit that counts stands before the decimal point, once the exponent has moved that.
inline bool is_too_large(std::string_view number) {
  const std::size_t mark = std::min(number.find_first_of("eE"), number.size());
  const std::string_view digits = number.substr(0, mark);
  std::string_view power = number.substr(std::min(mark + 1, number.size()));
  if (power.starts_with('+')) power.remove_prefix(1);
  long exponent = 0;
  const char* end = power.data() + power.size();
  if (std::from_chars(power.data(), end, exponent).ec == std::errc::result_out_of_range) {
    return power.front() != '-';
  }
  const auto point = static_cast<long>(std::min(digits.find('.'), digits.size()));
  return exponent > static_cast<long>(digits.find_first_of("123456789")) - point;
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
  Scalar value{};
  const auto [end, error] = std::from_chars(start, last, value);
  if (error == std::errc::invalid_argument) return {NumberStatus::NotANumber, first, value};
  if (error == std::errc::result_out_of_range) {
    const bool large = is_too_large({start, static_cast<std::size_t>(end - start)});
    return {large ? NumberStatus::TooLarge : NumberStatus::Ok, end,
            *start == '-' ? -Scalar{} : Scalar{}};
  }
  return {std::isfinite(value) ? NumberStatus::Ok : NumberStatus::NotFinite, end, value};
}

/// Appends the shortest text that reads back as the same number.
template <class Scalar>
void append_number(std::string& text, Scalar value) {
  char digits[64];
  text.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

}  // namespace mgdl::detail
