#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/metrics.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/termination.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/grade_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/version.hpp"

/// \file
/// What reports and model files say of a fit. Needs nlohmann_json.

namespace mgdl {

/// What a fit has made, in numbers: the content of a JSON report.
struct FitSummary {
  /// Of the model: entry k - 1 is the prefix of k grades. Of a grade that was there before the fit
  /// only errors and size are known.
  std::vector<GradeReport> grades;
  /// Grades that were trained but are not in the model, because they did not lower the training
  /// error (their errors are NaN) or because a shorter prefix is better on the validation part.
  std::vector<GradeReport> discarded_grades;
  Termination termination = Termination::NotRun;                  ///< why the whole fit ended
  std::string message;                                            ///< one sentence on that
  double initial_rse = std::numeric_limits<double>::quiet_NaN();  ///< before the first grade
  double seconds = 0;                                             ///< of the whole fit
  Index parameters = 0;                                           ///< of the model
  Index multiply_adds = 0;  ///< multiplications (each with an addition) for one sample
  std::uint64_t seed = 0;   ///< set by the caller
  /// With the seed: which samples split() has held out for validation. Set by the caller.
  double validation_fraction = 0;
  /// Whether these are SplitSource's instead of split()'s.
  bool split_by_row = false;
  /// Instead: into how many parts folds() has dealt them.
  Index folds = 0;
  /// The last of them that have no member in the model.
  Index idle_folds = 0;
  /// Of the training samples' inputs; not known where the model's standardiser says it. Set by the
  /// caller for a model that does not standardise.
  InputRange inputs;
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  ///< set by the caller
};

namespace detail {

/// Mean and deviation of the samples' inputs, as far as a model and its report know them.
template <class Scalar>
Standardizer<Scalar> usual_inputs(const MultigradeModel<Scalar>& model, const FitSummary* report) {
  const auto d = static_cast<std::size_t>(model.inputs());
  if (report == nullptr || report->inputs.mean.size() != d ||
      report->inputs.deviation.size() != d) {
    return model.input_standardizer();
  }
  const auto row = [&](const std::vector<double>& values) {
    return RowVector<Scalar>(
        Eigen::Map<const RowVector<double>>(values.data(), model.inputs()).template cast<Scalar>());
  };
  const RowVector<Scalar> mean = row(report->inputs.mean);
  const RowVector<Scalar> deviation = row(report->inputs.deviation);
  // What a file says may be anything.
  const bool usable = mean.allFinite() && deviation.allFinite() && (deviation.array() > 0).all();
  return usable ? Standardizer<Scalar>(mean, deviation) : model.input_standardizer();
}

}  // namespace detail

/// Whether a field is the training's own, so that a model file keeps it (Rare: if there is
/// something to say; older files do not know it), or of one run on one machine, for one set of test
/// samples.
enum class FieldKind { Lasting, Rare, Passing };

namespace detail {

template <class T, class Of>
concept MaybeConst = std::same_as<std::remove_const_t<T>, Of>;

}  // namespace detail

/// Calls visit(name, field, kind) for every field of a report, in the order of the JSON report: the
/// one list that writing and reading go by.
/// \{
template <detail::MaybeConst<Certificate> Self, class Visit>
void for_each_field(Self& certificate, Visit&& visit) {
  visit("primal", certificate.primal, FieldKind::Lasting);
  visit("dual", certificate.dual, FieldKind::Lasting);
  visit("lambda", certificate.lambda, FieldKind::Lasting);
  visit("lambda_max", certificate.lambda_max, FieldKind::Lasting);
  visit("scope", certificate.scope, FieldKind::Lasting);
  visit("bound", certificate.bound, FieldKind::Lasting);
  visit("cone_violation", certificate.cone_violation, FieldKind::Lasting);
  visit("rounding", certificate.rounding, FieldKind::Lasting);
  visit("patterns", certificate.patterns, FieldKind::Rare);
  visit("loss", certificate.loss.kind, FieldKind::Rare);
  visit("loss_parameter", certificate.loss.parameter, FieldKind::Rare);
}
template <detail::MaybeConst<GradeTrial> Self, class Visit>
void for_each_field(Self& trial, Visit&& visit) {
  visit("trainer", trial.trainer, FieldKind::Lasting);
  visit("objective", trial.objective, FieldKind::Lasting);
  visit("iterations", trial.iterations, FieldKind::Rare);
  visit("seconds", trial.elapsed_seconds, FieldKind::Passing);
}
template <detail::MaybeConst<GradeReport> Self, class Visit>
void for_each_field(Self& grade, Visit&& visit) {
  visit("trainer", grade.fit.trainer, FieldKind::Lasting);
  visit("train_rse", grade.train_rse, FieldKind::Lasting);
  visit("validation_rse", grade.validation_rse, FieldKind::Lasting);
  visit("test_rse", grade.test_rse, FieldKind::Passing);
  visit("train_r2", grade.train_r2, FieldKind::Rare);
  visit("validation_r2", grade.validation_r2, FieldKind::Rare);
  visit("test_r2", grade.test_r2, FieldKind::Passing);
  visit("train_output_rmse", grade.train_output_rmse, FieldKind::Rare);
  visit("validation_output_rmse", grade.validation_output_rmse, FieldKind::Rare);
  visit("test_output_rmse", grade.test_output_rmse, FieldKind::Passing);
  visit("train_psnr", grade.train_psnr, FieldKind::Passing);
  visit("test_psnr", grade.test_psnr, FieldKind::Passing);
  visit("seconds", grade.seconds, FieldKind::Passing);
  visit("parameters", grade.parameters, FieldKind::Lasting);
  visit("termination", grade.fit.termination, FieldKind::Lasting);
  visit("train_max_error", grade.train_max_error, FieldKind::Lasting);
  visit("validation_max_error", grade.validation_max_error, FieldKind::Lasting);
  visit("pointwise_growth", grade.pointwise_growth, FieldKind::Lasting);
  visit("pointwise_drop", grade.pointwise_drop, FieldKind::Rare);
  visit("message", grade.fit.message, FieldKind::Lasting);
  visit("certificate", grade.fit.certificate, FieldKind::Lasting);
  visit("network_certificate", grade.fit.network_certificate, FieldKind::Rare);
  visit("trials", grade.fit.trials, FieldKind::Lasting);
  visit("member_biases", grade.member_biases, FieldKind::Rare);
}
template <detail::MaybeConst<FitSummary> Self, class Visit>
void for_each_field(Self& summary, Visit&& visit) {
  visit("grades", summary.grades, FieldKind::Lasting);
  visit("discarded_grades", summary.discarded_grades, FieldKind::Lasting);
  visit("termination", summary.termination, FieldKind::Lasting);
  visit("message", summary.message, FieldKind::Lasting);
  visit("initial_rse", summary.initial_rse, FieldKind::Lasting);
  visit("seconds", summary.seconds, FieldKind::Passing);
  visit("parameters", summary.parameters, FieldKind::Passing);
  visit("multiply_adds", summary.multiply_adds, FieldKind::Passing);
  visit("seed", summary.seed, FieldKind::Lasting);
  visit("validation_fraction", summary.validation_fraction, FieldKind::Lasting);
  visit("split_by_row", summary.split_by_row, FieldKind::Rare);
  visit("folds", summary.folds, FieldKind::Rare);
  visit("idle_folds", summary.idle_folds, FieldKind::Rare);
  visit("input_mean", summary.inputs.mean, FieldKind::Rare);
  visit("input_deviation", summary.inputs.deviation, FieldKind::Rare);
  visit("input_lower", summary.inputs.lower, FieldKind::Rare);
  visit("input_upper", summary.inputs.upper, FieldKind::Rare);
  visit("options", summary.options, FieldKind::Lasting);
}
/// \}

/// Sums a fit up.
///
/// \param test  samples to test every prefix on, or null
/// \param peak  of the PSNR, in the unit of the targets, > 0
/// \param threads  for the predictions on `test`
/// \throws InvalidArgument if the columns of `test` are not the model's
template <std::floating_point Scalar>
FitSummary summarise(const MultigradeFit<Scalar>& fit, const Dataset<Scalar>* test = nullptr,
                     double peak = 1, const Executor& threads = {}) {
  FitSummary summary;
  summary.folds = fit.report.folds;
  summary.idle_folds = fit.report.idle_folds;
  summary.termination = fit.report.termination;
  summary.message = fit.report.message;
  summary.initial_rse = fit.report.initial_rse;
  summary.seconds = fit.report.elapsed_seconds;
  summary.parameters = fit.model.parameters();
  summary.multiply_adds = fit.model.multiply_adds();

  // A resumed model has grades that this fit did not train.
  const Index trained = fit.report.grades.empty() ? 0 : fit.report.grades.front().grade;
  const Index before = trained == 0 ? fit.model.grades() : trained - 1;
  for (Index k = 1; k <= std::min(before, fit.model.grades()); ++k) {
    const auto& grade = fit.model.grade(k);
    GradeReport line;
    line.grade = k;
    line.kept = true;
    line.train_rse = grade.train_rse;
    line.validation_rse = grade.validation_rse;
    line.parameters = grade.network.parameters();
    summary.grades.push_back(std::move(line));
  }
  for (GradeReport grade : fit.report.grades) {
    double square = NAN;  // of a grade that was rejected
    if (!grade.train_output_rmse.empty()) {
      square = 0;
      for (const double rmse : grade.train_output_rmse) square += rmse * rmse;
    }
    grade.train_psnr = psnr(std::sqrt(square / static_cast<double>(fit.model.outputs())), peak);
    (grade.kept ? summary.grades : summary.discarded_grades).push_back(std::move(grade));
  }
  if (test == nullptr) return summary;
  auto predictor = fit.model.predictor(threads);
  const Matrix<Scalar> inputs = test->inputs();
  Matrix<Scalar> prediction(test->size(), fit.model.outputs());
  for (Index k = 1; k <= fit.model.grades(); ++k) {
    predictor.predict_into(inputs, prediction, k);
    const Metrics metrics = compute_metrics(prediction, test->targets(), test->weights(), peak,
                                            fit.model.output_standardizer().scale());
    GradeReport& line = summary.grades[static_cast<std::size_t>(k - 1)];
    line.test_rse = metrics.rse;
    line.test_r2 = metrics.r2;
    line.test_output_rmse = metrics.output_rmse;
    line.test_psnr = metrics.psnr;
  }
  return summary;
}

/// What the columns of inputs and targets are called, in UTF-8. An empty list: they have no names.
struct ColumnNames {
  std::vector<std::string> inputs;   ///< d names, or none
  std::vector<std::string> targets;  ///< c names, or none
};

/// What a model file holds.
template <class Scalar_ = double>
struct SavedModel {
  using Scalar = Scalar_;  ///< float or double

