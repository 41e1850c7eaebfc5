#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/fit_summary_json.hpp"

namespace mgdl::detail {

/// A part of a JSON text that knows where it is, for error messages. Borrows file name and JSON.
class JsonPart {
 public:
  using Json = nlohmann::ordered_json;

  JsonPart(const std::string& file, const Json& json, std::string place = {})
      : m_file(&file), m_json(&json), m_place(std::move(place)) {}

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw FormatError(*m_file, expected, found, m_place);
  }
  [[noreturn]] void fail(const std::string& expected) const { fail(expected, description()); }

  JsonPart operator[](const char* key) const {
    if (!m_json->is_object()) fail("an object");
    const auto found = m_json->find(key);
    const std::string place = m_place + "/" + key;
    if (found == m_json->end()) throw FormatError(*m_file, "a value", "none", place);
    return {*m_file, *found, place};
  }

  JsonPart operator[](Index i) const {
    return {*m_file, (*m_json)[static_cast<std::size_t>(i)], m_place + "/" + std::to_string(i)};
  }

  /// Number of elements of a list.
  Index size() const {
    if (!m_json->is_array()) fail("a list");
    return static_cast<Index>(m_json->size());
  }

  std::string text() const {
    if (!m_json->is_string()) fail("a text");
    return m_json->get<std::string>();
  }

  Index count() const {
    if (!m_json->is_number_unsigned() ||
        m_json->get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
      fail("a whole number >= 0");
    }
    return m_json->get<Index>();
  }

  const Json& value() const noexcept { return *m_json; }

  /// make(), where an error of what it calls is reported as one of this part.
  template <class Make>
  auto check(Make make) const {
    try {
      return make();
    } catch (const InvalidArgument& error) {
      fail(error.expected() + " (" + error.argument() + ")", error.found());
    }
  }

 private:
  /// Short, whatever a damaged file holds.
  std::string description() const {
    if (m_json->is_object()) return "an object";
    if (m_json->is_array()) return "a list";
    if (m_json->is_string()) return excerpt(m_json->get_ref<const std::string&>());
    return m_json->dump();
  }

  const std::string* m_file;
  const Json* m_json;
  std::string m_place;  // JSON pointer (RFC 6901), after the name of the text: "report/grades/0"
};

/// Parses a text of a file.
/// \param place  the text's name, for errors
/// \throws FormatError for anything but JSON of at most 16 levels: what is read from it may be
/// copied
///         level by level
inline nlohmann::ordered_json parse_json(const std::string& text, const std::string& file,
                                         const std::string& place) {
  using Json = nlohmann::ordered_json;
  constexpr int max_depth = 16;
  const auto check_depth = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth)
      throw FormatError(file, "at most 16 levels of JSON", "more", place);
    return true;
  };
  // Which the parser would take for the end.
  if (const auto zero = text.find('\0'); zero != text.npos) {
    throw FormatError(file, "JSON", "a byte 0", place + ", byte " + std::to_string(zero));
  }
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::parse_error& error) {
    throw FormatError(file, "JSON", error.byte > text.size() ? "its end too early" : "another text",
                      place + ", byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    throw FormatError(file, "numbers of type float64", "a larger one", place);
  }
}

}  // namespace mgdl::detail

/// \file
/// Fields of reports as JSON, in both directions, by for_each_field.

namespace mgdl::detail {

template <class T>
concept HasFields = requires(T& object) {
  for_each_field(object, [](const char*, auto&, FieldKind) {});
};

/// A number, or null if it is none: JSON has neither NaN nor infinity.
inline nlohmann::ordered_json report_number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

/// One field. \param passing  whether to keep what is FieldKind::Passing
template <class Field>
nlohmann::ordered_json field_json(const Field& field, bool passing);

template <HasFields T>
nlohmann::ordered_json fields_json(const T& object, bool passing) {
  auto json = nlohmann::ordered_json::object();
  for_each_field(object, [&](const char* name, const auto& field, FieldKind kind) {
    if (passing || kind == FieldKind::Lasting) json[name] = field_json(field, passing);
  });
  if constexpr (std::same_as<T, Certificate>) {
    json["relative_gap"] = report_number(object.relative_gap());
  }
  return json;
}

template <class Field>
inline constexpr bool is_list = false;
template <class Item>
inline constexpr bool is_list<std::vector<Item>> = true;
template <class Field>
inline constexpr bool is_optional_field = false;
template <class Value>
inline constexpr bool is_optional_field<std::optional<Value>> = true;

template <class Field>
nlohmann::ordered_json field_json(const Field& field, bool passing) {
  if constexpr (std::is_enum_v<Field>) {
    return to_string(field);
  } else if constexpr (std::same_as<Field, double>) {
    return report_number(field);
  } else if constexpr (std::same_as<Field, std::string>) {
    return field.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(field);
  } else if constexpr (is_optional_field<Field>) {
    return field ? field_json(*field, passing) : nlohmann::ordered_json();
  } else if constexpr (is_list<Field>) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& item : field) list.push_back(field_json(item, passing));
    return list;
  } else if constexpr (HasFields<Field>) {
    return fields_json(field, passing);
  } else {
    return field;
  }
}

/// The last enumerator, whose number is the largest.
/// \{
constexpr Termination last_enumerator(Termination) { return Termination::NumericalFailure; }
constexpr PatternScope last_enumerator(PatternScope) { return PatternScope::AllPatterns; }
constexpr DualBound last_enumerator(DualBound) { return DualBound::SpectralRelaxation; }
/// \}

/// Reads what field_json has written.
/// \throws FormatError for anything else
template <class Field>
void read_field(const JsonPart& part, Field& field);

/// Reads the lasting fields; the others stay as they are.
template <HasFields T>
void read_fields(const JsonPart& part, T& object) {
  for_each_field(object, [&](const char* name, auto& field, FieldKind kind) {
    if (kind == FieldKind::Lasting) read_field(part[name], field);
  });
}

template <class Field>
void read_field(const JsonPart& part, Field& field) {
  const nlohmann::ordered_json& json = part.value();
  if constexpr (std::is_enum_v<Field>) {
    const std::string name = part.text();
    for (int i = 0; i <= static_cast<int>(last_enumerator(field)); ++i) {
      field = static_cast<Field>(i);
      if (name == to_string(field)) return;
    }
    part.fail(std::string("a name like ") + to_string(field));
  } else if constexpr (std::same_as<Field, double>) {
    if (!json.is_null() && !json.is_number()) part.fail("a number or null");
    field = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
  } else if constexpr (std::same_as<Field, bool>) {
    if (!json.is_boolean()) part.fail("true or false");
    field = json.get<bool>();
  } else if constexpr (std::same_as<Field, std::uint64_t>) {
    if (!json.is_number_unsigned()) part.fail("a whole number >= 0");
    field = json.get<std::uint64_t>();
  } else if constexpr (std::same_as<Field, Index>) {
    field = part.count();
  } else if constexpr (std::same_as<Field, std::string>) {
    field = json.is_null() ? std::string() : part.text();
  } else if constexpr (is_optional_field<Field>) {
    field.reset();
    if (!json.is_null()) read_field(part, field.emplace());
  } else if constexpr (is_list<Field>) {
    field.clear();
    for (Index i = 0; i < part.size(); ++i) read_field(part[i], field.emplace_back());
  } else if constexpr (HasFields<Field>) {
    read_fields(part, field);
  } else {
    static_assert(std::same_as<Field, nlohmann::ordered_json>);
    if (!json.is_object()) part.fail("an object");
    field = json;
  }
}

}  // namespace mgdl::detail
