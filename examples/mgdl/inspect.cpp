#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "box.hpp"
#include "command.hpp"
#include "files.hpp"
#include "flags.hpp"
#include "mgdl/core/table.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/training/verify_model.hpp"

namespace mgdl::command {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  std::vector<double> lower;
  std::vector<double> upper;
  std::optional<Index> boxes;
  std::optional<double> seconds;
  int threads = 0;
  bool json = false;
};

/// Boxes for each bound, unless there is a time limit.
constexpr Index kBoxes = 1000;

/// What is known of a prefix of the model for all inputs, or for those in a box.
struct PrefixBounds {
  double lipschitz = 0;
  std::optional<Index> knots;       ///< one input: of the spline that the prefix is
  std::optional<OutputRange> box;   ///< if a box is given
  std::optional<SlopeRange> slope;  ///< likewise
};

/// Where the knots of a model with one input are counted: the samples of the fit lie around its
/// middle. Nothing if rounding leaves no interval.
template <class Scalar>
std::optional<std::pair<double, double>> usual_inputs(const SavedModel<Scalar>& saved) {
  if (saved.model.inputs() != 1) return {};
  const auto inputs = detail::usual_inputs(saved.model, saved.report ? &*saved.report : nullptr);
  const double mean = inputs.mean()[0];
  const double reach = 4 * static_cast<double>(inputs.scale()[0]);
  if (!(mean - reach < mean + reach) || !std::isfinite(mean - reach) ||
      !std::isfinite(mean + reach))
    return {};
  return std::pair{mean - reach, mean + reach};
}

template <class Scalar>
std::vector<PrefixBounds> bounds_of(const SavedModel<Scalar>& saved,
                                    const InspectOptions& options) {
  const MultigradeModel<Scalar>& model = saved.model;
  const bool boxed = !options.lower.empty();
  Vector<Scalar> lower, upper;
  if (boxed) {
    lower = side_of_box<Scalar>("--lower", options.lower, model.inputs());
    upper = side_of_box<Scalar>("--upper", options.upper, model.inputs());
  }
  const auto interval = usual_inputs(saved);
  std::vector<PrefixBounds> bounds(static_cast<std::size_t>(model.grades()));
  for (Index k = 1; k <= model.grades(); ++k) {
    PrefixBounds& line = bounds[static_cast<std::size_t>(k - 1)];
    line.lipschitz = lipschitz_bound(model, k);
    if (interval) line.knots = to_spline(model, interval->first, interval->second, k).knots();
  }
  if (!boxed) return bounds;
  // The whole model first. Whatever comes may take half of the time that is left.
  const detail::Stopwatch clock;
  constexpr Index kNoLimit = std::numeric_limits<Index>::max();
  BoundOptions search{.max_boxes = options.boxes.value_or(options.seconds ? kNoLimit : kBoxes),
                      .threads = options.threads};
  const auto limit = [&] {
    if (!options.seconds) return;
    search.time_limit_seconds = std::max((*options.seconds - clock.seconds()) / 2, 1e-9);
  };
  with_flag_names({{"lower", "--lower"}, {"upper", "--upper"}}, [&] {
    for (Index k = model.grades(); k >= 1; --k) {
      PrefixBounds& line = bounds[static_cast<std::size_t>(k - 1)];
      limit();
      line.box = output_range(model, lower, upper, k, search);
      limit();
      line.slope = slope_range(model, lower, upper, k, search);
    }
  });
  return bounds;
}

/// Sizes from the inputs over the hidden layers to the outputs.
template <class Scalar>
std::vector<Index> sizes_of(const ReluNetwork<Scalar>& network) {
  std::vector<Index> sizes{network.inputs()};
  for (const auto& layer : network.layers()) sizes.push_back(layer.outputs());
  return sizes;
}

constexpr double kLevel = 0.9;

/// What the intervals of one output have at kLevel.
struct HalfWidths {
  double constant = NAN;
  double scaled_least = NAN;  ///< over all inputs
  double scaled_most = NAN;
};

template <class Scalar>
std::vector<HalfWidths> half_widths(const PredictionIntervals<Scalar>& intervals) {
  std::vector<HalfWidths> result(static_cast<std::size_t>(intervals.outputs()));
  if (kLevel > intervals.largest_level()) return result;
  const auto constant = intervals.half_width(kLevel);
  for (Index j = 0; j < intervals.outputs(); ++j) {
    HalfWidths& line = result[static_cast<std::size_t>(j)];
    line.constant = constant[j];
    if (!intervals.has_scale()) continue;
    const double score = intervals.half_width(kLevel, IntervalWidth::Scaled)[j];
    line.scaled_least = std::numeric_limits<double>::infinity();
    line.scaled_most = 0;
    for (const auto& part : intervals.parts()) {
      line.scaled_least =
          std::min(line.scaled_least, score * std::exp(double{part.scale->lower[j]}));
      line.scaled_most = std::max(line.scaled_most, score * std::exp(double{part.scale->upper[j]}));
    }
  }
  return result;
}

