#include <iostream>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "box.hpp"
#include "command.hpp"
#include "files.hpp"
#include "flags.hpp"
#include "intervals.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/cpp_header.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/onnx.hpp"
#include "mgdl/io/report_json.hpp"
#include "samples.hpp"

namespace mgdl::command {
namespace {

struct ExportOptions {
  std::string model;
  std::string format = "c-header";
  std::string output;
  std::string name = "model";
  std::string number;
  bool prefixes = false;
  double tolerance = OnnxOptions().tolerance;
  std::string input;
  std::string csv;
  CsvFlags table;
  std::vector<double> lower;
  std::vector<double> upper;
  IntervalFlags interval;
};

/// What a format leaves unused must not be asked for: it would be lost without a word.
void require_unused(const ExportOptions& options, const char* flag, bool used_by, bool asked) {
  if (used_by || !asked) return;
  throw InvalidArgument(flag, "another --format with it", options.format);
}

template <class Scalar>
CNumber c_number(const ExportOptions& options) {
  if (options.number == "float64") return CNumber::Float64;
  if (options.number == "int16") return CNumber::Int16;
  if (options.number == "int8") return CNumber::Int8;
  if (options.number.empty() && std::is_same_v<Scalar, double>) return CNumber::Float64;
  return CNumber::Float32;
}

void print(const CHeaderReport& report) {
  std::cout << "constants      " << report.flash_bytes << " bytes\nstack          "
            << report.stack_bytes << " bytes\nmultiply-adds  " << report.multiply_adds
            << " for one sample\nerror against the model\n  self-test    " << report.self_test_error
            << '\n';
  if (report.samples_error) std::cout << "  samples      " << *report.samples_error << '\n';
  if (report.interval_error) std::cout << "  intervals    " << *report.interval_error << '\n';
  if (report.proven_error) {
    std::cout << "  proven bound " << *report.proven_error << " in the box\n";
  }
}

/// What inputs and outputs are called, for a comment; nothing if they have no names.
std::string names_text(const ColumnNames& names) {
  std::string text;
  const auto add = [&](const char* what, const std::vector<std::string>& list) {
    if (list.empty()) return;
    text += (text.empty() ? "" : "; ") + std::string(what) + ": ";
    for (std::size_t j = 0; j < list.size(); ++j) {
      text += (j == 0 ? "" : ", ") + detail::printable(list[j]);
    }
  };
  add("inputs", names.inputs);
  add("outputs", names.targets);
  return text;
}

template <class Scalar>
void write_c(const SavedModel<Scalar>& saved, const ExportOptions& options) {
  const auto& model = saved.model;
  CHeaderOptions<Scalar> header;
  header.name = options.name;
  header.number = c_number<Scalar>(options);
  if (const std::string names = names_text(saved.names); !names.empty()) header.notes = {names};
  if (given(options.input, options.csv)) {
    std::string taken;
    header.samples = read_inputs<Scalar>(options.input, options.csv, options.table, saved, taken);
    if (!taken.empty()) complain("export", taken);
  }
  if (!options.lower.empty()) {
    header.lower = side_of_box<Scalar>("--lower", options.lower, model.inputs());
    header.upper = side_of_box<Scalar>("--upper", options.upper, model.inputs());
  } else if (header.samples.rows() == 0 && saved.report && !saved.report->inputs.empty()) {
    // The standardiser does not say where the samples lie.
    const auto inputs = detail::usual_inputs(model, &*saved.report);
    header.lower = (inputs.mean() - 4 * inputs.scale()).transpose();
    header.upper = (inputs.mean() + 4 * inputs.scale()).transpose();
  }
  if (options.interval.level) {
    options.interval.require_of(saved, options.model);
    header.intervals = &*saved.intervals;
    header.level = *options.interval.level;
    header.width = options.interval.kind();
  }
  with_flag_names({{"CHeaderOptions.name", "--name"},
                   {"CHeaderOptions.lower", "--lower"},
                   {"CHeaderOptions.upper", "--upper"},
                   {"CHeaderOptions.intervals", "--interval"}},
                  [&] { print(write_c_header(options.output, model, header)); });
}

template <class Scalar>
void write(const SavedModel<Scalar>& saved, const ExportOptions& options) {
  const auto& model = saved.model;
  if (options.format == "c-header") {
    write_c(saved, options);
  } else if (options.format == "cpp-header") {
    with_flag_names({{"name", "--name"}}, [&] {
      write_file(options.output, [&](std::ostream& out) {
        // A full stop, as a backslash at the end would make the next line part of the comment.
        const std::string names = names_text(saved.names);
        if (!names.empty()) out << "// " << names << ".\n";
        write_cpp_header(out, model, options.name);
      });
    });
  } else {
    OnnxOptions onnx{.double_precision = options.number == "float64",
                     .prefixes = options.prefixes,
                     .tolerance = options.tolerance};
    if (given(options.input, options.csv)) {
      std::string taken;
      onnx.samples = read_inputs<double>(options.input, options.csv, options.table, saved, taken);
      if (!taken.empty()) complain("export", taken);
    }
    with_flag_names(
        {{"OnnxOptions.double_precision", "--number"}, {"OnnxOptions.tolerance", "--tolerance"}},
        [&] {
          const OnnxReport report = write_onnx(options.output, model, onnx);
          std::cout << "error against the model, in "
                    << (onnx.double_precision ? "float64" : "float32") << ": " << report.error
                    << ", " << report.relative_error << " of the targets' scale\n";
        });
  }
}

ExitCode run(const ExportOptions& options, bool named, bool tolerance_given) {
  require_given("--model", options.model);
  require_given("--output", options.output);
  require_box(options);
  if (given(options.input) && given(options.csv)) {
    throw InvalidArgument("samples", "--input or --csv", "both");
  }
  require_csv(options.table, given(options.csv));
  const bool c = options.format == "c-header";
  const bool onnx = options.format == "onnx";
  require_unused(options, "--name", !onnx, named);
  require_unused(options, "--number", c || onnx, given(options.number));
  if (onnx && options.number.starts_with("int")) {
    throw InvalidArgument("--number", "float32 or float64 with --format onnx", options.number);
  }
  require_unused(options, "--prefixes", onnx, options.prefixes);
  require_unused(options, "--tolerance", onnx, tolerance_given);
  require_unused(options, "--input", c || onnx, given(options.input));
  require_unused(options, "--csv", c || onnx, given(options.csv));
  require_unused(options, "--lower", c, given(options.lower));
  if (given(options.lower) && !options.number.starts_with("int")) {
    throw InvalidArgument("--lower", "--number int16 or int8 with it",
                          given(options.number) ? options.number : "none");
  }
  require_unused(options, "--interval", c, options.interval.level.has_value());
  options.interval.require();
  check_outputs({{"--output", options.output}}, {options.model, options.input, options.csv});
  std::visit([&](const auto& saved) { write(saved, options); }, load_any_model(options.model));
  return kOk;
}

}  // namespace

Command add_export(CLI::App& app) {
  Flags flags(app, "export", "Writes a model as source code or as ONNX");
  auto options = std::make_shared<ExportOptions>();
  flags.add("--model", &options->model, "model that mgdl fit or mgdl convex has written", "FILE");
  flags.add(
      "--format", &options->format,
      "c-header: C99 (and C++) without dependencies; cpp-header: a FixedModel, C++20 with mgdl and "
      "Eigen; onnx: for onnxruntime, OpenCV and others",
      "NAME [c-header]");
  flags.restrict_to("--format", {"c-header", "cpp-header", "onnx"});
  flags.add("--output", &options->output, "what to write", "FILE");
  flags.add("--name", &options->name, "headers: how everything in them is called", "NAME [model]");
  flags.add(
      "--number", &options->number,
      "c-header: float32, float64, int16 or int8, the last two without floating point between "
      "inputs and outputs [as the model]; onnx: float32 or float64 [float32]",
      "NAME");
  flags.restrict_to("--number", {"float32", "float64", "int16", "int8"}, "NAME");
  flags.add("--prefixes", &options->prefixes,
            "onnx: outputs output_1, output_2, ... of the first grades as well");
  flags.add("--tolerance", &options->tolerance,
            "onnx in float32: largest error against the model, in units of the targets' scale");
  flags.add("--input", &options->input,
            "c-header, onnx: inputs at which the error is measured, and by which fixed point "
            "chooses its ranges: a .npy file, n x d",
            "FILE");
  flags.add("--csv", &options->csv, "c-header, onnx: these inputs in a CSV file", "FILE");
  add_csv_flags(flags, options->table);
  add_box(flags, *options,
          "int16 and int8, with --upper: prove the error for all inputs in a box, of which this is "
          "the lower end, a number for each input [that of the inputs]");
  add_interval_flags(flags, options->interval,
                     "level in (0, 1), c-header: NAME_predict_interval gives limits between which "
                     "a target is with this probability");
  flags.footer(
      "The largest error against the model is printed, of a C header its size as well; for fixed\n"
      "point also with a bound of it that is proven for all inputs in the box. It has\n"
      "NAME_predict, NAME_predict_grades for the first grades, and NAME_self_test.\n"
      "\n"
      "Examples:\n"
      "  mgdl export --model model.mgdl --output model.h\n"
      "  mgdl export --model model.mgdl --number int16 --input X.npy --name pressure \\\n"
      "    --output pressure.h\n"
      "  mgdl export --model model.mgdl --format onnx --output model.onnx");
  return {"export", flags, [options, flags] {
            return run(*options, flags.given("--name"), flags.given("--tolerance"));
          }};
}

}  // namespace mgdl::command
