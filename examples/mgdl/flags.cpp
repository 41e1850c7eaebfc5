#include "flags.hpp"

#include <CLI/CLI.hpp>

namespace mgdl::command {
namespace {

/// What stands for a value in the help, with the default of numbers that have one.
template <class Field>
std::string value_text(const Field& field) {
  if constexpr (std::is_same_v<Field, std::string>) {
    return "FILE";
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
          CLI::Option* added = m_app->add_option(flag, *value, help);
          if constexpr (std::is_same_v<Value, std::vector<std::string>> ||
                        std::is_same_v<Value, std::vector<double>>) {
            added->delimiter(',')->allow_extra_args(false);
          }
          if constexpr (std::is_same_v<Value, std::uint64_t>) {
            // Some versions of CLI11 take -1 for the largest number.
            added->check([](const std::string& number) {
              return std::string(number.find('-') == number.npos ? "" : "expected a value >= 0");
            });
          }
          return added->option_text(text != nullptr ? text : value_text(*value));
        }
      },
      field);
  if (group != nullptr) option->group(group);
}

void Flags::restrict_to(const char* flag, const std::vector<std::string>& choices,
                        const std::string& text) {
  m_app->get_option(flag)
      ->check(CLI::IsMember(choices))
      ->option_text(text.empty() ? "NAME [" + choices.front() + "]" : text);
}

void Flags::footer(const char* text) { m_app->footer(text); }
bool Flags::parsed() const { return m_app->parsed(); }
bool Flags::given(const char* flag) const { return m_app->get_option(flag)->count() > 0; }

}  // namespace mgdl::command
