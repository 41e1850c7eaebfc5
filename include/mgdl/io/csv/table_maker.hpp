#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv/delimiter.hpp"
#include "mgdl/io/csv/header.hpp"
#include "mgdl/io/csv/scanner.hpp"
#include "mgdl/io/csv/survey.hpp"
#include "mgdl/io/csv_table.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"

namespace mgdl::detail {

/// How an error names a column: column 2 ("depth").
inline std::string csv_column_text(Index column, const std::vector<std::string>& names) {
  const auto j = static_cast<std::size_t>(column);
  return "column " + std::to_string(column + 1) +
         (j < names.size() ? " (" + excerpt(names[j]) + ")" : std::string());
}

/// Appends a name of a header, in quotes where a reader with any delimiter needs them. An empty
/// name could be the whole line, one that starts beyond ASCII could pass for a byte order mark, and
/// one that is a number for data.
inline void append_csv_name(std::string& text, std::string_view name) {
  const bool is_plain = !name.empty() && static_cast<unsigned char>(name.front()) < 0x80 &&
                        name.find_first_of(",;\t |\"\r\n#") == std::string_view::npos &&
                        csv_value<double>(trimmed(name), '\0').kind == CsvKind::Text;
  if (is_plain) {
    text += name;
    return;
  }
  text += '"';
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  text += '"';
}

/// The text if it is UTF-8, else the same from Latin-1.
inline std::string utf8_of(const std::string& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  bool valid = true;
  for (std::size_t i = 0; i < text.size() && valid; ++i) {
    if (byte(i) < 0x80) continue;
    const int more = byte(i) >= 0xF0 ? 3 : byte(i) >= 0xE0 ? 2 : 1;
    // Neither too long nor too large, nor half of a pair of UTF-16.
    const unsigned second = i + 1 < text.size() ? byte(i + 1) : 0;
    valid = byte(i) >= 0xC2 && byte(i) <= 0xF4 && !(byte(i) == 0xE0 && second < 0xA0) &&
            !(byte(i) == 0xED && second > 0x9F) && !(byte(i) == 0xF0 && second < 0x90) &&
            !(byte(i) == 0xF4 && second > 0x8F);
    for (int k = 0; k < more && valid; ++k) valid = ++i < text.size() && byte(i) >> 6 == 2;
  }
  if (valid) return text;
  std::string result;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x80) result += static_cast<char>(0xC0 | code >> 6);
    result += static_cast<char>(code < 0x80 ? code : 0x80 | (code & 0x3F));
  }
  return result;
}

/// Throws if the file is one of another kind, which people take for CSV or have beside it.
inline void require_text(std::string_view text, const std::string& source) {
  const auto fail = [&](const char* found) {
    throw InvalidArgument(source, "text in UTF-8 or ASCII", found, "byte 0");
  };
  using namespace std::string_view_literals;
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF") ||
      (text.size() > 1 && (text[0] == '\0' || text[1] == '\0') && text[0] != text[1])) {
    fail("UTF-16");
  }
  if (text.starts_with("PK\x03\x04")) fail("a zip file, as workbooks (.xlsx) and .npz files are");
  if (text.starts_with("\x93NUMPY")) fail("a .npy file");
  if (text.starts_with("\x1F\x8B")) fail("a gzip file");
  if (text.starts_with("\x89HDF") || text.starts_with("PAR1")) fail("an HDF5 or Parquet file");
  if (text.starts_with("<!DOCTYPE") || text.starts_with("<html") || text.starts_with("<?xml")) {
    fail("HTML or XML");
  }
  if (text.starts_with("\xD0\xCF\x11\xE0")) fail("a workbook (.xls)");
}

