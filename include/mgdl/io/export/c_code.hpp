#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/io/export/fixed_point.hpp"
#include "mgdl/io/export/floating_point.hpp"
#include "mgdl/io/export/source_text.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/version.hpp"

namespace mgdl::detail {

/// Puts the text of an exported C header together.
///
/// A layer in floating point adds rows of weights to its outputs, four at a time, those of values
/// that are not zero only: loops of a fixed length over consecutive numbers, which compilers
/// vectorise at -O2 already, and which need no buffer but the outputs.
class CCode {
 public:
  CCode(std::string name, std::string number)
      : m_name(std::move(name)), m_number(std::move(number)) {}

  const std::string& number() const noexcept { return m_number; }
  Index flash_bytes() const noexcept { return m_flash_bytes; }
  Index stack_bytes() const noexcept { return m_stack_bytes; }

  template <class Scalar>
  void add_floating(const MultigradeModel<Scalar>& model) {
    if (m_number == "double") {
      // Where double is float, as on most AVRs, this does not compile.
      m_constants +=
          fill("typedef char $name_needs_double_of_64_bits[sizeof(double) == 8 ? 1 : -1];\n\n");
    }
    start(model, m_number);
    const auto& in = model.input_standardizer();
    const auto& out = model.output_standardizer();
    add_array("input_mean", span_of(in.mean()));
    add_array("input_scale", span_of(in.scale()));
    add_array("output_mean", span_of(out.mean()));
    add_array("output_scale", span_of(out.scale()));
    Index deepest = 0;  // values that a layer reads
    for (Index g = 1; g <= model.grades(); ++g) {
      for (const auto& layer : model.grade(g).network.layers()) {
        deepest = std::max(deepest, layer.inputs());
      }
    }
    add_local("int", "where", deepest, 4);
    m_body += fill(R"(  int i, j, t, count;
  for (j = 0; j < $inputs; ++j) z[j] = (x[j] - $name_input_mean[j]) / $name_input_scale[j];
)");
    std::string features = "z";
    for (Index g = 1; g <= model.grades(); ++g) {
      const auto& layers = model.grade(g).network.layers();
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const std::string id = std::to_string(g) + "_" + std::to_string(l + 1);
        add_array("w" + id, span_of(layers[l].weights()));
        add_array("b" + id, span_of(layers[l].bias()));
        features = add_floating_layer(id, layers[l], features, l + 1 == layers.size());
      }
      end_grade(g, features, layers.back().inputs(), "z[j]");
    }
    m_body +=
        "  (void)k, (void)sum, (void)i, (void)t, (void)count, (void)where, (void)z, (void)h0, "
        "(void)h1;\n}\n\n";
    add_predict();
  }

