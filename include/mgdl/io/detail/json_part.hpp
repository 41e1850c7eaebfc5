#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"

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