  MultigradeModel<Scalar> model;  ///< bit for bit as it was saved
  /// How it came about, if that was saved too. Without the fields that are FieldKind::Passing; what
  /// was infinite, apart from errors of the model, is NaN.
  std::optional<FitSummary> report = {};
  /// Its prediction intervals, if those were saved too.
  std::optional<PredictionIntervals<Scalar>> intervals = {};
  /// What its inputs and targets are called, if that was saved too.
  ColumnNames names = {};
};

namespace detail {

/// The name of a number type in model files.
template <std::floating_point Scalar>
constexpr const char* scalar_name() noexcept {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
  return std::same_as<Scalar, float> ? "float32" : "float64";
}

}  // namespace detail

/// A saved model of either number type.
using AnySavedModel = std::variant<SavedModel<float>, SavedModel<double>>;

}  // namespace mgdl

namespace mgdl::detail {

/// A part of a JSON text that knows where it is, for error messages. Borrows file name and JSON.
class JsonPart {
 public:
  using Json = nlohmann::ordered_json;

  JsonPart(const std::string& file, const Json& json, std::string place = {})
      : m_file(&file), m_json(&json), m_place(std::move(place)) {}

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw FormatError(*m_file, expected, found, m_place);
  }
  [[noreturn]] void fail(const std::string& expected) const { fail(expected, description()); }

