#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/csv/scanner.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"

namespace mgdl::detail {

/// What a field is.
enum class CsvKind {
  Number,
  CommaNumber,  ///< a number with a decimal comma
  Missing,      ///< nothing, or what stands for nothing: NA, NaN, ?, ...
  Infinite,
  TooLarge,
  Text
};

/// A field that is understood.
template <class Scalar>
struct CsvValue {
  CsvKind kind;
  Scalar value;
};

inline bool is_missing(std::string_view text) {
  constexpr std::string_view marks[] = {
      "",  "na", "n/a", "#n/a", "#na", "#nv", "nan", "-nan", "null",    "none",   "nil",
      "?", "-",  "--",  ".",    "...", "*",   "nd",  "n.d.", "#value!", "#div/0!"};
  if (text.size() > 7) return false;
  char lower[7];
  for (std::size_t i = 0; i < text.size(); ++i) {
    lower[i] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
  }
  return std::ranges::count(marks, std::string_view(lower, text.size())) > 0;
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether a text without a decimal point or exponent is a whole number, as numbers in a header
/// are.
inline bool looks_whole(std::string_view number) {
  if (number.starts_with('-') || number.starts_with('+')) number.remove_prefix(1);
  return !number.empty() && std::ranges::all_of(number, is_digit);
}

/// Whether a number with a comma may be one with a mark for thousands: 12,345.
inline bool may_be_thousands(std::string_view number) {
  if (number.starts_with('-') || number.starts_with('+')) number.remove_prefix(1);
  const std::size_t comma = number.find(',');
  return comma >= 1 && comma <= 3 && number.front() != '0' && number.size() == comma + 4;
}

/// Text that was meant as a number: a column of it must not be left out like one of words. Dates
/// are words.
inline bool is_broken_number(std::string_view text) {
  bool digit = false;
  int points = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    digit = digit || is_digit(c);
    points += c == '.' ? 1 : 0;
    const bool sign = (c == '-' || c == '+') && i == 0;
    if (!is_digit(c) && !sign &&
        std::string_view(".,' %$\xC2\xA0\xE2\x80\xAF\x82\xAC").find(c) == std::string_view::npos) {
      return false;
    }
  }
  const bool date =
      points == 2 && text.find_first_not_of("0123456789. ") == std::string_view::npos &&
      text.size() >= 6 && text.size() <= 10 && text.find("..") == std::string_view::npos;
  return digit && !date;
}

/// Without the blanks that quotes may keep around a number.
inline std::string_view trimmed(std::string_view text) {
  const std::size_t first = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t last = text.find_last_not_of(" \t");
  return text.substr(first, last == std::string_view::npos ? 0 : last + 1 - first);
}

/// \param text     trimmed
/// \param decimal  '.', ',' or '\0': whichever the field has
template <class Scalar>
CsvValue<Scalar> csv_value(std::string_view text, char decimal) {
  const auto kind_of = [](NumberStatus status) {
    switch (status) {
      case NumberStatus::Ok: return CsvKind::Number;
      case NumberStatus::TooLarge: return CsvKind::TooLarge;
      case NumberStatus::NotFinite: return CsvKind::Infinite;
      case NumberStatus::NotANumber: break;
    }
    return CsvKind::Text;
  };
  const char* end = text.data() + text.size();
  const bool with_comma = decimal != '.' && text.find(',') != std::string_view::npos;
  if (!with_comma) {
    const ParsedNumber<Scalar> number = parse_number<Scalar>(text.data(), end);
    const bool whole = number.status != NumberStatus::NotANumber && number.end == end;
    if (whole && decimal == ',' && text.find('.') != std::string_view::npos) {
      return {CsvKind::Text, Scalar{}};
    }
    if (whole && number.status != NumberStatus::NotFinite) {
      return {kind_of(number.status), number.value};
    }
    if (is_missing(text)) return {CsvKind::Missing, Scalar{}};
    return {whole ? CsvKind::Infinite : CsvKind::Text, Scalar{}};
  }
  std::string pointed(text);
  if (pointed.find('.') != std::string::npos) return {CsvKind::Text, Scalar{}};
  pointed[pointed.find(',')] = '.';
  const ParsedNumber<Scalar> number =
      parse_number<Scalar>(pointed.data(), pointed.data() + pointed.size());
  if (number.status == NumberStatus::NotANumber || number.end != pointed.data() + pointed.size()) {
    return {CsvKind::Text, Scalar{}};
  }
  const CsvKind kind = kind_of(number.status);
  return {kind == CsvKind::Number ? CsvKind::CommaNumber : kind, number.value};
}

/// NaN for what is no number.
template <class Scalar>
Scalar csv_number(const CsvValue<Scalar>& value) {
  const bool number = value.kind == CsvKind::Number || value.kind == CsvKind::CommaNumber;
  return number ? value.value : std::numeric_limits<Scalar>::quiet_NaN();
}

/// A field and where it is. No line: nowhere.
struct CsvPlace {
  Index line = 0;
  std::string text;
};

/// What the fields of a column are.
struct CsvColumn {
  Index numbers = 0;  ///< with point or comma
  Index missing = 0;
  Index texts = 0;  ///< everything else
  Index quoted = 0;
  Index wholes = 0;       ///< numbers that are whole, see looks_whole
  bool thousands = true;  ///< all numbers with a comma, see may_be_thousands
  CsvPlace first_missing, first_text, first_comma, first_point;  ///< by line
  CsvKind text_kind = CsvKind::Text;                             ///< of first_text

