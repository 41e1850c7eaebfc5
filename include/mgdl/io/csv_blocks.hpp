#pragma once

#include <concepts>
#include <filesystem>
#include <memory>

#include "mgdl/core/types.hpp"
#include "mgdl/io/csv_table.hpp"

namespace mgdl {

/// A CSV file that need not fit into memory: its rows come in blocks. Needs POSIX (mmap).
///
/// The same rules as read_csv, and the same errors, all of them when it is opened: then the file is
/// read once to find out what is in it, and once more for its rows whenever they are asked for.
/// About 16 MiB of it are in memory; all of it if its lines end with CR alone; and 8 bytes a row,
/// when it is opened, if it begins with a column of whole numbers without a name that do not rise.
template <std::floating_point Scalar = double>
class CsvBlocks {
 public:
  /// \throws InvalidArgument as read_csv, and if `path` is not a regular file
  explicit CsvBlocks(const std::filesystem::path& path, const CsvOptions& options = {});

  /// What read_csv returns, but for the values: these are 0 x d.
  const CsvTable<Scalar>& table() const noexcept;
  /// Number n of rows, >= 1.
  Index rows() const noexcept;
  /// Whether each number of a column of the table is one more than the one before it.
  bool counts_rows(Index column) const;

  /// Calls visit(values, first), with values[first..first + size] of all rows (size x d), for one
  /// block of rows after the other.
  ///
  /// \throws InvalidArgument if the file was written to since it was opened
  void for_each_block(
      detail::FunctionRef<void(const ConstRowMatrixRef<Scalar>&, Index)> visit) const;

 private:
  struct Content;
  std::shared_ptr<const Content> m_content;
};

}  // namespace mgdl

#ifdef MGDL_COMPILED
namespace mgdl {
extern template class CsvBlocks<float>;
extern template class CsvBlocks<double>;
}  // namespace mgdl
#else
#include "mgdl/io/csv_blocks_impl.hpp"  // IWYU pragma: export
#endif
