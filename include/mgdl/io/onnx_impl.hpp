#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mgdl/core/compiled.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/export/floating_point.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/onnx.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/version.hpp"

namespace mgdl {
namespace detail {

/// A message in the encoding of Protocol Buffers, field by field in any order. Source:
/// protobuf.dev/programming-guides/encoding.
class Protobuf {
 public:
  Protobuf& integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  /// A string, bytes or, from another message's bytes(), a message.
  Protobuf& text(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    m_bytes += value;
    return *this;
  }
  Protobuf& message(int field, const Protobuf& value) { return text(field, value.m_bytes); }

  const std::string& bytes() const noexcept { return m_bytes; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) m_bytes += static_cast<char>((value & 127) | 128);
    m_bytes += static_cast<char>(value);
  }

  std::string m_bytes;
};

/// Numbers in the graph's layers, which are dense.
template <class Scalar>
Index dense_parameters(const MultigradeModel<Scalar>& model) {
  Index count = 0;
  for (Index g = 1; g <= model.grades(); ++g) {
    for (const auto& layer : model.grade(g).network.layers()) {
      count += (layer.inputs() + 1) * layer.outputs();
    }
  }
  return count;
}

/// Appends a number's bytes, the lowest first.
template <class Number>
void append_little_endian(std::string& bytes, Number value) {
  using Bits = std::conditional_t<sizeof(Number) == 4, std::uint32_t, std::uint64_t>;
  const auto bits = std::bit_cast<Bits>(value);
  for (std::size_t i = 0; i < sizeof(Bits); ++i) bytes += static_cast<char>(bits >> (8 * i) & 255);
}

/// The graph of a model; field numbers are those of onnx.proto.
template <class Scalar>
class OnnxGraph {
 public:
  OnnxGraph(const MultigradeModel<Scalar>& model, const OnnxOptions& options)
      : m_double(options.double_precision) {
    m_graph.text(2, "mgdl");
    add_value(11, "input", model.inputs());
    tensor("input_mean", model.input_standardizer().mean(), {model.inputs()});
    tensor("input_scale", model.input_standardizer().scale(), {model.inputs()});
    tensor("output_mean", model.output_standardizer().mean(), {model.outputs()});
    tensor("output_scale", model.output_standardizer().scale(), {model.outputs()});
    node("Sub", {"input", "input_mean"}, "centred");
    node("Div", {"centred", "input_scale"}, "standardised");
    std::string features = "standardised";
    std::string sum;
    for (Index g = 1; g <= model.grades(); ++g) {
      const std::string grade = "grade" + std::to_string(g);
      const auto& layers = model.grade(g).network.layers();
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const std::string id = grade + "_layer" + std::to_string(l + 1);
        // With the zeros between groups, for which there is no operation that is as widely known.
        // Outputs x inputs with transB, the way other exporters write layers: some importers know
        // no other.
        const RowMatrix<Scalar> transposed = layers[l].dense_weights().transpose();
        tensor(id + "_weights", transposed, {layers[l].outputs(), layers[l].inputs()});
        tensor(id + "_bias", layers[l].bias(), {layers[l].outputs()});
        node("Gemm", {features, id + "_weights", id + "_bias"}, id, integer_attribute("transB", 1));
        if (l + 1 == layers.size()) {
          const std::string before = sum;
          sum = id;
          if (g > 1) node("Add", {before, id}, sum = grade + "_sum");
          break;
        }
        node("Relu", {id}, features = id + "_relu");
      }
      if (g < model.grades() && options.prefixes) {
        scale_back(sum, "output_" + std::to_string(g), model.outputs());
      }
      if (g < model.grades() && model.link() == FeatureLink::LastHiddenAndInput) {
        node("Concat", {features, "standardised"}, grade + "_features",
             integer_attribute("axis", 1));
        features = grade + "_features";
      }
    }
    if (model.grades() == 0) {  // mean_y, in as many rows as the input has
      tensor("none", RowMatrix<Scalar>::Zero(model.inputs(), model.outputs()).eval(),
             {model.inputs(), model.outputs()});
      node("MatMul", {"standardised", "none"}, sum = "zero");
    }
    scale_back(sum, "output", model.outputs());
  }

  std::string model_bytes() const {
    return Protobuf()
        .integer(1, 8)  // IR version
        .text(2, "mgdl")
        .text(3, version())
        .message(8, Protobuf().text(1, "").integer(2, 17))  // operator set
        .message(7, m_graph)
        .bytes();
  }

 private:
  static constexpr int kInt = 2;  // AttributeProto.AttributeType

  int type() const { return m_double ? 11 : 1; }  // TensorProto.DataType

  static Protobuf integer_attribute(const char* name, int value) {
    return Protobuf().text(1, name).integer(3, value).integer(20, kInt);
  }