  void add_fixed_point(const QuantisedModel& model) {
    m_includes = "#include <stdint.h>\n\n";
    const bool narrow = model.weight_bits == 8;
    const std::string weight = narrow ? "int8_t" : "int16_t";
    const std::string wide = narrow ? "int32_t" : "int64_t";
    const Index wide_bytes = narrow ? 4 : 8;
    m_functions += fill(R"(/* A sum as a value: s / 2^shift, rounded and limited. */
static inline int16_t $name_value($wide s, int shift) {
  if (s <= 0) return 0;
  if (shift > 0) s = (s + (($wide)1 << (shift - 1))) >> shift;
  return (int16_t)(s < 32767 ? s : 32767);
}

)",
                        {{"wide", wide}});
    if (!narrow) {
      m_functions += fill(
          R"(/* A sum in float, by its halves: the conversions of 64 bits that come with compilers for small
   machines take arithmetic in double along. */
static inline float $name_real(int64_t s) {
  const uint64_t size = s < 0 ? 0 - (uint64_t)s : (uint64_t)s;
  const float value = (float)(uint32_t)(size >> 32) * 4294967296.0f + (float)(uint32_t)size;
  return s < 0 ? -value : value;
}

)");
    }
    start(model, "int16_t");
    add_array("input_mean", span_of(model.input_mean));
    add_array("input_factor", span_of(model.input_factor));
    add_array("output_mean", span_of(model.output_mean));
    add_array("output_scale", span_of(model.output_scale));
    m_body += fill(R"(  int i, j;
  for (j = 0; j < $inputs; ++j) {
    float v = (x[j] - $name_input_mean[j]) * $name_input_factor[j];
    v = v < 32767.0f ? v : 32767.0f;
    v = v > -32767.0f ? v : -32767.0f;
    z[j] = (int16_t)(v < 0.0f ? -(int)(0.5f - v) : (int)(v + 0.5f));
  }
)");
    std::string features = "z";
    for (std::size_t g = 0; g < model.grades.size(); ++g) {
      const auto& layers = model.grades[g];
      for (std::size_t l = 0; l < layers.size(); ++l) {
        const QuantisedLayer& layer = layers[l];
        const Index n = layer.weights.cols();
        const Index m = layer.weights.rows();
        const std::string id = std::to_string(g + 1) + "_" + std::to_string(l + 1);
        add_integers(weight, narrow ? 1 : 2, "w" + id, span_of(layer.weights));
        add_integers(wide, wide_bytes, "b" + id, span_of(layer.bias));
        const std::string out = features == "h0" ? "h1" : "h0";
        const auto add = [&](std::string_view pattern) {
          m_body += fill(pattern, {{"g", static_cast<Index>(g + 1)},
                                   {"l", static_cast<Index>(l + 1)},
                                   {"n", n},
                                   {"m", m},
                                   {"id", id},
                                   {"in", layer.groups > 1 ? "a" : features},
                                   {"source", features},
                                   {"part", m / layer.groups},
                                   {"out", out},
                                   {"weight", weight},
                                   {"wide", wide}});
        };
        add(R"(  /* grade $g, layer $l */
  for (j = 0; j < $m; ++j) {
    MGDL_FLASH const $weight* w = $name_w$id + j * $n;
    $wide s = $name_b$id[j];
)");
        if (layer.groups > 1) add("    const int16_t* a = $source + j / $part * $n;\n");
        add("    for (i = 0; i < $n; ++i) s += (int32_t)w[i] * $in[i];\n");
        if (layer.hidden) {
          add_integers("int8_t", 1, "s" + id, span_of(layer.shift));
          add("    $out[j] = $name_value(s, $name_s$id[j]);\n");
          features = out;
        } else {
          std::vector<float> unit;
          for (const int shift : layer.shift) unit.push_back(std::ldexp(1.0F, -shift));
          add_array("u" + id, span_of(unit));
          add(narrow ? "    sum[j] += (float)s * $name_u$id[j];\n"
                     : "    sum[j] += $name_real(s) * $name_u$id[j];\n");
        }
        m_body += "  }\n";
      }
      std::string copy = "z[j]";
      if (model.link == FeatureLink::LastHiddenAndInput && model.input_shift[g] > 0) {
        // In 32 bits: int has 16 on some machines. Shifted by more than 15, nothing is left.
        copy = model.input_shift[g] > 15
                   ? "0"
                   : fill(
                         "(int16_t)(z[j] < 0 ? -((-(int32_t)z[j] + $half) >> $shift) : "
                         "((int32_t)z[j] + $half) >> $shift)",
                         {{"half", Index{1} << (model.input_shift[g] - 1)},
                          {"shift", Index{model.input_shift[g]}}});
      }
      end_grade(static_cast<Index>(g + 1), features, layers.back().inputs(), copy);
    }
    m_body += "  (void)k, (void)sum, (void)i, (void)z, (void)h0, (void)h1;\n}\n\n";
    add_predict();
  }

