#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "command.hpp"
#include "completion.hpp"
#include "files.hpp"
#include "interrupt.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/version.hpp"
#include "ranks.hpp"

namespace {

using namespace mgdl::command;

ExitCode run(int argc, char** argv) {
  CLI::App app(
      "Multigrade ReLU networks: one shallow network after another, each fitted to what\n"
      "the ones before it left.\n",
      "mgdl");
  app.set_version_flag("--version", std::string("mgdl ") + mgdl::version());
  bool completion = false;
  app.add_flag("--completion", completion,
               "Print a script that completes subcommands and flags in bash");
  app.footer(
      "\"mgdl fit --help\" and so on tell more.\n"
      "Exit code: 0 done, 2 bad usage or input, 3 numerical failure, 4 verify: a claim is\n"
      "not true, 5 verify: grades are about samples that were not given, 1 anything else.");
  const std::vector<Command> commands{add_fit(app),     add_convex(app), add_predict(app),
                                      add_inspect(app), add_verify(app), add_export(app),
                                      add_convert(app)};

  std::string name = "mgdl";
  // A reader that has gone is no error.
  const auto printed = [&name] {
    if (std::cout.flush() || reader_has_gone()) return true;
    std::cerr << name << ": cannot write to the standard output\n";
    return false;
  };
  const auto fail = [&](const std::string& text, ExitCode code) {
    const std::string who = wait_to_fail();
    std::cerr << name << ": " << who << text << '\n';
    end_ranks(code);
    return code;
  };
  try {
    join_ranks();
    app.parse(argc, argv);
    if (completion) {
      write_bash_completion(std::cout, app);
      return printed() ? kOk : kBadInput;
    }
    for (const Command& command : commands) {
      if (!command.flags.parsed()) continue;
      name += " " + command.name;
      if (ranks() && command.name != "fit") {
        throw mgdl::InvalidArgument("mgdl " + command.name, "a single process",
                                    std::to_string(ranks()->size()));
      }
      const ExitCode code = command.run();
      return printed() ? code : kBadInput;
    }
    // Not left to CLI11, which would say this of an unknown flag or subcommand, too.
    throw CLI::RequiredError("A subcommand");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help and --version arrive this way
      app.exit(error);
      return kOk;
    }
    for (const CLI::App* used : app.get_subcommands()) name += " " + used->get_name();
    return fail(one_line(error.what()) + " (see " + name + " --help)", kBadInput);
  } catch (const mgdl::InvalidArgument& error) {
    return fail(one_line(error.what()), kBadInput);
  } catch (const std::bad_alloc&) {
    return fail("not enough memory", kFailure);
  } catch (const std::exception& error) {
    return fail(one_line(error.what()), kFailure);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const ExitCode code = run(argc, argv);
  leave_ranks();
  return code;
}
