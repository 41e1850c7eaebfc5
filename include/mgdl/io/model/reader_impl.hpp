#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate.hpp"
#include "mgdl/core/compiled.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/model/content.hpp"
#include "mgdl/io/model/reader.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/prediction_intervals.hpp"

namespace mgdl::detail {

/// Reads what ModelContent has made. Every error is a FormatError that names the key.
class ModelReader {
 public:
  ModelReader(const SafeTensors& content, const std::string& file)
      : m_content(content), m_file(file) {
    require_text("format", kModelFormat);
    const std::string& found = text("format_version");
    if (found == kModelFormatVersion || found == kLossFormatVersion) return;
    throw FormatError(m_file, std::string("1 or 2"), excerpt(found), "metadata format_version");
  }

  /// \throws FormatError if any text or tensor is not what it was when the file was written
  void check_sum() const { require_text(kChecksumKey, content_checksum(m_content)); }

  /// Everything but the checksum is checked.
  AnySavedModel saved_model() {
    if (text("scalar") == scalar_name<float>()) return saved_model_of<float>();
    require_text("scalar", scalar_name<double>());
    return saved_model_of<double>();
  }

 private:
  template <class Scalar>
  SavedModel<Scalar> saved_model_of() {
    SavedModel<Scalar> saved{model<Scalar>()};
    saved.report = report(saved.model);
    saved.intervals = intervals(saved);
    saved.names = names(saved.model.inputs(), saved.model.outputs());
    self_test(saved.model);
    require_all_used();
    return saved;
  }

  template <class Scalar>
  MultigradeModel<Scalar> model() {
    auto input = standardizer<Scalar>("input");
    auto output = standardizer<Scalar>("output");
    const bool last = text("link") == to_string(FeatureLink::LastHidden);
    const auto link = last ? FeatureLink::LastHidden : FeatureLink::LastHiddenAndInput;
    require_text("link", to_string(link));
    auto model = check("tensor input.mean", [&] {
      return MultigradeModel<Scalar>(std::move(input), std::move(output), link);
    });
    const auto json = parse_json(text("grades"), m_file, "metadata grades");
    const JsonPart grades(m_file, json, "metadata grades");
    m_witnesses.resize(static_cast<std::size_t>(grades.size()));
    for (Index k = 1; k <= grades.size(); ++k) {
      const JsonPart line = grades[k - 1];
      std::vector<DenseLayer<Scalar>> layers;
      const Index count = line["layers"].count();
      for (Index l = 1; l <= count; ++l) {
        auto weights = matrix<Scalar>(layer_key(k, l, "weights"));
        auto bias = vector<Scalar>(layer_key(k, l, "bias"));
        const Index groups = groups_of(line, l, count, weights.cols());
        layers.push_back(check("tensor " + layer_key(k, l, "bias"), [&] {
          return DenseLayer<Scalar>(std::move(weights), std::move(bias), groups);
        }));
      }
      check("grade " + std::to_string(k), [&] {
        model.add_grade({ReluNetwork<Scalar>(std::move(layers)), exact_error(line["train_rse"]),
                         exact_error(line["validation_rse"]),
                         line.has("samples") ? line["samples"].text() : std::string()});
        return true;
      });
      if (const JsonPart witness = line["witness"]; !witness.value().is_null()) {
        read_parts(witness, m_witnesses[static_cast<std::size_t>(k - 1)].emplace(), witness_key(k));
      }
    }
    return model;
  }

  /// Of layer l of a grade with that many layers.
  static Index groups_of(const JsonPart& grade, Index l, Index layers, Index outputs) {
    if (!grade.value().contains("groups")) return 1;
    const JsonPart list = grade["groups"];
    if (list.size() != layers) {
      list.fail("a number for each of " + std::to_string(layers) + " layers",
                std::to_string(list.size()));
    }
    const JsonPart part = list[l - 1];
    const Index groups = part.count();
    if (groups < 1 || outputs % groups != 0) {
      part.fail("a divisor of " + std::to_string(outputs) + " outputs");
    }
    return groups;
  }

