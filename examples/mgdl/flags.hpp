#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// What subcommands make of the list of their flags, for_each_option(options, visit).

namespace CLI {
class App;
}

namespace mgdl::command {

template <class Field>
inline constexpr bool is_optional = false;
template <class Value>
inline constexpr bool is_optional<std::optional<Value>> = true;

/// Files of a flag that may be repeated; a name may have commas.
struct FileList : std::vector<std::string> {};

/// The flags of one subcommand. What parses them, CLI11, is slow to compile and stays in flags.cpp.
class Flags {
 public:
  /// Where the value of a flag goes; a bool is set by the flag itself.
  using Field = std::variant<bool*, std::string*, FileList*, std::vector<std::string>*,
                             std::vector<double>*, int*, Index*, double*, std::uint64_t*,
                             std::optional<Index>*, std::optional<double>*>;

  /// A subcommand of `app`.
  Flags(CLI::App& app, const char* name, const char* description);

  /// \param text   what stands for the value in the help; nullptr: by the type of the field
  /// \param group  heading in the help; nullptr: the usual one
  void add(const char* flag, Field field, const char* help, const char* text = nullptr,
           const char* group = nullptr);

  /// Restricts a flag to these values.
  /// \param text  in the help; empty: NAME and the first value, the default
  void restrict_to(const char* flag, const std::vector<std::string>& choices,
                   const std::string& text = {});

  /// What stands for the value of a flag in the help.
  void name_value(const char* flag, const std::string& text);

  /// Words that a shell suggests for the value of a flag; restrict_to does that, too.
  void suggest(const char* flag, const std::vector<std::string>& words);

  /// What the help ends with.
  void footer(const char* text);

  /// Whether the subcommand was called.
  bool parsed() const;
  /// Whether it was called with this flag.
  bool given(const char* flag) const;

 private:
  CLI::App* m_app;
};

/// Adds every flag of `options`, which must outlive the parsing.
template <class Options>
void add_flags(Flags& flags, Options& options) {
  for_each_option(options, [&](const char* group, const char* flag, auto& field, const char* help) {
    flags.add(flag, &field, help, nullptr, group);
  });
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
/// \param named  whether a model may know the names of the targets
template <class Options>
void require_samples(const Options& options, bool npy, bool csv, bool named = false) {
  if (npy == csv) {
    throw InvalidArgument("samples", "--input and --target, or --csv and --target-columns",
                          npy ? "flags of both" : "neither");
  }
  if (npy) {
    require_given("--input", options.input);
    require_given("--target", options.target);
  } else {
    require_given("--csv", options.csv);
    if (!named) require_given("--target-columns", options.target_columns);
  }
}

/// Throws InvalidArgument naming the flag if the machine has less memory than that.
void require_memory(const char* flag, double bytes);

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
