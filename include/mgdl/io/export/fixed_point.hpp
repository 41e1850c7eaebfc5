#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/standardizer.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds/enclosure.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// One layer in integers. Unit j computes
///
///     s = bias_j + sum_i weights_ji a_i,    a'_j = min(max(0, s / 2^shift_j rounded), 32767)
///
/// in a hidden layer, where a value h is held as the integer h 2^exponent; a readout gives s
/// 2^-shift_j instead. The sum never leaves the accumulator, whatever the a_i are.
struct QuantisedLayer {
  RowMatrix<std::int32_t> weights;  // outputs x inputs, or x those of a group
  std::vector<std::int64_t> bias;
  std::vector<int> shift;
  bool hidden = true;
  Index groups = 1;

  Index inputs() const noexcept { return weights.cols() * groups; }
  /// The first one that unit j reads.
  Index first_input(Index j) const noexcept {
    return j / (weights.rows() / groups) * weights.cols();
  }
};

/// A model in fixed point: weights of 8 or 16 bits with a power of two for each unit, values of 15
/// bits with a power of two for each layer, sums of 32 or 64 bits.
struct QuantisedModel {
  static constexpr int kLargest = 32767;  // of a value

  int weight_bits = 16;
  FeatureLink link = FeatureLink::LastHidden;
  RowVector<float> input_mean, input_factor;  // z = (x - mean) * factor, times 2^input_exponent
  RowVector<float> output_mean, output_scale;
  int input_exponent = 0;
  std::vector<std::vector<QuantisedLayer>> grades;
  std::vector<int> input_shift;       // of z beside the features of each grade, for the link
  std::vector<Vector<double>> bound;  // |result - model| on the box, after 0, 1, ... grades

  Index inputs() const noexcept { return input_mean.size(); }
  Index outputs() const noexcept { return output_mean.size(); }

  /// What the C code computes, for x of d values: c values.
  Vector<float> predict(const Vector<float>& x, Index k) const {
    std::vector<std::int64_t> z;
    for (Index j = 0; j < inputs(); ++j) {
      constexpr auto limit = static_cast<float>(kLargest);
      const float v = std::clamp((x[j] - input_mean[j]) * input_factor[j], -limit, limit);
      z.push_back(v < 0 ? -static_cast<std::int64_t>(0.5F - v)
                        : static_cast<std::int64_t>(v + 0.5F));
    }
    Vector<float> sum = Vector<float>::Zero(outputs());
    std::vector<std::int64_t> a = z;
    for (std::size_t g = 0; g < static_cast<std::size_t>(k); ++g) {
      for (const auto& layer : grades[g]) {
        std::vector<std::int64_t> next;
        for (Index j = 0; j < layer.weights.rows(); ++j) {
          const auto unit = static_cast<std::size_t>(j);
          std::int64_t s = layer.bias[unit];
          const Index first = layer.first_input(j);
          for (Index i = 0; i < layer.weights.cols(); ++i) {
            s += layer.weights(j, i) * a[static_cast<std::size_t>(first + i)];
          }
          if (!layer.hidden) {
            const float real = weight_bits == 8 ? static_cast<float>(s) : real_of(s);
            sum[j] += real * std::ldexp(1.0F, -layer.shift[unit]);
            continue;
          }
          next.push_back(s <= 0 ? 0
                                : std::min<std::int64_t>(rounded(s, layer.shift[unit]), kLargest));
        }
        if (layer.hidden) a = std::move(next);
      }
      if (link == FeatureLink::LastHiddenAndInput) {
        for (const std::int64_t value : z) a.push_back(shifted_input(value, input_shift[g]));
      }
    }
    return sum.cwiseProduct(output_scale.transpose()) + output_mean.transpose();
  }

  /// The number in float, by its halves, each of which rounds, as their sum does.
  static float real_of(std::int64_t s) {
    const std::uint64_t size =
        s < 0 ? 0 - static_cast<std::uint64_t>(s) : static_cast<std::uint64_t>(s);
    const auto high = static_cast<float>(static_cast<std::uint32_t>(size >> 32));
    const auto low = static_cast<float>(static_cast<std::uint32_t>(size));
    const float value = high * 4294967296.0F + low;
    return s < 0 ? -value : value;
  }
  static std::int64_t rounded(std::int64_t s, int shift) {
    return shift == 0 ? s : (s + (std::int64_t{1} << (shift - 1))) >> shift;
  }
  static std::int64_t shifted_input(std::int64_t value, int shift) {
    return value < 0 ? -rounded(-value, shift) : rounded(value, shift);
  }
};