  bool has(const char* key) const { return m_json->is_object() && m_json->contains(key); }

  JsonPart operator[](const char* key) const {
    if (!m_json->is_object()) fail("an object");
    const auto found = m_json->find(key);
    const std::string place = m_place + "/" + key;
    if (found == m_json->end()) throw FormatError(*m_file, "a value", "none", place);
    return {*m_file, *found, place};
  }

  JsonPart operator[](Index i) const {
    return {*m_file, (*m_json)[static_cast<std::size_t>(i)], m_place + "/" + std::to_string(i)};
  }

  /// Number of elements of a list.
  Index size() const {
    if (!m_json->is_array()) fail("a list");
    return static_cast<Index>(m_json->size());
  }

  std::string text() const {
    if (!m_json->is_string()) fail("a text");
    return m_json->get<std::string>();
  }

  Index count() const {
    if (!m_json->is_number_unsigned() ||
        m_json->get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
      fail("a whole number >= 0");
    }
    return m_json->get<Index>();
  }

  const Json& value() const noexcept { return *m_json; }

  /// make(), where an error of what it calls is reported as one of this part.
  template <class Make>
  auto check(Make make) const {
    try {
      return make();
    } catch (const InvalidArgument& error) {
      fail(error.expected() + " (" + error.argument() + ")", error.found());
    }
  }