/// Positions in `numbers` (of columns in their file, from 0) of the columns that are asked for.
inline std::vector<Index> find_csv_columns(const std::vector<std::string>& names,
                                           const std::vector<Index>& numbers,
                                           const std::vector<CsvLeftOut>& left_out,
                                           const std::vector<std::string>& columns,
                                           const std::string& argument) {
  const auto available = [&] {
    constexpr std::size_t max_listed = 20;
    std::string text;
    for (std::size_t j = 0; j < std::min(names.size(), max_listed); ++j) {
      text += excerpt(names[j]) + ", ";
    }
    if (names.size() > max_listed) text += "..., ";
    text += text.empty() ? "the numbers" : "or a number from";
    return text + " 1 to " + std::to_string(numbers.empty() ? 0 : numbers.back() + 1);
  };
  if (columns.empty()) throw InvalidArgument(argument, "at least one of " + available(), "none");

  std::vector<Index> result;
  for (const std::string& column : columns) {
    const auto same_name = std::ranges::count(names, column);
    if (same_name > 1) {
      throw InvalidArgument(
          argument, "a column that can be told by its name, or its number",
          excerpt(column) + ", the name of " + std::to_string(same_name) + " columns");
    }
    Index number = 0;
    const char* end = column.data() + column.size();
    const auto [stop, error] = std::from_chars(column.data(), end, number);
    if (error != std::errc() || stop != end || number < 1) number = 0;
    for (const CsvLeftOut& other : left_out) {
      const bool named = !other.name.empty() && other.name == column;
      if (same_name > 0 || !(named || other.position + 1 == number)) continue;
      throw InvalidArgument(argument, "a column of numbers",
                            excerpt(column) + ", which was left out (" + other.reason + ")");
    }
    const auto place = same_name == 1 ? std::ranges::find(names, column) - names.begin()
                                      : std::ranges::find(numbers, number - 1) - numbers.begin();
    const Index position = static_cast<Index>(place);
    if (position == std::ssize(numbers)) {
      throw InvalidArgument(argument, "one of " + available(), excerpt(column));
    }
    if (std::ranges::find(result, position) != result.end()) {
      throw InvalidArgument(argument, "every column once, of " + available(),
                            excerpt(column) + " again");
    }
    result.push_back(position);
  }
  return result;
}

/// The text of a CSV file, and how it is cut into fields.
class CsvText {
 public:
  /// \param options  must outlive this, as `text` and `source` must
  CsvText(std::string_view text, const CsvOptions& options, const std::string& source)
      : m_source(source), m_options(options) {
    options.validate();
    require_text(text, source);
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark of UTF-8
    if (text.find('\n') == std::string_view::npos && text.find('\r') != std::string_view::npos) {
      m_changed = text;
      std::ranges::replace(m_changed, '\r', '\n');
      text = m_changed;
    }
    m_comment = options.comment.value_or(kFoundComment);
    std::optional<char> delimiter = options.delimiter;
    if (text.size() > 5 && text.starts_with("sep=") && text.find_first_of("\r\n") == 5) {
      // A line in which some tell Excel the delimiter; a blank one keeps the numbers of the others.
      if (!delimiter) {
        CsvOptions said = options;
        said.delimiter = delimiter = text[4];
        said.validate();
      }
      text.remove_prefix(5);
    }
    m_delimiter = delimiter ? *delimiter : find_delimiter(text, m_comment, source);
    m_decimal = options.decimal.value_or(m_delimiter == ',' ? '.' : '\0');
    m_text = text;
  }
  CsvText(const CsvText&) = delete;
  CsvText& operator=(const CsvText&) = delete;

  CsvScanner scanner() const { return {m_text, m_delimiter, m_comment, m_source}; }
  char delimiter() const noexcept { return m_delimiter; }
  /// Point, comma, or NUL: whichever a field has.
  char decimal() const noexcept { return m_decimal; }
  const CsvOptions& options() const noexcept { return m_options; }
  const std::string& source() const noexcept { return m_source; }

 private:
  const std::string& m_source;
  const CsvOptions& m_options;
  std::string m_changed;  // instead of one with other line ends
  std::string_view m_text;
  char m_comment = '\0';
  char m_delimiter = ',';
  char m_decimal = '.';
};

/// Makes a table of what was found in a file. Its values are those that the survey has kept.
template <class Scalar>
class CsvTableMaker {
 public:
  CsvTableMaker(const CsvText& text, CsvKeep keep, const CsvProgress& progress = {})
      : m_text(text),
        m_keep(keep),
        m_progress(progress),
        m_survey(CsvSurveyor<Scalar>(text.scanner(), text.decimal(), keep, progress).read()),
        m_options(text.options()),
        m_source(text.source()) {
    m_dialect.delimiter = text.delimiter();
  }

