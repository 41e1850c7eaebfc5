#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"
#include "support/samples.hpp"

namespace mgdl::test {

inline constexpr FeatureLink links[] = {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput};

/// sizes: inputs, hidden widths, outputs. About half of all units are active for normal inputs.
template <class Scalar>
std::vector<DenseLayer<Scalar>> random_layers(const std::vector<Index>& sizes,
                                              RandomStream& random) {
  std::vector<DenseLayer<Scalar>> layers;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const auto scale = static_cast<Scalar>(std::sqrt(2 / static_cast<double>(sizes[l])));
    layers.emplace_back(scale * normal_matrix<RowMatrix<Scalar>>(sizes[l], sizes[l + 1], random),
                        normal_matrix<RowVector<Scalar>>(1, sizes[l + 1], random) / 2);
  }
  return layers;
}

/// The same with groups, which divide the sizes: one number for each layer.
template <class Scalar>
std::vector<DenseLayer<Scalar>> random_grouped_layers(const std::vector<Index>& sizes,
                                                      const std::vector<Index>& groups,
                                                      RandomStream& random) {
  std::vector<DenseLayer<Scalar>> layers;
  for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
    const auto part = random_layers<Scalar>({sizes[l] / groups[l], sizes[l + 1]}, random).front();
    layers.emplace_back(part.weights(), part.bias(), groups[l]);
  }
  return layers;
}

/// One grade evaluated by plain Eigen expressions in double.
struct PlainGrade {
  Eigen::MatrixXd features;  // n x width
  Eigen::MatrixXd output;    // n x outputs
  std::vector<bool> active;  // of every hidden unit and sample
};

template <class Scalar>
PlainGrade plain_grade(const std::vector<DenseLayer<Scalar>>& layers, const Eigen::MatrixXd& X) {
  PlainGrade result;
  result.features = X;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    Eigen::MatrixXd value = result.features * layers[l].dense_weights().template cast<double>();
    value.rowwise() += layers[l].bias().template cast<double>();
    if (l + 1 == layers.size()) {
      result.output = value;
      break;
    }
    for (Index k = 0; k < value.size(); ++k) result.active.push_back(value.data()[k] > 0);
    result.features = value.cwiseMax(0);
  }
  return result;
}

/// The model at each row of X, and the features after k grades, by the formula of
/// MultigradeModel's documentation in double.
struct PlainModel {
  Eigen::MatrixXd prediction;
  Eigen::MatrixXd features;
  std::vector<bool> active;
};

template <class Scalar>
PlainModel plain_model(const MultigradeModel<Scalar>& model, const Eigen::MatrixXd& X, Index k) {
  const auto in = [](const auto& row) { return row.template cast<double>().eval(); };
  const auto& input = model.input_standardizer();
  const auto& output = model.output_standardizer();
  Eigen::MatrixXd f0 = X.rowwise() - in(input.mean());
  f0 = f0 * in(input.scale()).cwiseInverse().asDiagonal();
  PlainModel result{Eigen::MatrixXd::Zero(X.rows(), model.outputs()), f0, {}};
  for (Index g = 1; g <= k; ++g) {
    const PlainGrade grade = plain_grade(model.grade(g).network.layers(), result.features);
    result.prediction += grade.output;
    result.features = grade.features;
    result.active.insert(result.active.end(), grade.active.begin(), grade.active.end());
    if (model.link() == FeatureLink::LastHiddenAndInput) {
      result.features.resize(X.rows(), grade.features.cols() + f0.cols());
      result.features << grade.features, f0;
    }
  }
  result.prediction = result.prediction * in(output.scale()).asDiagonal();
  result.prediction.rowwise() += in(output.mean());
  return result;
}

/// A model of `inputs` inputs, `outputs` outputs and one grade for each list of hidden widths, with
/// standardisation by distinct values.
template <class Scalar>
MultigradeModel<Scalar> random_model(Index inputs, Index outputs,
                                     const std::vector<std::vector<Index>>& widths,
                                     FeatureLink link, RandomStream& random) {
  const auto standardizer = [&](Index columns) {
    RowVector<Scalar> scale = normal_matrix<RowVector<Scalar>>(1, columns, random);
    scale = scale.cwiseAbs().array() + Scalar(0.5);
    return Standardizer<Scalar>(normal_matrix<RowVector<Scalar>>(1, columns, random), scale);
  };
  auto input = standardizer(inputs);
  auto output = standardizer(outputs);
  MultigradeModel<Scalar> model(std::move(input), std::move(output), link);
  for (const auto& hidden : widths) {
    std::vector<Index> sizes{model.feature_count(model.grades())};
    sizes.insert(sizes.end(), hidden.begin(), hidden.end());
    sizes.push_back(outputs);
    model.add_grade({ReluNetwork<Scalar>(random_layers<Scalar>(sizes, random))});
  }
  return model;
}

/// 3 inputs, 2 outputs and two grades with groups in hidden layers and in a readout.
template <class Scalar>
MultigradeModel<Scalar> random_grouped_model(FeatureLink link, RandomStream& random) {
  auto model = random_model<Scalar>(3, 2, {}, link, random);
  model.add_grade(
      {ReluNetwork<Scalar>(random_grouped_layers<Scalar>({3, 8, 12, 2}, {1, 4, 2}, random))});
  const Index features = model.feature_count(1);
  model.add_grade({ReluNetwork<Scalar>(
      random_grouped_layers<Scalar>({features, 15, 10, 2}, {3, 5, 1}, random))});
  return model;
}

/// Largest difference relative to the largest expected value.
template <class Found>
double relative_difference(const Eigen::MatrixBase<Found>& found, const Eigen::MatrixXd& expected) {
  REQUIRE(found.rows() == expected.rows());
  REQUIRE(found.cols() == expected.cols());
  const double scale = std::max(expected.cwiseAbs().maxCoeff(), 1e-300);
  return (found.template cast<double>() - expected).cwiseAbs().maxCoeff() / scale;
}

/// What a few sums of a few hundred rounded terms may be off by.
template <class Scalar>
constexpr double sum_tolerance = 200 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());

}  // namespace mgdl::test