/// A model in integers, with a bound of what that costs for all inputs in a box.
///
/// \param weight_bits   8 or 16
/// \param lower, upper  the box, d values each
/// \param samples       n x d; with rows, a layer whose proven range is more than 16 times the
///                      largest value there gets 4 times this value, and is limited to it
/// \throws InvalidArgument for a model that may overflow on the box
template <class Scalar>
QuantisedModel quantised(const MultigradeModel<Scalar>& model, int weight_bits,
                         const Vector<Scalar>& lower, const Vector<Scalar>& upper,
                         const Matrix<Scalar>& samples);

/// Turns a model into integers and bounds what that costs, for all inputs in a box.
///
/// With h the values of the model and a those of the integers, per layer and unit,
///
///     |a' - h'| <= |V' (a - h)| + |(V - W)' h| + |rounding of b| + 2^-exponent / 2,
///
/// V the rounded weights. Each product is bounded twice, by sum |V_i| |a_i - h_i| and by Cauchy's
/// inequality with ||a - h||_2, for which the spectral norm of V is a third bound; |h| by
/// intervals, zonotopes and norms. The smaller bound counts everywhere. Everything is a sum of
/// terms >= 0 in double, and kSlack is more than its rounding.
class Quantiser {
 public:
  /// \param in, out  of the inputs and of the targets
  Quantiser(int weight_bits, FeatureLink link, const Standardizer<double>& in,
            const Standardizer<double>& out)
      : m_in(in),
        m_out(out),
        m_error(RowVector<double>::Zero(out.mean().size())),
        m_magnitude(RowVector<double>::Zero(out.mean().size())) {
    m_result.weight_bits = weight_bits;
    m_result.link = link;
    m_result.input_mean = in.mean().cast<float>();
    m_result.output_mean = out.mean().cast<float>();
    m_result.output_scale = out.scale().cast<float>();
    add_bound(m_error);
  }

  /// \param box      of the standardised inputs
  /// \param largest  max |x| of each input
  void set_input(Enclosure box, const RowVector<double>& largest) {
    Reach& z = m_input;
    z.box = std::move(box);
    z.magnitude = z.box.magnitude() * kSlack;
    z.magnitude_norm = z.magnitude.norm() * kSlack;
    z.exponent = exponent_for(z.magnitude.maxCoeff());
    const double unit = std::ldexp(1.0, -z.exponent);
    m_result.input_exponent = z.exponent;
    m_result.input_factor = (m_in.scale().cwiseInverse() / unit).cast<float>();
    // The mean and the factor are rounded to float, and so is the difference; which is relative to
    // |x| + |mean| rather than to z.
    const auto in_scales = [&](const RowVector<double>& values) -> RowVector<double> {
      return values.cwiseAbs().cwiseQuotient(m_in.scale());
    };
    z.error = ((in_scales(largest) + in_scales(m_in.mean()) + z.magnitude) * 4 * kFloat).array() +
              unit * 0.502;  // adding 0.5 in float may round to the other side
    z.error_norm = z.error.norm() * kSlack;
    m_features = z;
  }

  void start_grade() { m_result.grades.emplace_back(); }

  /// Of the values that the next layer reads.
  const Enclosure& box() const noexcept { return m_features.box; }

