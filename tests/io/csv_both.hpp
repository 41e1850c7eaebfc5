#pragma once

#include <algorithm>
#include <cstring>
#include <ostream>
#include <string>

#include "mgdl/io/csv.hpp"
#include "mgdl/io/csv_blocks.hpp"
#include "mgdl/io/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

/// \file
/// A CSV file read whole and in blocks, which has to be the same.

namespace mgdl::test {

/// What came of a file: a table, or the message of an error.
template <class Scalar>
struct CsvResult {
  CsvTable<Scalar> table;
  std::string error;
};

template <class Scalar>
CsvResult<Scalar> csv_whole(const std::string& path, const CsvOptions& options) {
  CsvResult<Scalar> result;
  try {
    result.table = read_csv<Scalar>(path, options);
  } catch (const InvalidArgument& error) {
    result.error = error.what();
  }
  return result;
}

template <class Scalar>
CsvResult<Scalar> csv_in_blocks(const std::string& path, const CsvOptions& options) {
  CsvResult<Scalar> result;
  try {
    const CsvBlocks<Scalar> blocks(path, options);
    result.table = blocks.table();
    result.table.values.resize(blocks.rows(), blocks.table().values.cols());
    blocks.for_each_block([&](const ConstRowMatrixRef<Scalar>& values, Index first) {
      result.table.values.middleRows(first, values.rows()) = values;
    });
  } catch (const InvalidArgument& error) {
    result.error = error.what();
  }
  return result;
}

/// Writes the text to a file of the folder and compares.
template <class Scalar>
void check_csv_both(const TemporaryFolder& folder, const std::string& text,
                    const CsvOptions& options = {}) {
  const std::string path = folder / "both.csv";
  folder.write("both.csv", text);
  const CsvResult<Scalar> whole = csv_whole<Scalar>(path, options);
  const CsvResult<Scalar> blocks = csv_in_blocks<Scalar>(path, options);
  const auto same = [&] {
    const CsvTable<Scalar>& a = whole.table;
    const CsvTable<Scalar>& b = blocks.table;
    const auto alike = [](const CsvLeftOut& p, const CsvLeftOut& q) {
      return p.position == q.position && p.name == q.name && p.reason == q.reason;
    };
    return whole.error == blocks.error && a.names == b.names && a.positions == b.positions &&
           std::ranges::equal(a.left_out, b.left_out, alike) &&
           a.dialect.delimiter == b.dialect.delimiter && a.dialect.decimal == b.dialect.decimal &&
           a.dialect.header == b.dialect.header && a.dialect.units == b.dialect.units &&
           a.dialect.names_in_comment == b.dialect.names_in_comment &&
           a.dialect.comments == b.dialect.comments && a.values.rows() == b.values.rows() &&
           a.values.cols() == b.values.cols() &&
           std::memcmp(a.values.data(), b.values.data(),
                       static_cast<std::size_t>(a.values.size()) * sizeof(Scalar)) == 0;
  };
  if (same()) return;
  FAIL_CHECK("whole: " << whole.error << " " << whole.table.values.rows()
                       << " rows, in blocks: " << blocks.error << " " << blocks.table.values.rows()
                       << " rows, of " << text.substr(0, 300));
}

}  // namespace mgdl::test
