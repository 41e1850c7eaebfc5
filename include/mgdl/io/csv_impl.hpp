#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"

namespace mgdl::detail {

/// How an error names a column: column 2 ("depth").
inline std::string csv_column_text(Index column, const std::vector<std::string>& names) {
  const auto j = static_cast<std::size_t>(column);
  return "column " + std::to_string(column + 1) +
         (j < names.size() ? " (\"" + names[j] + "\")" : std::string());
}

/// Appends a name of a header, in quotes where a reader with any delimiter needs them. An empty
/// name could be the whole line, and one that starts beyond ASCII could pass for a byte order mark.
inline void append_csv_name(std::string& text, std::string_view name) {
  const bool is_plain = !name.empty() && static_cast<unsigned char>(name.front()) < 0x80 &&
                        name.find_first_of(",;\t |\"\r\n#") == std::string_view::npos;
  if (is_plain) {
    text += name;
    return;
  }
  text += '"';
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  text += '"';
}

/// Walks through the text of a CSV file, one record after the other. Numbers are parsed where they
/// stand; nothing is allocated per field. Copying it marks a place to return to.
template <class Scalar>
class CsvScanner {
 public:
  struct Field {
    std::string text;
    bool is_number = false;  ///< NaN, infinity and numbers out of range included
  };

  /// \param text       must outlive the scanner
  /// \param delimiter  between fields
  /// \param comment    first character of lines to skip, or '\0'
  /// \param source     how errors call the file; must outlive the scanner
  CsvScanner(std::string_view text, char delimiter, char comment, const std::string& source)
      : m_at(text.data()),
        m_end(text.data() + text.size()),
        m_delimiter(delimiter),
        m_comment(comment),
        m_source(&source) {
    if (text.starts_with("\xEF\xBB\xBF")) m_at += 3;  // byte order mark of UTF-8
  }

  bool at_end() const { return m_at == m_end; }
  Index line() const { return m_line; }

  /// Skips comments and blank lines; the number of the first blank line, or 0.
  Index skip_ignored() {
    Index first_blank = 0;
    for (; !at_end(); next_line()) {
      if (is_blank_line()) {
        if (first_blank == 0) first_blank = m_line;
      } else if (!is_comment()) {
        break;
      }
    }
    return first_blank;
  }

  /// Reads one record as text: quotes are removed, blanks around unquoted fields too. A quoted
  /// field may contain line breaks.
  std::vector<Field> read_fields() {
    std::vector<Field> fields;
    do {
      if (!fields.empty()) ++m_at;
      skip_blanks();
      std::string text = at('"') ? take_quoted() : std::string(take_unquoted());
      skip_blanks();
      if (!at(m_delimiter) && !at_line_end()) {
        fail("a delimiter or the end of the line behind the closing quote",
             excerpt(rest_of_field()), line_text());
      }
      const ParsedNumber<Scalar> number =
          parse_number<Scalar>(text.data(), text.data() + text.size());
      const bool is_number =
          number.status != NumberStatus::NotANumber && number.end == text.data() + text.size();
      fields.push_back({std::move(text), is_number});
    } while (at(m_delimiter));
    take_line_end();
    return fields;
  }

  /// Fields in the record of this line, which must not be a header with line breaks.
  Index count_fields() const {
    Index count = 1;
    bool quoted = false;
    for (const char* p = m_at; p != m_end && *p != '\n'; ++p) {
      if (*p == '"') quoted = !quoted;
      if (*p == m_delimiter && !quoted) ++count;
    }
    return count;
  }

