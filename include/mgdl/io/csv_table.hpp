#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"

/// \file
/// What is asked of CSV text, and what comes of it.

namespace mgdl {

/// Whether the first record holds the names of the columns.
enum class CsvHeader {
  /// Found out from whole columns: text above numbers is a name, and so are numbers in quotes above
  /// numbers without, and the numbers 0, 1, 2, ... above fractions. An error if nothing tells.
  Auto,
  Yes,  ///< it does
  No,   ///< it does not
};

/// How a CSV file is written, and what is wanted of it. What is not given is found out, and
/// CsvTable::dialect says what was found; what the file leaves open is an error.
struct CsvOptions {
  /// One of comma, semicolon, tab, '|' and space, which stands for any number of blanks. Without:
  /// the one that cuts all records into as many fields.
  std::optional<char> delimiter = {};
  /// Whether the first record holds names. A second one of text above columns of numbers (units) is
  /// left out.
  CsvHeader header = CsvHeader::Auto;
  /// Lines that start with it are skipped: one of `# % ! ; / *`, or NUL for none. Without: `#`.
  std::optional<char> comment = {};
  /// Decimal point or comma. Without: a comma, where the delimiter is another one, if numbers have
  /// no point.
  std::optional<char> decimal = {};
  /// Names or numbers (from 1) of the columns to read, in this order, see find_columns. Without:
  /// all but those of text, empty ones, and a first one of row numbers without a name.
  std::vector<std::string> columns = {};
  /// The same of columns to leave out.
  std::vector<std::string> exclude = {};
  /// Instead of `columns`: names of the columns to read, in this order, if the file has a header;
  /// without one, and for an empty list, they change nothing. A first record that has them all is a
  /// header.
  std::vector<std::string> names = {};

  /// \throws InvalidArgument naming the field
  void validate() const {
    const auto text = [](char c) { return detail::excerpt(std::string_view(&c, 1)); };
    if (delimiter && std::string_view(",;\t |").find(*delimiter) == std::string_view::npos) {
      throw InvalidArgument("CsvOptions.delimiter", "a comma, semicolon, tab, space or '|'",
                            text(*delimiter));
    }
    if (comment && *comment != '\0' &&
        std::string_view("#%!;/*").find(*comment) == std::string_view::npos) {
      throw InvalidArgument("CsvOptions.comment", "one of # % ! ; / * or '\\0' for none",
                            text(*comment));
    }
    if (comment && comment == delimiter) {
      throw InvalidArgument("CsvOptions.comment", "another character than the delimiter",
                            text(*comment));
    }
    if (!names.empty() && !columns.empty()) {
      throw InvalidArgument("CsvOptions.names", "none with CsvOptions.columns",
                            std::to_string(names.size()));
    }
    if (decimal && *decimal != '.' && *decimal != ',') {
      throw InvalidArgument("CsvOptions.decimal", "a point or a comma", text(*decimal));
    }
  }
};

/// How a file turned out to be written.
struct CsvDialect {
  char delimiter = ',';           ///< between fields; means nothing for a single column
  char decimal = '.';             ///< point or comma
  bool header = false;            ///< whether there are names
  bool names_in_comment = false;  ///< whether these are in the comment above the first record
  bool units = false;             ///< whether a record of units was left out
  Index comments = 0;             ///< lines that were skipped
};

/// A column of a file that is not in the table.
struct CsvLeftOut {
  Index position = 0;  ///< in the file, from 0
  std::string name;    ///< empty if it has none
  std::string reason;  ///< e.g. "text"
};

/// Columns of finite numbers.
template <std::floating_point Scalar>
struct CsvTable {
  std::vector<std::string> names;         ///< one per column, or empty if the file has no header
  Matrix<Scalar> values;                  ///< n x d, one row a record
  std::vector<Index> positions = {};      ///< of the columns in the file, from 0; empty: 0, 1, ...
  std::vector<CsvLeftOut> left_out = {};  ///< in the order of the file
  CsvDialect dialect = {};                ///< of the file
};

}  // namespace mgdl
