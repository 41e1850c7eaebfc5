#pragma once

#include <functional>
#include <string>

#include "flags.hpp"

/// \file
/// What the subcommands of `mgdl` have in common.

namespace mgdl::command {

/// Exit codes, which scripts go by.
enum ExitCode {
  kOk = 0,
  kFailure = 1,  ///< of the machine: no memory, no threads
  kBadInput = 2,
  kNumericalFailure = 3,
  kRefuted = 4,   ///< verify: something that the model claims is not true
  kUnchecked = 5  ///< verify: the samples that a claim is about were not given
};

/// A subcommand: its flags, and what it does once they are parsed. Throws InvalidArgument for bad
/// input.
struct Command {
  std::string name;
  Flags flags;
  std::function<ExitCode()> run;
};

Command add_fit(CLI::App& app);
Command add_predict(CLI::App& app);
Command add_convex(CLI::App& app);
Command add_inspect(CLI::App& app);
Command add_verify(CLI::App& app);
Command add_export(CLI::App& app);
Command add_convert(CLI::App& app);

}  // namespace mgdl::command
