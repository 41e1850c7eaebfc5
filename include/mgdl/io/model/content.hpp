#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/training/prediction_intervals.hpp"
#include "mgdl/version.hpp"

namespace mgdl::detail {

inline constexpr Index kSelfTests = 16;

/// Inputs in the range of the samples and what every prefix makes of them. Fewer than kSelfTests,
/// or none, where values are not finite.
template <class Scalar>
struct SelfTest {
  RowMatrix<Scalar> inputs;   ///< s x d
  RowMatrix<Scalar> outputs;  ///< K s x c, those of the first grade first
};

/// \param report  says where the inputs lie if the standardiser does not; may be null
template <class Scalar>
SelfTest<Scalar> make_self_test(const MultigradeModel<Scalar>& model,
                                const FitSummary* report = nullptr);

template <class Scalar>
struct SelfTestFailure {
  Scalar expected;
  Scalar found;
};

/// An output that is not the model's: on another machine it may differ by rounding, for which there
/// is a proven bound, but by no more.
template <class Scalar>
std::optional<SelfTestFailure<Scalar>> failure_of(const SelfTest<Scalar>& test,
                                                  const MultigradeModel<Scalar>& model);

/// What the prefixes of 1, ..., K grades make of the inputs.
template <class Scalar>
RowMatrix<Scalar> prefix_outputs(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& X) {
  RowMatrix<Scalar> outputs(model.grades() * X.rows(), model.outputs());
  auto predictor = model.predictor(/*threads=*/1);
  Matrix<Scalar> Y(X.rows(), model.outputs());
  for (Index k = 1; k <= model.grades(); ++k) {
    predictor.predict_into(X, Y, k);
    outputs.middleRows((k - 1) * X.rows(), X.rows()) = Y;
  }
  return outputs;
}

template <class Scalar>
SelfTest<Scalar> make_self_test(const MultigradeModel<Scalar>& model, const FitSummary* report) {
  RandomStream random(/*seed=*/0, /*stream=*/0x5E1F);
  const Standardizer<Scalar> inputs = usual_inputs(model, report);
  Matrix<Scalar> X(model.grades() > 0 ? kSelfTests : 0, model.inputs());
  for (Index i = 0; i < X.rows(); ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      X(i, j) = inputs.mean()[j] + inputs.scale()[j] * static_cast<Scalar>(random.normal());
    }
  }
  const auto keep = [&](const auto& is_finite) {
    std::vector<Index> rows;
    for (Index i = 0; i < X.rows(); ++i) {
      if (is_finite(i)) rows.push_back(i);
    }
    X = Matrix<Scalar>(X(rows, kAll));
  };
  keep([&](Index i) { return all_finite(X.row(i)); });
  const RowMatrix<Scalar> outputs = prefix_outputs(model, X);
  const Index count = X.rows();
  keep([&](Index i) { return all_finite(outputs(Eigen::seqN(i, model.grades(), count), kAll)); });
  return {X, prefix_outputs(model, X)};
}

template <class Scalar>
std::optional<SelfTestFailure<Scalar>> failure_of(const SelfTest<Scalar>& test,
                                                  const MultigradeModel<Scalar>& model) {
  const Matrix<Scalar> X = test.inputs;
  const RowMatrix<Scalar> outputs = prefix_outputs(model, X);
  for (Index row = 0; row < outputs.rows(); ++row) {
    if (outputs.row(row) == test.outputs.row(row)) continue;
    const Vector<Scalar> x = X.row(row % X.rows()).transpose();
    const OutputBounds bounds = output_bounds(model, x, x, row / X.rows() + 1);
    for (Index j = 0; j < outputs.cols(); ++j) {
      const auto value = static_cast<double>(test.outputs(row, j));
      if (bounds.lower[j] <= value && value <= bounds.upper[j]) continue;
      return SelfTestFailure<Scalar>{outputs(row, j), test.outputs(row, j)};
    }
  }
  return {};
}

