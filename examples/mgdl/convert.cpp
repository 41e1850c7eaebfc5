#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "command.hpp"
#include "csv_flags.hpp"
#include "files.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/csv.hpp"
#include "mgdl/io/csv_blocks.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/npy.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

struct ConvertOptions {
  std::string csv;
  std::vector<std::string> target_columns;
  CsvFlags table;
  std::string scalar = "float64";
  std::string inputs_output;
  std::string targets_output;
};

/// Columns of a table that go to one file.
struct Part {
  const std::string& file;
  std::vector<Index> columns;
};

/// Positions in the table of inputs and targets: as read_csv_samples chooses them.
struct Columns {
  std::vector<Index> inputs, targets;
};

Columns choose_columns(const ConvertOptions& options, const CsvTable<double>& table) {
  Columns columns;
  const Index cols = table.values.cols();
  if (!options.table.columns.empty()) {
    const Index inputs = cols - std::ssize(options.target_columns);
    for (Index j = 0; j < cols; ++j) (j < inputs ? columns.inputs : columns.targets).push_back(j);
    return columns;
  }
  if (!options.target_columns.empty()) {
    columns.targets = with_target_flag(options.csv, [&] {
      split_targets(table, options.target_columns);  // for its errors: there are no values
      return find_columns(table, options.target_columns);
    });
  }
  for (Index j = 0; j < cols; ++j) {
    if (std::ranges::count(columns.targets, j) == 0) columns.inputs.push_back(j);
  }
  return columns;
}

/// Writes some columns, in a second reading of the file.
template <class Scalar>
class PartWriter {
 public:
  PartWriter(std::ostream& out, Index rows, const Part& part)
      : m_out(out), m_part(part), m_npy(out, rows, std::ssize(part.columns)) {}

  void add(const ConstRowMatrixRef<double>& values) {
    errno = 0;
    m_npy.add(values(detail::kAll, m_part.columns).template cast<Scalar>());
    require_written();
  }

  /// Before the other file is there for good.
  void flush() {
    errno = 0;
    m_out.flush();
    require_written();
  }

 private:
  /// Earlier than write_file, after all the work, would.
  void require_written() const {
    if (m_out) return;
    throw InvalidArgument(m_part.file, "room to write the file", detail::system_error_text(errno));
  }

  std::ostream& m_out;
  const Part& m_part;
  NpyWriter<Scalar> m_npy;
};

template <class Scalar>
void write(const CsvBlocks<double>& blocks, const std::string& file, const Part& inputs,
           const Part& targets) {
  const CsvTable<double>& table = blocks.table();
  write_file(inputs.file, [&](std::ostream& inputs_out) {
    const auto write_all = [&](std::ostream* targets_out) {
      PartWriter<Scalar> x(inputs_out, blocks.rows(), inputs);
      std::optional<PartWriter<Scalar>> y;
      if (targets_out != nullptr) y.emplace(*targets_out, blocks.rows(), targets);
      Float32Rounding rounding(table.values.cols());
      blocks.for_each_block([&](const ConstRowMatrixRef<double>& values, Index) {
        if constexpr (std::same_as<Scalar, float>) rounding.add(values);
        x.add(values);
        if (y) y->add(values);
      });
      if constexpr (std::same_as<Scalar, float>) rounding.check(file, table.names);
      x.flush();
      if (y) y->flush();
    };
    if (targets.file.empty()) return write_all(nullptr);
    write_file(targets.file, [&](std::ostream& targets_out) { write_all(&targets_out); });
  });
}

void print_part(const CsvTable<double>& table, Index rows, const Part& part) {
  std::cout << one_line(part.file) << ": " << detail::shape_text(rows, std::ssize(part.columns));
  for (std::size_t k = 0; k < part.columns.size() && !table.names.empty(); ++k) {
    const auto j = static_cast<std::size_t>(part.columns[k]);
    std::cout << ", " << one_line(table.names[j]);
  }
  std::cout << '\n';
}

ExitCode run(const ConvertOptions& options) {
  require_given("--csv", options.csv);
  require_given("--inputs-output", options.inputs_output);
  if (options.target_columns.empty() != options.targets_output.empty()) {
    throw InvalidArgument("targets", "--target-columns and --targets-output, or neither",
                          "one of them");
  }
  check_outputs(
      {{"--inputs-output", options.inputs_output}, {"--targets-output", options.targets_output}},
      {options.csv});
  CsvOptions csv = csv_options(options.table);
  if (!options.table.columns.empty()) {
    csv.columns = options.table.columns;
    csv.columns.insert(csv.columns.end(), options.target_columns.begin(),
                       options.target_columns.end());
  }
  const auto blocks =
      with_csv_errors(csv, options.csv, [&] { return CsvBlocks<double>(options.csv, csv); });
  const CsvTable<double>& table = blocks.table();
  const auto [input_columns, target_columns] = choose_columns(options, table);
  const Part inputs{options.inputs_output, input_columns};
  const Part targets{options.targets_output, target_columns};
  complain("convert",
           table_text(options.csv, table, blocks.rows(), std::ssize(inputs.columns),
                      std::ssize(targets.columns), [&](Index j) { return blocks.counts_rows(j); }));
  if (options.scalar == "float32") {
    write<float>(blocks, options.csv, inputs, targets);
  } else {
    write<double>(blocks, options.csv, inputs, targets);
  }
  print_part(table, blocks.rows(), inputs);
  if (!targets.file.empty()) print_part(table, blocks.rows(), targets);
  return kOk;
}

}  // namespace

Command add_convert(CLI::App& app) {
  Flags flags(app, "convert", "Makes .npy files of a CSV file that need not fit into memory");
  auto options = std::make_shared<ConvertOptions>();
  flags.add("--csv", &options->csv, "a CSV file, which is read twice", "FILE");
  flags.add("--target-columns", &options->target_columns,
            "names or numbers (from 1) of the target columns [none]", "NAMES");
  add_csv_flags(flags, options->table);
  flags.add(
      "--scalar", &options->scalar,
      "of the .npy files; float32 only if rounding moves the values of no column by more than "
      "1e-4 of their standard deviation (root mean squares)");
  flags.restrict_to("--scalar", {"float64", "float32"});
  flags.add("--inputs-output", &options->inputs_output, "inputs: a .npy file, n x d", "FILE");
  flags.add("--targets-output", &options->targets_output, "targets: a .npy file, n x c", "FILE");
  flags.footer(
      "Example:\n"
      "  mgdl convert --csv table.csv --target-columns y --inputs-output x.npy \\\n"
      "    --targets-output y.npy --scalar float32\n"
      "  mgdl fit --input x.npy --target y.npy --scalar float32 --output model.mgdl");
  return {"convert", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