  /// Reads all that is left as rows of `cols` finite numbers.
  Matrix<Scalar> read_rows(Index cols, const std::vector<std::string>& names) {
    // A row takes at least two bytes per column, so a file that claims more cells than that fails
    // in row number `possible` at the latest, before anything is stored behind it.
    const Index possible = (static_cast<Index>(m_end - m_at) + 1) / (2 * cols) + 1;
    Matrix<Scalar> values(std::min(count_rows(), possible), cols);
    for (Index row = 0;; ++row) {
      const Index blank = skip_ignored();
      if (at_end()) break;
      if (blank > 0 && row > 0) {
        fail("blank lines only behind the last row", "rows behind a blank line",
             "line " + std::to_string(blank));
      }
      read_row(values, row, names);
    }
    return values;
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found,
                         const std::string& where) const {
    throw InvalidArgument(*m_source, expected, found, where);
  }

  std::string line_text() const { return "line " + std::to_string(m_line); }

  bool at(char c) const { return m_at != m_end && *m_at == c; }
  bool at_line_end() const {
    return at_end() || *m_at == '\n' || (*m_at == '\r' && (m_end - m_at == 1 || m_at[1] == '\n'));
  }
  bool is_blank(char c) const { return (c == ' ' || c == '\t') && c != m_delimiter; }
  void skip_blanks() {
    while (m_at != m_end && is_blank(*m_at)) ++m_at;
  }
  bool is_comment() const { return m_comment != '\0' && at(m_comment); }
  bool is_blank_line() const {
    CsvScanner ahead = *this;
    ahead.skip_blanks();
    return ahead.at_line_end();
  }

  const char* line_break() const {
    if (at_end()) return m_end;
    const void* found = std::memchr(m_at, '\n', static_cast<std::size_t>(m_end - m_at));
    return found == nullptr ? m_end : static_cast<const char*>(found);
  }
  void next_line() {
    m_at = line_break();
    take_line_end();
  }
  void take_line_end() {
    if (at('\r')) ++m_at;
    if (at_end()) return;
    ++m_at;
    ++m_line;
  }

  Index count_rows() const {
    CsvScanner ahead = *this;
    Index count = 0;
    for (; !ahead.at_end(); ahead.next_line()) {
      if (!ahead.is_comment() && !ahead.is_blank_line()) ++count;
    }
    return count;
  }

  /// Text up to the next delimiter or the end of the line, without blanks behind it.
  std::string_view rest_of_field() const {
    const char* end = m_at;
    while (end != m_end && *end != m_delimiter && *end != '\n') ++end;
    if (end != m_at && end[-1] == '\r' && (end == m_end || *end == '\n')) --end;
    while (end != m_at && is_blank(end[-1])) --end;
    return {m_at, static_cast<std::size_t>(end - m_at)};
  }
  std::string_view take_unquoted() {
    const std::string_view text = rest_of_field();
    m_at += text.size();
    return text;
  }

  std::string take_quoted() {
    const std::string start = line_text();
    std::string text;
    for (++m_at;; ++m_at) {
      if (at_end()) fail("a closing quote", "the end of the file", start);
      if (*m_at == '\n') ++m_line;
      if (*m_at == '"') {
        ++m_at;
        if (!at('"')) return text;  // a doubled quote is a quote
      }
      text += *m_at;
    }
  }

  void read_row(Matrix<Scalar>& values, Index row, const std::vector<std::string>& names) {
    const CsvScanner start = *this;
    const Index cols = values.cols();
    for (Index j = 0; j < cols; ++j) {
      if (j > 0) {
        if (!at(m_delimiter)) start.fail_ragged(cols);
        ++m_at;
      }
      values(row, j) = read_number(j, names);
    }
    if (!at_line_end()) start.fail_ragged(cols);
    take_line_end();
  }

  Scalar read_number(Index column, const std::vector<std::string>& names) {
    skip_blanks();
    const CsvScanner start = *this;
    const bool quoted = at('"');
    if (quoted) {
      ++m_at;
      skip_blanks();
    }
    const ParsedNumber<Scalar> number = parse_number<Scalar>(m_at, m_end);
    m_at = number.end;
    skip_blanks();
    bool whole = true;
    if (quoted) {
      whole = at('"');
      if (whole) ++m_at;
      skip_blanks();
    }
    whole = whole && (at(m_delimiter) || at_line_end());
    if (number.status == NumberStatus::Ok && whole) return number.value;
    start.fail_number(whole ? number.status : NumberStatus::NotANumber, column, names);
  }

