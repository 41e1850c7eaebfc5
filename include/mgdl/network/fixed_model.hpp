#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/panel_network.hpp"

namespace mgdl::detail {

/// All numbers of a model in the order in which an evaluation needs them: mean_x, scale_x, for
/// every layer of every grade W (row by row; of a hidden layer with groups the compact matrix) and
/// b, then mean_y and scale_y.
template <class Scalar>
std::vector<Scalar> flat_parameters(const MultigradeModel<Scalar>& model) {
  std::vector<Scalar> values;
  const auto append = [&values](const auto& matrix) {
    values.insert(values.end(), matrix.data(), matrix.data() + matrix.size());
  };
  append(model.input_standardizer().mean());
  append(model.input_standardizer().scale());
  for (Index g = 1; g <= model.grades(); ++g) {
    const ReluNetwork<Scalar>& network = model.grade(g).network;
    for (const auto& layer : network.layers()) {
      if (&layer == &network.readout()) {
        append(layer.dense_weights());
      } else {
        append(layer.weights());
      }
      append(layer.bias());
    }
  }
  append(model.output_standardizer().mean());
  append(model.output_standardizer().scale());
  return values;
}

}  // namespace mgdl::detail

namespace mgdl {

/// Widths of a grade's hidden layers as a type, HiddenLayers<128, 128>; see FixedModel.
template <Index... Widths>
struct HiddenLayers {
  static_assert(sizeof...(Widths) > 0 && ((Widths > 0) && ...), "a grade has a hidden layer");
  static constexpr std::array<Index, sizeof...(Widths)> widths{Widths...};  ///< one for each layer
  /// 1 for each layer.
  static constexpr std::array<Index, sizeof...(Widths)> groups{(Widths > 0 ? 1 : 0)...};
};

/// HiddenLayers with a number of groups for each of them, as in the mean of five models,
/// Grouped<HiddenLayers<320, 320>, 1, 5>; see DenseLayer.
template <class Layers, Index... Groups>
struct Grouped {
  static_assert(sizeof...(Groups) == Layers::widths.size() && ((Groups > 0) && ...),
                "a number for each layer");
  static constexpr auto widths = Layers::widths;                            ///< one for each layer
  static constexpr std::array<Index, sizeof...(Groups)> groups{Groups...};  ///< one for each layer
};

namespace detail {

/// Where one layer lies in the storage of a FixedModel.
template <class Scalar>
struct FixedLayer {
  PanelShape<Scalar> shape;  // of one group: inputs x outputs
  Index weights = 0;         // offset of the first panel
  Index bias = 0;            // offset of stride() biases
  Index grade = 0;           // from 1
  bool hidden = false;
  Index groups = 1;

