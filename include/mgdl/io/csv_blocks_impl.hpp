#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv/table_maker.hpp"
#include "mgdl/io/csv_blocks.hpp"
#include "mgdl/io/mapped_file.hpp"

namespace mgdl {

template <std::floating_point Scalar>
struct CsvBlocks<Scalar>::Content {
  Content(const std::filesystem::path& path, const CsvOptions& given)
      : options(given), file(path), text({file.data(), file.size()}, options, file.name()) {
    detail::CsvTableMaker<Scalar> maker(text, detail::CsvKeep::First, progress());
    table = maker.table();
    rows = maker.rows();
    skipped = maker.skipped();
    for (const Index j : table.positions) counting.push_back(maker.counts_on(j));
    file.forget();
  }

  /// Fetches the next piece of the file, and lets go of those before it.
  detail::CsvProgress progress() const {
    return [this](const char* place) {
      constexpr std::size_t piece = std::size_t{1} << 24;
      const bool in_file = place >= file.data() && place < file.data() + file.size();
      if (!in_file) return place;  // a text with changed line ends
      file.forget();
      const auto first = static_cast<std::size_t>(place - file.data());
      const std::size_t count = std::min(piece, file.size() - first);
      return file.read(first, count) + count;
    };
  }

  CsvOptions options;
  detail::MappedFile file;
  detail::CsvText text;
  CsvTable<Scalar> table;
  std::vector<bool> counting;
  Index rows = 0;
  Index skipped = 0;
};

template <std::floating_point Scalar>
CsvBlocks<Scalar>::CsvBlocks(const std::filesystem::path& path, const CsvOptions& options)
    : m_content(std::make_shared<const Content>(path, options)) {}

template <std::floating_point Scalar>
const CsvTable<Scalar>& CsvBlocks<Scalar>::table() const noexcept {
  return m_content->table;
}
template <std::floating_point Scalar>
Index CsvBlocks<Scalar>::rows() const noexcept {
  return m_content->rows;
}
template <std::floating_point Scalar>
bool CsvBlocks<Scalar>::counts_rows(Index column) const {
  return m_content->counting[static_cast<std::size_t>(column)];
}

template <std::floating_point Scalar>
void CsvBlocks<Scalar>::for_each_block(
    detail::FunctionRef<void(const ConstRowMatrixRef<Scalar>&, Index)> visit) const {
  const Content& content = *m_content;
  // Whatever was read last may have been written to meanwhile.
  const auto check = [&] { content.file.read(0, 0); };
  detail::CsvRows<Scalar> rows(content.text.scanner(), content.text.decimal(), content.skipped,
                               content.table.positions, content.progress());
  RowMatrix<Scalar> block(std::min(detail::kBlockRows, content.rows), content.table.values.cols());
  for (Index first = 0; first < content.rows; first += block.rows()) {
    const Index wanted = std::min(block.rows(), content.rows - first);
    const Index found = rows.read(block);
    check();
    if (found != wanted) {
      throw InvalidArgument(content.file.name(), std::to_string(content.rows) + " rows, as before",
                            std::to_string(first + found));
    }
    visit(block.topRows(found), first);
  }
  content.file.forget();
}

}  // namespace mgdl
