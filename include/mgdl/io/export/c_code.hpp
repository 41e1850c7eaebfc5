#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/export/quantised_model.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/number_text.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/version.hpp"

/// \file
/// Numbers and arrays as C and C++ source.

namespace mgdl::detail {

/// Throws InvalidArgument unless `name` can be that of a variable in C and C++; keywords are not
/// looked for.
inline void require_identifier(const char* argument, const std::string& name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto fits = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  if (!name.empty() && is_letter(name.front()) && std::ranges::all_of(name, fits)) return;
  throw InvalidArgument(argument, "an identifier of C", excerpt(name));
}

/// A literal of the same type and value.
template <class Number>
std::string c_number(Number value) {
  std::string text;
  append_number(text, value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return sizeof(Number) == sizeof(float) ? text + "f" : text;
}

/// A definition, `declaration = {...};`, of lines that are not too long; print(value) gives the
/// text of each value.
template <class Values, class Print>
std::string array(const std::string& declaration, const Values& values, const Print& print) {
  constexpr std::size_t kLine = 100;
  std::string text = declaration + " = {\n ";
  std::size_t line = 0;
  bool first = true;
  for (const auto value : values) {
    const std::string number = print(value);
    if (!first) text += ',';
    if (line + 1 + number.size() > kLine) {
      text += "\n ";
      line = 0;
    }
    text += ' ';
    text += number;
    line += number.size() + 2;
    first = false;
  }
  return text + "};\n";
}

/// Puts the text of an exported C header together.
///
/// A layer in floating point adds rows of weights to its outputs, four at a time, those of values
/// that are not zero only: loops of a fixed length over consecutive numbers, which compilers
/// vectorise at -O2 already, and which need no buffer but the outputs.
class CCode {
 public:
  static constexpr int kTogether = 4;

  CCode(std::string name, std::string number)
      : m_name(std::move(name)), m_number(std::move(number)) {}

  const std::string& number() const noexcept { return m_number; }
  Index flash_bytes() const noexcept { return m_flash_bytes; }
  Index stack_bytes() const noexcept { return m_stack_bytes; }

  /// What the code of add_floating computes, each operation rounded to Number: n x c.
  template <class Number, class Scalar>
  static Matrix<Number> predict(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& X) {
    using Row = std::vector<Number>;
    const auto row_of = [](const auto& values) {
      Row row;
      for (Index j = 0; j < values.size(); ++j) row.push_back(static_cast<Number>(values[j]));
      return row;
    };
    const Row in_mean = row_of(model.input_standardizer().mean());
    const Row in_scale = row_of(model.input_standardizer().scale());
    const Row out_mean = row_of(model.output_standardizer().mean());
    const Row out_scale = row_of(model.output_standardizer().scale());
    Matrix<Number> result(X.rows(), model.outputs());
    for (Index n = 0; n < X.rows(); ++n) {
      Row z = row_of(X.row(n));
      for (std::size_t j = 0; j < z.size(); ++j) z[j] = (z[j] - in_mean[j]) / in_scale[j];
      Row features = z;
      Row sum(out_mean.size());
      for (Index g = 1; g <= model.grades(); ++g) {
        const auto& layers = model.grade(g).network.layers();
        for (const auto& layer : layers) {
          Row out = row_of(layer.bias());
          add_products(layer, features, out);
          if (&layer == &layers.back()) {
            for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += out[j];
          } else {
            for (Number& value : out) value = value < 0 ? 0 : value;
            features = std::move(out);
          }
        }
        if (model.link() == FeatureLink::LastHiddenAndInput) {
          features.insert(features.end(), z.begin(), z.end());
        }
      }
      for (std::size_t j = 0; j < sum.size(); ++j) {
        result(n, static_cast<Index>(j)) = sum[j] * out_scale[j] + out_mean[j];
      }
    }
    return result;
  }

  template <class Scalar>
  void add_floating(const MultigradeModel<Scalar>& model) {
    start(model, m_number);
    const auto& in = model.input_standardizer();
    const auto& out = model.output_standardizer();
    add_array("input_mean", in.mean());
    add_array("input_scale", in.scale());
    add_array("output_mean", out.mean());
    add_array("output_scale", out.scale());
    Index deepest = 0;  // values that a layer reads
    for (Index g = 1; g <= model.grades(); ++g) {
      for (const auto& layer : model.grade(g).network.layers()) {
        deepest = std::max(deepest, layer.inputs());
      }
    }
    add_local("int", "where", deepest, 4);
    m_body += "  int i, j, t, count;\n";
    m_body += loop("j", m_inputs) + "z[j] = (x[j] - " + m_name + "_input_mean[j]) / " + m_name +
              "_input_scale[j];\n";
    std::string features = "z";
    for (Index g = 1; g <= model.grades(); ++g) {
      const auto& layers = model.grade(g).network.layers();
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const std::string id = std::to_string(g) + "_" + std::to_string(l + 1);
        add_array("w" + id, layers[l].weights().template reshaped<Eigen::RowMajor>());
        add_array("b" + id, layers[l].bias());
        features = add_floating_layer(id, layers[l].inputs(), layers[l].outputs(), features,
                                      l + 1 == layers.size());
      }
      end_grade(g, features, "h_[" + std::to_string(layers.back().inputs()) + " + j] = z[j]");
    }
    m_body +=
        "  (void)k, (void)sum, (void)i, (void)t, (void)count, (void)where, (void)z, (void)h0, "
        "(void)h1;\n}\n\n";
    add_predict("sum[j] * " + m_name + "_output_scale[j] + " + m_name + "_output_mean[j]");
  }

  void add_fixed_point(const QuantisedModel& model) {
    m_includes = "#include <stdint.h>\n\n";
    const bool narrow = model.weight_bits == 8;
    const std::string weight = narrow ? "int8_t" : "int16_t";
    const std::string wide = narrow ? "int32_t" : "int64_t";
    const Index wide_bytes = narrow ? 4 : 8;
    m_functions +=
        "/* A sum as a value: s / 2^shift, rounded and limited. */\nstatic inline int16_t " +
        m_name + "_value(" + wide + " s, int shift) {\n  if (s <= 0) return 0;\n" +
        "  if (shift > 0) s = (s + ((" + wide + ")1 << (shift - 1))) >> shift;\n" +
        "  return (int16_t)(s < 32767 ? s : 32767);\n}\n\n";
    start(model, "int16_t");
    add_array("input_mean", model.input_mean);
    add_array("input_factor", model.input_factor);
    add_array("output_mean", model.output_mean);
    add_array("output_scale", model.output_scale);
    m_body += "  int i, j;\n";
    m_body += loop("j", m_inputs) + "{\n    float v = (x[j] - " + m_name + "_input_mean[j]) * " +
              m_name + "_input_factor[j];\n    v = v < 32767.0f ? v : 32767.0f;\n" +
              "    v = v > -32767.0f ? v : -32767.0f;\n" +
              "    z[j] = (int16_t)(v < 0.0f ? -(int)(0.5f - v) : (int)(v + 0.5f));\n  }\n";
    std::string features = "z";
    for (std::size_t g = 0; g < model.grades.size(); ++g) {
      const auto& layers = model.grades[g];
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const QuantisedLayer& layer = layers[l];
        const Index n = layer.weights.cols();
        const Index m = layer.weights.rows();
        const std::string id = std::to_string(g + 1) + "_" + std::to_string(l + 1);
        add_integers(weight, narrow ? 1 : 2, "w" + id, layer.weights.reshaped<Eigen::RowMajor>());
        add_integers(wide, wide_bytes, "b" + id, layer.bias);
        const std::string out = features == "h0" ? "h1" : "h0";
        m_body += "  /* grade " + std::to_string(g + 1) + ", layer " + std::to_string(l + 1) +
                  " */\n" + loop("j", m) + "{\n    const " + weight + "* w = " + m_name + "_w" +
                  id + " + j * " + std::to_string(n) + ";\n    " + wide + " s = " + m_name + "_b" +
                  id + "[j];\n  " + loop("i", n) + "s += (int32_t)w[i] * " + features + "[i];\n";
        if (layer.hidden) {
          add_integers("int8_t", 1, "s" + id, layer.shift);
          m_body +=
              "    " + out + "[j] = " + m_name + "_value(s, " + m_name + "_s" + id + "[j]);\n";
          features = out;
        } else {
          std::vector<float> unit;
          for (const int shift : layer.shift) unit.push_back(std::ldexp(1.0F, -shift));
          add_array("u" + id, unit);
          m_body += "    sum[j] += (float)s * " + m_name + "_u" + id + "[j];\n";
        }
        m_body += "  }\n";
      }
      std::string copy = "z[j]";
      if (model.link == FeatureLink::LastHiddenAndInput && model.input_shift[g] > 0) {
        const std::string shift = std::to_string(model.input_shift[g]);
        const std::string half = std::to_string(1L << (model.input_shift[g] - 1));
        copy = "(int16_t)(z[j] < 0 ? -((-z[j] + " + half + ") >> " + shift + ") : (z[j] + " + half +
               ") >> " + shift + ")";
      }
      end_grade(static_cast<Index>(g + 1), features,
                "h_[" + std::to_string(layers.back().weights.cols()) + " + j] = " + copy);
    }
    m_body += "  (void)k, (void)sum, (void)i, (void)z, (void)h0, (void)h1;\n}\n\n";
    add_predict("sum[j] * " + m_name + "_output_scale[j] + " + m_name + "_output_mean[j]");
  }

