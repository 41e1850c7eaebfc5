#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "mgdl/core/types.hpp"

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
  SampledUnits(const SampleView<Scalar>& samples, Index width, RandomStream& random)
      : m_random(random) {
    std::vector<Index> rows;
    for (Index i = 0; i < samples.size(); ++i) {
      if (samples.weights[i] > 0) rows.push_back(i);
    }
    const Index most = std::clamp(kValues / width, kFewest, kMost);
    if (static_cast<Index>(rows.size()) > most) {
      random.shuffle(rows);
      rows.resize(static_cast<std::size_t>(most));
    }
    const auto pick = [&rows](const ConstRowMatrixRef<Scalar>& from) {
      RowMatrix<Real> picked(std::ssize(rows), from.cols());
      for (Index i = 0; i < picked.rows(); ++i) {
        const Index row = rows[static_cast<std::size_t>(i)];
        for (Index j = 0; j < picked.cols(); ++j) picked(i, j) = static_cast<Real>(from(row, j));
      }
      return picked;
    };
    m_values = pick(samples.inputs);
    m_residual = pick(samples.targets);
  }

  /// Units that were drawn: relu(x weights + bias).
  struct Units {
    RowMatrix<Real> weights;  // inputs x units
    RowVector<Real> bias;
  };

  /// Up to `width` different units of the next layer; fewer if there are not so many.
  Units draw(Index width) {
    const SamplePairs pairs(m_values);
    Units units{RowMatrix<Real>(m_values.cols(), width), RowVector<Real>(width)};
    Index count = 0;
    if (pairs.size() > 0) {
      const RowVector<Real> scale = RowVector<Real>::Ones(m_values.cols());
      const auto candidates =
          candidate_pairs(pairs, static_cast<std::uint64_t>(kCandidates * width), m_random);
      WeightedDraw draw(pair_slopes(m_values, m_residual, candidates, scale));
      std::vector<std::pair<Index, Index>> drawn;
      while (count < width && draw.left() > 0) {
        drawn.resize(static_cast<std::size_t>(std::min({kAtOnce, width - count, draw.left()})));
        for (auto& pair : drawn) pair = candidates[static_cast<std::size_t>(draw.draw(m_random))];
        count = add_units(drawn, count, units);
      }
    }
    units.weights.conservativeResize(Eigen::NoChange, count);
    units.bias.conservativeResize(count);
    return units;
  }

  /// Makes the values of these units the layer below of the next draw.
  void advance(const Units& units) {
    RowMatrix<Real> values = m_values * units.weights;
    for (Index i = 0; i < values.rows(); ++i) {
      for (Index j = 0; j < values.cols(); ++j) {
        const Real value = values(i, j) + units.bias[j];
        values(i, j) = value < 0 ? Real(0) : value;
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
    RowMatrix<Real> slopes(std::ssize(pairs), m_values.cols());
    for (Index k = 0; k < slopes.rows(); ++k) {
      const auto [a, b] = pairs[static_cast<std::size_t>(k)];
      slopes.row(k) = m_values.row(b) - m_values.row(a);
      slopes.row(k) /= slopes.row(k).squaredNorm();
    }
    const Matrix<Real> products = m_values * slopes.transpose();
    for (Index k = 0; k < slopes.rows(); ++k) {
      const double kink = products(pairs[static_cast<std::size_t>(k)].first, k);
      const double square = (products.col(k).array() - kink).cwiseMax(0).square().mean();
      const double factor = 1 / std::sqrt(square);
      const RowVector<Real> weights = slopes.row(k) * factor;
      const double bias = -kink * factor;
      // Not so for distances that underflow.
      if (!weights.allFinite() || !std::isfinite(bias)) continue;
      if (is_repeated(weights, bias, count, units)) continue;
      units.weights.col(count) = weights.transpose();
      units.bias[count] = bias;
      ++count;
    }
    return count;
  }

  static bool is_repeated(const RowVector<Real>& weights, double bias, Index count,
                          const Units& units) {
    const double close = kSame * (weights.cwiseAbs().maxCoeff() + std::abs(bias));
    for (Index k = 0; k < count; ++k) {
      if (std::abs(units.bias[k] - bias) > close) continue;
      const double difference = (units.weights.col(k).transpose() - weights).cwiseAbs().maxCoeff();
      if (difference <= close) return true;
    }
    return false;
  }

  RandomStream& m_random;
  RowMatrix<Real> m_values;    // of the layer below, at the samples that are looked at
  RowMatrix<Real> m_residual;  // there
};

}  // namespace mgdl::detail
