#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/observer.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/dense_factorisations.hpp"

namespace mgdl::detail {

/// Draws hidden units from pairs of samples (a, b), with probability in proportion to
///
///     max_k |r_ak - r_bk| / |h_a - h_b|,   h the values of the layer below:
///
/// relu(s (h_b - h_a) . (h - h_a)), which is zero at a, where its kink is, and grows towards b. The
/// factor s makes the root mean square over the samples 1, so that all units have the same size.
///
/// Works on a random part of the samples when there are many: the pairs that are compared are few
/// anyway.
///
/// Source: Bolager et al., "Sampling weights of deep neural networks" (arXiv 2306.16830).
template <class Real = double>
class SampledUnits {
 public:
  /// \param width  of the widest hidden layer that will be drawn
  template <class Scalar>
  SampledUnits(const Samples<Scalar>& samples, Index width, RandomStream& random)
      : m_random(random) {
    const Index most = std::clamp(kValues / width, kFewest, kMost);
    const auto picked = draw_samples(samples, most, /*shuffled=*/false, random);
    m_values = picked.inputs.transpose().template cast<Real>();
    m_residual = picked.targets.transpose().template cast<Real>();
  }

  /// Units that were drawn: relu(x weights + bias).
  struct Units {
    RowMatrix<Real> weights;  // inputs x units
    RowVector<Real> bias;
  };

  /// Up to `width` different units of the next layer; fewer if there are not so many.
  /// \param proceed  called now and then; false ends the work, and there are no units
  Units draw(Index width, FunctionRef<bool()> proceed = kGoOn) {
    const ConstRowMatrixRef<Real> values = by_rows(m_values);
    const SamplePairs pairs(values);
    Units units{RowMatrix<Real>(values.cols(), width), RowVector<Real>(width)};
    Index count = 0;
    if (pairs.size() > 0) {
      const RowVector<Real> scale = RowVector<Real>::Ones(values.cols());
      const auto candidates =
          candidate_pairs(pairs, static_cast<std::uint64_t>(kCandidates * width), m_random);
      WeightedDraw draw(pair_slopes(values, by_rows(m_residual), candidates, scale));
      std::vector<std::pair<Index, Index>> drawn;
      while (count < width && draw.left() > 0) {
        drawn.resize(static_cast<std::size_t>(std::min({kAtOnce, width - count, draw.left()})));
        for (auto& pair : drawn) pair = candidates[static_cast<std::size_t>(draw.draw(m_random))];
        count = add_units(drawn, count, units);
        if (!proceed()) {
          count = 0;
          break;
        }
      }
    }
    units.weights.conservativeResize(Eigen::NoChange, count);
    units.bias.conservativeResize(count);
    return units;
  }

  /// How often draw() asks whether to go on, about.
  static constexpr Index steps(Index width) noexcept { return (width + kAtOnce - 1) / kAtOnce; }

  /// Makes the values of these units the layer below of the next draw.
  void advance(const Units& units) {
    const Index width = units.bias.size();
    const Matrix<Real> weights =
        Eigen::Map<const Matrix<Real>>(units.weights.data(), width, m_values.rows());
    Matrix<Real> values = product(weights, m_values);
    for (Index i = 0; i < values.cols(); ++i) {
      for (Index j = 0; j < width; ++j) {
        const Real value = values(j, i) + units.bias[j];
        values(j, i) = value < 0 ? Real(0) : value;
      }
    }
    m_values = std::move(values);
  }

 private:
  static constexpr Index kCandidates = 20;          // pairs that are compared for each unit
  static constexpr Index kValues = Index{1} << 23;  // numbers in memory, about
  static constexpr Index kFewest = 2048;            // samples
  static constexpr Index kMost = 16384;
  static constexpr Index kAtOnce = 64;    // units
  static constexpr double kSame = 1e-10;  // units that differ by less are the same

  /// Writes the units of these pairs behind the first `count` ones, without those that are there
  /// already; returns how many there are then.
  Index add_units(const std::vector<std::pair<Index, Index>>& pairs, Index count,
                  Units& units) const {
    const Index d = m_values.rows();
    Matrix<Real> slopes(d, std::ssize(pairs));
    for (Index k = 0; k < slopes.cols(); ++k) {
      const auto [a, b] = pairs[static_cast<std::size_t>(k)];
      for (Index j = 0; j < d; ++j) slopes(j, k) = m_values(j, b) - m_values(j, a);
      const Real square = slopes.col(k).squaredNorm();
      for (Index j = 0; j < d; ++j) slopes(j, k) /= square;
    }
    const Matrix<Real> products = transposed_product(m_values, slopes);
    RowVector<Real> weights(d);
    for (Index k = 0; k < slopes.cols(); ++k) {
      const double kink = products(pairs[static_cast<std::size_t>(k)].first, k);
      const double square = (products.col(k).array() - kink).cwiseMax(0).square().mean();
      const double factor = 1 / std::sqrt(square);
      for (Index j = 0; j < d; ++j) weights[j] = slopes(j, k) * factor;
      const double bias = -kink * factor;
      // Not so for distances that underflow.
      if (!all_finite(weights) || !std::isfinite(bias)) continue;
      if (is_repeated(weights, bias, count, units)) continue;
      for (Index j = 0; j < d; ++j) units.weights(j, count) = weights[j];
      units.bias[count] = bias;
      ++count;
    }
    return count;
  }

  static bool is_repeated(const RowVector<Real>& weights, double bias, Index count,
                          const Units& units) {
    double largest = 0;
    for (Index j = 0; j < weights.size(); ++j) largest = std::max(largest, std::abs(weights[j]));
    const double close = kSame * (largest + std::abs(bias));
    for (Index k = 0; k < count; ++k) {
      if (std::abs(units.bias[k] - bias) > close) continue;
      double difference = 0;
      for (Index j = 0; j < weights.size(); ++j) {
        difference = std::max(difference, std::abs(units.weights(j, k) - weights[j]));
      }
      if (difference <= close) return true;
    }
    return false;
  }

  /// One sample a row.
  static Eigen::Map<const RowMatrix<Real>> by_rows(const Matrix<Real>& samples) {
    return {samples.data(), samples.cols(), samples.rows()};
  }

  RandomStream& m_random;
  Matrix<Real> m_values;    // of the layer below, one sample that is looked at a column
  Matrix<Real> m_residual;  // there
};

}  // namespace mgdl::detail
