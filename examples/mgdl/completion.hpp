#pragma once

#include <iosfwd>

/// \file
/// What a shell has to know of the command.

namespace CLI {
class App;
}

namespace mgdl::command {

/// Writes a script that completes subcommands, flags and values in bash, made of what the parser
/// knows of them.
void write_bash_completion(std::ostream& out, const CLI::App& app);

}  // namespace mgdl::command