  /// \param W, b     n x m weights and m biases of a layer
  /// \param box      of its sums
  /// \param seen     the largest of its values at the samples, or 0
  /// \param stacked  whether the inputs come beside its values
  void add_hidden(const RowMatrix<double>& W, const RowVector<double>& b, Enclosure box,
                  double seen, bool stacked) {
    QuantisedLayer& q = m_result.grades.back().emplace_back();
    auto [next, V, bias_error] = sums(W, b, std::move(box), q);
    const RowVector<double> above = next.box.upper.cwiseMin(next.magnitude);
    Rules::relu(next.box);
    next.magnitude = above.cwiseMax(0);
    const double V_norm = spectral_norm_bound(V);
    next.magnitude_norm = std::min(next.magnitude.norm(),
                                   spectral_norm_bound(W) * m_features.magnitude_norm + b.norm()) *
                          kSlack;
    next.error_norm = V_norm * m_features.error_norm +
                      spectral_norm_bound(V - W) * m_features.magnitude_norm + bias_error.norm();
    next.exponent = hidden_exponent(next.magnitude.maxCoeff(), seen, q, stacked);
    finish_error(next);
    for (int& shift : q.shift) shift -= next.exponent;
    m_features = std::move(next);
  }

  void add_readout(const RowMatrix<double>& W, const RowVector<double>& b, Enclosure box) {
    QuantisedLayer& q = m_result.grades.back().emplace_back();
    q.hidden = false;
    const Reach next = sums(W, b, std::move(box), q).reach;
    // In float: the parts, made of two halves each, the sum of the grades, and the scaling back.
    m_magnitude += next.magnitude + next.error;
    m_error += next.error + 2 * kFloat * (next.magnitude + next.error) + kFloat * m_magnitude;
    add_bound(m_error + 2 * kFloat * m_magnitude);
  }

  /// Leaves the zeros between the groups of the last layer out, which change nothing.
  void leave_out_zeros(Index groups) {
    QuantisedLayer& q = m_result.grades.back().back();
    if (groups == 1) return;
    const RowMatrix<std::int32_t> dense = std::move(q.weights);
    q.groups = groups;
    q.weights.resize(dense.rows(), dense.cols() / groups);
    for (Index j = 0; j < dense.rows(); ++j) {
      q.weights.row(j) = dense.row(j).segment(q.first_input(j), q.weights.cols());
    }
  }

  /// [h, z] for the next grade, both with the exponent of h.
  void stack_input() {
    const int shift = m_input.exponent - m_features.exponent;
    m_result.input_shift.push_back(shift);
    const auto beside = [](const RowVector<double>& a, const RowVector<double>& b) {
      return (RowVector<double>(a.size() + b.size()) << a, b).finished();
    };
    const double half = shift == 0 ? 0 : std::ldexp(0.5, -m_features.exponent);
    const RowVector<double> z_error = (m_input.error.array() + half) * kSlack;
    Reach next;
    next.box = Rules::stacked(m_features.box, m_input.box);
    next.magnitude = beside(m_features.magnitude, m_input.magnitude);
    next.error = beside(m_features.error, z_error);
    next.magnitude_norm = std::hypot(m_features.magnitude_norm, m_input.magnitude_norm) * kSlack;
    next.error_norm = std::hypot(m_features.error_norm, z_error.norm()) * kSlack;
    next.exponent = m_features.exponent;
    m_features = std::move(next);
  }

  QuantisedModel result() && { return std::move(m_result); }

 private:
  using Rules = EnclosureRules<double>;  // those of them that do not round
  static constexpr double kSlack = 1 + 1e-9;
  static constexpr double kFloat = 1e-7;  // more than float's rounding, relative

  /// Bounds of the values that a layer reads: of the model's |h|, and of the integers' error.
  struct Reach {
    Enclosure box;
    RowVector<double> magnitude, error;  // of each value
    double magnitude_norm = 0, error_norm = 0;
    int exponent = 0;
  };

  static int exponent_for(double largest) {
    if (!(largest > 0)) return 14;
    if (!std::isfinite(largest)) {
      throw InvalidArgument("model", "values that are bounded on the box", "an overflow");
    }
    return std::clamp(std::ilogb(QuantisedModel::kLargest / (largest * (1 + 1e-6))), -40, 40);
  }

  struct Sums {
    Reach reach;
    RowMatrix<double> V;  // the weights that the integers stand for
    RowVector<double> bias_error;
  };