template <class Scalar>
Json json_of(const std::optional<PredictionIntervals<Scalar>>& intervals) {
  if (!intervals) return {};
  auto outputs = Json::array();
  for (const HalfWidths& line : half_widths(*intervals)) {
    outputs.push_back({{"half_width", detail::report_number(line.constant)},
                       {"scaled_least", detail::report_number(line.scaled_least)},
                       {"scaled_most", detail::report_number(line.scaled_most)}});
  }
  return {{"level", kLevel},
          {"samples", intervals->samples()},
          {"parts", intervals->parts().size()},
          {"outputs", std::move(outputs)}};
}

template <class Scalar>
void print_intervals(std::ostream& out, const PredictionIntervals<Scalar>& intervals) {
  std::vector<std::vector<std::string>> rows{{"output", "half width", "scaled: from", "to"}};
  for (const HalfWidths& line : half_widths(intervals)) {
    rows.push_back({std::to_string(rows.size()), detail::error_text(line.constant),
                    detail::error_text(line.scaled_least), detail::error_text(line.scaled_most)});
  }
  out << "\nprediction intervals of level " << kLevel << ", from " << intervals.samples()
      << " held out samples\n";
  out << detail::table_text(rows);
}

Json json_of(const Vector<double>& values) {
  auto list = Json::array();
  for (const double value : values) list.push_back(detail::report_number(value));
  return list;
}

template <class Scalar>
Json json_of(const SavedModel<Scalar>& saved, const std::vector<PrefixBounds>& bounds,
             const Json& report) {
  const auto& model = saved.model;
  auto grades = Json::array();
  for (Index k = 1; k <= model.grades(); ++k) {
    const auto& grade = model.grade(k);
    const PrefixBounds& line = bounds[static_cast<std::size_t>(k - 1)];
    std::vector<Index> groups;
    for (const auto& layer : grade.network.layers()) groups.push_back(layer.groups());
    grades.push_back(
        {{"layers", sizes_of(grade.network)},
         {"groups", groups},
         {"features", model.feature_count(k)},
         {"train_rse", detail::report_number(grade.train_rse)},
         {"validation_rse", detail::report_number(grade.validation_rse)},
         {"samples", grade.samples.empty() ? Json() : Json(grade.samples)},
         {"parameters", grade.network.parameters()},
         {"multiply_adds", grade.network.multiply_adds()},
         {"lipschitz_bound", detail::report_number(line.lipschitz)},
         {"knots", line.knots ? Json(*line.knots) : Json()},
         {"output_lower", line.box ? json_of(line.box->bounds.lower) : Json()},
         {"output_upper", line.box ? json_of(line.box->bounds.upper) : Json()},
         {"output_lower_met", line.box ? json_of(line.box->met.lower) : Json()},
         {"output_upper_met", line.box ? json_of(line.box->met.upper) : Json()},
         {"output_boxes", line.box ? Json(line.box->boxes) : Json()},
         {"slope_bound", line.slope ? detail::report_number(line.slope->bound) : Json()},
         {"slope_met", line.slope ? detail::report_number(line.slope->met) : Json()},
         {"slope_boxes", line.slope ? Json(line.slope->boxes) : Json()}});
  }
  const auto interval = usual_inputs(saved);
  return {{"scalar", detail::scalar_name<Scalar>()},
          {"link", to_string(model.link())},
          {"inputs", model.inputs()},
          {"outputs", model.outputs()},
          {"input_names", saved.names.inputs.empty() ? Json() : Json(saved.names.inputs)},
          {"target_names", saved.names.targets.empty() ? Json() : Json(saved.names.targets)},
          {"parameters", model.parameters()},
          {"multiply_adds", model.multiply_adds()},
          {"knots_between", interval ? Json{interval->first, interval->second} : Json()},
          {"grades", std::move(grades)},
          {"intervals", json_of(saved.intervals)},
          {"not_checked", unchecked_claims()},
          {"report", report}};
}

/// Values of a report, which may be missing or null.
const Json& value_of(const Json& json, const char* key) {
  static const Json none;
  const auto found = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && found != json.end() ? *found : none;
}

std::string number_text(const Json& json, const char* key) {
  const Json& value = value_of(json, key);
  return detail::error_text(value.is_number() ? value.get<double>() : NAN);
}

std::string text_of(const Json& json, const char* key) {
  const Json& value = value_of(json, key);
  return value.is_string() ? value.get<std::string>() : "-";
}