  /// Y: c outputs of the model for each row of X.
  void add_self_test(const Matrix<double>& X, const Matrix<double>& Y, double tolerance) {
    const std::string rows = std::to_string(X.rows());
    m_functions +=
        "/* Compares with outputs of the model that are stored here: 0 if all agree, else the "
        "number\n"
        "   of the first that does not. */\nstatic inline int " +
        m_name + "_self_test(void) {\n" +
        array("  static const " + m_number + " x[" + rows + " * " + std::to_string(X.cols()) + "]",
              X.reshaped<Eigen::RowMajor>(), [this](double v) { return real(v); }) +
        array("  static const " + m_number + " expected[" + rows + " * " +
                  std::to_string(Y.cols()) + "]",
              Y.reshaped<Eigen::RowMajor>(), [this](double v) { return real(v); }) +
        "  const " + m_number + " tolerance = " + real(tolerance) + ";\n  int t, j;\n" +
        loop("t", X.rows()) + "{\n    " + m_number + " y[" + std::to_string(m_outputs) +
        "];\n    " + m_name + "_predict(x + t * " + std::to_string(m_inputs) + ", y);\n  " +
        loop("j", m_outputs) + "{\n      const " + m_number + " difference = y[j] - expected[t * " +
        std::to_string(m_outputs) +
        " + j];\n      if (!(difference <= tolerance && -difference <= tolerance)) return t + "
        "1;\n" +
        "    }\n  }\n  return 0;\n}\n";
  }

