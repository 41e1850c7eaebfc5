#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/network/dense_layer.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "mgdl/network/relu_network.hpp"
#include "mgdl/training/constructive/kuhn_triangulation.hpp"

namespace mgdl::detail {

/// Where the features of a grade hold the model's standardised inputs: coordinate i is feature
/// plus[i] minus feature minus[i]. Where minus[i] is -1 the feature is the coordinate itself; where
/// plus[i] is -1 it is not there.
struct CarriedCoordinates {
  Index features = 0;
  std::vector<Index> plus;
  std::vector<Index> minus;

  Index count() const noexcept { return static_cast<Index>(plus.size()); }

  bool complete() const noexcept {
    for (const Index column : plus) {
      if (column < 0) return false;
    }
    return true;
  }

  /// The features are the coordinates.
  static CarriedCoordinates plain(Index d) {
    CarriedCoordinates all{d, {}, std::vector<Index>(static_cast<std::size_t>(d), -1)};
    for (Index i = 0; i < d; ++i) all.plus.push_back(i);
    return all;
  }
};

/// One feature that is a coordinate (part 0), or its positive or negative part (part 1 or -1).
struct CarriedFeature {
  Index coordinate = 0;
  int part = 0;
};

/// Follows a feature of the model's first k grades back to the inputs through units that do nothing
/// but hand a value on: no bias, one weight, which is 1, or -1 in the first such unit. It goes by
/// the weights alone, so it does not matter who trained the grades, or when.
template <class Scalar>
std::optional<CarriedFeature> carried_feature(const MultigradeModel<Scalar>& model, Index k,
                                              Index feature) {
  int part = 0;
  for (; k > 0; --k) {
    const auto& network = model.grade(k).network;
    if (feature >= network.width()) return CarriedFeature{feature - network.width(), part};
    for (auto l = static_cast<std::size_t>(network.hidden_layers()); l-- > 0;) {
      const auto& layer = network.layers()[l];
      // Behind a unit that turns the sign there must be no other: that one's values are >= 0.
      if (part < 0 || layer.bias()[feature] != 0) return {};
      Index source = -1;  // in the feature's group
      for (Index i = 0; i < layer.group_inputs(); ++i) {
        if (layer.weights()(i, feature) == 0) continue;
        if (source >= 0) return {};
        source = i;
      }
      if (source < 0) return {};
      const Scalar weight = layer.weights()(source, feature);
      if (weight != 1 && weight != -1) return {};
      part = weight > 0 ? 1 : -1;
      feature = feature / layer.group_outputs() * layer.group_inputs() + source;
    }
  }
  return CarriedFeature{feature, part};
}

/// The coordinates among the features of the model's first k grades.
template <class Scalar>
CarriedCoordinates carried_coordinates(const MultigradeModel<Scalar>& model, Index k) {
  const auto d = static_cast<std::size_t>(model.inputs());
  std::vector<Index> whole(d, -1), positive(d, -1), negative(d, -1);
  const Index features = model.feature_count(k);
  for (Index feature = 0; feature < features; ++feature) {
    const auto carried = carried_feature(model, k, feature);
    if (!carried) continue;
    auto& column = (carried->part == 0  ? whole
                    : carried->part > 0 ? positive
                                        : negative)[static_cast<std::size_t>(carried->coordinate)];
    if (column < 0) column = feature;
  }
  CarriedCoordinates found{features, whole, std::vector<Index>(d, -1)};
  for (std::size_t i = 0; i < d; ++i) {
    if (whole[i] >= 0 || positive[i] < 0 || negative[i] < 0) continue;
    found.plus[i] = positive[i];
    found.minus[i] = negative[i];
  }
  return found;
}

/// What a constructive grade says: sum_j values_j * (hat of node j), for at most `hats` nodes.
template <class Scalar>
struct HatGrade {
  double spacing = 1;           ///< delta, a power of two
  std::vector<KuhnNode> nodes;  ///< in units of delta
  RowMatrix<Scalar> values;     ///< nodes x c
  Index hats = 0;               ///< hats that there is room for
  Index position = 0;           ///< grades of the same pass before this one
};

/// Units that a hat needs in hidden layer l = 1..d: twice (running maximum, coordinates to come).
inline Index hat_units(Index d, Index l) { return 2 * (l == 1 ? d : 2 + d - l); }

/// The hats as a ReLU network. With t = x - node, in the unit of x,
///
///     layer 1       a_i = max(0, t_i),  b_i = max(0, -t_i)
///     layers 2..d   A <- max(A, a_l) = A + max(0, a_l - A),  B <- max(B, b_l), from A = a_1, B =
///     b_1 layer d + 1   max(0, delta - A - B) = delta * hat readout       value / delta
///
/// Weights are 0, 1 and -1, nodes and delta are exact, and no two numbers of the size of x are
/// subtracted but x and the node. So a hat is right up to a few roundings *of its own size*,
/// however fine the lattice. The first 2 d units of every layer hand max(0, x_i) and max(0, -x_i)
/// on, which is exact for every x. One more unit of the first layer, which nobody reads, holds the
/// position. Widths depend on d and `hats` alone; a hat without a node is zero.
template <class Scalar>
ReluNetwork<Scalar> hat_network(const CarriedCoordinates& coordinates,
                                const HatGrade<Scalar>& grade) {
  const Index d = coordinates.count();
  const auto used = static_cast<Index>(grade.nodes.size());
  const auto spacing = static_cast<Scalar>(grade.spacing);
  const auto start = [d](Index l, Index hat) { return 2 * d + hat * hat_units(d, l); };
  std::vector<DenseLayer<Scalar>> layers;

  const Index first_width = start(1, grade.hats) + 1;
  RowMatrix<Scalar> weights = RowMatrix<Scalar>::Zero(coordinates.features, first_width);
  RowVector<Scalar> bias = RowVector<Scalar>::Zero(first_width);
  const auto read = [&](Index i, Index unit, Scalar sign) {
    const auto k = static_cast<std::size_t>(i);
    if (coordinates.plus[k] >= 0) weights(coordinates.plus[k], unit) = sign;
    if (coordinates.minus[k] >= 0) weights(coordinates.minus[k], unit) = -sign;
  };
  for (Index i = 0; i < d; ++i) {
    const auto k = static_cast<std::size_t>(i);
    if (coordinates.minus[k] < 0) {
      read(i, i, 1);
      read(i, d + i, -1);
    } else {  // the two parts are there already
      weights(coordinates.plus[k], i) = 1;
      weights(coordinates.minus[k], d + i) = 1;
    }
  }
  for (Index j = 0; j < used; ++j) {
    for (Index i = 0; i < d; ++i) {
      const auto node = grade.nodes[static_cast<std::size_t>(j)][static_cast<std::size_t>(i)];
      const Scalar at = static_cast<Scalar>(static_cast<double>(node) * grade.spacing);
      read(i, start(1, j) + i, 1);
      read(i, start(1, j) + d + i, -1);
      bias[start(1, j) + i] = -at;
      bias[start(1, j) + d + i] = at;
    }
  }
  bias[first_width - 1] = static_cast<Scalar>(grade.position);
  layers.emplace_back(weights, bias);

  const auto carry = [&] {
    for (Index i = 0; i < 2 * d; ++i) weights(i, i) = 1;
  };
  for (Index l = 2; l <= d; ++l) {
    const Index from_half = hat_units(d, l - 1) / 2;
    const Index half = hat_units(d, l) / 2;
    const Index running = l == 2 ? 1 : 2;  // units whose sum is the maximum so far
    weights.setZero(layers.back().outputs(), start(l, grade.hats));
    bias.setZero(weights.cols());
    carry();
    for (Index j = 0; j < used; ++j) {
      for (Index side = 0; side < 2; ++side) {
        const Index from = start(l - 1, j) + side * from_half;
        const Index to = start(l, j) + side * half;
        for (Index r = 0; r < running; ++r) {
          weights(from + r, to) = 1;
          weights(from + r, to + 1) = -1;
        }
        weights(from + running, to + 1) = 1;
        for (Index i = 2; i < half; ++i) weights(from + running + i - 1, to + i) = 1;
      }
    }
    layers.emplace_back(weights, bias);
  }

  weights.setZero(layers.back().outputs(), 2 * d + grade.hats);
  bias.setZero(weights.cols());
  carry();
  RowMatrix<Scalar> readout = RowMatrix<Scalar>::Zero(weights.cols(), grade.values.cols());
  for (Index j = 0; j < used; ++j) {
    weights.block(start(d, j), 2 * d + j, hat_units(d, d), 1).setConstant(-1);
    bias[2 * d + j] = spacing;
    readout.row(2 * d + j) = grade.values.row(j) / spacing;
  }
  layers.emplace_back(weights, bias);
  layers.emplace_back(std::move(readout), RowVector<Scalar>::Zero(grade.values.cols()));
  return ReluNetwork<Scalar>(std::move(layers));
}

/// The hats of a network that hat_network has made; nothing for any other network.
template <class Scalar>
std::optional<HatGrade<Scalar>> read_hats(const CarriedCoordinates& coordinates,
                                          const ReluNetwork<Scalar>& network) {
  const Index d = coordinates.count();
  HatGrade<Scalar> grade;
  grade.hats = network.width() - 2 * d;
  if (network.hidden_layers() != d + 1 || grade.hats < 1) return {};
  for (const auto& layer : network.layers()) {
    if (layer.groups() > 1) return {};
  }
  const auto& first = network.layers().front();
  if (first.outputs() != 2 * d + grade.hats * hat_units(d, 1) + 1) return {};
  const auto& last = network.layers()[static_cast<std::size_t>(d)];
  const double spacing = static_cast<double>(last.bias()[2 * d]);
  int exponent = 0;
  if (!(spacing > 0) || std::frexp(spacing, &exponent) != 0.5) return {};
  const double position = static_cast<double>(first.bias()[first.outputs() - 1]);
  if (!(position >= 0 && position < 0x1p50)) return {};
  grade.spacing = spacing;
  grade.position = static_cast<Index>(position);
  Index used = 0;
  while (used < grade.hats && last.bias()[2 * d + used] != 0) ++used;
  for (Index j = 0; j < used; ++j) {
    KuhnNode node{};
    for (Index i = 0; i < d; ++i) {
      const double at =
          -static_cast<double>(first.bias()[2 * d + j * hat_units(d, 1) + i]) / spacing;
      if (!(std::abs(at) < 0x1p53)) return {};
      node[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(at);
    }
    grade.nodes.push_back(node);
  }
  grade.values = network.readout().weights().middleRows(2 * d, used) * static_cast<Scalar>(spacing);
  // Whatever has not been read must be as it is made: there is no other test of the structure.
  if (!(hat_network(coordinates, grade) == network)) return {};
  return grade;
}

}  // namespace mgdl::detail
