#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"

/// \file
/// What subcommands make of the list of their flags, for_each_option(options, visit).

namespace mgdl::command {

template <class Field>
inline constexpr bool is_optional = false;
template <class Value>
inline constexpr bool is_optional<std::optional<Value>> = true;

/// Adds every flag of `options`, which must outlive the parsing.
template <class Options>
void add_flags(CLI::App* flags, Options& options) {
  for_each_option(options, [&](const char* group, const char* flag, auto& field, const char* help) {
    using Field = std::remove_cvref_t<decltype(field)>;
    CLI::Option* option = nullptr;
    if constexpr (std::is_same_v<Field, bool>) {
      option = flags->add_flag(flag, field, help);
    } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
      option = flags->add_option(flag, field, help)
                   ->delimiter(',')
                   ->allow_extra_args(false)
                   ->option_text("NAMES");
    } else if constexpr (std::is_same_v<Field, std::string>) {
      option = flags->add_option(flag, field, help)->option_text("FILE");
    } else if constexpr (is_optional<Field>) {
      option = flags->add_option(flag, field, help)->option_text("N");
    } else {
      const bool limited = std::isfinite(static_cast<double>(field));
      option = flags->add_option(flag, field, help)
                   ->option_text(limited ? "N [" + detail::to_text(field) + "]" : "N");
    }
    if constexpr (std::is_same_v<Field, std::uint64_t>) {
      // Some versions of CLI11 take -1 for the largest number.
      option->check([](const std::string& text) {
        return std::string(text.find('-') == text.npos ? "" : "expected a value >= 0");
      });
    }
    option->group(group);
  });
}

/// Restricts a flag to these values, the first of which is its default.
inline void add_choices(CLI::App* flags, const char* flag,
                        const std::vector<std::string>& choices) {
  flags->get_option(flag)
      ->check(CLI::IsMember(choices))
      ->option_text("NAME [" + choices.front() + "]");
}

/// The flags for which keep(group, flag) holds, and their values. What was not given, and no limit
/// at all, is null.
template <class Options, class Keep>
nlohmann::ordered_json flags_json(const Options& options, const Keep& keep) {
  auto json = nlohmann::ordered_json::object();
  const auto add = [&](const char* group, const char* flag, const auto& field, const char*) {
    if (!keep(std::string(group), std::string(flag))) return;
    std::string name = flag + 2;
    std::ranges::replace(name, '-', '_');
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (is_optional<Field>) {
      json[name] = nullptr;
      if (field) json[name] = *field;
    } else {
      json[name] = field;
    }
    if constexpr (std::is_floating_point_v<Field>) {
      if (!std::isfinite(field)) json[name] = nullptr;
    } else if constexpr (!std::is_arithmetic_v<Field> && !is_optional<Field>) {
      if (field.empty()) json[name] = nullptr;
    }
  };
  for_each_option(options, add);
  return json;
}

/// All flags.
template <class Options>
nlohmann::ordered_json flags_json(const Options& options) {
  return flags_json(options, [](const std::string&, const std::string&) { return true; });
}

template <class... Values>
bool given(const Values&... values) {
  return (!values.empty() || ...);
}

template <class Value>
void require_given(const char* flag, const Value& value) {
  if (value.empty()) throw InvalidArgument(flag, "a value", "none");
}

/// Flags that the samples of a fit come from: .npy files or one CSV file.
template <class Options>
void require_samples(const Options& options, bool npy, bool csv) {
  if (npy == csv) {
    throw InvalidArgument("samples", "--input and --target, or --csv and --target-columns",
                          npy ? "flags of both" : "neither");
  }
  if (npy) {
    require_given("--input", options.input);
    require_given("--target", options.target);
  } else {
    require_given("--csv", options.csv);
    require_given("--target-columns", options.target_columns);
  }
}

/// Calls check(), where an error about an option of the library is one about the flag it belongs
/// to. \param flags  pairs of option ("GradientOptions.width") and flag
template <class Check>
void with_flag_names(const std::vector<std::pair<std::string, std::string>>& flags,
                     const Check& check) {
  try {
    check();
  } catch (const InvalidArgument& error) {
    const auto flag =
        std::ranges::find(flags, error.argument(), &std::pair<std::string, std::string>::first);
    if (flag == flags.end()) throw;
    throw InvalidArgument(flag->second, error.expected(), error.found(), error.where());
  }
}

}  // namespace mgdl::command