  void add(std::string_view text, bool is_quoted, CsvKind kind, Index line) {
    const auto note = [&](CsvPlace& place) {
      const bool earlier = place.line == 0 || line < place.line;
      if (earlier) place = {line, std::string(text)};
      return earlier;
    };
    quoted += is_quoted ? 1 : 0;
    if (kind == CsvKind::Number) {
      ++numbers;
      wholes += looks_whole(text) ? 1 : 0;
      if ((first_point.line == 0 || line < first_point.line) &&
          text.find('.') != std::string_view::npos) {
        note(first_point);
      }
    } else if (kind == CsvKind::CommaNumber) {
      ++numbers;
      thousands = thousands && may_be_thousands(text);
      note(first_comma);
    } else if (kind == CsvKind::Missing) {
      ++missing;
      note(first_missing);
    } else {
      ++texts;
      if (note(first_text)) text_kind = kind;
    }
  }
};

/// A record as it stands in the file.
struct CsvRecord {
  struct Field {
    std::string text;
    bool quoted;
    CsvKind kind;
  };
  Index line = 0;
  std::vector<Field> fields;

  bool is_empty() const {
    return std::ranges::all_of(fields, [](const Field& field) { return field.text.empty(); });
  }
};

/// How the values of a column follow each other, from the first record on.
template <class Scalar>
struct CsvOrder {
  bool any_above = false;  ///< any from the second on is at least the first
  bool any_below = false;  ///< is at most the first
  Index last_jump = 0;     ///< the last record that is not 1 more than the one before it
  Index last_fall = 0;     ///< that is not more than the one before it

  void add(Index row, Scalar value) {
    if (row == 0) m_first = value;
    if (row > 0) {
      any_above = any_above || value >= m_first;
      any_below = any_below || value <= m_first;
      if (!(value == m_last + 1)) last_jump = row;
      if (!(value > m_last)) last_fall = row;
    }
    m_last = value;
  }

 private:
  Scalar m_first = 0;
  Scalar m_last = 0;
};

/// Whether the numbers in a file are kept as it is surveyed.
enum class CsvKeep {
  All,
  First  ///< those of the first three records
};

/// Called with the place in the text before a record is read, once that is behind the place that it
/// has returned before: for a text that is not in memory.
using CsvProgress = std::function<const char*(const char*)>;

/// Everything in a file whose first two records may be names and units: they are kept as they are,
/// and not counted in `columns`.
template <class Scalar>
struct CsvSurvey {
  Index cols = 0;
  Index rows = 0;                  ///< records, the first two included
  std::vector<CsvRecord> first;    ///< up to two
  std::vector<CsvColumn> columns;  ///< of the records behind them
  std::vector<CsvOrder<Scalar>> order;
  /// A row for each record that is kept, and some more; what is no number is NaN.
  Matrix<Scalar> values;
  Index blank_behind_first = 0;  ///< line, if the first two records have one between them
  Index comments = 0;
  std::string comment_before;  ///< the last one before the first record
  Index end_line = 1;
};

template <class Scalar>
class CsvSurveyor {
 public:
  CsvSurveyor(CsvScanner scanner, char decimal, CsvKeep keep = CsvKeep::All,
              CsvProgress progress = {})
      : m_scanner(scanner), m_decimal(decimal), m_keep(keep), m_progress(std::move(progress)) {}

