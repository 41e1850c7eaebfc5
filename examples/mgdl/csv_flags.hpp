#pragma once

#include <string>
#include <vector>

#include "flags.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"

/// \file
/// The flags that say how a CSV file is written, the same for every subcommand that reads one.

namespace mgdl::command {

struct CsvFlags {
  std::string header = "auto";
  std::string delimiter = "auto";
  std::string decimal = "auto";
  std::string comment = "auto";
  std::vector<std::string> columns;
  std::vector<std::string> exclude;
};

/// Calls visit(group, flag, field, help) for each of them.
template <class Options, class Visit>
void for_each_csv_flag(Options& options, const char* group, Visit&& visit) {
  visit(group, "--columns", options.columns,
        "names or numbers (from 1) of the columns of the CSV file that are inputs, separated by "
        "commas; a name with a comma in double quotes [all others that hold "
        "numbers; for a model that has names, those]");
  visit(group, "--exclude", options.exclude, "columns of the CSV file to leave out");
  visit(group, "--header", options.header,
        "whether the first line of a CSV file holds names: auto, yes, no");
  visit(group, "--delimiter", options.delimiter,
        "between the fields of a CSV file: auto, comma, semicolon, tab, space, pipe");
  visit(group, "--decimal", options.decimal,
        "how fractions are written in a CSV file: auto, point, comma");
  visit(group, "--comment", options.comment,
        "lines of a CSV file to skip start with this: auto (#), none, or one of # % ! ; / *");
}

/// What a shell suggests for them.
inline void suggest_csv(Flags& flags) {
  flags.suggest("--header", {"auto", "yes", "no"});
  flags.suggest("--delimiter", {"auto", "comma", "semicolon", "tab", "space", "pipe"});
  flags.suggest("--decimal", {"auto", "point", "comma"});
  flags.suggest("--comment", {"auto", "none"});
}

/// Adds them to a subcommand whose flags are not in one list.
inline void add_csv_flags(Flags& flags, CsvFlags& options) {
  for_each_csv_flag(options, nullptr,
                    [&](const char* group, const char* flag, auto& field, const char* help) {
                      flags.add(flag, &field, help, nullptr, group);
                    });
  suggest_csv(flags);
}

/// What the library makes of them. \throws InvalidArgument naming the flag
CsvOptions csv_options(const CsvFlags& flags);

/// Throws if a flag is given without the CSV file that it is about.
void require_csv(const CsvFlags& flags, bool csv);

/// Texts between commas; one in double quotes, where two of them stand for one, may have commas.
/// \throws InvalidArgument for a quote that is not closed, or closed before the end
std::vector<std::string> split_names(const std::string& text);

/// How errors about options of CSV files name them: by the flags.
std::string with_csv_flags(std::string text);

}  // namespace mgdl::command
