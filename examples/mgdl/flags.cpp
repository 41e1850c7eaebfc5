#include "flags.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <limits>

#include "csv_flags.hpp"
#include "mgdl/io/file.hpp"

namespace mgdl::command {
namespace {

/// What stands for a value in the help, with the default of numbers that have one.
template <class Field>
std::string value_text(const Field& field) {
  if constexpr (std::is_same_v<Field, FileList>) {
    return "FILE";
  } else if constexpr (std::is_same_v<Field, std::string>) {
    return field.empty() ? "FILE" : "NAME [" + field + "]";
  } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
    return "NAMES";
  } else if constexpr (std::is_same_v<Field, std::vector<double>>) {
    return "NUMBERS";
  } else if constexpr (is_optional<Field>) {
    return "N";
  } else {
    return std::isfinite(static_cast<double>(field)) ? "N [" + detail::to_text(field) + "]" : "N";
  }
}

template <class Value>
struct NumberIn {
  using type = Value;
};
template <class Value>
struct NumberIn<std::optional<Value>> {
  using type = Value;
};
template <>
struct NumberIn<std::vector<double>> {
  using type = double;
};
template <class Value>
using NumberOf = typename NumberIn<Value>::type;

/// What is wrong with a number; nothing if it is one that fits.
template <class Number>
std::string number_error(const std::string& text) {
  const char* first = text.data();
  const char* last = first + text.size();
  if (text.starts_with('+') && !text.starts_with("+-")) ++first;
  Number value{};
  const auto [end, error] = std::from_chars(first, last, value);
  if (error == std::errc() && end == last) return {};
  std::string expected = "a number";
  if constexpr (std::is_integral_v<Number>) {
    expected = "a whole number from " + std::to_string(std::numeric_limits<Number>::min()) +
               " to " + std::to_string(std::numeric_limits<Number>::max());
  }
  return "expected " + expected + ", found " + detail::excerpt(text);
}

/// Why a list is not made of choices only; nothing if it is.
std::string choice_error(const std::vector<std::string>& choices, const std::string& list) {
  for (const std::string& name : split_names(list)) {
    if (std::ranges::count(choices, name) > 0) continue;
    std::string text = "expected ";
    for (const std::string& choice : choices) text += (text.size() > 9 ? ", " : "") + choice;
    return text + ", found " + detail::excerpt(name);
  }
  return {};
}

}  // namespace

Flags::Flags(CLI::App& app, const char* name, const char* description)
    : m_app(app.add_subcommand(name, description)) {}

void Flags::add(const char* flag, Field field, const char* help, const char* text,
                const char* group) {
  CLI::Option* option = std::visit(
      [&](auto* value) {
        using Value = std::remove_pointer_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, bool>) {
          return m_app->add_flag(flag, *value, help);
        } else {
          CLI::Option* added = nullptr;
          if constexpr (std::is_same_v<Value, std::vector<std::string>>) {
            // Repeated or with commas; names may have commas, in quotes.
            added = m_app->add_option_function<std::vector<std::string>>(
                flag,
                [value, flag](const std::vector<std::string>& lists) {
                  value->clear();
                  try {
                    for (const std::string& list : lists) {
                      const auto names = split_names(list);
                      value->insert(value->end(), names.begin(), names.end());
                    }
                  } catch (const InvalidArgument& error) {
                    throw CLI::ValidationError(flag, error.what());
                  }
                },
                help);
            added->allow_extra_args(false);
          } else if constexpr (std::is_same_v<Value, FileList>) {
            added = m_app->add_option(flag, static_cast<std::vector<std::string>&>(*value), help);
            added->allow_extra_args(false);
          } else {
            added = m_app->add_option(flag, *value, help);
          }
          if constexpr (std::is_same_v<Value, std::vector<double>>) {
            added->delimiter(',')->allow_extra_args(false);
          }
          // What CLI11 makes of numbers that do not fit, of an empty text and of -1 for an unsigned
          // number depends on its version.
          using Number = NumberOf<Value>;
          if constexpr (std::is_arithmetic_v<Number>) added->check(number_error<Number>);
          return added->option_text(text != nullptr ? text : value_text(*value));
        }
      },
      field);
  if (group != nullptr) option->group(group);
}

void Flags::restrict_to(const char* flag, const std::vector<std::string>& choices,
                        const std::string& text) {
  m_app->get_option(flag)
      ->check([choices](const std::string& list) { return choice_error(choices, list); })
      ->option_text(text.empty() ? "NAME [" + choices.front() + "]" : text);
  suggest(flag, choices);
}

void Flags::name_value(const char* flag, const std::string& text) {
  m_app->get_option(flag)->option_text(text);
}

void Flags::suggest(const char* flag, const std::vector<std::string>& words) {
  std::string type;
  for (const std::string& word : words) type += (type.empty() ? "{" : ",") + word;
  m_app->get_option(flag)->type_name(type + "}");
}

void Flags::footer(const char* text) { m_app->footer(text); }
bool Flags::parsed() const { return m_app->parsed(); }
bool Flags::given(const char* flag) const { return m_app->get_option(flag)->count() > 0; }

}  // namespace mgdl::command