/// Of grade k, counted from 1.
const Json& grade_report(const Json& report, Index k) {
  static const Json none;
  const Json& grades = value_of(report, "grades");
  const auto i = static_cast<std::size_t>(k - 1);
  return grades.is_array() && i < grades.size() ? grades[i] : none;
}

void print_certificate(std::ostream& out, const std::string& of, const Certificate& certificate) {
  out << "\n"
      << of << ": objective " << detail::error_text(certificate.primal) << ", optimum at least "
      << detail::error_text(certificate.dual) << ", relative gap "
      << detail::error_text(certificate.relative_gap()) << ", lambda "
      << detail::error_text(certificate.lambda) << " of "
      << detail::error_text(certificate.lambda_max) << ", " << scope_text(certificate) << '\n';
}

void print_certificates(std::ostream& out, const std::optional<FitSummary>& report) {
  if (!report) return;
  for (const GradeReport& grade : report->grades) {
    const std::string of = "grade " + std::to_string(grade.grade) + ", certificate";
    const auto& network = grade.fit.network_certificate;
    if (grade.fit.certificate) {
      print_certificate(out, of + (network ? " of the gated problem" : ""), *grade.fit.certificate);
    }
    if (network) print_certificate(out, of + " of the network, in the ReLU problem", *network);
  }
}

/// What the fit said, of which nothing shows whether it is true: see unchecked_claims().
void print_messages(std::ostream& out, const Json& report, Index grades) {
  if (report.is_null()) return;
  out << "\nnot checked by mgdl verify:\n";
  out << "fit: " << text_of(report, "termination") << ". " << text_of(report, "message") << '\n';
  for (Index k = 1; k <= grades; ++k) {
    const Json& line = grade_report(report, k);
    if (!value_of(line, "message").is_string()) continue;
    out << "grade " << k << ": " << text_of(line, "termination") << ". " << text_of(line, "message")
        << '\n';
    for (const Json& trial : value_of(line, "trials")) {
      out << "  tried " << text_of(trial, "trainer") << ": objective "
          << number_text(trial, "objective") << '\n';
    }
  }
}

void print_bounds(std::ostream& out, const std::vector<PrefixBounds>& bounds, const Json& report) {
  std::vector<std::vector<std::string>> rows{
      {"grade", "train max error", "valid. max error", "growth", "gap", "Lipschitz", "knots"}};
  std::vector<std::vector<std::string>> box{
      {"grade", "output", "at least", "least met", "most met", "at most", "boxes"}};
  std::vector<std::vector<std::string>> slopes{{"grade", "met", "at most", "boxes"}};
  for (const PrefixBounds& line : bounds) {
    const std::string k = std::to_string(rows.size());
    const Json& grade = grade_report(report, static_cast<Index>(rows.size()));
    rows.push_back(
        {k, number_text(grade, "train_max_error"), number_text(grade, "validation_max_error"),
         number_text(grade, "pointwise_growth"),
         number_text(value_of(grade, "certificate"), "relative_gap"),
         detail::error_text(line.lipschitz), line.knots ? std::to_string(*line.knots) : "-"});
    if (!line.box) continue;
    const OutputBounds& limits = line.box->bounds;
    const OutputBounds& met = line.box->met;
    for (Index j = 0; j < limits.lower.size(); ++j) {
      box.push_back({k, std::to_string(j + 1), detail::error_text(limits.lower[j]),
                     detail::error_text(met.lower[j]), detail::error_text(met.upper[j]),
                     detail::error_text(limits.upper[j]), std::to_string(line.box->boxes)});
    }
    slopes.push_back({k, detail::error_text(line.slope->met), detail::error_text(line.slope->bound),
                      std::to_string(line.slope->boxes)});
  }
  if (rows.size() > 1) {
    out << '\n';
    out << detail::table_text(rows);
  }
  if (box.size() > 1) {
    out << "\noutputs for inputs in the box\n";
    out << detail::table_text(box);
    out << "\nslopes in the box\n";
    out << detail::table_text(slopes);
  }
}

/// Which samples the errors are about, by fingerprint.
template <class Scalar>
void print_samples(std::ostream& out, const SavedModel<Scalar>& saved) {
  const auto& model = saved.model;
  if (saved.report) {
    out << "\ntrain RSE before the first grade that this fit trained: "
        << detail::error_text(saved.report->initial_rse) << '\n';
  }
  for (Index k = 1; k <= model.grades(); ++k) {
    const std::string& samples = model.grade(k).samples;
    if (samples.empty() || (k > 1 && samples == model.grade(k - 1).samples)) continue;
    out << "samples from grade " << k << " on: " << samples << '\n';
  }
}

/// Names, after a number of them.
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? ": " : ", ") + one_line(name);
  return text;
}

