#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv/scanner.hpp"
#include "mgdl/io/csv/survey.hpp"

namespace mgdl::detail {

/// How the start of a file looks with one delimiter.
struct CsvTrial {
  char delimiter;
  Index fields = 0;      ///< of a record
  Index agreeing = 0;    ///< records with so many
  bool regular = false;  ///< all of them
  bool exact = false;    ///< the first among them, which may be short of one
  double numbers = 0;    ///< part of the fields, without the first record
};

inline CsvTrial try_delimiter(std::string_view text, char delimiter, char comment,
                              const std::string& source) {
  constexpr std::size_t kRecords = 500;
  CsvTrial trial{delimiter};
  CsvScanner scanner(text, delimiter, comment, source);
  std::vector<Index> counts;
  Index cells = 0, numbers = 0;
  try {
    while (counts.size() < kRecords) {
      scanner.skip_ignored();
      if (scanner.at_end()) break;
      Index count = 0;
      bool empty = true;
      CsvCell cell;
      do {
        cell = scanner.next();
        ++count;
        empty = empty && cell.text.empty();
        if (counts.empty()) continue;
        ++cells;
        const CsvKind kind =
            csv_value<double>(trimmed(cell.text), delimiter == ',' ? '.' : '\0').kind;
        numbers += kind == CsvKind::Number || kind == CsvKind::CommaNumber ? 1 : 0;
      } while (!cell.last);
      if (!empty) counts.push_back(count);  // else a blank line
    }
  } catch (const InvalidArgument&) {
    return trial;  // of quotes
  }
  if (counts.empty()) return trial;
  trial.fields = counts[std::min<std::size_t>(1, counts.size() - 1)];
  trial.exact = counts[0] == trial.fields;
  if (counts[0] == trial.fields - 1) ++counts[0];
  trial.agreeing = std::ranges::count(counts, trial.fields);
  trial.regular = trial.fields > 1 && trial.agreeing == std::ssize(counts);
  trial.numbers = cells > 0 ? static_cast<double>(numbers) / static_cast<double>(cells) : 0;
  return trial;
}

/// The delimiter that cuts all records at the start of a file into as many fields; of several, the
/// one with the most numbers. Without any, the one that errors are best told by.
///
/// \throws InvalidArgument if two do equally well
inline char find_delimiter(std::string_view text, char comment, const std::string& source) {
  std::vector<CsvTrial> regular;
  CsvTrial closest{','};
  for (const char delimiter : {',', ';', '\t', '|', ' '}) {
    const CsvTrial trial = try_delimiter(text, delimiter, comment, source);
    if (trial.regular) regular.push_back(trial);
    if (trial.fields > 1 && trial.agreeing > closest.agreeing) closest = trial;
  }
  if (regular.empty()) return closest.delimiter;
  std::ranges::stable_sort(regular, [](const CsvTrial& a, const CsvTrial& b) {
    return a.exact != b.exact ? a.exact : a.numbers > b.numbers;
  });
  // A space is the last in the list, and stands for tabs, too.
  if (regular.size() > 1 && regular[0].exact == regular[1].exact &&
      regular[0].numbers == regular[1].numbers && regular[1].delimiter != ' ') {
    const auto quoted = [](char c) { return excerpt(c == '\t' ? "\\t" : std::string(1, c)); };
    throw InvalidArgument(source, "one delimiter that fits (CsvOptions.delimiter says which)",
                          quoted(regular[0].delimiter) + " and " + quoted(regular[1].delimiter));
  }
  return regular[0].delimiter;
}

}  // namespace mgdl::detail
