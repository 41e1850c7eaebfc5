#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

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
      Index source = -1;
      for (Index i = 0; i < layer.inputs(); ++i) {
        if (layer.weights()(i, feature) == 0) continue;
        if (source >= 0) return {};
        source = i;
      }
      if (source < 0) return {};
      const Scalar weight = layer.weights()(source, feature);
      if (weight != 1 && weight != -1) return {};
      part = weight > 0 ? 1 : -1;
      feature = source;
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

}  // namespace mgdl::detail