  /// Records at the start of the file that are no rows; known once there is a table.
  Index skipped() const noexcept { return m_skipped; }
  Index rows() const noexcept { return m_survey.rows - m_skipped; }
  /// Whether each value of column j of the file is one more than the one before it.
  bool counts_on(Index j) const {
    return m_survey.order[static_cast<std::size_t>(j)].last_jump <= m_skipped;
  }

  CsvTable<Scalar> table() {
    if (m_survey.first.empty()) fail_no_rows();
    take_names();
    if (m_survey.rows == m_skipped) fail_no_rows();
    // Held back so far.
    for (auto i = static_cast<std::size_t>(m_skipped); i < m_survey.first.size(); ++i) {
      const CsvRecord& record = m_survey.first[i];
      for (std::size_t j = 0; j < record.fields.size(); ++j) {
        const auto& field = record.fields[j];
        m_survey.columns[j].add(trimmed(field.text), field.quoted, field.kind, record.line);
      }
    }
    if (m_short) complete_names();
    CsvTable<Scalar> result;
    result.positions = wanted(result.left_out);
    require_numbers(result.positions);
    m_dialect.decimal = decimal_of(result.positions);
    m_dialect.comments = m_survey.comments - (m_dialect.names_in_comment ? 1 : 0);
    result.dialect = m_dialect;
    for (const Index j : result.positions) {
      if (!m_names.empty()) result.names.push_back(m_names[static_cast<std::size_t>(j)]);
    }
    const Index kept = m_keep == CsvKeep::All ? rows() : 0;
    result.values = m_survey.values(Eigen::seqN(m_skipped, kept), result.positions);
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found,
                         const std::string& where) const {
    throw InvalidArgument(m_source, expected, found, where);
  }
  static std::string line_text(Index line) { return "line " + std::to_string(line); }

  [[noreturn]] void fail_no_rows() const {
    fail("at least one row of numbers", "none", line_text(m_survey.end_line));
  }

  const CsvColumn& column(Index j) const { return m_survey.columns[static_cast<std::size_t>(j)]; }

  /// Decides what the first records are, and keeps the names.
  void take_names() {
    const CsvRecord& record = m_survey.first[0];
    const CsvHeaderJudge<Scalar> judge(m_survey, m_options.names);
    CsvFirst first = CsvFirst::Data;
    const std::vector<std::string> comment = names_in_comment();
    if (m_options.header == CsvHeader::Auto) {
      first = judge.judge();
      if (!comment.empty() && (first == CsvFirst::Data || first == CsvFirst::Unclear)) {
        fail("names in the comment above the numbers, or none (CsvOptions.header yes or no)",
             excerpt(m_survey.comment_before), line_text(record.line));
      }
      if (first == CsvFirst::Unclear) {
        fail("a first line that is clearly names or numbers (CsvOptions.header yes or no)",
             excerpt(text_of(record)), line_text(record.line));
      }
    } else if (m_options.header == CsvHeader::Yes) {
      if (!comment.empty() && judge.judge() == CsvFirst::Data) {
        m_names = comment;
        m_dialect.names_in_comment = true;
      } else {
        first = judge.has_units() ? CsvFirst::NamesAndUnits : CsvFirst::Names;
      }
    }
    m_short = std::ssize(record.fields) < m_survey.cols;
    if (first == CsvFirst::Data) {
      if (m_short) fail_short();
      if (m_survey.blank_behind_first > 0) {
        fail("blank lines only behind the last row", "rows behind a blank line",
             line_text(m_survey.blank_behind_first));
      }
    } else {
      for (const auto& field : record.fields) m_names.push_back(utf8_of(field.text));
    }
    // A byte 0 does not come back from the file that it is written to.
    for (const std::string& name : m_names) {
      if (name.find('\0') == name.npos) continue;
      fail("names that are text", excerpt(name), line_text(record.line));
    }
    m_dialect.header = !m_names.empty();
    m_dialect.units = first == CsvFirst::NamesAndUnits;
    m_skipped = first == CsvFirst::Data ? 0 : first == CsvFirst::Names ? 1 : 2;
  }

  static std::string text_of(const CsvRecord& record) {
    std::string text;
    for (const auto& field : record.fields) text += (text.empty() ? "" : ",") + field.text;
    return text;
  }