  constexpr Index inputs() const noexcept { return groups * shape.rows; }
  constexpr Index outputs() const noexcept { return groups * shape.cols; }
  /// Values that are written, in whole registers; see PanelNetwork.
  constexpr Index stride() const noexcept {
    return padded<Scalar>((groups - 1) * shape.cols + padded<Scalar>(shape.cols));
  }
};

/// All layers, in the order in which they are evaluated.
template <class Scalar, std::size_t layer_count>
struct FixedLayout {
  std::array<FixedLayer<Scalar>, layer_count> layers;
  Index size = 0;        // of the storage for weights and biases
  Index buffer = 0;      // values that a layer may put out, features with the inputs behind them
  Index parameters = 0;  // numbers that make a model, standardisers included
};

template <class Scalar, FeatureLink Link, class... Grades>
constexpr auto make_fixed_layout(Index inputs, Index outputs) {
  FixedLayout<Scalar, (0 + ... + (Grades::widths.size() + 1))> layout;
  layout.parameters = 2 * (inputs + outputs);
  std::size_t at = 0;
  Index features = inputs;
  Index grade = 0;
  const auto add = [&](Index rows, Index cols, bool hidden, Index groups) {
    // Whole cache lines: a row of a panel never lies in one more than it has to.
    constexpr Index kLine = 64 / Index{sizeof(Scalar)};
    FixedLayer<Scalar> layer{{rows / groups, cols / groups}, layout.size, 0, grade, hidden, groups};
    layer.bias = layer.weights + groups * layer.shape.size();
    layout.size = (layer.bias + layer.stride() + kLine - 1) / kLine * kLine;
    layout.buffer = std::max(layout.buffer, layer.stride() + inputs);
    layout.parameters += layer.shape.rows * cols + cols;
    layout.layers[at++] = layer;
  };
  const auto add_grade = [&](const auto& widths, const auto& groups) {
    ++grade;
    for (std::size_t l = 0; l < widths.size(); ++l) {
      add(features, widths[l], true, groups[l]);
      features = widths[l];
    }
    add(features, outputs, false, 1);
    if (Link == FeatureLink::LastHiddenAndInput) features += inputs;
  };
  (add_grade(Grades::widths, Grades::groups), ...);
  return layout;
}

template <class Scalar, Index Inputs, Index Outputs, FeatureLink Link, class... Grades>
inline constexpr auto kFixedLayout = make_fixed_layout<Scalar, Link, Grades...>(Inputs, Outputs);

}  // namespace detail

/// A MultigradeModel whose sizes are known when the program is compiled, for single samples and for
/// programs without a heap: all weights lie in the object, and `predict` neither allocates nor
/// throws. For 8 inputs, 1 output and two grades of 2x128,
///
///     using Model = FixedModel<float, 8, 1, FeatureLink::LastHidden,
///                              HiddenLayers<128, 128>, HiddenLayers<128, 128>>;
///     static const Model fixed(model);  // large: not on the stack
///     float y = fixed.predict(x)[0];
///
/// The result has the bits of `MultigradeModel::predict`, if both are compiled with the same flags.
/// Several threads may use one FixedModel at a time.
///
/// \tparam Scalar_  float or double
/// \tparam Inputs   d
/// \tparam Outputs  c
/// \tparam Link     what a grade hands to the next one
/// \tparam Grades   HiddenLayers of each grade, or Grouped
template <class Scalar_, Index Inputs, Index Outputs, FeatureLink Link, class... Grades>
class FixedModel {
  static_assert(Inputs > 0 && Outputs > 0, "a model has inputs and outputs");

 public:
  using Scalar = Scalar_;                                                ///< float or double
  using Output = std::array<Scalar, static_cast<std::size_t>(Outputs)>;  ///< c values
  /// d values, of an array say.
  using Input = std::span<const Scalar, static_cast<std::size_t>(Inputs)>;

  /// Number d of inputs.
  static constexpr Index inputs() noexcept { return Inputs; }
  /// Number c of outputs.
  static constexpr Index outputs() noexcept { return Outputs; }
  /// Number K of grades.
  static constexpr Index grades() noexcept { return sizeof...(Grades); }
  /// Numbers that make a model: weights, biases, and the means and scales of inputs and outputs.
  static constexpr Index parameters() noexcept { return kLayout.parameters; }

  /// Takes over a model of exactly these sizes.
  /// \throws InvalidArgument for one of other sizes, saying which
  explicit FixedModel(const MultigradeModel<Scalar>& model) {
    require_shape(model);
    const std::vector<Scalar> values = detail::flat_parameters(model);
    fill(values.data());
  }

  /// From numbers in the order mean_x, scale_x, W (row by row; the compact matrix where it has
  /// groups) and b of every layer of every grade, mean_y, scale_y, as in the header that
  /// write_cpp_header makes.
  constexpr explicit FixedModel(
      std::span<const Scalar, static_cast<std::size_t>(FixedModel::parameters())> values) noexcept {
    fill(values.data());
  }

  /// The model at x. NaN in x, or values so large that a sum overflows, lead to NaN or infinities.
  Output predict(Input x) const noexcept { return predict(x, grades()); }

