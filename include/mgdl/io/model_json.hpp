#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"

/// \file
/// Models as JSON text. Needs nlohmann_json.
///
///     {"format": "mgdl-model", "format_version": 0, "scalar": "float32", "link": "LastHidden",
///      "input": {"mean": [...], "scale": [...]}, "output": {"mean": [...], "scale": [...]},
///      "grades": [{"train_rse": 0.01, "validation_rse": null,
///                  "layers": [{"weights": [[...], ...], "bias": [...]}, ...]}, ...],
///      "report": {...}}
///
/// A layer's weights are one list for each of its inputs. Numbers have as many digits as it takes
/// to read the same bits back; errors that are not known (NaN) are null. The report, of how
/// the model came about, may be missing. Keys that are not listed here are ignored. Version 0 is
/// not lasting: a later release may refuse it.

namespace mgdl {

/// A model of either number type, as a file may hold it.
using AnyModel = std::variant<MultigradeModel<float>, MultigradeModel<double>>;

namespace detail {

inline constexpr const char* model_format = "mgdl-model";
inline constexpr int model_format_version = 0;

template <std::floating_point Scalar>
constexpr const char* scalar_name() noexcept {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
  return std::same_as<Scalar, float> ? "float32" : "float64";
}

/// A number, or null if it is none: JSON has neither NaN nor infinity.
inline nlohmann::ordered_json json_number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

/// A part of a JSON file that knows where it is, for error messages. Borrows file name and JSON.
class JsonPart {
 public:
  using Json = nlohmann::ordered_json;

  JsonPart(const std::string& file, const Json& json, std::string place = {})
      : m_file(&file), m_json(&json), m_place(std::move(place)) {}

  [[noreturn]] void fail(const std::string& expected, const std::string& found) const {
    throw InvalidArgument(*m_file, expected, found, m_place);
  }
  [[noreturn]] void fail(const std::string& expected) const { fail(expected, description()); }

