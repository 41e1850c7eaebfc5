#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"

namespace mgdl::detail {

/// Stands for '#', unless it begins what a spreadsheet writes for an error: #DIV/0!, #N/A, #NAME?.
inline constexpr char kFoundComment = '\1';

/// One field of a record, without the quotes and the blanks around it. Borrows the text of the
/// file.
struct CsvCell {
  std::string_view text;
  bool quoted = false;
  bool escaped = false;  ///< has doubled quotes, each of which stands for one
  bool last = false;     ///< of its record

  std::string value() const {
    std::string result(text);
    if (!escaped) return result;
    for (std::size_t at = 0; (at = result.find("\"\"", at)) != std::string::npos; ++at) {
      result.erase(at, 1);
    }
    return result;
  }
};

/// Walks through the text of a CSV file, one field after the other; allocates nothing. Copying it
/// marks a place to return to.
///
/// Fields end at the delimiter; where that is a space, at any number of blanks, and those at both
/// ends of a line do not count.
class CsvScanner {
 public:
  /// \param text     must outlive the scanner; lines end with LF or CR LF
  /// \param comment  first character of lines to skip, '\0' or kFoundComment
  /// \param source   how errors call the file; must outlive the scanner
  CsvScanner(std::string_view text, char delimiter, char comment, const std::string& source)
      : m_at(text.data()),
        m_end(text.data() + text.size()),
        m_delimiter(delimiter),
        m_comment(comment),
        m_source(&source) {}

  bool at_end() const { return m_at == m_end; }
  /// Where it is in the text.
  const char* place() const { return m_at; }
  Index line() const { return m_line; }
  std::size_t bytes_left() const { return static_cast<std::size_t>(m_end - m_at); }
  /// Comments skipped so far, and the last of them.
  Index comments() const { return m_comments; }
  std::string_view last_comment() const { return m_last_comment; }

  /// Skips comments and blank lines; the number of the first blank line, or 0.
  Index skip_ignored() {
    Index first_blank = 0;
    for (; !at_end(); next_line()) {
      if (is_blank_line()) {
        if (first_blank == 0) first_blank = m_line;
      } else if (is_comment()) {
        ++m_comments;
        m_last_comment = rest_of_line();
      } else {
        break;
      }
    }
    return first_blank;
  }

  /// The next field, and on to the one behind it.
  CsvCell next() {
    skip_blanks();
    CsvCell cell;
    if (at('"')) {
      take_quoted(cell);
      const char* behind = m_at;
      skip_blanks();
      if (!is_field_end() && !(m_delimiter == ' ' && m_at != behind)) {
        fail("a delimiter or the end of the line behind the closing quote",
             excerpt(rest_of_field()), line_text());
      }
    } else {
      cell.text = rest_of_field();
      m_at += cell.text.size();
      skip_blanks();
    }
    cell.last = at_line_end();
    if (cell.last) {
      take_line_end();
    } else if (m_delimiter != ' ') {
      ++m_at;
    }
    return cell;
  }

  /// Fields in the record of this line.
  Index count_fields() const {
    CsvScanner ahead = *this;
    Index count = 1;
    while (!ahead.next().last) ++count;
    return count;
  }

  /// Records in the rest of the text at most.
  Index count_lines() const {
    Index count = 1;
    for (const char* p = m_at; p != m_end; ++count) {
      const void* found = std::memchr(p, '\n', static_cast<std::size_t>(m_end - p));
      if (found == nullptr) break;
      p = static_cast<const char*>(found) + 1;
    }
    return count;
  }

  [[noreturn]] void fail(const std::string& expected, const std::string& found,
                         const std::string& where) const {
    throw InvalidArgument(*m_source, expected, found, where);
  }
  std::string line_text() const { return "line " + std::to_string(m_line); }

 private:
  bool at(char c) const { return m_at != m_end && *m_at == c; }
  bool at_line_end() const {
    return at_end() || *m_at == '\n' || (*m_at == '\r' && (m_end - m_at == 1 || m_at[1] == '\n'));
  }
  bool is_blank(char c) const { return (c == ' ' || c == '\t') && c != m_delimiter; }
  bool ends_field(char c) const {
    return c == m_delimiter || c == '\n' || (m_delimiter == ' ' && c == '\t');
  }
  bool is_field_end() const { return at_line_end() || ends_field(*m_at); }
  /// Around a field; where a space is the delimiter, all that separates fields.
  void skip_blanks() {
    while (m_at != m_end && (is_blank(*m_at) || (m_delimiter == ' ' && *m_at == ' '))) ++m_at;
  }
  bool is_comment() const {
    if (m_comment != kFoundComment) return m_comment != '\0' && at(m_comment);
    if (!at('#')) return false;
    const std::string_view field = rest_of_field();
    const bool error = field.size() > 2 && field.size() < 12 &&
                       field.find_first_not_of("#ABCDEFGHIJKLMNOPQRSTUVWXYZ/0!?") == field.npos &&
                       (field.ends_with('!') || field.ends_with('?') || field == "#N/A" ||
                        field == "#NA" || field == "#NV");
    return !error;
  }
  bool is_blank_line() const {
    CsvScanner ahead = *this;
    ahead.skip_blanks();
    return ahead.at_line_end();
  }

  std::string_view rest_of_line() const {
    const char* end = line_break();
    if (end != m_at && end[-1] == '\r') --end;
    return {m_at, static_cast<std::size_t>(end - m_at)};
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

  /// Text up to the next delimiter or the end of the line, without blanks behind it.
  std::string_view rest_of_field() const {
    const char* end = m_at;
    while (end != m_end && !ends_field(*end)) ++end;
    if (end != m_at && end[-1] == '\r' && (end == m_end || *end == '\n')) --end;
    while (end != m_at && is_blank(end[-1])) --end;
    return {m_at, static_cast<std::size_t>(end - m_at)};
  }

  void take_quoted(CsvCell& cell) {
    const std::string start = line_text();
    const char* first = ++m_at;
    cell.quoted = true;
    for (;; ++m_at) {
      if (at_end()) fail("a closing quote", "the end of the file", start);
      if (*m_at == '\n') ++m_line;
      if (*m_at != '"') continue;
      ++m_at;
      if (!at('"')) break;
      cell.escaped = true;
    }
    cell.text = {first, static_cast<std::size_t>(m_at - 1 - first)};
  }

  const char* m_at;
  const char* m_end;
  Index m_line = 1;
  Index m_comments = 0;
  std::string_view m_last_comment;
  char m_delimiter;
  char m_comment;
  const std::string* m_source;
};

}  // namespace mgdl::detail