  [[noreturn]] void fail_ragged(Index cols) const {
    fail(std::to_string(cols) + (cols == 1 ? " field" : " fields"), std::to_string(count_fields()),
         line_text());
  }

  [[noreturn]] void fail_number(NumberStatus status, Index column,
                                const std::vector<std::string>& names) const {
    const std::string_view text = rest_of_field();
    std::string expected = "a number";
    if (status == NumberStatus::NotFinite) expected = "a finite number";
    if (status == NumberStatus::TooLarge) {
      expected = "a number of size at most ";
      append_number(expected, std::numeric_limits<Scalar>::max());
    }
    fail(expected, text.empty() ? "an empty field" : excerpt(text),
         line_text() + ", " + csv_column_text(column, names));
  }

  const char* m_at;
  const char* m_end;
  Index m_line = 1;
  char m_delimiter;
  char m_comment;
  const std::string* m_source;
};

}  // namespace mgdl::detail

namespace mgdl {

template <std::floating_point Scalar>
CsvTable<Scalar> parse_csv(std::string_view text, const CsvOptions& options,
                           const std::string& source) {
  options.validate();
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    throw InvalidArgument(source, "text in UTF-8 or ASCII", "UTF-16", "byte 0");
  }
  using Scanner = detail::CsvScanner<Scalar>;
  Scanner scanner(text, options.delimiter, options.comment, source);
  scanner.skip_ignored();

  CsvTable<Scalar> table;
  Index cols = scanner.count_fields();
  if (options.header != CsvHeader::No && !scanner.at_end()) {
    const Scanner first = scanner;
    std::vector<typename Scanner::Field> fields = scanner.read_fields();
    const auto is_number = [](const auto& field) { return field.is_number; };
    const auto text_field = std::ranges::find_if_not(fields, is_number);
    if (options.header == CsvHeader::Auto && std::ranges::any_of(fields, is_number)) {
      if (text_field != fields.end()) {
        throw InvalidArgument(
            source, "names or numbers in the first record (CsvOptions.header = Yes allows both)",
            detail::excerpt(text_field->text) + " beside numbers",
            "line " + std::to_string(first.line()) + ", " +
                detail::csv_column_text(text_field - fields.begin(), {}));
      }
      scanner = first;
    } else {
      cols = static_cast<Index>(fields.size());
      for (auto& field : fields) table.names.push_back(std::move(field.text));
      scanner.skip_ignored();
    }
  }
  if (scanner.at_end()) {
    throw InvalidArgument(source, "at least one row of numbers", "none",
                          "line " + std::to_string(scanner.line()));
  }
  table.values = scanner.read_rows(cols, table.names);
  return table;
}

template <std::floating_point Scalar>
CsvTable<Scalar> read_csv(const std::filesystem::path& path, const CsvOptions& options) {
  options.validate();
  return parse_csv<Scalar>(read_file(path), options, path.string());
}

template <std::floating_point Scalar>
std::vector<Index> find_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns,
                                const std::string& argument) {
  const Index cols = table.values.cols();
  const auto available = [&] {
    constexpr std::size_t max_listed = 50;
    std::string text;
    for (std::size_t j = 0; j < std::min(table.names.size(), max_listed); ++j) {
      text += "\"" + table.names[j] + "\", ";
    }
    if (table.names.size() > max_listed) text += "..., ";
    return text + (text.empty() ? "the numbers" : "or a number from") + " 1 to " +
           std::to_string(cols);
  };
  if (columns.empty()) throw InvalidArgument(argument, "at least one of " + available(), "none");

  std::vector<Index> result;
  for (const std::string& column : columns) {
    const auto same_name = std::ranges::count(table.names, column);
    if (same_name > 1) {
      throw InvalidArgument(
          argument, "a column that can be told by its name, or its number",
          "\"" + column + "\", the name of " + std::to_string(same_name) + " columns");
    }
    Index position = -1;
    if (same_name == 1) {
      position = std::ranges::find(table.names, column) - table.names.begin();
    } else {
      Index number = 0;
      const char* end = column.data() + column.size();
      const auto [stop, error] = std::from_chars(column.data(), end, number);
      if (error == std::errc() && stop == end && number >= 1 && number <= cols) {
        position = number - 1;
      }
    }
    if (position < 0) {
      throw InvalidArgument(argument, "one of " + available(), "\"" + column + "\"");
    }
    if (std::ranges::find(result, position) != result.end()) {
      throw InvalidArgument(argument, "every column once, of " + available(),
                            "\"" + column + "\" again");
    }
    result.push_back(position);
  }
  return result;
}