 private:
  /// Short, whatever a damaged file holds.
  std::string description() const {
    if (m_json->is_object()) return "an object";
    if (m_json->is_array()) return "a list";
    if (m_json->is_string()) return excerpt(m_json->get_ref<const std::string&>());
    return m_json->dump();
  }

  const std::string* m_file;
  const Json* m_json;
  std::string m_place;  // JSON pointer (RFC 6901), after the name of the text: "report/grades/0"
};

/// Parses a text of a file.
/// \param place  the text's name, for errors
/// \throws FormatError for anything but JSON of at most 16 levels: what is read from it may be
/// copied
///         level by level
inline nlohmann::ordered_json parse_json(const std::string& text, const std::string& file,
                                         const std::string& place) {
  using Json = nlohmann::ordered_json;
  constexpr int max_depth = 16;
  const auto check_depth = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth)
      throw FormatError(file, "at most 16 levels of JSON", "more", place);
    return true;
  };
  // Which the parser would take for the end.
  if (const auto zero = text.find('\0'); zero != text.npos) {
    throw FormatError(file, "JSON", "a byte 0", place + ", byte " + std::to_string(zero));
  }
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::parse_error& error) {
    throw FormatError(file, "JSON", error.byte > text.size() ? "its end too early" : "another text",
                      place + ", byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    throw FormatError(file, "numbers of type float64", "a larger one", place);
  }
}

}  // namespace mgdl::detail

/// \file
/// Fields of reports as JSON, in both directions, by for_each_field.

namespace mgdl::detail {

template <class T>
concept HasFields = requires(T& object) {
  for_each_field(object, [](const char*, auto&, FieldKind) {});
};

/// A number, or null if it is none: JSON has neither NaN nor infinity.
inline nlohmann::ordered_json report_number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

/// One field. \param passing  whether to keep what is FieldKind::Passing
template <class Field>
nlohmann::ordered_json field_json(const Field& field, bool passing);

template <class Field>
inline constexpr bool is_list = false;
template <class Item>
inline constexpr bool is_list<std::vector<Item>> = true;
template <class Field>
inline constexpr bool is_optional_field = false;
template <class Value>
inline constexpr bool is_optional_field<std::optional<Value>> = true;

/// Whether a field that is rare has its usual value.
template <class Field>
bool is_usual(const Field& field, FieldKind kind) {
  if constexpr (std::same_as<Field, double>) {
    return kind == FieldKind::Rare && (field == 0 || std::isnan(field));
  }
  if constexpr (std::is_integral_v<Field> || std::is_enum_v<Field>)
    return kind == FieldKind::Rare && field == Field{};
  if constexpr (is_list<Field>) return kind == FieldKind::Rare && field.empty();
  if constexpr (is_optional_field<Field>) return kind == FieldKind::Rare && !field;
  return false;
}

template <HasFields T>
nlohmann::ordered_json fields_json(const T& object, bool passing) {
  auto json = nlohmann::ordered_json::object();
  for_each_field(object, [&](const char* name, const auto& field, FieldKind kind) {
    const bool left_out = kind == FieldKind::Passing ? !passing : is_usual(field, kind);
    if (!left_out) json[name] = field_json(field, passing);
  });
  if constexpr (std::same_as<T, Certificate>) {
    json["relative_gap"] = report_number(object.relative_gap());
  }
  return json;
}

template <class Field>
nlohmann::ordered_json field_json(const Field& field, bool passing) {
  if constexpr (std::is_enum_v<Field>) {
    return to_string(field);
  } else if constexpr (std::same_as<Field, double>) {
    return report_number(field);
  } else if constexpr (std::same_as<Field, std::string>) {
    return field.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(field);
  } else if constexpr (is_optional_field<Field>) {
    return field ? field_json(*field, passing) : nlohmann::ordered_json();
  } else if constexpr (is_list<Field>) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& item : field) list.push_back(field_json(item, passing));
    return list;
  } else if constexpr (HasFields<Field>) {
    return fields_json(field, passing);
  } else {
    return field;
  }
}

/// The last enumerator, whose number is the largest.
/// \{
constexpr Termination last_enumerator(Termination) { return Termination::NumericalFailure; }
constexpr PatternScope last_enumerator(PatternScope) { return PatternScope::AllPatterns; }
constexpr LossKind last_enumerator(LossKind) { return LossKind::Quantile; }
constexpr DualBound last_enumerator(DualBound) { return DualBound::SpectralRelaxation; }
/// \}