  /// \throws InvalidArgument for rows of another length than the rest, and for a blank line between
  /// two of them
  CsvSurvey<Scalar> read() {
    m_scanner.skip_ignored();
    m_survey.comment_before = std::string(m_scanner.last_comment());
    if (!m_scanner.at_end()) {
      m_survey.first.push_back(read_record());
      m_survey.cols = std::ssize(m_survey.first[0].fields);
      read_rows();
    }
    m_survey.comments = m_scanner.comments();
    m_survey.end_line = m_scanner.line();
    return std::move(m_survey);
  }

 private:
  CsvRecord read_record() {
    CsvRecord record{m_scanner.line(), {}};
    CsvCell cell;
    do {
      cell = m_scanner.next();
      std::string text = cell.value();
      const CsvKind kind = csv_value<Scalar>(trimmed(text), m_decimal).kind;
      record.fields.push_back({std::move(text), cell.quoted, kind});
    } while (!cell.last);
    return record;
  }

  void read_rows() {
    auto& [cols, rows, first, columns, order, values, blank_behind_first, comments, comment_before,
           end_line] = m_survey;
    Index blank = m_scanner.skip_ignored();
    if (!m_scanner.at_end()) {
      // The line of names may be short of one: rows that end with a delimiter, or begin with a
      // name.
      const Index fields = m_scanner.count_fields();
      if (fields != cols && fields != cols + 1) fail_ragged(fields, m_scanner.line_text());
      if (fields == cols + 1) m_longer_at = m_scanner.line_text();
      cols = fields;
    }
    columns.resize(static_cast<std::size_t>(cols));
    order.resize(static_cast<std::size_t>(cols));
    // A row takes at least a byte for each column: what claims more cells than that is refused
    // before they are stored.
    const Index possible = static_cast<Index>(m_scanner.bytes_left()) / cols + 3;
    values.resize(
        m_keep == CsvKeep::All ? std::min(m_scanner.count_lines() + 1, possible) : kFirst + 1,
        cols);
    add_row(first[0], rows++);
    const char* known = m_scanner.place();
    while (!m_scanner.at_end()) {
      if (m_progress && m_scanner.place() >= known) known = m_progress(m_scanner.place());
      const Index line = m_scanner.line();
      if (std::ssize(first) < 2) {
        CsvRecord record = read_record();
        if (std::ssize(record.fields) != cols)
          fail_ragged(std::ssize(record.fields), line_text(line));
        if (blank == 0 && record.is_empty()) blank = line;
        blank_behind_first = blank;
        if (is_row(record.is_empty(), line, blank)) {
          add_row(record, rows++);
          first.push_back(std::move(record));
        }
      } else if (is_row(!read_row(rows, line), line, blank)) {
        ++rows;
      }
      const Index skipped = m_scanner.skip_ignored();
      if (blank == 0) blank = skipped;
    }
    // What was longer than the first record was no record: there was nothing in it.
    if (first.size() == 1) cols = std::ssize(first[0].fields);
    columns.resize(static_cast<std::size_t>(cols));
  }

  static std::string line_text(Index line) { return "line " + std::to_string(line); }

  /// Whether a record counts. One without anything in it is a blank line, as which it may be behind
  /// the last row only: it would hide missing values.
  bool is_row(bool empty, Index line, Index& blank) {
    if (empty && m_survey.cols > 1) {
      if (blank == 0) blank = line;
      return false;
    }
    if (blank > 0 && m_seen_row) {
      m_scanner.fail("blank lines only behind the last row", "rows behind a blank line",
                     line_text(blank));
    }
    blank = 0;
    m_seen_row = true;
    return true;
  }

  void add_row(const CsvRecord& record, Index row) {
    for (Index j = 0; j < m_survey.cols; ++j) {
      const auto i = static_cast<std::size_t>(j);
      const CsvValue<Scalar> missing{CsvKind::Missing, Scalar{}};
      const auto value = i < record.fields.size()
                             ? csv_value<Scalar>(trimmed(record.fields[i].text), m_decimal)
                             : missing;
      keep(row, j, csv_number(value));
    }
  }

  void keep(Index row, Index j, Scalar value) {
    m_survey.order[static_cast<std::size_t>(j)].add(row, value);
    // What is not kept goes to a row that nobody looks at.
    m_survey.values(m_keep == CsvKeep::All ? row : std::min(row, kFirst), j) = value;
  }