  /// The first k grades at x; k outside of 0..grades() counts as the end it is beyond.
  Output predict(Input x, Index k) const noexcept {
    constexpr Index kAlignment = 64;
    alignas(kAlignment) Scalar buffers[2][kLayout.buffer];
    Scalar input[Inputs];
    for (Index j = 0; j < Inputs; ++j) {
      input[j] = (x[static_cast<std::size_t>(j)] - m_input_mean[j]) / m_input_scale[j];
    }
    Scalar sum[Outputs] = {};
    const Scalar* in = input;
    Index next = 0;
    for (const Layer& layer : kLayout.layers) {
      if (layer.grade > k) break;
      Scalar* out = buffers[next];
      apply(layer, in, out);
      if (layer.hidden) {
        in = out;
        next = 1 - next;
        continue;
      }
      for (Index j = 0; j < Outputs; ++j) sum[j] += out[j];
      if constexpr (Link == FeatureLink::LastHiddenAndInput) {
        std::copy_n(input, Inputs, buffers[1 - next] + layer.inputs());
      }
    }
    Output result;
    for (Index j = 0; j < Outputs; ++j) {
      result[static_cast<std::size_t>(j)] = sum[j] * m_output_scale[j] + m_output_mean[j];
    }
    return result;
  }

 private:
  using Layer = detail::FixedLayer<Scalar>;
  static constexpr const auto& kLayout =
      detail::kFixedLayout<Scalar, Inputs, Outputs, Link, Grades...>;

  void apply(const Layer& layer, const Scalar* in, Scalar* out) const noexcept {
    for (Index g = 0; g < layer.groups; ++g) {
      Scalar* part = out + g * layer.shape.cols;
      detail::gemv(in + g * layer.shape.rows, 1, layer.shape,
                   m_data + layer.weights + g * layer.shape.size(), part);
      detail::finish_layer(m_data + layer.bias + g * layer.shape.cols, layer.hidden, 1,
                           detail::padded<Scalar>(layer.shape.cols), part, 0);
    }
  }

  constexpr void fill(const Scalar* values) noexcept {
    const auto take = [&values](Scalar* to, Index count) {
      for (Index i = 0; i < count; ++i) to[i] = *values++;
    };
    take(m_input_mean, Inputs);
    take(m_input_scale, Inputs);
    for (const Layer& layer : kLayout.layers) {
      for (Index i = 0; i < layer.shape.rows; ++i) {
        for (Index g = 0; g < layer.groups; ++g) {
          for (Index j = 0; j < layer.shape.cols; ++j) {
            m_data[layer.weights + g * layer.shape.size() + layer.shape.at(i, j)] = *values++;
          }
        }
      }
      take(m_data + layer.bias, layer.outputs());
    }
    take(m_output_mean, Outputs);
    take(m_output_scale, Outputs);
  }

  static void require_shape(const MultigradeModel<Scalar>& model) {
    const auto require = [](Index expected, Index found, const char* unit, std::string where = {}) {
      if (expected == found) return;
      throw InvalidArgument("model", std::to_string(expected) + " " + unit, std::to_string(found),
                            std::move(where));
    };
    require(Inputs, model.inputs(), "inputs");
    require(Outputs, model.outputs(), "outputs");
    require(grades(), model.grades(), "grades");
    if (model.link() != Link) {
      throw InvalidArgument("model", std::string("the link ") + to_string(Link),
                            to_string(model.link()));
    }
    Index g = 0;
    const auto require_grade = [&](const auto& widths, const auto& groups) {
      const auto& network = model.grade(++g).network;
      const std::string where = "grade " + std::to_string(g);
      require(static_cast<Index>(widths.size()), network.hidden_layers(), "hidden layers", where);
      for (std::size_t l = 0; l < widths.size(); ++l) {
        const std::string layer = where + ", layer " + std::to_string(l + 1);
        require(widths[l], network.layers()[l].outputs(), "units", layer);
        require(groups[l], network.layers()[l].groups(), "groups", layer);
      }
    };
    (require_grade(Grades::widths, Grades::groups), ...);
  }

  alignas(64) Scalar m_data[kLayout.size] = {};
  Scalar m_input_mean[Inputs] = {};
  Scalar m_input_scale[Inputs] = {};
  Scalar m_output_mean[Outputs] = {};
  Scalar m_output_scale[Outputs] = {};
};

}  // namespace mgdl