template <class Scalar>
void print(std::ostream& out, const SavedModel<Scalar>& saved,
           const std::vector<PrefixBounds>& bounds, const Json& report) {
  const auto& model = saved.model;
  out << "inputs         " << model.inputs() << listed(saved.names.inputs) << "\noutputs        "
      << model.outputs() << listed(saved.names.targets) << "\nscalar         "
      << detail::scalar_name<Scalar>() << "\nlink           " << to_string(model.link())
      << "\nparameters     " << model.parameters() << "\nmultiply-adds  " << model.multiply_adds()
      << " for one sample\n";
  if (const auto interval = usual_inputs(saved)) {
    out << "knots          of inputs from " << interval->first << " to " << interval->second
        << '\n';
  }
  out << '\n';
  std::vector<std::vector<std::string>> rows{{"grade", "trainer", "train RSE", "valid. RSE",
                                              "features", "parameters", "multiply-adds", "layers"}};
  for (Index k = 1; k <= model.grades(); ++k) {
    const auto& grade = model.grade(k);
    std::string layers = std::to_string(grade.network.inputs());
    for (const auto& layer : grade.network.layers()) {
      layers += " -> " + std::to_string(layer.outputs());
      if (layer.groups() > 1) layers += " (" + std::to_string(layer.groups()) + " groups)";
    }
    rows.push_back({std::to_string(k), text_of(grade_report(report, k), "trainer"),
                    detail::error_text(grade.train_rse), detail::error_text(grade.validation_rse),
                    std::to_string(model.feature_count(k)),
                    std::to_string(grade.network.parameters()),
                    std::to_string(grade.network.multiply_adds()), layers});
  }
  out << detail::table_text(rows);
  print_bounds(out, bounds, report);
  print_certificates(out, saved.report);
  print_samples(out, saved);
  if (saved.intervals) print_intervals(out, *saved.intervals);
  print_messages(out, report, model.grades());
}

ExitCode run(const InspectOptions& options) {
  if (options.model.empty()) throw InvalidArgument("--model", "a value", "none");
  require_box(options);
  const bool boxed = !options.lower.empty();
  for (const auto& [given, flag] : {std::pair{options.boxes.has_value(), "--boxes"},
                                    std::pair{options.seconds.has_value(), "--seconds"}}) {
    if (given && !boxed) throw InvalidArgument(flag, "--lower and --upper with it", "neither");
  }
  if (options.boxes) {
    detail::require_option(*options.boxes >= 1, "--boxes", "a value >= 1", *options.boxes);
  }
  if (options.seconds) {
    detail::require_option(*options.seconds > 0, "--seconds", "a value > 0", *options.seconds);
  }
  detail::require_threads("--threads", options.threads);
  std::visit(
      [&](const auto& saved) {
        const Json report = saved.report ? model_report(*saved.report) : Json();
        const auto bounds = bounds_of(saved, options);
        if (options.json) {
          std::cout << json_of(saved, bounds, report).dump(2) << '\n';
        } else {
          print(std::cout, saved, bounds, report);
        }
      },
      load_any_model(options.model));
  return kOk;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  Flags flags(app, "inspect", "Shows what is in a model, and its bounds");
  auto options = std::make_shared<InspectOptions>();
  flags.add("--model", &options->model, "model that mgdl fit or mgdl convex has written");
  add_box(flags, *options,
          "with --upper: bound the outputs for all inputs in a box, of which this is the lower "
          "end, a number for each input");
  flags.add("--boxes", &options->boxes,
            "cut the box until each bound is within 1 % of the range from a value that was met, at "
            "most into so many; fixes every bit [1000]");
  flags.add(
      "--seconds", &options->seconds,
      "stop after that time, for all bounds together; without --boxes, nothing else stops it");
  flags.add("--threads", &options->threads, "0 uses all; the result does not depend on it");
  flags.add("--json", &options->json, "print JSON");
  flags.footer(
      "Shown for every prefix of grades: errors, the certificate of a convex grade, and\n"
      "  growth     how far the grade let a residual grow, relative to the largest one before it\n"
      "  Lipschitz  |f(x) - f(y)| <= this times |x - y|, everywhere; for one input the smallest "
      "such\n"
      "             number, else often much too large\n"
      "  knots      one input: of the piecewise linear function that the prefix is\n"
      "Of prediction intervals: the half width, around the members of the model; the scaled one\n"
      "depends on the inputs.\n"
      "In a box: between which limits outputs lie, which hold with all rounding, and which outputs "
      "were\n"
      "met there; how steep it is at most, and was found to be. More boxes bring both together.\n"
      "\n"
      "Examples:\n"
      "  mgdl inspect --model model.mgdl\n"
      "  mgdl inspect --model model.mgdl --lower 0,-1 --upper 1,1 --json\n"
      "  mgdl inspect --model model.mgdl --lower 0,-1 --upper 1,1 --seconds 5");
  return {"inspect", flags, [options] { return run(*options); }};
}

}  // namespace mgdl::command