/// The CRC-32 of zlib, gzip and PNG (polynomial 0xEDB88320, reflected).
class Crc32 {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte byte : bytes) {
      m_state = kTable[(m_state ^ std::to_integer<std::uint32_t>(byte)) & 0xff] ^ m_state >> 8;
    }
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }

  std::uint32_t value() const noexcept { return ~m_state; }

 private:
  static constexpr std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t entry = i;
      for (int bit = 0; bit < 8; ++bit) entry = entry >> 1 ^ (entry & 1 ? 0xEDB88320u : 0);
      table[i] = entry;
    }
    return table;
  }();

  std::uint32_t m_state = ~std::uint32_t{0};
};

}  // namespace mgdl::detail

/// \file
/// What is in a model file, and how it gets there. The format is described in docs/format.md.

namespace mgdl::detail {

inline constexpr const char* kModelFormat = "mgdl-model";
inline constexpr const char* kModelFormatVersion = "1";
/// That of files with a certificate for another loss than the squared one.
inline constexpr const char* kLossFormatVersion = "2";
inline constexpr const char* kChecksumKey = "crc32";

template <std::floating_point Scalar>
constexpr TensorType tensor_type_of() noexcept {
  static_assert(std::same_as<Scalar, float> || std::same_as<Scalar, double>);
  return std::same_as<Scalar, float> ? TensorType::F32 : TensorType::F64;
}

inline std::string layer_key(Index grade, Index layer, const char* what) {
  return "grade." + std::to_string(grade) + ".layer." + std::to_string(layer) + "." + what;
}

inline std::string witness_key(Index grade) {
  return "grade." + std::to_string(grade) + ".witness.";
}

/// Of part k of prediction intervals, counted from 1.
inline std::string interval_key(Index part, const std::string& what) {
  return "intervals." + std::to_string(part) + "." + what;
}

inline std::string scale_layer_key(Index part, Index layer, const char* what) {
  return interval_key(part, "scale.layer." + std::to_string(layer) + "." + what);
}

/// Calls visit(name, field) for every field of a witness: matrices are tensors in the file, the
/// others are metadata. Penalty and loss are the certificate's; a gated solution's dual is the
/// witness's.
/// \{
template <MaybeConst<GatedSolution> Self, class Visit>
void for_each_field(Self& solution, Visit&& visit) {
  visit("active", solution.active);
  visit("coefficients", solution.coefficients);
  visit("bias", solution.bias);
  visit("output_bias", solution.output_bias);
}
template <MaybeConst<CertificateWitness> Self, class Visit>
void for_each_field(Self& witness, Visit&& visit) {
  visit("columns", witness.columns);
  visit("unit", witness.unit);
  visit("bias", witness.bias);
  visit("output_bias", witness.output_bias);
  visit("separate_outputs", witness.separate_outputs);
  visit("gates", witness.gates);
  visit("scope", witness.scope);
  visit("dual", witness.dual);
  visit("gated", witness.gated);
}
/// \}

/// CRC-32, in eight hexadecimal digits, of what is in a file, in whatever order and spelling: every
/// metadata key (but the checksum's) and its text, every tensor's name, type, shape and data, by
/// ascending keys and names; a zero byte ends each text.
inline std::string content_checksum(const SafeTensors& content) {
  Crc32 crc;
  const auto add = [&](const std::string& text) {
    crc.add(text);
    crc.add(std::string_view("\0", 1));
  };
  for (const auto& [key, text] : content.metadata) {
    if (key == kChecksumKey) continue;
    add(key);
    add(text);
  }
  for (const auto& [name, tensor] : content.tensors) {
    add(name);
    add(to_string(tensor.type));
    add(sizes_text(tensor.shape, ","));
    crc.add(tensor.data);
  }
  constexpr char digits[] = "0123456789abcdef";
  std::string text(8, '0');
  for (std::size_t i = 0; i < 8; ++i) text[i] = digits[crc.value() >> (28 - 4 * i) & 15];
  return text;
}

/// A model as content of a safetensors file. Borrows the model, the report and the
/// intervals.
template <class Scalar>
class ModelContent {
 public:
  ModelContent(const MultigradeModel<Scalar>& model, const FitSummary* report,
               const PredictionIntervals<Scalar>* intervals = nullptr,
               const ColumnNames* names = nullptr) {
    if (report != nullptr && std::ssize(report->grades) != model.grades()) {
      throw InvalidArgument("report", std::to_string(model.grades()) + " grades, as in the model",
                            std::to_string(report->grades.size()));
    }
    add_standardizer("input", model.input_standardizer());
    add_standardizer("output", model.output_standardizer());
    auto grades = Json::array();
    for (Index k = 1; k <= model.grades(); ++k) {
      const Grade<Scalar>& grade = model.grade(k);
      Index number = 0;
      auto groups = Json::array();
      bool grouped = false;
      for (const auto& layer : grade.network.layers()) {
        ++number;
        groups.push_back(layer.groups());
        grouped = grouped || layer.groups() > 1;
        add(layer_key(k, number, "weights"), layer.weights());
        add_vector(layer_key(k, number, "bias"), layer.bias());
      }
      Json line = {{"layers", number},
                   {"train_rse", exact_number(grade.train_rse)},
                   {"validation_rse", exact_number(grade.validation_rse)},
                   {"witness", nullptr}};
      if (grouped) line["groups"] = std::move(groups);
      if (!grade.samples.empty()) line["samples"] = grade.samples;
      if (report != nullptr) {
        const GradeFitReport& fit = report->grades[static_cast<std::size_t>(k - 1)].fit;
        if (fit.certificate && fit.witness) {
          line["witness"] = parts_json(*fit.witness, witness_key(k));
        }
      }
      grades.push_back(std::move(line));
    }
    m_test = make_self_test(model, report);
    if (const Index s = m_test.inputs.rows(); s > 0) {
      add("self_test.inputs", m_test.inputs);
      add("self_test.outputs", m_test.outputs, {model.grades(), s, model.outputs()});
    }
    auto& metadata = m_content.metadata;
    metadata["format"] = kModelFormat;
    metadata["format_version"] = has_other_loss(report) ? kLossFormatVersion : kModelFormatVersion;
    metadata["library_version"] = version();
    metadata["scalar"] = scalar_name<Scalar>();
    metadata["link"] = to_string(model.link());
    metadata["grades"] = dump(grades);
    if (report != nullptr) {
      // The model's errors, whatever the report says.
      Json json = model_report(*report);
      for (Index k = 1; k <= model.grades(); ++k) {
        Json& line = json["grades"][static_cast<std::size_t>(k - 1)];
        line["train_rse"] = report_number(model.grade(k).train_rse);
        line["validation_rse"] = report_number(model.grade(k).validation_rse);
      }
      metadata["report"] = dump(json);
    }
    if (intervals != nullptr) {
      require_of_model(*intervals, model, report);
      metadata["intervals"] = dump(intervals_json(*intervals));
    }
    if (names != nullptr && !(names->inputs.empty() && names->targets.empty())) {
      require_names("names.inputs", names->inputs, model.inputs());
      require_names("names.targets", names->targets, model.outputs());
      metadata["names"] = dump({{"inputs", names->inputs}, {"targets", names->targets}});
    }
    metadata[kChecksumKey] = content_checksum(m_content);
  }
  ModelContent(const ModelContent&) = delete;
  ModelContent& operator=(const ModelContent&) = delete;