  void add_value(int field, const std::string& name, Index columns) {
    const Protobuf shape = Protobuf()
                               .message(1, Protobuf().text(2, "batch"))
                               .message(1, Protobuf().integer(1, columns));
    const Protobuf value = Protobuf().message(1, Protobuf().integer(1, type()).message(2, shape));
    m_graph.message(field, Protobuf().text(1, name).message(2, value));
  }

  /// Values: a vector or a row-major matrix.
  template <class Values>
  void tensor(const std::string& name, const Values& values, const std::vector<Index>& dimensions) {
    std::string bytes;
    for (Index i = 0; i < values.size(); ++i) {
      const Scalar value = values.data()[i];
      if (m_double) {
        append_little_endian(bytes, static_cast<double>(value));
      } else {
        append_little_endian(bytes, static_cast<float>(value));
      }
    }
    Protobuf result;
    for (const Index dimension : dimensions) result.integer(1, dimension);
    m_graph.message(5, result.integer(2, type()).text(8, name).text(9, bytes));
  }

  void node(const char* operation, const std::vector<std::string>& inputs,
            const std::string& output, const Protobuf& attribute = {}) {
    Protobuf result;
    for (const auto& input : inputs) result.text(1, input);
    result.text(2, output).text(3, output).text(4, operation);
    if (!attribute.bytes().empty()) result.message(5, attribute);
    m_graph.message(1, result);
  }

  void scale_back(const std::string& sum, const std::string& name, Index outputs) {
    node("Mul", {sum, "output_scale"}, name + "_scaled");
    node("Add", {name + "_scaled", "output_mean"}, name);
    add_value(12, name, outputs);
  }

  bool m_double;
  Protobuf m_graph;
};

/// Errors of one prefix, with all numbers and operations in Number.
template <class Number, class Scalar>
void add_onnx_errors(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& X,
                     OnnxReport& report) {
  const Matrix<Number> found = predict_rounded<Number>(model, X);
  const Matrix<Scalar> expected = model.predict(X);
  for (Index j = 0; j < found.cols(); ++j) {
    const auto scale = static_cast<double>(model.output_standardizer().scale()[j]);
    for (Index i = 0; i < found.rows(); ++i) {
      double error =
          std::abs(static_cast<double>(found(i, j)) - static_cast<double>(expected(i, j)));
      // An overflow in float.
      if (std::isnan(error)) error = std::numeric_limits<double>::infinity();
      report.error = std::max(report.error, error);
      report.relative_error = std::max(report.relative_error, error / scale);
    }
  }
}

template <class Scalar>
OnnxReport onnx_errors(const MultigradeModel<Scalar>& model, const OnnxOptions& options) {
  const Matrix<Scalar> X =
      inputs_to_compare_at<Scalar>(model, options.samples.template cast<Scalar>(), /*count=*/256);
  OnnxReport report;
  for (Index k = options.prefixes ? std::min<Index>(1, model.grades()) : model.grades();
       k <= model.grades(); ++k) {
    MultigradeModel<Scalar> prefix = model;
    prefix.truncate(k);
    if (options.double_precision) {
      add_onnx_errors<double>(prefix, X, report);
    } else {
      add_onnx_errors<float>(prefix, X, report);
    }
  }
  return report;
}

}  // namespace detail

MGDL_INLINE void OnnxOptions::validate(Index inputs) const {
  if (samples.rows() > 0) detail::require_cols("OnnxOptions.samples", inputs, samples.cols());
  detail::require_finite("OnnxOptions.samples", samples);
  detail::require_option(tolerance >= 0, "OnnxOptions.tolerance", "a value >= 0", tolerance);
}

template <class Scalar>
OnnxReport write_onnx(std::ostream& out, const MultigradeModel<Scalar>& model,
                      const OnnxOptions& options) {
  options.validate(model.inputs());
  const Index number = options.double_precision ? 8 : 4;
  constexpr Index kMost = (Index{1} << 31) - (Index{1} << 20);  // with room for what is around them
  if (const Index count = detail::dense_parameters(model); count > kMost / number) {
    throw InvalidArgument("model", "less than 2 GB of parameters",
                          std::to_string(count) + " parameters");
  }
  const OnnxReport report = detail::onnx_errors(model, options);
  if (!options.double_precision && report.relative_error > options.tolerance) {
    throw InvalidArgument(
        "OnnxOptions.double_precision",
        "double precision (float64), or a tolerance above " +
            detail::to_text(report.relative_error) + " of the targets' scale",
        "single precision (float32), off by up to " + detail::to_text(report.error));
  }
  const std::string bytes = detail::OnnxGraph<Scalar>(model, options).model_bytes();
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return report;
}

template <class Scalar>
OnnxReport write_onnx(const std::filesystem::path& path, const MultigradeModel<Scalar>& model,
                      const OnnxOptions& options) {
  OnnxReport report;
  write_file(path, [&](std::ostream& out) { report = write_onnx(out, model, options); });
  return report;
}

}  // namespace mgdl
