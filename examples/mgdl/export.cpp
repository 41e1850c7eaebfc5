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
#include "mgdl/core/error.hpp"
#include "mgdl/io/c_header.hpp"
#include "mgdl/io/cpp_header.hpp"
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
  std::string input;
  std::string csv;
  std::vector<std::string> columns;
  std::vector<double> lower;
  std::vector<double> upper;
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
  if (report.proven_error) {
    std::cout << "  proven bound " << *report.proven_error << " in the box\n";
  }
}

template <class Scalar>
void write_c(const SavedModel<Scalar>& saved, const ExportOptions& options) {
  const MultigradeModel<Scalar>& model = saved.model;
  CHeaderOptions<Scalar> header;
  header.name = options.name;
  header.number = c_number<Scalar>(options);
  if (given(options.input, options.csv)) {
    header.samples =
        read_inputs<Scalar>(options.input, options.csv, options.columns, model.inputs());
  }
  if (!options.lower.empty()) {
    header.lower = side_of_box<Scalar>("--lower", options.lower, model.inputs());
    header.upper = side_of_box<Scalar>("--upper", options.upper, model.inputs());
  } else if (header.samples.rows() == 0 && saved.report && !saved.report->input_mean.empty()) {
    // The standardiser does not say where the samples lie.
    const auto inputs = detail::usual_inputs(model, &*saved.report);
    header.lower = (inputs.mean() - 4 * inputs.scale()).transpose();
    header.upper = (inputs.mean() + 4 * inputs.scale()).transpose();
  }
  with_flag_names({{"CHeaderOptions.name", "--name"},
                   {"CHeaderOptions.lower", "--lower"},
                   {"CHeaderOptions.upper", "--upper"}},
                  [&] { print(write_c_header(options.output, model, header)); });
}

template <class Scalar>
void write(const SavedModel<Scalar>& saved, const ExportOptions& options) {
  const MultigradeModel<Scalar>& model = saved.model;
  if (options.format == "c-header") {
    write_c(saved, options);
  } else if (options.format == "cpp-header") {
    with_flag_names({{"name", "--name"}},
                    [&] { write_cpp_header(options.output, model, options.name); });
  } else {
    write_onnx(options.output, model,
               {.double_precision = options.number == "float64", .prefixes = options.prefixes});
  }
}

ExitCode run(const ExportOptions& options, bool named) {
  require_given("--model", options.model);
  require_given("--output", options.output);
  require_box(options);
  if (given(options.input) && given(options.csv)) {
    throw InvalidArgument("samples", "--input or --csv", "both");
  }
  if (given(options.columns) && !given(options.csv)) {
    throw InvalidArgument("--columns", "--csv with it", "none");
  }
  const bool c = options.format == "c-header";
  const bool onnx = options.format == "onnx";
  require_unused(options, "--name", !onnx, named);
  require_unused(options, "--number", c || onnx, given(options.number));
  if (onnx && options.number.starts_with("int")) {
    throw InvalidArgument("--number", "float32 or float64 with --format onnx", options.number);
  }
  require_unused(options, "--prefixes", onnx, options.prefixes);
  require_unused(options, "--input", c, given(options.input));
  require_unused(options, "--csv", c, given(options.csv));
  require_unused(options, "--lower", c, given(options.lower));
  if (given(options.lower) && !options.number.starts_with("int")) {
    throw InvalidArgument("--lower", "--number int16 or int8 with it",
                          given(options.number) ? options.number : "none");
  }
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
  flags.add("--input", &options->input,
            "c-header: inputs at which the error is measured, and by which fixed point chooses its "
            "ranges: a .npy file, n x d",
            "FILE");
  flags.add("--csv", &options->csv, "c-header: these inputs in a CSV file", "FILE");
  flags.add("--columns", &options->columns,
            "names or numbers (from 1) of the input columns of the CSV file [all columns]",
            "NAMES");
  add_box(flags, *options,
          "int16 and int8, with --upper: prove the error for all inputs in a box, of which this is "
          "the lower end, a number for each input [that of the inputs]");
  flags.footer(
      "A C header is printed with its size and its largest error against the model; for fixed\n"
      "point also with a bound of it that is proven for all inputs in the box. It has\n"
      "NAME_predict, NAME_predict_grades for the first grades, and NAME_self_test.\n"
      "\n"
      "Examples:\n"
      "  mgdl export --model model.mgdl --output model.h\n"
      "  mgdl export --model model.mgdl --number int16 --input X.npy --name pressure \\\n"
      "    --output pressure.h\n"
      "  mgdl export --model model.mgdl --format onnx --output model.onnx");
  return {"export", flags, [options, flags] { return run(*options, flags.given("--name")); }};
}

}  // namespace mgdl::command