  /// Fills q, but for its exponent.
  Sums sums(const RowMatrix<double>& W, const RowVector<double>& b, Enclosure box,
            QuantisedLayer& q) const {
    Sums result{{}, round_weights(W, b, q), RowVector<double>(b.size())};
    Reach& next = result.reach;
    next.box = std::move(box);
    next.magnitude = RowVector<double>(b.size());
    next.error = RowVector<double>(b.size());
    const RowMatrix<double> D = result.V - W;
    for (Index j = 0; j < b.size(); ++j) {
      const auto unit = static_cast<std::size_t>(j);
      const double by_norm = W.col(j).norm() * m_features.magnitude_norm + std::abs(b[j]);
      const double by_box = std::max(std::abs(next.box.lower[j]), std::abs(next.box.upper[j]));
      next.magnitude[j] = std::min(by_norm, by_box) * kSlack;
      result.bias_error[j] =
          std::abs(std::ldexp(static_cast<double>(q.bias[unit]), -q.shift[unit]) - b[j]);
      next.error[j] = (smaller_product(result.V.col(j), m_features.error, m_features.error_norm) +
                       smaller_product(D.col(j), m_features.magnitude, m_features.magnitude_norm) +
                       result.bias_error[j]) *
                      kSlack;
    }
    return result;
  }

  /// What an error of the sum of the grades makes of the outputs.
  void add_bound(const RowVector<double>& error) {
    m_result.bound.emplace_back(
        (error.cwiseProduct(m_out.scale()) + 2 * kFloat * m_out.mean().cwiseAbs()).transpose() *
        kSlack);
  }

  /// min(sum |v_i| e_i, ||v|| ||e||).
  template <class Column>
  static double smaller_product(const Column& v, const RowVector<double>& each, double norm) {
    return std::min(each.dot(v.cwiseAbs()), v.norm() * norm);
  }

  /// Fills q's weights, biases and, as the shift, the exponent of the sums; returns the weights
  /// that the integers stand for.
  RowMatrix<double> round_weights(const RowMatrix<double>& W, const RowVector<double>& b,
                                  QuantisedLayer& q) const {
    const double largest = std::ldexp(1.0, m_result.weight_bits - 1) - 1;
    const double accumulator = m_result.weight_bits == 8 ? 0x1p31 - 1 : 0x1p62;
    RowMatrix<double> V(W.rows(), W.cols());
    q.weights.resize(W.cols(), W.rows());
    std::vector<int> exponents;
    for (Index j = 0; j < W.cols(); ++j) {
      const double top = W.col(j).cwiseAbs().maxCoeff();
      int f = top > 0 ? std::min(std::ilogb(largest / top) + 1, 40) : 40;
      while (std::round(std::ldexp(top, f)) > largest) --f;
      const auto fits = [&] {
        double sum = std::abs(std::ldexp(b[j], f + m_features.exponent)) + 1;
        for (Index i = 0; i < W.rows(); ++i) {
          sum += std::abs(std::round(std::ldexp(W(i, j), f))) * QuantisedModel::kLargest;
        }
        return 2 * sum < accumulator;  // with room for the half that is added before a shift
      };
      while (!fits()) --f;
      exponents.push_back(f);
    }
    // Not too far apart, so that one exponent serves all units' values.
    const int common = *std::ranges::min_element(exponents) + 8;
    for (Index j = 0; j < W.cols(); ++j) {
      const int f = std::min(exponents[static_cast<std::size_t>(j)], common);
      for (Index i = 0; i < W.rows(); ++i) {
        const double rounded = std::round(std::ldexp(W(i, j), f));
        q.weights(j, i) = static_cast<std::int32_t>(rounded);
        V(i, j) = std::ldexp(rounded, -f);
      }
      q.shift.push_back(f + m_features.exponent);
      q.bias.push_back(std::llround(std::ldexp(b[j], q.shift.back())));
    }
    return V;
  }

  int hidden_exponent(double largest, double seen, const QuantisedLayer& q, bool stacked) const {
    // Four bits may be lost to a range that is proven; more are only lost in theory.
    if (seen > 0 && largest > 16 * seen) largest = 4 * seen;
    int exponent = exponent_for(largest);
    // Shifts go to the right, and leave the half that is added before them inside the accumulator.
    const auto [least, most] = std::ranges::minmax(q.shift);
    const int longest = m_result.weight_bits == 8 ? 30 : 61;
    exponent = std::clamp(exponent, most - longest, least);
    if (stacked) exponent = std::min(exponent, m_input.exponent);
    if (most - exponent <= longest) return exponent;
    throw InvalidArgument("model", "features and inputs of comparable size",
                          "a factor of 2^" + std::to_string(most - exponent));
  }