  /// Returns whether there is anything in it. Columns are not told of rows without.
  bool read_row(Index row, Index line) {
    const CsvScanner start = m_scanner;
    const Index cols = m_survey.cols;
    Index empty = 0;  // fields at the start of the row
    for (Index j = 0;; ++j) {
      const CsvCell cell = m_scanner.next();
      if (j >= cols || (cell.last && j + 1 < cols))
        fail_ragged(start.count_fields(), line_text(line));
      if (empty == j && cell.text.empty()) {
        ++empty;
        if (cell.last && cols > 1) return false;
      } else {
        add_empty(empty, row, line);
        empty = -1;
        add(cell, row, j, line);
      }
      if (!cell.last) continue;
      add_empty(empty, row, line);
      return true;
    }
  }

  void add_empty(Index count, Index row, Index line) {
    for (Index j = 0; j < count; ++j) add({}, row, j, line);
  }

  void add(const CsvCell& cell, Index row, Index j, Index line) {
    CsvColumn& column = m_survey.columns[static_cast<std::size_t>(j)];
    if (cell.escaped) {
      keep(row, j, std::numeric_limits<Scalar>::quiet_NaN());
      return column.add(cell.value(), true, CsvKind::Text, line);
    }
    const std::string_view text = trimmed(cell.text);
    const auto value = csv_value<Scalar>(text, m_decimal);
    keep(row, j, csv_number(value));
    column.add(text, cell.quoted, value.kind, line);
  }

  [[noreturn]] void fail_ragged(Index found, const std::string& where) const {
    // Where the first line is shorter than the second, the rest does not say which one is right.
    const Index cols = m_survey.cols - (m_longer_at.empty() ? 0 : 1);
    m_scanner.fail(std::to_string(cols) + (cols == 1 ? " field, as in the first line" : " fields"),
                   std::to_string(m_longer_at.empty() ? found : cols + 1),
                   m_longer_at.empty() ? where : m_longer_at);
  }

  static constexpr Index kFirst = 3;  // records that are kept in any case

  CsvScanner m_scanner;
  char m_decimal;
  CsvKeep m_keep;
  CsvProgress m_progress;
  std::string m_longer_at;
  bool m_seen_row = false;
  CsvSurvey<Scalar> m_survey;
};

/// Goes through a file again, once it is known to hold numbers where they are wanted.
template <class Scalar>
class CsvRows {
 public:
  /// \param scanner    at the start of the file
  /// \param skipped    records at its start that are no rows
  /// \param positions  of the columns that are wanted
  CsvRows(CsvScanner scanner, char decimal, Index skipped, const std::vector<Index>& positions,
          CsvProgress progress)
      : m_scanner(scanner),
        m_decimal(decimal),
        m_skipped(skipped),
        m_progress(std::move(progress)),
        m_known(scanner.place()) {
    const Index cols = positions.empty() ? 0 : *std::ranges::max_element(positions) + 1;
    m_target.assign(static_cast<std::size_t>(cols), -1);
    for (std::size_t k = 0; k < positions.size(); ++k) {
      m_target[static_cast<std::size_t>(positions[k])] = static_cast<Index>(k);
    }
  }

  /// Fills rows of `block` from the first on and returns how many; less than it has at the end.
  Index read(RowMatrix<Scalar>& block) {
    Index row = 0;
    while (row < block.rows()) {
      m_scanner.skip_ignored();
      if (m_scanner.at_end()) break;
      if (m_progress && m_scanner.place() >= m_known) m_known = m_progress(m_scanner.place());
      if (read_record(block.row(row).data()) && m_record++ >= m_skipped) ++row;
    }
    return row;
  }

 private:
  /// Returns whether it is a row: as the survey counts them, see CsvSurveyor::is_row.
  bool read_record(Scalar* values) {
    bool empty = true;
    CsvCell cell;
    std::size_t j = 0;
    do {
      cell = m_scanner.next();
      empty = empty && cell.text.empty();
      if (j < m_target.size() && m_target[j] >= 0) {
        values[m_target[j]] = cell.escaped
                                  ? std::numeric_limits<Scalar>::quiet_NaN()
                                  : csv_number(csv_value<Scalar>(trimmed(cell.text), m_decimal));
      }
      ++j;
    } while (!cell.last);
    return !empty || j == 1 || m_record == 0;
  }

  CsvScanner m_scanner;
  char m_decimal;
  Index m_skipped;
  CsvProgress m_progress;
  const char* m_known;
  std::vector<Index> m_target;  // where a column goes; -1: nowhere
  Index m_record = 0;
};

}  // namespace mgdl::detail