  /// Names in the comment right above the first record, as numpy.savetxt writes them: if it has as
  /// many fields. Not looked for if it is said that the line is a comment.
  std::vector<std::string> names_in_comment() const {
    std::string_view line = m_survey.comment_before;
    if (m_options.comment || line.empty() || m_survey.cols < 2) return {};
    line.remove_prefix(1);
    std::vector<std::string> names;
    try {
      CsvScanner scanner(line, m_dialect.delimiter, '\0', m_source);
      CsvCell cell;
      do {
        cell = scanner.next();
        names.push_back(utf8_of(cell.value()));
      } while (!cell.last);
    } catch (const InvalidArgument&) {
      return {};
    }
    if (std::ssize(names) != m_survey.cols) return {};
    return names;
  }

  [[noreturn]] void fail_short() const {
    const Index found = m_survey.cols - 1;
    fail(std::to_string(found) + (found == 1 ? " field, as in the first line" : " fields"),
         std::to_string(m_survey.cols), line_text(m_survey.first[1].line));
  }

  /// Rows have one field more than there are names: an empty one at their end, or a name of the row
  /// at their start.
  void complete_names() {
    const Index last = m_survey.cols - 1;
    const CsvColumn& end = column(last);
    if (end.numbers + end.texts == 0 && end.first_missing.text.empty()) {
      m_names.emplace_back();
      return;
    }
    const CsvColumn& start = column(0);
    const Index rows = m_survey.rows - m_skipped;
    const bool blanks = m_dialect.delimiter == ' ' || m_dialect.delimiter == '\t';
    if ((start.numbers == 0 && start.texts == rows) || start.quoted == rows ||
        (blanks && counts_rows(0))) {
      m_names.insert(m_names.begin(), std::string());
      m_row_names = true;
      return;
    }
    fail_short();
  }

  /// Whether a column has the numbers of the rows, from 0 or 1.
  bool counts_rows(Index j) const {
    const auto first = m_survey.values(m_skipped, j);
    return column(j).wholes == column(j).numbers && (first == 0 || first == 1) && counts_on(j);
  }

  /// Whether the first column, which has no name, only tells rows apart.
  bool is_row_index() const {
    if (m_row_names) return true;
    const bool nameless = !m_names.empty() && (m_names[0].empty() || m_names[0] == "Unnamed: 0");
    if (!nameless || column(0).wholes != m_survey.rows - m_skipped) return false;
    if (m_survey.order[0].last_fall <= m_skipped) return m_survey.values(m_skipped, 0) >= 0;
    std::vector<Scalar> numbers = first_column();
    std::ranges::sort(numbers);
    return numbers.front() >= 0 && std::ranges::adjacent_find(numbers) == numbers.end();
  }

  std::vector<Scalar> first_column() const {
    if (m_keep == CsvKeep::All) {
      return {m_survey.values.col(0).begin() + m_skipped,
              m_survey.values.col(0).begin() + m_survey.rows};
    }
    RowMatrix<Scalar> column(rows(), 1);
    CsvRows<Scalar>(m_text.scanner(), m_text.decimal(), m_skipped, {0}, m_progress).read(column);
    return {column.data(), column.data() + column.size()};
  }

  /// Position of the one column of that name.
  Index named(const std::string& name) const {
    const auto place = std::ranges::find(m_names, name);
    if (place != m_names.end() && std::find(place + 1, m_names.end(), name) == m_names.end()) {
      return static_cast<Index>(place - m_names.begin());
    }
    std::string found;
    for (std::size_t j = 0; j < m_names.size() && place == m_names.end(); ++j) {
      if (j > 9) {
        found += ", ...";
        break;
      }
      found += (j == 0 ? "" : ", ") + excerpt(m_names[j]);
    }
    throw InvalidArgument(m_source, "one column named " + excerpt(name),
                          found.empty() ? "several" : found);
  }

