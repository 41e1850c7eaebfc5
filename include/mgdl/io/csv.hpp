#pragma once

#include <concepts>
#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/csv_table.hpp"  // IWYU pragma: export
#include "mgdl/io/file.hpp"

/// \file
/// Tables of numbers as CSV text (RFC 4180), read and written the same in every locale.

namespace mgdl {

/// Inputs and targets of the same samples: `auto [X, Y] = split_targets(table, {"price"})`.
template <std::floating_point Scalar>
struct CsvSplit {
  Matrix<Scalar> X;  ///< n x d, the columns that are not targets, in the order of the file
  Matrix<Scalar> Y;  ///< n x c, in the order asked for
};

/// Parses CSV text that is in memory already.
///
/// Accepts quoted fields (with doubled quotes and line breaks), LF, CR LF and CR line ends, a UTF-8
/// byte order mark, blanks around fields, blank lines (or delimiters alone) before the first and
/// behind the last record, a delimiter at the end of all rows, and names of rows that the header
/// does not count. Between rows a blank line is an error: it would hide a missing value. Names that
/// are not UTF-8 are taken for Latin-1. A number that is too small for Scalar becomes zero.
///
/// \param source  how errors call the text
/// \throws InvalidArgument for a field with text, NaN, infinity, nothing or a number beyond Scalar
///         in a column that is wanted, for rows of another length, for no rows and for what can be
///         read in two ways: names source, line and column (from 1)
template <std::floating_point Scalar = double>
CsvTable<Scalar> parse_csv(std::string_view text, const CsvOptions& options = {},
                           const std::string& source = "CSV text");

/// Reads a CSV file, or a pipe, as parse_csv does. Holds the file and the table in memory.
///
/// \throws InvalidArgument also if `path` cannot be read
template <std::floating_point Scalar = double>
CsvTable<Scalar> read_csv(const std::filesystem::path& path, const CsvOptions& options = {});

/// Positions from 0, in the table, of columns given by name or by their number, from 1, in the
/// file; a name wins over a number.
///
/// \param argument  how errors call `columns`
/// \throws InvalidArgument for none, and for one that does not exist, was left out, shares its name
///         or is asked for twice: lists what there is
template <std::floating_point Scalar>
std::vector<Index> find_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns,
                                const std::string& argument = "columns");

/// The table of some columns, in the order asked for.
///
/// \param columns  names or numbers from 1, see find_columns
template <std::floating_point Scalar>
CsvTable<Scalar> select_columns(const CsvTable<Scalar>& table,
                                const std::vector<std::string>& columns);

/// Targets and, in the order of the file, the other columns as inputs.
///
/// \param target_columns  names or numbers from 1, see find_columns
/// \throws InvalidArgument also if no input would be left
template <std::floating_point Scalar>
CsvSplit<Scalar> split_targets(const CsvTable<Scalar>& table,
                               const std::vector<std::string>& target_columns);

namespace detail {

/// Where write_csv has a matrix of any kind.
/// \{
template <std::floating_point Scalar>
void write_csv_values(std::ostream& out, const MatrixView<Scalar>& values,
                      const std::vector<std::string>& names);
template <std::floating_point Scalar>
void write_csv_values(const std::filesystem::path& path, const MatrixView<Scalar>& values,
                      const std::vector<std::string>& names);
/// \}

}  // namespace detail

/// Writes a matrix as CSV with LF line ends; every number as the shortest text that reads back the
/// same. Errors of the stream are left in its state.
///
/// \param matrix  n x d, n and d at least 1, finite; any expression of float or double
/// \param names   d names for a header, quoted where needed, or none; where none of them is text,
///                CsvHeader::Yes reads them back for certain
/// \throws InvalidArgument before anything is written
template <class Derived>
void write_csv(std::ostream& out, const Eigen::DenseBase<Derived>& matrix,
               const std::vector<std::string>& names = {}) {
  const auto& values = matrix.eval();
  detail::write_csv_values(out, detail::view_of(values), names);
}

/// Creates or replaces a CSV file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written, and as for a stream
template <class Derived>
void write_csv(const std::filesystem::path& path, const Eigen::DenseBase<Derived>& matrix,
               const std::vector<std::string>& names = {}) {
  const auto& values = matrix.eval();
  detail::write_csv_values(path, detail::view_of(values), names);
}

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template CsvTable<float> parse_csv(std::string_view, const CsvOptions&, const std::string&);
extern template CsvTable<float> read_csv(const std::filesystem::path&, const CsvOptions&);
extern template std::vector<Index> find_columns(const CsvTable<float>&,
                                                const std::vector<std::string>&,
                                                const std::string&);
extern template CsvTable<float> select_columns(const CsvTable<float>&,
                                               const std::vector<std::string>&);
extern template CsvSplit<float> split_targets(const CsvTable<float>&,
                                              const std::vector<std::string>&);
extern template void detail::write_csv_values(std::ostream&, const detail::MatrixView<float>&,
                                              const std::vector<std::string>&);
extern template void detail::write_csv_values(const std::filesystem::path&,
                                              const detail::MatrixView<float>&,
                                              const std::vector<std::string>&);
extern template CsvTable<double> parse_csv(std::string_view, const CsvOptions&, const std::string&);
extern template CsvTable<double> read_csv(const std::filesystem::path&, const CsvOptions&);
extern template std::vector<Index> find_columns(const CsvTable<double>&,
                                                const std::vector<std::string>&,
                                                const std::string&);
extern template CsvTable<double> select_columns(const CsvTable<double>&,
                                                const std::vector<std::string>&);
extern template CsvSplit<double> split_targets(const CsvTable<double>&,
                                               const std::vector<std::string>&);
extern template void detail::write_csv_values(std::ostream&, const detail::MatrixView<double>&,
                                              const std::vector<std::string>&);
extern template void detail::write_csv_values(const std::filesystem::path&,
                                              const detail::MatrixView<double>&,
                                              const std::vector<std::string>&);
}  // namespace mgdl
#else
#include "mgdl/io/csv_impl.hpp"  // IWYU pragma: export
#endif