  /// The whole header; title and notes go into its first comment.
  std::string text(const std::string& title, const std::vector<std::string>& notes) const {
    const std::string guard = "MGDL_MODEL_" + m_name + "_H";
    std::string comment = "/* " + m_name + ": " + title + ". Written by mgdl " + version() + ".\n";
    for (const auto& note : notes) comment += "   " + note + "\n";
    return comment + "*/\n#ifndef " + guard + "\n#define " + guard + "\n\n" + m_includes +
           m_constants + "\n" + m_functions + "\n#endif\n";
  }

 private:
  template <class Number, class Scalar>
  static void add_products(const DenseLayer<Scalar>& layer, const std::vector<Number>& in,
                           std::vector<Number>& out) {
    std::vector<std::size_t> where;
    for (std::size_t i = 0; i < in.size(); ++i) {
      if (in[i] != 0) where.push_back(i);
    }
    const auto term = [&](std::size_t t, Index j) {
      const auto w = static_cast<Number>(layer.weights()(static_cast<Index>(where[t]), j));
      return in[where[t]] * w;
    };
    std::size_t t = 0;
    for (; t + kTogether <= where.size(); t += kTogether) {
      for (Index j = 0; j < layer.outputs(); ++j) {
        out[static_cast<std::size_t>(j)] +=
            (term(t, j) + term(t + 1, j)) + (term(t + 2, j) + term(t + 3, j));
      }
    }
    for (; t < where.size(); ++t) {
      for (Index j = 0; j < layer.outputs(); ++j) out[static_cast<std::size_t>(j)] += term(t, j);
    }
  }

  /// Starts the function that sums grades up. Model: of either kind.
  template <class Model>
  void start(const Model& model, const std::string& value) {
    m_inputs = model.inputs();
    m_outputs = model.outputs();
    m_body = "/* Adds the outputs of the first k grades up, standardised. */\nstatic inline void " +
             m_name + "_sum(const " + m_number + "* x, int k, " + m_number + "* sum) {\n";
    const Index bytes = value == "double" ? 8 : value == "float" ? 4 : 2;
    m_grades = 0;
    Index width = 1;
    if constexpr (std::is_same_v<Model, QuantisedModel>) {
      m_grades = static_cast<Index>(model.grades.size());
      m_link = model.link;
      for (const auto& grade : model.grades) {
        for (const auto& layer : grade) width = std::max(width, layer.weights.cols());
        for (const auto& layer : grade)
          width = std::max(width, layer.hidden ? layer.weights.rows() : 0);
      }
    } else {
      m_grades = model.grades();
      m_link = model.link();
      for (Index g = 1; g <= m_grades; ++g) {
        for (const auto& layer : model.grade(g).network.layers())
          width = std::max(width, layer.inputs());
        width = std::max(width, model.feature_count(g));
      }
    }
    if (m_link == FeatureLink::LastHiddenAndInput) width += m_inputs;
    add_local(value, "z", m_inputs, bytes);
    add_local(value, "h0", width, bytes);
    add_local(value, "h1", width, bytes);
  }