  /// After model(), of which it is.
  template <class Scalar>
  std::optional<FitSummary> report(const MultigradeModel<Scalar>& model) {
    if (!m_content.metadata.contains("report")) return {};
    const auto json = parse_json(text("report"), m_file, "metadata report");
    FitSummary summary;
    read_fields(JsonPart(m_file, json, "metadata report"), summary);
    if (std::ssize(summary.grades) != model.grades()) {
      throw FormatError(m_file, std::to_string(model.grades()) + " grades, as in the model",
                        std::to_string(summary.grades.size()), "metadata report/grades");
    }
    if (summary.folds > 0 && summary.validation_fraction != 0) {
      throw FormatError(m_file, "0, with folds", to_text(summary.validation_fraction),
                        "metadata report/validation_fraction");
    }
    const Index most_idle = std::max<Index>(summary.folds - 1, 0);
    if (summary.idle_folds > most_idle) {
      throw FormatError(m_file, "0 to " + std::to_string(most_idle) + ", fewer than the folds",
                        std::to_string(summary.idle_folds), "metadata report/idle_folds");
    }
    summary.parameters = model.parameters();
    summary.multiply_adds = model.multiply_adds();
    for (Index k = 1; k <= model.grades(); ++k) {
      GradeReport& line = summary.grades[static_cast<std::size_t>(k - 1)];
      const JsonPart stated = JsonPart(m_file, json, "metadata report")["grades"][k - 1];
      require_number(stated["train_rse"], model.grade(k).train_rse);
      require_number(stated["validation_rse"], model.grade(k).validation_rse);
      if (line.fit.certificate && stated["certificate"].has("relative_gap")) {
        require_number(stated["certificate"]["relative_gap"], line.fit.certificate->relative_gap());
      }
      line.grade = k;
      line.kept = true;
      line.train_rse = model.grade(k).train_rse;
      line.validation_rse = model.grade(k).validation_rse;
      line.fit.witness = std::move(m_witnesses[static_cast<std::size_t>(k - 1)]);
      if (line.fit.witness && line.fit.certificate) {
        line.fit.witness->loss = line.fit.certificate->loss;
        if (auto& gated = line.fit.witness->gated) {
          gated->lambda = line.fit.certificate->lambda;
          gated->loss = line.fit.certificate->loss;
          gated->dual = line.fit.witness->dual;
        }
      }
    }
    return summary;
  }

  /// What follows from other numbers of the file is those to rounding, so that nobody reads
  /// another one from it; null stands for what JSON has no number for.
  static void require_number(const JsonPart& part, double expected) {
    double stated = 0;
    read_field(part, stated);
    const double rounding = 1e-9 * std::abs(expected);
    if (std::isnan(stated) ? std::isfinite(expected) : !(std::abs(stated - expected) <= rounding)) {
      part.fail(to_text(expected) + ", as the file says elsewhere");
    }
  }

  ColumnNames names(Index inputs, Index targets) const {
    if (!m_content.metadata.contains("names")) return {};
    const auto json = parse_json(text("names"), m_file, "metadata names");
    const auto list = [&](const char* key, Index columns) {
      const JsonPart part = JsonPart(m_file, json, "metadata names")[key];
      std::vector<std::string> result;
      if (part.size() != 0 && part.size() != columns) {
        part.fail(std::to_string(columns) + " names or none", std::to_string(part.size()));
      }
      for (Index j = 0; j < part.size(); ++j) result.push_back(part[j].text());
      return result;
    };
    return {list("inputs", inputs), list("targets", targets)};
  }