template <std::floating_point Scalar>
CsvTable<Scalar> select_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns) {
  const std::vector<Index> positions = find_columns(table, columns);
  CsvTable<Scalar> result;
  result.values.resize(table.values.rows(), static_cast<Index>(positions.size()));
  for (Index j = 0; j < result.values.cols(); ++j) {
    const Index position = positions[static_cast<std::size_t>(j)];
    result.values.col(j) = table.values.col(position);
    if (!table.names.empty()) {
      result.names.push_back(table.names[static_cast<std::size_t>(position)]);
    }
  }
  return result;
}

template <std::floating_point Scalar>
CsvSplit<Scalar> split_targets(const CsvTable<Scalar>& table,
                               const std::vector<std::string>& target_columns) {
  const std::vector<Index> targets = find_columns(table, target_columns, "target_columns");
  const Index rows = table.values.rows();
  const Index cols = table.values.cols();
  const Index outputs = static_cast<Index>(targets.size());
  if (outputs == cols) {
    throw InvalidArgument("target_columns", "at least one column left as input",
                          "all " + std::to_string(cols) + " columns as targets");
  }
  CsvSplit<Scalar> result{Matrix<Scalar>(rows, cols - outputs), Matrix<Scalar>(rows, outputs)};
  Index input = 0;
  for (Index j = 0; j < cols; ++j) {
    const auto target = std::ranges::find(targets, j);
    if (target == targets.end()) {
      result.X.col(input++) = table.values.col(j);
    } else {
      result.Y.col(target - targets.begin()) = table.values.col(j);
    }
  }
  return result;
}

template <std::floating_point Scalar>
void detail::write_csv_values(std::ostream& out, const MatrixView<Scalar>& values,
                              const std::vector<std::string>& names) {
  if (values.size() == 0) {
    throw InvalidArgument("matrix", "at least one row and one column",
                          detail::shape_text(values.rows(), values.cols()));
  }
  detail::require_finite("matrix", values);
  if (!names.empty() && static_cast<Index>(names.size()) != values.cols()) {
    throw InvalidArgument("names", std::to_string(values.cols()) + " names or none",
                          std::to_string(names.size()));
  }
  std::string text;
  for (std::size_t j = 0; j < names.size(); ++j) {
    text += j == 0 ? "" : ",";
    detail::append_csv_name(text, names[j]);
  }
  if (!names.empty()) text += '\n';
  for (Index i = 0; i < values.rows(); ++i) {
    for (Index j = 0; j < values.cols(); ++j) {
      if (j > 0) text += ',';
      detail::append_number(text, values(i, j));
    }
    text += '\n';
    constexpr std::size_t enough = std::size_t{1} << 16;
    if (text.size() >= enough || i + 1 == values.rows()) {
      out.write(text.data(), static_cast<std::streamsize>(text.size()));
      text.clear();
    }
  }
}

template <std::floating_point Scalar>
void detail::write_csv_values(const std::filesystem::path& path, const MatrixView<Scalar>& values,
                              const std::vector<std::string>& names) {
  write_file(path, [&](std::ostream& out) { write_csv_values(out, values, names); });
}

}  // namespace mgdl