  const SafeTensors& content() const noexcept { return m_content; }

 private:
  using Json = nlohmann::ordered_json;

  /// JSON has neither NaN, here null, nor infinity, here a text.
  static Json exact_number(double value) {
    if (std::isinf(value)) return "inf";
    return report_number(value);
  }

  static void require_names(const char* argument, const std::vector<std::string>& names,
                            Index columns) {
    if (names.empty() || std::ssize(names) == columns) return;
    throw InvalidArgument(argument, std::to_string(columns) + " names or none",
                          std::to_string(names.size()));
  }

  /// Texts of users, such as names of files, may hold bytes that are no UTF-8; they must not cost
  /// the model.
  static std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  template <class Number, int Rows, int Cols, int Options>
  void add(const std::string& name, const Eigen::Matrix<Number, Rows, Cols, Options>& values,
           std::vector<Index> shape) {
    const std::span<const Number> numbers(values.data(), static_cast<std::size_t>(values.size()));
    m_content.tensors[name] = {tensor_type_of<Number>(), std::move(shape), std::as_bytes(numbers)};
  }
  template <class Number>
  void add(const std::string& name, const RowMatrix<Number>& values) {
    add(name, values, {values.rows(), values.cols()});
  }
  template <class Number>
  void add_vector(const std::string& name, const RowVector<Number>& values) {
    add(name, values, {values.size()});
  }
  void add_standardizer(const std::string& name, const Standardizer<Scalar>& standardizer) {
    add_vector(name + ".mean", standardizer.mean());
    add_vector(name + ".scale", standardizer.scale());
  }