  /// After model() and report(), whose members they are about.
  template <class Scalar>
  std::optional<PredictionIntervals<Scalar>> intervals(const SavedModel<Scalar>& saved) {
    if (!m_content.metadata.contains("intervals")) return {};
    const std::string place = "metadata intervals";
    const auto json = parse_json(text("intervals"), m_file, place);
    const JsonPart list = JsonPart(m_file, json, place)["parts"];
    std::vector<CalibrationPart<Scalar>> parts;
    for (Index k = 1; k <= list.size(); ++k) {
      auto& part = parts.emplace_back();
      part.residuals = matrix<Scalar>(interval_key(k, "residuals"));
      const JsonPart count = list[k - 1]["scale_layers"];
      if (count.value().is_null()) continue;
      part.scaled_residuals = matrix<Scalar>(interval_key(k, "scaled_residuals"));
      std::vector<DenseLayer<Scalar>> layers;
      for (Index l = 1; l <= count.count(); ++l) {
        auto weights = matrix<Scalar>(scale_layer_key(k, l, "weights"));
        auto bias = vector<Scalar>(scale_layer_key(k, l, "bias"));
        layers.push_back(check("tensor " + scale_layer_key(k, l, "bias"), [&] {
          return DenseLayer<Scalar>(std::move(weights), std::move(bias));
        }));
      }
      auto lower = vector<Scalar>(interval_key(k, "scale.lower"));
      auto upper = vector<Scalar>(interval_key(k, "scale.upper"));
      part.scale.emplace(count.check([&] {
        return ResidualScale<Scalar>{ReluNetwork<Scalar>(std::move(layers)), std::move(lower),
                                     std::move(upper)};
      }));
    }
    const Index folds = saved.report ? saved.report->folds - saved.report->idle_folds : 0;
    if (folds > 0 && folds != list.size()) {
      list.fail(std::to_string(folds) + " parts, the folds of the report",
                std::to_string(list.size()));
    }
    return check(place, [&] {
      std::vector<MultigradeModel<Scalar>> members{saved.model};
      if (folds > 0) members = fold_members(saved.model, folds, saved.report->grades);
      return PredictionIntervals<Scalar>(std::move(members), std::move(parts));
    });
  }

  /// \throws FormatError if the model does not give the outputs that it gave when it was saved
  template <class Scalar>
  void self_test(const MultigradeModel<Scalar>& model) {
    const std::string inputs = "self_test.inputs", outputs = "self_test.outputs";
    if (!m_content.tensors.contains(inputs)) return;
    SelfTest<Scalar> test{matrix<Scalar>(inputs), {}};
    const Index count = test.inputs.rows();
    require_shape(inputs, {std::min(count, kSelfTests), model.inputs()});
    test.outputs =
        tensor<Scalar>(outputs, {model.grades(), count, model.outputs()}, model.outputs());
    if (const auto failure = failure_of(test, model)) {
      throw FormatError(m_file, to_text(failure->expected) + ", the model's output",
                        to_text(failure->found), "tensor " + outputs);
    }
  }

  void require_all_used() const {
    for (const auto& [name, tensor] : m_content.tensors) {
      if (m_used.contains(name)) continue;
      throw FormatError(m_file, "no other tensor", "one", "tensor " + printable(name));
    }
  }

  const std::string& text(const std::string& key) const {
    const auto found = m_content.metadata.find(key);
    if (found != m_content.metadata.end()) return found->second;
    throw FormatError(m_file, "a text", "none", "metadata " + key);
  }

  void require_text(const std::string& key, const std::string& expected) const {
    if (const std::string& found = text(key); found != expected) {
      throw FormatError(m_file, excerpt(expected), excerpt(found), "metadata " + key);
    }
  }

  /// make(), where an error of what it calls is one of the file.
  template <class Make>
  auto check(const std::string& place, const Make& make) const {
    try {
      return make();
    } catch (const FormatError&) {
      throw;
    } catch (const InvalidArgument& error) {
      throw FormatError(m_file, error.expected() + " (" + error.argument() + ")", error.found(),
                        place);
    }
  }

  double exact_error(const JsonPart& part) const {
    if (part.value() == "inf") return std::numeric_limits<double>::infinity();
    double value = 0;
    read_field(part, value);
    if (value < 0) part.fail("a number >= 0, null or \"inf\"");
    return value;
  }