/// Reads what field_json has written.
/// \throws FormatError for anything else
template <class Field>
void read_field(const JsonPart& part, Field& field);

/// Reads the lasting fields; the others stay as they are.
template <HasFields T>
void read_fields(const JsonPart& part, T& object) {
  for_each_field(object, [&](const char* name, auto& field, FieldKind kind) {
    if (kind == FieldKind::Passing || (kind == FieldKind::Rare && !part.has(name))) return;
    read_field(part[name], field);
  });
}

template <class Field>
void read_field(const JsonPart& part, Field& field) {
  const nlohmann::ordered_json& json = part.value();
  if constexpr (std::is_enum_v<Field>) {
    const std::string name = part.text();
    for (int i = 0; i <= static_cast<int>(last_enumerator(field)); ++i) {
      field = static_cast<Field>(i);
      if (name == to_string(field)) return;
    }
    part.fail(std::string("a name like ") + to_string(field));
  } else if constexpr (std::same_as<Field, double>) {
    if (!json.is_null() && !json.is_number()) part.fail("a number or null");
    field = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
  } else if constexpr (std::same_as<Field, bool>) {
    if (!json.is_boolean()) part.fail("true or false");
    field = json.get<bool>();
  } else if constexpr (std::same_as<Field, std::uint64_t>) {
    if (!json.is_number_unsigned()) part.fail("a whole number >= 0");
    field = json.get<std::uint64_t>();
  } else if constexpr (std::same_as<Field, Index>) {
    field = part.count();
  } else if constexpr (std::same_as<Field, std::string>) {
    field = json.is_null() ? std::string() : part.text();
  } else if constexpr (is_optional_field<Field>) {
    field.reset();
    if (!json.is_null()) read_field(part, field.emplace());
  } else if constexpr (is_list<Field>) {
    field.clear();
    for (Index i = 0; i < part.size(); ++i) read_field(part[i], field.emplace_back());
  } else if constexpr (HasFields<Field>) {
    read_fields(part, field);
  } else {
    static_assert(std::same_as<Field, nlohmann::ordered_json>);
    if (!json.is_object()) part.fail("an object");
    field = json;
  }
}

}  // namespace mgdl::detail

/// \file
/// Reports of a fit as JSON text. Needs nlohmann_json.

namespace mgdl {

namespace detail {

/// With what this program was compiled, as far as it decides on speed and on the last bits.
inline nlohmann::ordered_json build_json() {
#if defined(__clang__)
  const std::string compiler = "Clang " __clang_version__;
#elif defined(__GNUC__)
  const std::string compiler = "GCC " __VERSION__;
#elif defined(_MSC_FULL_VER)
  const std::string compiler = "MSVC " + std::to_string(_MSC_FULL_VER);
#else
  const std::string compiler = "unknown";
#endif
#if defined(__OPTIMIZE__)
  const bool optimised = true;
#else
  const bool optimised = false;
#endif
#if defined(NDEBUG)
  const bool assertions = false;
#else
  const bool assertions = true;
#endif
  return {{"compiler", compiler},
          {"simd", Eigen::SimdInstructionSetsInUse()},
          {"optimised", optimised},
          {"assertions", assertions}};
}

}  // namespace detail

/// The report: the fields of FitSummary by their names, grades as lists of objects, with the
/// `version` of mgdl and the `build` of this program. What is not known or not finite is null (the
/// PSNR of a perfect fit, too).
inline nlohmann::ordered_json to_json(const FitSummary& summary) {
  auto json = detail::fields_json(summary, /*passing=*/true);
  json["version"] = version();
  json["build"] = detail::build_json();
  return json;
}

/// What a model file keeps of a report (see model_file.hpp): how the fit ended, and of each grade
/// what the samples and the seed fix. Without wall times, so that two files of the same fit are
/// equal.
inline nlohmann::ordered_json model_report(const FitSummary& summary) {
  return detail::fields_json(summary, /*passing=*/false);
}

/// Creates or replaces a JSON report, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
inline void write_report(const std::filesystem::path& path, const nlohmann::ordered_json& report) {
  // Names of files may hold bytes that are no UTF-8; they must not cost the report.
  const std::string text =
      report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  write_file(path, [&](std::ostream& out) { out << text << '\n'; });
}

/// The same for the summary of a fit.
inline void write_report(const std::filesystem::path& path, const FitSummary& summary) {
  write_report(path, to_json(summary));
}

}  // namespace mgdl
