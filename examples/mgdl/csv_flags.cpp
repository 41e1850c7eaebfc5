#include "csv_flags.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace mgdl::command {

CsvOptions csv_options(const CsvFlags& flags) {
  CsvOptions options;
  const auto require = [](bool ok, const char* flag, const char* rule, const std::string& value) {
    if (!ok) throw InvalidArgument(flag, rule, detail::excerpt(value));
  };
  require(flags.header == "auto" || flags.header == "yes" || flags.header == "no", "--header",
          "auto, yes or no", flags.header);
  if (flags.header == "yes") options.header = CsvHeader::Yes;
  if (flags.header == "no") options.header = CsvHeader::No;
  const std::vector<std::pair<std::string, char>> delimiters{
      {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"space", ' '}, {"pipe", '|'}, {",", ','},
      {";", ';'},     {"\\t", '\t'},      {"\t", '\t'},  {" ", ' '},     {"|", '|'}};
  for (const auto& [name, delimiter] : delimiters) {
    if (flags.delimiter == name) options.delimiter = delimiter;
  }
  require(options.delimiter || flags.delimiter == "auto", "--delimiter",
          "auto, comma, semicolon, tab, space or pipe", flags.delimiter);
  if (flags.decimal == "point" || flags.decimal == ".") options.decimal = '.';
  if (flags.decimal == "comma" || flags.decimal == ",") options.decimal = ',';
  require(options.decimal || flags.decimal == "auto", "--decimal", "auto, point or comma",
          flags.decimal);
  if (flags.comment == "none") options.comment = '\0';
  if (flags.comment.size() == 1 && flags.comment[0] != '\0') options.comment = flags.comment[0];
  require(options.comment || flags.comment == "auto", "--comment",
          "auto, none or one of # % ! ; / *", flags.comment);
  options.exclude = flags.exclude;
  with_flag_names({{"CsvOptions.comment", "--comment"}, {"CsvOptions.delimiter", "--delimiter"}},
                  [&] { options.validate(); });
  return options;
}

void require_csv(const CsvFlags& flags, bool csv) {
  if (csv) return;
  for_each_csv_flag(flags, "", [](const char*, const char* flag, const auto& field, const char*) {
    if (field.empty()) return;
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::string>) {
      if (field == "auto") return;
    }
    throw InvalidArgument(flag, "--csv with it", "none");
  });
}

std::vector<std::string> split_names(const std::string& text) {
  const auto fail = [&] {
    throw InvalidArgument("names", "quotes around whole names", detail::excerpt(text));
  };
  std::vector<std::string> names;
  std::size_t at = 0;
  do {
    std::string name;
    if (at < text.size() && text[at] == '"') {
      for (++at;; ++at) {
        if (at >= text.size()) fail();
        if (text[at] == '"' && (++at >= text.size() || text[at] != '"')) break;
        name += text[at];
      }
      if (at < text.size() && text[at] != ',') fail();
    } else {
      const std::size_t end = std::min(text.find(',', at), text.size());
      name = text.substr(at, end - at);
      at = end;
    }
    names.push_back(std::move(name));
  } while (at++ < text.size());
  return names;
}

std::string with_csv_flags(std::string text) {
  constexpr std::string_view option = "CsvOptions.";
  for (std::size_t at; (at = text.find(option)) != std::string::npos;) {
    text.erase(at, option.size()).insert(at, 2, '-');
  }
  return text;
}

}  // namespace mgdl::command
