#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

/// One layer in integers. Unit j computes
///
///     s = bias_j + sum_i weights_ji a_i,    a'_j = min(max(0, s / 2^shift_j rounded), 32767)
///
/// in a hidden layer, where a value h is held as the integer h 2^exponent; a readout gives s
/// 2^-shift_j instead. The sum never leaves the accumulator, whatever the a_i are.
struct QuantisedLayer {
  RowMatrix<std::int32_t> weights;  // outputs x inputs
  std::vector<std::int64_t> bias;
  std::vector<int> shift;
  bool hidden = true;
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
          for (Index i = 0; i < layer.weights.cols(); ++i) {
            s += layer.weights(j, i) * a[static_cast<std::size_t>(i)];
          }
          if (!layer.hidden) {
            sum[j] += static_cast<float>(s) * std::ldexp(1.0F, -layer.shift[unit]);
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

  static std::int64_t rounded(std::int64_t s, int shift) {
    return shift == 0 ? s : (s + (std::int64_t{1} << (shift - 1))) >> shift;
  }
  static std::int64_t shifted_input(std::int64_t value, int shift) {
    return value < 0 ? -rounded(-value, shift) : rounded(value, shift);
  }
};

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
template <class Scalar>
class Quantiser {
 public:
  /// \param lower, upper  the box, d values each
  /// \param samples       n x d; with rows, a layer whose proven range is more than 16 times the
  ///                      largest value there gets 4 times this value, and is limited to it
  Quantiser(const MultigradeModel<Scalar>& model, int weight_bits, const Vector<Scalar>& lower,
            const Vector<Scalar>& upper, const Matrix<Scalar>& samples)
      : m_model(model), m_samples(samples) {
    m_result.weight_bits = weight_bits;
    m_result.link = model.link();
    const auto& in = model.input_standardizer();
    const auto& out = model.output_standardizer();
    m_result.input_mean = in.mean().template cast<float>();
    m_result.output_mean = out.mean().template cast<float>();
    m_result.output_scale = out.scale().template cast<float>();
    quantise_input(lower, upper);
    Matrix<Scalar> seen(samples.rows(), model.inputs());
    if (samples.rows() > 0) in.apply(samples, seen);
    m_seen = seen;
    RowVector<double> error = RowVector<double>::Zero(model.outputs());
    add_bound(error);
    RowVector<double> magnitude = RowVector<double>::Zero(model.outputs());
    for (Index g = 1; g <= model.grades(); ++g) quantise_grade(g, error, magnitude);
  }

  QuantisedModel result() && { return std::move(m_result); }

 private:
  using Rules = EnclosureRules<Scalar>;
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

  void quantise_input(const Vector<Scalar>& lower, const Vector<Scalar>& upper) {
    const auto& standardizer = m_model.input_standardizer();
    Reach& z = m_input;
    z.box = Rules::input(standardizer, lower, upper);
    z.magnitude = z.box.magnitude() * kSlack;
    z.magnitude_norm = z.magnitude.norm() * kSlack;
    z.exponent = exponent_for(z.magnitude.maxCoeff());
    const double unit = std::ldexp(1.0, -z.exponent);
    m_result.input_exponent = z.exponent;
    m_result.input_factor =
        (standardizer.scale().template cast<double>().cwiseInverse() / unit).template cast<float>();
    // The mean and the factor are rounded to float, and so is the difference; which is relative to
    // |x| + |mean| rather than to z.
    const auto in_scales = [&](const auto& values) -> RowVector<double> {
      return values.template cast<double>().cwiseAbs().cwiseQuotient(
          standardizer.scale().template cast<double>());
    };
    const RowVector<double> x =
        in_scales(RowVector<Scalar>(lower.cwiseAbs().cwiseMax(upper.cwiseAbs()).transpose()));
    z.error = ((x + in_scales(standardizer.mean()) + z.magnitude) * 4 * kFloat).array() +
              unit * 0.502;  // adding 0.5 in float may round to the other side
    z.error_norm = z.error.norm() * kSlack;
    m_features = z;
  }