  JsonPart operator[](const char* key) const {
    if (!m_json->is_object()) fail("an object");
    const auto found = m_json->find(key);
    const std::string place = m_place + "/" + key;
    if (found == m_json->end()) throw InvalidArgument(*m_file, "a value", "none", place);
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

  std::int64_t integer() const {
    if (!m_json->is_number_integer()) fail("an integer");
    return m_json->get<std::int64_t>();
  }

  double error_or_null() const {
    if (m_json->is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (!m_json->is_number() || m_json->get<double>() < 0) fail("a number >= 0 or null");
    return m_json->get<double>();
  }

  /// The numbers of a list, finite as Scalar.
  template <class Scalar>
  RowVector<Scalar> numbers() const {
    RowVector<Scalar> result(size());
    for (Index i = 0; i < result.size(); ++i) {
      const Json& item = (*m_json)[static_cast<std::size_t>(i)];
      // Written so that nothing is cast before it is known to fit.
      const double value = item.is_number() ? item.get<double>() : HUGE_VAL;
      if (!(std::abs(value) <= static_cast<double>(std::numeric_limits<Scalar>::max()))) {
        (*this)[i].fail(std::string("a finite number of type ") + scalar_name<Scalar>());
      }
      result[i] = static_cast<Scalar>(value);
    }
    return result;
  }

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
  std::string m_place;  // JSON pointer (RFC 6901), e.g. "/grades/0/layers/1/bias"
};

inline nlohmann::ordered_json parse_json_file(const std::filesystem::path& path) {
  using Json = nlohmann::ordered_json;
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    const bool at_end = error.byte > text.size();
    throw InvalidArgument(path.string(), "JSON text", at_end ? "its end too early" : "another text",
                          "byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    throw InvalidArgument(path.string(), "numbers of type float64", "a larger one");
  }
}

template <class Derived>
nlohmann::ordered_json json_list(const Eigen::DenseBase<Derived>& values) {
  auto list = nlohmann::ordered_json::array();
  for (Index i = 0; i < values.size(); ++i) {
    list.push_back(static_cast<double>(values.derived()[i]));
  }
  return list;
}

template <class Scalar>
nlohmann::ordered_json json_of(const Standardizer<Scalar>& standardizer) {
  return {{"mean", json_list(standardizer.mean())}, {"scale", json_list(standardizer.scale())}};
}

template <class Scalar>
nlohmann::ordered_json json_of(const DenseLayer<Scalar>& layer) {
  auto weights = nlohmann::ordered_json::array();
  for (Index i = 0; i < layer.inputs(); ++i) weights.push_back(json_list(layer.weights().row(i)));
  return {{"weights", std::move(weights)}, {"bias", json_list(layer.bias())}};
}

template <class Scalar>
nlohmann::ordered_json json_of(const MultigradeModel<Scalar>& model) {
  auto grades = nlohmann::ordered_json::array();
  for (Index k = 1; k <= model.grades(); ++k) {
    const Grade<Scalar>& grade = model.grade(k);
    auto layers = nlohmann::ordered_json::array();
    for (const auto& layer : grade.network.layers()) layers.push_back(json_of(layer));
    grades.push_back({{"train_rse", json_number_or_null(grade.train_rse)},
                      {"validation_rse", json_number_or_null(grade.validation_rse)},
                      {"layers", std::move(layers)}});
  }
  return {{"format", model_format},
          {"format_version", model_format_version},
          {"scalar", scalar_name<Scalar>()},
          {"link", to_string(model.link())},
          {"input", json_of(model.input_standardizer())},
          {"output", json_of(model.output_standardizer())},
          {"grades", std::move(grades)}};
}

template <class Scalar>
Standardizer<Scalar> standardizer_of(const JsonPart& part) {
  auto mean = part["mean"].numbers<Scalar>();
  auto scale = part["scale"].numbers<Scalar>();
  return part.check([&] { return Standardizer<Scalar>(std::move(mean), std::move(scale)); });
}

template <class Scalar>
DenseLayer<Scalar> layer_of(const JsonPart& part) {
  const JsonPart rows = part["weights"];
  auto bias = part["bias"].numbers<Scalar>();
  RowMatrix<Scalar> weights(rows.size(), bias.size());
  for (Index i = 0; i < weights.rows(); ++i) {
    const auto row = rows[i].numbers<Scalar>();
    if (row.size() != bias.size()) {
      rows[i].fail(std::to_string(bias.size()) + " numbers, as in the bias",
                   std::to_string(row.size()));
    }
    weights.row(i) = row;
  }
  return part.check([&] { return DenseLayer<Scalar>(std::move(weights), std::move(bias)); });
}

template <class Scalar>
Grade<Scalar> grade_of(const JsonPart& part) {
  const JsonPart list = part["layers"];
  std::vector<DenseLayer<Scalar>> layers;
  for (Index l = 0; l < list.size(); ++l) layers.push_back(layer_of<Scalar>(list[l]));
  auto network = list.check([&] { return ReluNetwork<Scalar>(std::move(layers)); });
  return {std::move(network), part["train_rse"].error_or_null(),
          part["validation_rse"].error_or_null()};
}

inline FeatureLink link_of(const JsonPart& part) {
  const std::string name = part.text();
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    if (name == to_string(link)) return link;
  }
  part.fail("\"LastHidden\" or \"LastHiddenAndInput\"");
}

template <class Scalar>
MultigradeModel<Scalar> model_of(const JsonPart& part) {
  auto input = standardizer_of<Scalar>(part["input"]);
  auto output = standardizer_of<Scalar>(part["output"]);
  const FeatureLink link = link_of(part["link"]);
  auto model = part.check(
      [&] { return MultigradeModel<Scalar>(std::move(input), std::move(output), link); });
  const JsonPart grades = part["grades"];
  for (Index k = 0; k < grades.size(); ++k) {
    auto grade = grade_of<Scalar>(grades[k]);
    grades[k].check([&] { model.add_grade(std::move(grade)); });
  }
  return model;
}

/// "float32" or "float64", of a file whose format is known to be ours.
inline std::string checked_model_scalar(const JsonPart& part) {
  if (const JsonPart format = part["format"]; format.text() != model_format) {
    format.fail(std::string("\"") + model_format + "\"");
  }
  if (const JsonPart version = part["format_version"]; version.integer() != model_format_version) {
    version.fail(std::to_string(model_format_version));
  }
  const JsonPart scalar = part["scalar"];
  const std::string name = scalar.text();
  if (name != "float32" && name != "float64") scalar.fail("\"float32\" or \"float64\"");
  return name;
}

}  // namespace detail

/// Creates or replaces a model file, completely or not at all (see write_file).
///
/// \throws InvalidArgument if it cannot be written
template <std::floating_point Scalar>
void write_model(const std::filesystem::path& path, const MultigradeModel<Scalar>& model) {
  const auto json = detail::json_of(model);
  write_file(path, [&](std::ostream& out) { out << json << '\n'; });
}

/// The same with a report on the model, e.g. model_report() of its fit; null writes none.
///
/// \throws InvalidArgument if the report is neither an object nor null, or the file cannot be
/// written
template <std::floating_point Scalar>
void write_model(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                 const nlohmann::ordered_json& report) {
  if (report.is_null()) return write_model(path, model);
  if (!report.is_object()) throw InvalidArgument("report", "an object or null", report.type_name());
  auto json = detail::json_of(model);
  json["report"] = report;
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  write_file(path, [&](std::ostream& out) { out << text << '\n'; });
}

/// The report in a model file, an object; null if it has none. The model is not looked at.
///
/// \throws InvalidArgument for a file that is no model, or whose report is no object
inline nlohmann::ordered_json read_model_report(const std::filesystem::path& path) {
  const auto json = detail::parse_json_file(path);
  const std::string file = path.string();
  const detail::JsonPart part(file, json);
  detail::checked_model_scalar(part);
  const auto report = json.find("report");
  if (report == json.end() || report->is_null()) return {};
  if (!report->is_object()) part["report"].fail("an object or null");
  return *report;
}

/// Reads a model file with the number type it was written with, bit for bit.
///
/// \throws InvalidArgument for anything but a complete model file of a version that is known:
///         names the file, what was expected, what was found, and the place as a JSON pointer
inline AnyModel read_any_model(const std::filesystem::path& path) {
  const auto json = detail::parse_json_file(path);
  const std::string file = path.string();
  const detail::JsonPart part(file, json);
  if (detail::checked_model_scalar(part) == "float32") return detail::model_of<float>(part);
  return detail::model_of<double>(part);
}

/// Reads a model file as a model of `Scalar`.
///
/// A float32 file can be read as `double`: the weights are the same numbers, while predictions are
/// then computed, and rounded, in double. A float64 file is refused for `float`, which would lose
/// digits silently.
///
/// \throws InvalidArgument as read_any_model, and for float64 where Scalar is `float`
template <std::floating_point Scalar>
MultigradeModel<Scalar> read_model(const std::filesystem::path& path) {
  const auto json = detail::parse_json_file(path);
  const std::string file = path.string();
  const detail::JsonPart part(file, json);
  const std::string scalar = detail::checked_model_scalar(part);
  if (std::same_as<Scalar, float> && scalar == "float64") part["scalar"].fail("\"float32\"");
  return detail::model_of<Scalar>(part);
}

}  // namespace mgdl