  /// A further model in floating point, called NAME_<name>.
  template <class Scalar>
  void add_part(const std::string& name, const MultigradeModel<Scalar>& model) {
    CCode part(m_name + "_" + name, m_number);
    part.add_floating(model);
    m_constants += part.m_constants;
    m_functions += part.m_functions;
    m_flash_bytes += part.m_flash_bytes;
    m_stack_bytes = std::max(m_stack_bytes, part.m_stack_bytes);
  }

  /// Prediction intervals; see CIntervals.
  struct Interval {
    Index members = 0;           ///< parts NAME_m1, NAME_m2, ... predict; none: NAME itself
    Index parts = 0;             ///< K
    Index dropped = 0;           ///< n - r
    std::vector<Index> first;    ///< place of each part's scores, and their number: K + 1
    std::vector<double> scores;  ///< the largest of each part, ascending, c each
    std::vector<double> lowest, highest;  ///< of g, c for each part; none: sigma = 1
  };
  void add_interval(const Interval& interval) {
    const bool scaled = !interval.lowest.empty();
    const Index predictions = std::max<Index>(1, interval.members);
    const auto add = [&](std::string_view pattern, Index k = 0) {
      m_functions +=
          fill(pattern,
               {{"parts", interval.parts},
                {"part", k + 1},
                {"at", k * m_outputs},
                {"values", predictions * m_outputs},
                {"sizes", interval.parts * m_outputs},
                {"dropped", interval.dropped},
                {"tiny", m_number == "double" ? "2.2250738585072014e-308" : "1.17549435e-38f"},
                {"exp", m_number == "double" ? "exp" : "expf"},
                {"of_part", interval.members > 0 ? "k" : "0"},
                {"scale", scaled ? " * sigma[k * " + std::to_string(m_outputs) + " + j]" : ""}});
    };
    add_array("scores", std::span<const double>(interval.scores));
    add_constant("int", 4, "first", std::span<const Index>(interval.first),
                 [](Index v) { return std::to_string(v); });
    if (scaled) {
      m_includes += "#include <math.h>\n\n";
      add_array("lowest", std::span<const double>(interval.lowest));
      add_array("highest", std::span<const double>(interval.highest));
    }
    add(R"(/* The upper end, for sign = -1 the lower one times -1, of output j: what is largest once the
   $dropped largest ends are left out. */
static inline $number $name_end(const $number* mu, const $number* sigma, int j, $number sign) {
  int next[$parts], k, t;
  $number value = $zero;
  for (k = 0; k < $parts; ++k) next[k] = $name_first[k + 1];
  for (t = 0; t <= $dropped; ++t) {
    int best = -1;
    for (k = 0; k < $parts; ++k) {
      $number end;
      if (next[k] == $name_first[k]) continue;
      end = sign * mu[$of_part * $outputs + j] + $name_scores[(next[k] - 1) * $outputs + j]$scale;
      if (best >= 0 && end <= value) continue;
      value = end;
      best = k;
    }
    --next[best];
  }
  (void)sigma;
  return value;
}

/* Limits that a new target lies between with about the probability in the first comment. */
static inline void $name_predict_interval(const $number x[$inputs], $number lower[$outputs], $number upper[$outputs]) {
  $number mu[$values];
)");
    if (scaled) add("  $number sigma[$sizes];\n");
    add("  int j;\n");
    if (interval.members == 0) add("  $name_predict(x, mu);\n");
    for (Index k = 0; k < interval.members; ++k) add("  $name_m$part_predict(x, mu + $at);\n", k);
    for (Index k = 0; scaled && k < interval.parts; ++k) {
      add("  $name_s$part_predict(x, sigma + $at);\n", k);
    }
    if (scaled) {
      add(R"(  for (j = 0; j < $sizes; ++j) {
    if (sigma[j] < $name_lowest[j]) sigma[j] = $name_lowest[j];
    if (sigma[j] > $name_highest[j]) sigma[j] = $name_highest[j];
    sigma[j] = $exp(sigma[j]);
    if (sigma[j] < $tiny) sigma[j] = $tiny;
  }
)");
    }
    const std::string sizes = scaled ? "sigma" : "mu";
    m_functions += fill(R"(  for (j = 0; j < $outputs; ++j) {
    lower[j] = -$name_end(mu, $sizes, j, -$one);
    upper[j] = $name_end(mu, $sizes, j, $one);
  }
}

)",
                        {{"sizes", sizes}, {"one", real(1)}});
    const Index bytes = m_number == "double" ? 8 : 4;
    m_stack_bytes +=
        (predictions + (scaled ? interval.parts : 0)) * m_outputs * bytes + interval.parts * 4;
  }

  /// Y: c outputs of the model for each row of X. With intervals their ends, too.
  void add_self_test(const RowMatrix<double>& X, const RowMatrix<double>& Y, double tolerance,
                     const RowMatrix<double>& lower = {}, const RowMatrix<double>& upper = {},
                     double end_tolerance = 0) {
    const bool ends = lower.size() > 0;
    const auto values = [this](const char* name, const RowMatrix<double>& matrix) {
      return array(fill("  static const $number $array[$rows * $cols]",
                        {{"array", name}, {"rows", matrix.rows()}, {"cols", matrix.cols()}}),
                   span_of(matrix), [this](double value) { return real(value); });
    };
    m_functions += fill(
        R"(/* Compares with outputs of the model that are stored here: 0 if all agree, else the number
   of the first that does not. */
static inline int $name_self_test(void) {
$x$expected$ends  const $number tolerance = $tolerance;
  int t, j;
  for (t = 0; t < $rows; ++t) {
    $number y[$outputs];
    $name_predict(x + t * $inputs, y);
    for (j = 0; j < $outputs; ++j) {
      const $number difference = y[j] - expected[t * $outputs + j];
      if (!(difference <= tolerance && -difference <= tolerance)) return t + 1;
    }
$check  }
  return 0;
}
)",
        {{"x", values("x", X)},
         {"expected", values("expected", Y)},
         {"ends", !ends ? ""
                        : values("lower", lower) + values("upper", upper) +
                              fill("  const $number end_tolerance = $tolerance;\n",
                                   {{"tolerance", real(end_tolerance)}})},
         {"check", !ends ? "" : fill(R"(    {
      $number low[$outputs], high[$outputs];
      $name_predict_interval(x + t * $inputs, low, high);
      for (j = 0; j < $outputs; ++j) {
        const $number below = low[j] - lower[t * $outputs + j];
        const $number above = high[j] - upper[t * $outputs + j];
        if (!(below <= end_tolerance && -below <= end_tolerance)) return t + 1;
        if (!(above <= end_tolerance && -above <= end_tolerance)) return t + 1;
      }
    }
)")},
         {"tolerance", real(tolerance)},
         {"rows", X.rows()}});
  }

  /// The whole header; title and notes go into its first comment.
  std::string text(const std::string& title, const std::vector<std::string>& notes) const {
    std::string lines;
    for (const auto& note : notes) lines += "   " + note + "\n";
    return fill(R"(/* $name: $title. Written by mgdl $version.
$notes*/
#ifndef MGDL_HEADER_$name_$digest
#define MGDL_HEADER_$name_$digest
$claim
/* Where constants lie. In C with the extensions of GNU, avr-gcc leaves them in flash; anywhere else,
   what is const does not need it said. */
#ifndef MGDL_FLASH
#if defined(__AVR__) && defined(__FLASH) && !defined(__cplusplus) && !defined(__STRICT_ANSI__)
#define MGDL_FLASH __flash
#else
#define MGDL_FLASH
#endif
#endif

$includes$constants
$functions
#endif
)",
                {{"title", title},
                 {"version", version()},
                 {"notes", lines},
                 {"digest", digest(m_constants + m_functions)},
                 {"claim", claim_of(m_name)},
                 {"includes", m_includes},
                 {"constants", m_constants},
                 {"functions", m_functions}});
  }

 private:
  /// What stands for `$name` in a pattern.
  struct Word {
    Word(std::string_view n, std::string t) : name(n), text(std::move(t)) {}
    Word(std::string_view n, Index value) : name(n), text(std::to_string(value)) {}

    std::string_view name;
    std::string text;
  };

  /// C code with words in it; of two that fit, the longer one counts.
  std::string fill(std::string_view pattern, std::vector<Word> words = {}) const {
    words.emplace_back("name", m_name);
    words.emplace_back("number", m_number);
    words.emplace_back("zero", real(0));
    words.emplace_back("inputs", m_inputs);
    words.emplace_back("outputs", m_outputs);
    words.emplace_back("grades", m_grades);
    std::string text;
    for (;;) {
      const std::size_t at = pattern.find('$');
      text += pattern.substr(0, at);
      if (at == pattern.npos) return text;
      pattern.remove_prefix(at + 1);
      const Word* found = nullptr;
      for (const Word& word : words) {
        if (!pattern.starts_with(word.name)) continue;
        if (found == nullptr || word.name.size() > found->name.size()) found = &word;
      }
      eigen_assert(found != nullptr);
      text += found->text;
      pattern.remove_prefix(found->name.size());
    }
  }

  /// Starts the function that sums grades up. Model: of either kind.
  template <class Model>
  void start(const Model& model, const std::string& value) {
    m_inputs = model.inputs();
    m_outputs = model.outputs();
    m_body = fill(R"(/* Adds the outputs of the first k grades up, standardised. */
static inline void $name_sum(const $number* x, int k, $number* sum) {
)");
    const Index bytes = value == "double" ? 8 : value == "float" ? 4 : 2;
    m_grades = 0;
    Index width = 1;
    if constexpr (std::is_same_v<Model, QuantisedModel>) {
      m_grades = static_cast<Index>(model.grades.size());
      m_link = model.link;
      for (const auto& grade : model.grades) {
        for (const auto& layer : grade) width = std::max(width, layer.inputs());
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

  template <class Scalar>
  std::string add_floating_layer(const std::string& id, const DenseLayer<Scalar>& layer,
                                 const std::string& in, bool readout) {
    const std::string out = readout ? "sum" : in == "h0" ? "h1" : "h0";
    const bool grouped = layer.groups() > 1;
    const std::string weights = m_name + "_w" + id;
    const std::string bias = m_name + "_b" + id;
    const auto add = [&](std::string_view pattern, Index row = 0) {
      m_body += fill(pattern, {{"n", layer.group_inputs()},
                               {"m", layer.group_outputs()},
                               {"row", layer.outputs()},
                               {"all", layer.inputs()},
                               {"groups", layer.groups()},
                               {"r", row},
                               {"source", in},
                               {"target", out},
                               {"w", grouped ? "w" : weights},
                               {"b", grouped ? "b" : bias},
                               {"weights", weights},
                               {"bias", bias},
                               {"in", grouped ? "a" : in},
                               {"out", grouped ? "o" : out},
                               {"assign", readout ? "+=" : "="}});
    };
    add(grouped ? "  /* $all -> $row, in $groups groups */\n" : "  /* $all -> $row */\n");
    if (grouped) {
      add(R"(  for (int g = 0; g < $groups; ++g) {
  const $number* a = $source + g * $n;
  MGDL_FLASH const $number* w = $weights + g * $m;
  MGDL_FLASH const $number* b = $bias + g * $m;
  $number* o = $target + g * $m;
)");
    }
    add(R"(  count = 0;
  for (i = 0; i < $n; ++i) {
    where[count] = i;
    count += $in[i] != $zero;
  }
  for (j = 0; j < $m; ++j) $out[j] $assign $b[j];
  for (t = 0; t + 4 <= count; t += 4) {
)");
    for (int r = 0; r < kProductsTogether; ++r) {
      add(R"(    MGDL_FLASH const $number* w$r = $w + where[t + $r] * $row;
    const $number v$r = $in[where[t + $r]];
)",
          r);
    }
    // Without a store in it, GCC 12 at -O3 merges iterations of this loop, and what comes out of
    // that is not vectorised: twice the time.
    add(R"(    where[t] = 0;
    for (j = 0; j < $m; ++j) $out[j] += (v0 * w0[j] + v1 * w1[j]) + (v2 * w2[j] + v3 * w3[j]);
  }
  for (; t < count; ++t) {
    MGDL_FLASH const $number* w0 = $w + where[t] * $row;
    const $number v0 = $in[where[t]];
    for (j = 0; j < $m; ++j) $out[j] += v0 * w0[j];
  }
)");
    if (!readout) add("  for (j = 0; j < $m; ++j) $out[j] = $out[j] < $zero ? $zero : $out[j];\n");
    if (grouped) m_body += "  }\n";
    return readout ? in : out;
  }

  /// After `width` features, `copy` is that value of the inputs which the next grade gets.
  void end_grade(Index g, const std::string& features, Index width, const std::string& copy) {
    if (g == m_grades) return;
    m_body += fill("  if (k <= $g) return;\n", {{"g", g}});
    if (m_link == FeatureLink::LastHidden) return;
    m_body += fill("  for (j = 0; j < $inputs; ++j) $features[$width + j] = $copy;\n",
                   {{"features", features}, {"width", width}, {"copy", copy}});
  }

  void add_predict() {
    m_stack_bytes += m_outputs * (m_number == "double" ? 8 : 4);
    m_functions += m_body + fill(R"(/* The first k grades, 0 <= k <= $grades, at x. */
static inline void $name_predict_grades(const $number x[$inputs], int k, $number y[$outputs]) {
  $number sum[$outputs] = {$zero};
  int j;
  if (k > 0) $name_sum(x, k, sum);
  for (j = 0; j < $outputs; ++j) y[j] = sum[j] * $name_output_scale[j] + $name_output_mean[j];
}

/* The model at x. */
static inline void $name_predict(const $number x[$inputs], $number y[$outputs]) {
  $name_predict_grades(x, $grades, y);
}

)");
  }

  void add_local(const std::string& type, const std::string& name, Index count, Index bytes) {
    m_body += "  " + type + " " + name + "[" + std::to_string(std::max<Index>(count, 1)) + "];\n";
    m_stack_bytes += count * bytes;
  }

  template <class Number>
  void add_array(const std::string& name, std::span<const Number> values) {
    add_constant(m_number, m_number == "double" ? 8 : 4, name, values,
                 [this](Number v) { return real(static_cast<double>(v)); });
  }
  template <class Integer>
  void add_integers(const std::string& type, Index bytes, const std::string& name,
                    std::span<const Integer> values) {
    add_constant(type, bytes, name, values, [](Integer v) { return std::to_string(v); });
  }
  template <class Number, class Print>
  void add_constant(const std::string& type, Index bytes, const std::string& name,
                    std::span<const Number> values, const Print& print) {
    const auto count = static_cast<Index>(values.size());
    m_flash_bytes += count * bytes;
    m_constants += array(fill("static MGDL_FLASH const $type $name_$array[$count]",
                              {{"type", type}, {"array", name}, {"count", count}}),
                         values, print);
  }

  std::string real(double value) const {
    return m_number == "double" ? c_number(value) : c_number(static_cast<float>(value));
  }

  std::string m_name, m_number;
  std::string m_includes, m_constants, m_functions, m_body;
  Index m_inputs = 0, m_outputs = 0, m_grades = 0;
  FeatureLink m_link = FeatureLink::LastHidden;
  Index m_flash_bytes = 0;
  Index m_stack_bytes = 0;
};

}  // namespace mgdl::detail