  void quantise_grade(Index g, RowVector<double>& error, RowVector<double>& magnitude) {
    const auto& layers = m_model.grade(g).network.layers();
    auto& quantised = m_result.grades.emplace_back();
    for (const auto& layer : layers) {
      const bool hidden = &layer != &layers.back();
      const bool last_hidden = hidden && &layer + 1 == &layers.back();
      const bool stacked = last_hidden && m_model.link() == FeatureLink::LastHiddenAndInput;
      QuantisedLayer& q = quantised.emplace_back();
      q.hidden = hidden;
      const RowMatrix<double> W = layer.weights().template cast<double>();
      const RowVector<double> b = layer.bias().template cast<double>();
      const RowMatrix<double> V = round_weights(W, b, q);

      Reach next;
      next.box = Rules::affine(m_features.box, layer);
      next.magnitude = RowVector<double>(b.size());
      next.error = RowVector<double>(b.size());
      const RowMatrix<double> D = V - W;
      RowVector<double> bias_error(b.size());
      for (Index j = 0; j < b.size(); ++j) {
        const auto unit = static_cast<std::size_t>(j);
        const double by_norm = W.col(j).norm() * m_features.magnitude_norm + std::abs(b[j]);
        const double by_box = std::max(std::abs(next.box.lower[j]), std::abs(next.box.upper[j]));
        next.magnitude[j] = std::min(by_norm, by_box) * kSlack;
        bias_error[j] =
            std::abs(std::ldexp(static_cast<double>(q.bias[unit]), -q.shift[unit]) - b[j]);
        next.error[j] =
            (smaller_product(V.col(j), m_features.error, m_features.error_norm) +
             smaller_product(D.col(j), m_features.magnitude, m_features.magnitude_norm) +
             bias_error[j]) *
            kSlack;
      }
      if (!hidden) {
        // In float: the sum of the grades, its parts, and the scaling back.
        magnitude += next.magnitude + next.error;
        error += next.error + kFloat * magnitude;
        add_bound(error + 2 * kFloat * magnitude);
        break;
      }
      RowVector<double> above = next.box.upper.cwiseMin(next.magnitude);
      Rules::relu(next.box);
      next.magnitude = above.cwiseMax(0);
      const double V_norm = spectral_norm_bound(V);
      next.magnitude_norm =
          std::min(next.magnitude.norm(),
                   spectral_norm_bound(W) * m_features.magnitude_norm + b.norm()) *
          kSlack;
      next.error_norm = V_norm * m_features.error_norm +
                        spectral_norm_bound(D) * m_features.magnitude_norm + bias_error.norm();
      see(layer);
      next.exponent = hidden_exponent(next.magnitude.maxCoeff(), q, stacked);
      finish_error(next);
      for (int& shift : q.shift) shift -= next.exponent;
      m_features = std::move(next);
    }
    if (m_model.link() == FeatureLink::LastHiddenAndInput) stack_input();
  }

  /// What an error of the sum of the grades makes of the outputs.
  void add_bound(const RowVector<double>& error) {
    const auto scale = m_model.output_standardizer().scale().template cast<double>();
    const auto mean = m_model.output_standardizer().mean().template cast<double>();
    m_result.bound.emplace_back(
        (error.cwiseProduct(scale) + 2 * kFloat * mean.cwiseAbs()).transpose() * kSlack);
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

  /// The values that the layer takes at the samples.
  void see(const DenseLayer<Scalar>& layer) {
    if (m_seen.rows() == 0) return;
    Matrix<Scalar> next = m_seen * layer.weights();
    next.rowwise() += layer.bias();
    m_seen = next.cwiseMax(Scalar(0));
  }

  int hidden_exponent(double largest, const QuantisedLayer& q, bool stacked) const {
    if (m_seen.rows() > 0) {
      // Four bits may be lost to a range that is proven; more are only lost in theory.
      const double seen = static_cast<double>(m_seen.maxCoeff());
      if (seen > 0 && largest > 16 * seen) largest = 4 * seen;
    }
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
    if (m_seen.rows() == 0) return;
    Matrix<Scalar> z(m_samples.rows(), m_model.inputs());
    m_model.input_standardizer().apply(m_samples, z);
    Matrix<Scalar> seen(m_seen.rows(), m_seen.cols() + z.cols());
    seen << m_seen, z;
    m_seen = std::move(seen);
  }

  const MultigradeModel<Scalar>& m_model;
  const Matrix<Scalar>& m_samples;
  QuantisedModel m_result;
  Reach m_input, m_features;
  Matrix<Scalar> m_seen;  // values of the layer so far at the samples
};

}  // namespace mgdl::detail