  const Tensor& tensor_of(const std::string& key) const {
    const auto found = m_content.tensors.find(key);
    if (found != m_content.tensors.end()) return found->second;
    throw FormatError(m_file, "a tensor", "none", "tensor " + key);
  }

  static std::string shape_of(const std::vector<Index>& shape) {
    std::string text = "[";
    text += sizes_text(shape);
    return text += ']';
  }

  void require_shape(const std::string& key, const std::vector<Index>& shape) const {
    const Tensor& found = tensor_of(key);
    if (found.shape == shape) return;
    throw FormatError(m_file, "shape " + shape_of(shape), shape_of(found.shape), "tensor " + key);
  }

  /// A tensor of that shape as rows of `cols` numbers, all finite.
  template <class Scalar>
  RowMatrix<Scalar> tensor(const std::string& key, const std::vector<Index>& shape, Index cols) {
    require_shape(key, shape);
    const Tensor& found = tensor_of(key);
    if (found.type != tensor_type_of<Scalar>()) {
      throw FormatError(m_file, to_string(tensor_type_of<Scalar>()), to_string(found.type),
                        "tensor " + key);
    }
    m_used.insert(key);
    const auto count = static_cast<Index>(found.data.size() / sizeof(Scalar));
    RowMatrix<Scalar> values(cols == 0 ? 0 : count / cols, cols);
    if (!found.data.empty()) std::memcpy(values.data(), found.data.data(), found.data.size());
    check("tensor " + key, [&] {
      require_finite("values", values);
      return true;
    });
    return values;
  }

  template <class Scalar>
  RowMatrix<Scalar> matrix(const std::string& key) {
    const auto& shape = tensor_of(key).shape;
    if (shape.size() != 2) {
      throw FormatError(m_file, "two dimensions", shape_of(shape), "tensor " + key);
    }
    return tensor<Scalar>(key, shape, shape[1]);
  }

  template <class Scalar>
  RowVector<Scalar> vector(const std::string& key) {
    const auto& shape = tensor_of(key).shape;
    if (shape.size() != 1) {
      throw FormatError(m_file, "one dimension", shape_of(shape), "tensor " + key);
    }
    const RowMatrix<Scalar> values = tensor<Scalar>(key, shape, shape[0]);
    return values.size() == 0 ? RowVector<Scalar>() : RowVector<Scalar>(values.row(0));
  }

  template <class Scalar>
  Standardizer<Scalar> standardizer(const std::string& name) {
    auto mean = vector<Scalar>(name + ".mean");
    auto scale = vector<Scalar>(name + ".scale");
    return check("tensor " + name + ".scale",
                 [&] { return Standardizer<Scalar>(std::move(mean), std::move(scale)); });
  }

  /// The other direction of ModelContent::parts_json.
  template <class Part>
  void read_parts(const JsonPart& json, Part& part, const std::string& prefix) {
    for_each_field(part, [&](const char* name, auto& field) {
      using Field = std::remove_cvref_t<decltype(field)>;
      const std::string key = prefix + name;
      if constexpr (std::same_as<Field, RowMatrix<double>> || std::same_as<Field, Matrix<double>>) {
        if (m_content.tensors.contains(key)) field = matrix<double>(key);
      } else if constexpr (std::same_as<Field, RowVector<double>>) {
        field = vector<double>(key);
      } else if constexpr (std::same_as<Field, std::optional<GatedSolution>>) {
        const JsonPart inner = json[name];
        if (!inner.value().is_null()) read_parts(inner, field.emplace(), key + ".");
      } else {
        read_field(json[name], field);
      }
    });
  }

  const SafeTensors& m_content;
  const std::string& m_file;
  std::set<std::string> m_used;
  std::vector<std::optional<CertificateWitness>> m_witnesses;  // of the grades
};

MGDL_INLINE AnySavedModel read_model(const SafeTensors& content, const std::string& file,
                                     bool with_checksum) {
  ModelReader reader(content, file);
  if (with_checksum) reader.check_sum();
  return reader.saved_model();
}

}  // namespace mgdl::detail
