#include "completion.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace mgdl::command {
namespace {

/// The long names of what is asked for, "--help", between blanks.
std::string flag_words(const CLI::App& app) {
  std::string words;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      words += (words.empty() ? "--" : " --") + name;
    }
  }
  return words;
}

/// What bash does where the value of a flag belongs: words to choose from, or files.
std::string values_of(const CLI::Option& option) {
  std::string type = option.get_type_name();
  if (type.starts_with('{')) {  // the choices, see Flags::suggest
    type = type.substr(1, type.find('}') - 1);
    std::ranges::replace(type, ',', ' ');
    return "words='" + type + "'";
  }
  return option.get_option_text().starts_with("FILE") ? "files=yes" : ":";
}

/// The cases of one subcommand: values after the flags that take one, else its flags.
void write_cases(std::ostream& out, const CLI::App& command) {
  std::map<std::string, std::string> patterns;  // by what is done
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_expected_max() == 0) continue;  // takes no value
    for (const std::string& name : option->get_lnames()) {
      std::string& pattern = patterns[values_of(*option)];
      pattern += (pattern.empty() ? "'" : " | '") + command.get_name() + " --" + name + "'";
    }
  }
  for (const auto& [action, pattern] : patterns) {
    out << "      " << pattern << ") " << action << " ;;\n";
  }
  out << "      '" << command.get_name() << " '*) words='" << flag_words(command) << "' ;;\n";
}

}  // namespace

void write_bash_completion(std::ostream& out, const CLI::App& app) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  std::string words;
  for (const CLI::App* command : commands) words += command->get_name() + " ";
  words += flag_words(app);
  const std::string name = app.get_name();
  // bash calls it with the word that is completed in $2, and the one before it in $3.
  out << "# Completion of " << name << " in bash, as `" << name << " --completion` prints it.\n\n_"
      << name << "() {\n  local words= files=\n"
      << "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='" << words << "'\n  else\n"
      << "    case \"${COMP_WORDS[1]} $3\" in\n";
  for (const CLI::App* command : commands) write_cases(out, *command);
  out << "    esac\n  fi\n"
         "  if [ -n \"$files\" ]; then\n"
         "    compopt -o filenames 2> /dev/null\n"
         "    mapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
         "  else\n"
         "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$2\")\n"
         "  fi\n}\n"
         "complete -F _"
      << name << ' ' << name << '\n';
}

}  // namespace mgdl::command