  /// Whether a reader will make the same members of the model and the report.
  static void require_of_model(const PredictionIntervals<Scalar>& intervals,
                               const MultigradeModel<Scalar>& model, const FitSummary* report) {
    const Index folds = report == nullptr ? 0 : report->folds - report->idle_folds;
    const bool same = folds == 0
                          ? intervals.members() == std::vector<MultigradeModel<Scalar>>{model}
                          : folds == std::ssize(intervals.parts()) &&
                                intervals.members() == fold_members(model, folds, report->grades);
    if (!same) throw InvalidArgument("intervals", "those of the model and its report", "others");
  }

  Json intervals_json(const PredictionIntervals<Scalar>& intervals) {
    auto parts = Json::array();
    for (const auto& part : intervals.parts()) {
      const Index k = static_cast<Index>(parts.size()) + 1;
      add(interval_key(k, "residuals"), part.residuals);
      Json line = {{"scale_layers", nullptr}};
      if (part.scale) {
        add(interval_key(k, "scaled_residuals"), part.scaled_residuals);
        Index number = 0;
        for (const auto& layer : part.scale->network.layers()) {
          ++number;
          add(scale_layer_key(k, number, "weights"), layer.weights());
          add_vector(scale_layer_key(k, number, "bias"), layer.bias());
        }
        add_vector(interval_key(k, "scale.lower"), part.scale->lower);
        add_vector(interval_key(k, "scale.upper"), part.scale->upper);
        line["scale_layers"] = number;
      }
      parts.push_back(std::move(line));
    }
    return {{"parts", std::move(parts)}};
  }

  static bool has_other_loss(const FitSummary* report) {
    return report != nullptr &&
           std::any_of(report->grades.begin(), report->grades.end(), [](const GradeReport& grade) {
             return grade.fit.certificate && !grade.fit.certificate->loss.is_squared();
           });
  }

  /// Fields as JSON, matrices as tensors whose names start with `prefix`; empty ones are left out.
  template <class Part>
  Json parts_json(const Part& part, const std::string& prefix) {
    auto json = Json::object();
    for_each_field(part, [&](const char* name, const auto& field) {
      using Field = std::remove_cvref_t<decltype(field)>;
      if constexpr (std::same_as<Field, RowMatrix<double>>) {
        if (field.size() > 0) add(prefix + name, field);
      } else if constexpr (std::same_as<Field, Matrix<double>>) {
        if (field.size() > 0) add(prefix + name, m_turned.emplace_back(field));
      } else if constexpr (std::same_as<Field, RowVector<double>>) {
        add_vector(prefix + name, field);
      } else if constexpr (std::same_as<Field, std::optional<GatedSolution>>) {
        json[name] = field ? parts_json(*field, prefix + name + ".") : Json();
      } else {
        json[name] = field_json(field, /*passing=*/false);
      }
    });
    return json;
  }

  SafeTensors m_content;
  SelfTest<Scalar> m_test;
  std::deque<RowMatrix<double>> m_turned;  // to row-major
};

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template SelfTest<float> make_self_test(const MultigradeModel<float>&, const FitSummary*);
extern template std::optional<SelfTestFailure<float>> failure_of(const SelfTest<float>&,
                                                                 const MultigradeModel<float>&);
extern template SelfTest<double> make_self_test(const MultigradeModel<double>&, const FitSummary*);
extern template std::optional<SelfTestFailure<double>> failure_of(const SelfTest<double>&,
                                                                  const MultigradeModel<double>&);
}  // namespace mgdl::detail
#endif
