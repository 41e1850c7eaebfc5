#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
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

#ifdef MGDL_COMPILED
extern template QuantisedModel quantised(const MultigradeModel<float>&, int, const Vector<float>&,
                                         const Vector<float>&, const Matrix<float>&);
extern template QuantisedModel quantised(const MultigradeModel<double>&, int, const Vector<double>&,
                                         const Vector<double>&, const Matrix<double>&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/io/export/fixed_point_impl.hpp"  // IWYU pragma: export
#endif