  std::string add_floating_layer(const std::string& id, Index n, Index m, const std::string& in,
                                 bool readout) {
    const std::string out = readout ? "sum" : in == "h0" ? "h1" : "h0";
    const std::string rows = std::to_string(m);
    const std::string w = m_name + "_w" + id;
    m_body += "  /* " + std::to_string(n) + " -> " + rows + " */\n  count = 0;\n" + loop("i", n) +
              "{\n    where[count] = i;\n    count += " + in + "[i] != " + real(0) + ";\n  }\n" +
              loop("j", m) + out + "[j] " + (readout ? "+" : "") + "= " + m_name + "_b" + id +
              "[j];\n" + "  for (t = 0; t + 4 <= count; t += 4) {\n";
    for (int r = 0; r < kTogether; ++r) {
      const std::string number = std::to_string(r);
      m_body += "    const " + m_number + "* w" + number + " = " + w + " + where[t + " + number +
                "] * " + rows + ";\n    const " + m_number + " v" + number + " = " + in +
                "[where[t + " + number + "]];\n";
    }
    // Without a store in it, GCC 12 at -O3 merges iterations of this loop, and what comes out of
    // that is not vectorised: twice the time.
    m_body += "    where[t] = 0;\n  " + loop("j", m) + out +
              "[j] += (v0 * w0[j] + v1 * w1[j]) + (v2 * w2[j] + v3 * w3[j]);\n" +
              "  }\n  for (; t < count; ++t) {\n    const " + m_number + "* w0 = " + w +
              " + where[t] * " + rows + ";\n    const " + m_number + " v0 = " + in +
              "[where[t]];\n  " + loop("j", m) + out + "[j] += v0 * w0[j];\n  }\n";
    if (readout) return in;
    m_body += loop("j", m) + out + "[j] = " + out + "[j] < " + real(0) + " ? " + real(0) + " : " +
              out + "[j];\n";
    return out;
  }

  void end_grade(Index g, const std::string& features, std::string copy) {
    if (g == m_grades) return;
    m_body += "  if (k <= " + std::to_string(g) + ") return;\n";
    if (m_link == FeatureLink::LastHidden) return;
    copy.replace(copy.find("h_"), 2, features);
    m_body += loop("j", m_inputs) + copy + ";\n";
  }

  void add_predict(const std::string& output) {
    const std::string inputs = "[" + std::to_string(m_inputs) + "]";
    const std::string outputs = "[" + std::to_string(m_outputs) + "]";
    const std::string grades = std::to_string(m_grades);
    m_stack_bytes += m_outputs * (m_number == "double" ? 8 : 4);
    m_functions += m_body + "/* The first k grades, 0 <= k <= " + grades +
                   ", at x. */\nstatic inline void " + m_name + "_predict_grades(const " +
                   m_number + " x" + inputs + ", int k, " + m_number + " y" + outputs + ") {\n  " +
                   m_number + " sum" + outputs + " = {" + real(0) + "};\n  int j;\n  if (k > 0) " +
                   m_name + "_sum(x, k, sum);\n" + loop("j", m_outputs) + "y[j] = " + output +
                   ";\n}\n\n/* The model at x. */\nstatic inline void " + m_name +
                   "_predict(const " + m_number + " x" + inputs + ", " + m_number + " y" + outputs +
                   ") {\n  " + m_name + "_predict_grades(x, " + grades + ", y);\n}\n\n";
  }

  void add_local(const std::string& type, const std::string& name, Index count, Index bytes) {
    m_body += "  " + type + " " + name + "[" + std::to_string(std::max<Index>(count, 1)) + "];\n";
    m_stack_bytes += count * bytes;
  }

  template <class Values>
  void add_array(const std::string& name, const Values& values) {
    add_constant(m_number, m_number == "double" ? 8 : 4, name, values,
                 [this](auto v) { return real(static_cast<double>(v)); });
  }
  template <class Values>
  void add_integers(const std::string& type, Index bytes, const std::string& name,
                    const Values& values) {
    add_constant(type, bytes, name, values, [](auto v) { return std::to_string(v); });
  }
  template <class Values, class Print>
  void add_constant(const std::string& type, Index bytes, const std::string& name,
                    const Values& values, const Print& print) {
    const auto count = static_cast<Index>(values.size());
    m_flash_bytes += count * bytes;
    m_constants += array(
        "static const " + type + " " + m_name + "_" + name + "[" + std::to_string(count) + "]",
        values, print);
  }

  std::string real(double value) const {
    return m_number == "double" ? c_number(value) : c_number(static_cast<float>(value));
  }

  static std::string loop(const std::string& index, Index count) {
    return "  for (" + index + " = 0; " + index + " < " + std::to_string(count) + "; ++" + index +
           ") ";
  }

  std::string m_name, m_number;
  std::string m_includes, m_constants, m_functions, m_body;
  Index m_inputs = 0, m_outputs = 0, m_grades = 0;
  FeatureLink m_link = FeatureLink::LastHidden;
  Index m_flash_bytes = 0;
  Index m_stack_bytes = 0;
};

}  // namespace mgdl::detail