  /// Positions of the columns of the table.
  std::vector<Index> wanted(std::vector<CsvLeftOut>& left_out) const {
    std::vector<Index> all;
    for (Index j = 0; j < m_survey.cols; ++j) all.push_back(j);
    const auto find = [&](const std::vector<std::string>& columns, const char* argument) {
      return find_csv_columns(m_names, all, {}, columns, argument);
    };
    const std::vector<Index> excluded =
        m_options.exclude.empty() ? all : find(m_options.exclude, "CsvOptions.exclude");
    const auto is_excluded = [&](Index j) {
      return !m_options.exclude.empty() && std::ranges::count(excluded, j) > 0;
    };
    if (!m_options.columns.empty()) {
      std::vector<Index> positions = find(m_options.columns, "CsvOptions.columns");
      for (std::size_t k = 0; k < positions.size(); ++k) {
        if (!is_excluded(positions[k])) continue;
        throw InvalidArgument("CsvOptions.exclude", "other columns than CsvOptions.columns",
                              excerpt(m_options.columns[k]));
      }
      return positions;
    }
    std::vector<Index> positions;
    if (!m_options.names.empty() && !m_names.empty()) {
      for (const std::string& name : m_options.names) positions.push_back(named(name));
      return positions;
    }
    for (const Index j : all) {
      const CsvColumn& found = column(j);
      const char* reason = nullptr;
      if (is_excluded(j)) {
        reason = "excluded";
      } else if (found.numbers == 0 && found.texts == 0) {
        reason = "empty";
      } else if (j == 0 && is_row_index() && m_survey.cols > 1) {
        reason = m_row_names ? "row names" : "row numbers";
      } else if (found.numbers == 0 && found.text_kind == CsvKind::Text &&
                 !is_broken_number(found.first_text.text)) {
        reason = "text";
      }
      if (reason == nullptr) {
        positions.push_back(j);
      } else {
        const auto i = static_cast<std::size_t>(j);
        left_out.push_back({j, m_names.empty() ? std::string() : m_names[i], reason});
      }
    }
    if (positions.empty()) {
      // What is wrong with the first column is wrong with all.
      if (column(0).texts + column(0).missing > 0 && !is_excluded(0)) require_numbers({0});
      fail("at least one column of numbers", "none", line_text(m_survey.end_line));
    }
    return positions;
  }

  /// Throws at the first field, line by line, that is no number.
  void require_numbers(const std::vector<Index>& positions) const {
    const CsvPlace* first = nullptr;
    Index at = 0;
    for (const Index j : positions) {
      for (const CsvPlace* place : {&column(j).first_missing, &column(j).first_text}) {
        if (place->line == 0 || (first != nullptr && first->line <= place->line)) continue;
        first = place;
        at = j;
      }
    }
    if (first == nullptr) return;
    const CsvKind kind = first == &column(at).first_text ? column(at).text_kind : CsvKind::Missing;
    std::string expected = "a number";
    const char* end = first->text.data() + first->text.size();
    const ParsedNumber<Scalar> number = parse_number<Scalar>(first->text.data(), end);
    if (number.status == NumberStatus::NotFinite && number.end == end) {
      expected = "a finite number";
    }
    if (kind == CsvKind::TooLarge) {
      expected = "a number of size at most ";
      append_number(expected, std::numeric_limits<Scalar>::max());
    }
    fail(expected, first->text.empty() ? "an empty field" : excerpt(first->text),
         line_text(first->line) + ", " + csv_column_text(at, m_names));
  }

  char decimal_of(const std::vector<Index>& positions) const {
    if (m_options.decimal) return *m_options.decimal;
    const CsvPlace* comma = nullptr;
    const CsvPlace* point = nullptr;
    bool thousands = true;
    for (const Index j : positions) {
      if (comma == nullptr && column(j).first_comma.line > 0) comma = &column(j).first_comma;
      if (point == nullptr && column(j).first_point.line > 0) point = &column(j).first_point;
      thousands = thousands && column(j).thousands;
    }
    if (comma == nullptr) return '.';
    if (point != nullptr) {
      fail("numbers all with a point or all with a comma (CsvOptions.decimal)",
           excerpt(comma->text) + " and " + excerpt(point->text) + " in line " +
               std::to_string(point->line),
           line_text(comma->line));
    }
    if (thousands) {
      fail(
          "a comma that is clearly for decimals or for thousands (CsvOptions.decimal comma for the "
          "former)",
          excerpt(comma->text), line_text(comma->line));
    }
    return ',';
  }

  const CsvText& m_text;
  CsvKeep m_keep;
  CsvProgress m_progress;
  CsvSurvey<Scalar> m_survey;
  const CsvOptions& m_options;
  CsvDialect m_dialect;
  const std::string& m_source;
  std::vector<std::string> m_names;
  Index m_skipped = 0;       // records that are no rows
  bool m_short = false;      // fewer names than fields in a row
  bool m_row_names = false;  // which are what the names lack
};

}  // namespace mgdl::detail
