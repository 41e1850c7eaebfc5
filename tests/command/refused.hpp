#pragma once

#include <string>
#include <vector>

#include "command/run_command.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

/// \file
/// Calls of the command that it has to refuse.

namespace mgdl::test {

/// Checks for exit code 2 and a message that has all these words.
inline void check_refused(const Outcome& outcome, const std::vector<std::string>& message) {
  INFO(outcome.errors);
  CHECK(outcome.code == 2);
  for (const auto& part : message) {
    CHECK_THAT(outcome.errors, Catch::Matchers::ContainsSubstring(part));
  }
}

struct BadCall {
  Arguments arguments;
  std::vector<std::string> message;  ///< what it has to say
};

/// Runs every call of a subcommand and checks that it fails as it should and leaves no trace.
inline void check_all_refused(const TemporaryFolder& folder, const std::string& command,
                              const std::vector<BadCall>& calls) {
  const auto before = folder.content();
  for (const BadCall& bad : calls) {
    const Outcome outcome = run(Arguments{command} + bad.arguments);
    std::string line;
    for (const auto& argument : bad.arguments) line += argument + " ";
    INFO(line << "\n" << outcome.errors);
    CHECK(outcome.code == 2);
    CHECK(outcome.output.empty());
    // One line, and nothing else.
    CHECK(outcome.errors.rfind("mgdl " + command + ": ", 0) == 0);
    CHECK(outcome.errors.find('\n') == outcome.errors.size() - 1);
    for (const auto& text : bad.message) {
      CHECK_THAT(outcome.errors, Catch::Matchers::ContainsSubstring(text));
    }
    CHECK(folder.content() == before);
  }
}

}  // namespace mgdl::test