  /// Adds what rounding and the limit to 32767 do to the values.
  static void finish_error(Reach& next) {
    const double half = std::ldexp(0.5, -next.exponent);
    const double limit = std::ldexp(static_cast<double>(QuantisedModel::kLargest), -next.exponent);
    next.error_norm =
        (next.error_norm + half * std::sqrt(static_cast<double>(next.error.size()))) * kSlack;
    bool limited = false;
    for (Index j = 0; j < next.error.size(); ++j) {
      const double beyond = next.magnitude[j] + next.error[j] - limit;
      limited = limited || beyond > 0;
      next.error[j] = std::min(std::max(next.error[j] + half, next.magnitude[j] - limit),
                               std::max(limit, next.magnitude[j])) *
                      kSlack;
    }
    const double by_unit = next.error.norm() * kSlack;
    next.error_norm = limited ? by_unit : std::min(by_unit, next.error_norm);
  }

  Standardizer<double> m_in, m_out;
  QuantisedModel m_result;
  Reach m_input, m_features;
  RowVector<double> m_error, m_magnitude;  // of the sum of the grades so far, standardised
};

template <class Scalar>
QuantisedModel quantised(const MultigradeModel<Scalar>& model, int weight_bits,
                         const Vector<Scalar>& lower, const Vector<Scalar>& upper,
                         const Matrix<Scalar>& samples) {
  using Rules = EnclosureRules<Scalar>;
  const auto in_double = [](const Standardizer<Scalar>& standardizer) {
    return Standardizer<double>(standardizer.mean().template cast<double>(),
                                standardizer.scale().template cast<double>());
  };
  const auto& input = model.input_standardizer();
  Quantiser quantiser(weight_bits, model.link(), in_double(input),
                      in_double(model.output_standardizer()));
  quantiser.set_input(
      Rules::input(input, lower, upper),
      lower.cwiseAbs().cwiseMax(upper.cwiseAbs()).transpose().template cast<double>());
  Matrix<Scalar> z(samples.rows(), model.inputs());
  if (samples.rows() > 0) input.apply(samples, z);
  Matrix<Scalar> seen = z;  // values of the layer so far at the samples
  const bool with_input = model.link() == FeatureLink::LastHiddenAndInput;
  for (Index g = 1; g <= model.grades(); ++g) {
    quantiser.start_grade();
    const auto& layers = model.grade(g).network.layers();
    for (const auto& layer : layers) {
      const RowMatrix<double> W = layer.dense_weights().template cast<double>();
      const RowVector<double> b = layer.bias().template cast<double>();
      Enclosure box = Rules::affine(quantiser.box(), W, b, layer.inputs());
      if (&layer == &layers.back()) {
        quantiser.add_readout(W, b, std::move(box));
        quantiser.leave_out_zeros(layer.groups());
        break;
      }
      if (seen.rows() > 0) {
        Matrix<Scalar> next = times_weights(seen, layer);
        next.rowwise() += layer.bias();
        seen = next.cwiseMax(Scalar(0));
      }
      const bool last_hidden = &layer + 1 == &layers.back();
      quantiser.add_hidden(W, b, std::move(box),
                           seen.rows() > 0 ? static_cast<double>(seen.maxCoeff()) : 0,
                           last_hidden && with_input);
      quantiser.leave_out_zeros(layer.groups());
    }
    if (!with_input) continue;
    quantiser.stack_input();
    if (seen.rows() == 0) continue;
    Matrix<Scalar> both(seen.rows(), seen.cols() + z.cols());
    both << seen, z;
    seen = std::move(both);
  }
  return std::move(quantiser).result();
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template QuantisedModel quantised(const MultigradeModel<float>&, int, const Vector<float>&,
                                         const Vector<float>&, const Matrix<float>&);
extern template QuantisedModel quantised(const MultigradeModel<double>&, int, const Vector<double>&,
                                         const Vector<double>&, const Matrix<double>&);
}  // namespace mgdl::detail
#endif
