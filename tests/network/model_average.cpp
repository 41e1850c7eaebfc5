#include "mgdl/network/model_average.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds.hpp"
#include "support/factorisations.hpp"
#include "support/networks.hpp"

using mgdl::DenseLayer;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::MultigradeModel;
using mgdl::RandomStream;
using mgdl::ReluNetwork;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_layers;
using mgdl::test::random_model;
using mgdl::test::relative_difference;
using mgdl::test::sum_tolerance;

namespace {

using Widths = std::vector<std::vector<Index>>;  // of the hidden layers of each grade

/// Models with the same standardisation and link, one for each of `widths`.
template <class Scalar>
std::vector<MultigradeModel<Scalar>> random_members(Index d, Index c,
                                                    const std::vector<Widths>& widths,
                                                    FeatureLink link, RandomStream& random) {
  std::vector<MultigradeModel<Scalar>> members;
  const auto first = random_model<Scalar>(d, c, {}, link, random);
  for (const auto& each : widths) {
    members.push_back(first);
    const auto model = random_model<Scalar>(d, c, each, link, random);
    for (Index k = 1; k <= model.grades(); ++k) members.back().add_grade(model.grade(k));
  }
  return members;
}

template <class Scalar>
Eigen::MatrixXd mean_prediction(const std::vector<MultigradeModel<Scalar>>& members,
                                const Matrix<Scalar>& X, Index k) {
  Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(X.rows(), members.front().outputs());
  for (const auto& model : members) {
    sum += model.predict(X, std::min(k, model.grades())).template cast<double>();
  }
  return sum / static_cast<double>(members.size());
}

template <class Scalar>
void check_mean(const std::vector<MultigradeModel<Scalar>>& members, RandomStream& random) {
  const auto model = mgdl::average(members);
  const auto X = normal_matrix<Matrix<Scalar>>(150, members.front().inputs(), random);
  for (Index k = 0; k <= model.grades(); ++k) {
    CAPTURE(k);
    const auto expected = mean_prediction(members, X, k);
    CHECK(relative_difference(model.predict(X, k), expected) < sum_tolerance<Scalar>);
    CHECK(model.predict(X.topRows(1), k) == model.predict(X, k).topRows(1));
  }
  const Vector<Scalar> x = X.row(7).transpose();
  Eigen::MatrixXd derivative = Eigen::MatrixXd::Zero(model.outputs(), model.inputs());
  for (const auto& each : members) derivative += each.jacobian(x).template cast<double>();
  derivative /= static_cast<double>(members.size());
  CHECK(relative_difference(model.jacobian(x), derivative) < sum_tolerance<Scalar>);
}

}  // namespace

TEMPLATE_TEST_CASE("an average is the mean of its members", "[network/model_average]", float,
                   double) {
  RandomStream random(mgdl::test::seed());
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    for (const Index d : {1, 3, 8}) {
      for (const Index c : {1, 2}) {
        for (const Index width : {5, 64}) {
          CAPTURE(to_string(link), d, c, width);
          const Widths widths{{width, width}, {width, width}};
          const auto members = random_members<TestType>(
              d, c, {widths, widths, widths, widths, widths}, link, random);
          check_mean(members, random);
        }
      }
    }
  }
}

TEST_CASE("an average has groups where it can", "[network/model_average]") {
  RandomStream random(mgdl::test::seed(), 1);
  const Widths widths{{7, 4}, {6, 5, 3}};
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    const auto members = random_members<double>(2, 3, {widths, widths, widths}, link, random);
    const auto model = mgdl::average(members);
    const auto groups = [&](Index k) {
      std::vector<Index> result;
      for (const auto& layer : model.grade(k).network.layers()) result.push_back(layer.groups());
      return result;
    };
    const bool with_input = link == FeatureLink::LastHiddenAndInput;
    CHECK(groups(1) == std::vector<Index>{1, 3, 1});
    CHECK(groups(2) == std::vector<Index>{with_input ? 1 : 3, 3, 3, 1});
    if (!with_input) {
      CHECK(model.multiply_adds() == 3 * members.front().multiply_adds());
      // Of averages, too.
      const auto twice = mgdl::average(std::vector{model, model});
      CHECK(twice.multiply_adds() == 2 * model.multiply_adds());
    }
    CHECK(std::isnan(model.grade(2).train_rse));
    CHECK(std::isnan(model.grade(2).validation_rse));

    // The features of one member after those of the other.
    const auto X = normal_matrix<Matrix<double>>(20, 2, random);
    const auto features = model.features(X, 1);
    CHECK(features.cols() == 12 + (with_input ? 2 : 0));
    for (Index b = 0; b < 3; ++b) {
      const Eigen::MatrixXd own = members[static_cast<std::size_t>(b)].features(X, 1).leftCols(4);
      CHECK(relative_difference(features.middleCols(4 * b, 4), own) < sum_tolerance<double>);
    }
  }
}

TEMPLATE_TEST_CASE("members may differ", "[network/model_average]", float, double) {
  RandomStream random(mgdl::test::seed(), 2);
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    CAPTURE(to_string(link));
    const auto check = [&](const std::vector<Widths>& widths) {
      check_mean(random_members<TestType>(3, 2, widths, link, random), random);
    };
    check({{{5, 9}, {4}}, {{8, 9}, {6}}, {{5, 2}, {4}}});         // widths
    check({{{5, 5}, {4}}, {{5}, {4, 7, 3}}});                     // hidden layers
    check({{{5, 5}, {4}, {3, 6}}, {{5, 5}}, {{5, 5}, {4}}, {}});  // grades
    check({{{5, 9}, {4}}});                                       // one alone
    check({{}, {}});                                              // no grades at all

    // An average among the members.
    auto members =
        random_members<TestType>(3, 2, {{{4, 6}, {8}}, {{2, 3}, {4}}, {{2, 3}, {4}}}, link, random);
    const auto pair = mgdl::average(std::vector{members[1], members[2]});
    check_mean(std::vector{members[0], pair}, random);
  }
}

TEMPLATE_TEST_CASE("members come back", "[network/model_average]", float, double) {
  RandomStream random(mgdl::test::seed(), 3);
  const Widths widths{{7, 4}, {6, 5, 3}};
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    for (const Index count : {1, 3, 5, 8}) {
      CAPTURE(to_string(link), count);
      const auto drawn = random_members<TestType>(
          2, 3, std::vector<Widths>(static_cast<std::size_t>(count), widths), link, random);
      // With readouts that can be divided.
      std::vector<MultigradeModel<TestType>> members;
      for (const auto& model : drawn) {
        members.emplace_back(model.input_standardizer(), model.output_standardizer(), link);
        for (Index k = 1; k <= 2; ++k) {
          const auto& network = model.grade(k).network;
          const auto readout = mgdl::detail::divisible_readout(network.readout(), count);
          CHECK(relative_difference(readout.weights(),
                                    network.readout().weights().template cast<double>()) <
                2 * static_cast<double>(count) * mgdl::detail::kRoundoff<TestType>);
          members.back().add_grade({network.with_readout(readout)});
        }
      }
      const auto all = mgdl::average(members);
      const auto any = mgdl::average(drawn);
      for (Index b = 0; b < count; ++b) {
        const auto& expected = members[static_cast<std::size_t>(b)];
        const std::vector<RowVector<TestType>> biases{expected.grade(1).network.readout().bias(),
                                                      expected.grade(2).network.readout().bias()};
        CHECK(mgdl::member(all, b, count, biases) == expected);
        // Without the biases, their mean.
        CHECK(mgdl::member(all, b, count).grade(2).network.readout().bias() ==
              all.grade(2).network.readout().bias());
        CHECK(mgdl::member(all, b, count).grade(2).network.readout().weights() ==
              expected.grade(2).network.readout().weights());

        const auto found = mgdl::member(any, b, count, biases);
        const auto X = normal_matrix<Matrix<TestType>>(30, 2, random);
        CHECK(found.features(X, 2) == drawn[static_cast<std::size_t>(b)].features(X, 2));
        CHECK(relative_difference(
                  found.predict(X),
                  drawn[static_cast<std::size_t>(b)].predict(X).template cast<double>()) <
              sum_tolerance<TestType>);
      }
    }
  }
}

TEST_CASE("averages and members that cannot be", "[network/model_average]") {
  RandomStream random(mgdl::test::seed(), 4);
  const auto network = [&](const std::vector<Index>& sizes) {
    return ReluNetwork<double>(random_layers<double>(sizes, random));
  };
  const auto of_networks = [](const std::vector<ReluNetwork<double>>& members, Index shared) {
    return error_of([&] { mgdl::average(members, shared); });
  };
  CHECK(of_networks({}, 0) == "members: expected at least one network, found none");
  CHECK(of_networks({network({2, 5, 3}), network({2, 5, 1})}, 2) ==
        "members: expected 3 outputs, as the first has, found 1 at member 1");
  CHECK(of_networks({network({4, 5, 3}), network({2, 5, 3})}, 3) ==
        "shared_inputs: expected a value from 0 to 2, found 3 at member 1");
  CHECK(of_networks({network({4, 5, 3})}, -1) ==
        "shared_inputs: expected a value from 0 to 4, found -1 at member 0");

  const auto of_models = [](const std::vector<MultigradeModel<double>>& members) {
    return error_of([&] { mgdl::average(members); });
  };
  CHECK(of_models({}) == "members: expected at least one model, found none");
  const auto model = random_model<double>(2, 1, {{4}}, FeatureLink::LastHidden, random);
  const mgdl::Standardizer<double> other(RowVector<double>{{1, 2}}, RowVector<double>{{3, 4}});
  CHECK(of_models({model, {other, model.output_standardizer()}}) ==
        "members: expected the standardisation of the inputs of the first, found another one at "
        "member 1");
  CHECK(of_models({model, {model.input_standardizer(), other}}) ==
        "members: expected the standardisation of the outputs of the first, found another one at "
        "member 1");
  CHECK(of_models({model,
                   {model.input_standardizer(), model.output_standardizer(),
                    FeatureLink::LastHiddenAndInput}}) ==
        "members: expected the link of the first, found another one at member 1");

  const auto of_member = [](const MultigradeModel<double>& average, Index index, Index count,
                            const std::vector<RowVector<double>>& biases = {}) {
    return error_of([&] { mgdl::member(average, index, count, biases); });
  };
  CHECK(of_member(model, 0, 0) == "count: expected a value >= 1, found 0");
  CHECK(of_member(model, 2, 2) == "index: expected a value from 0 to count - 1, found 2");
  CHECK(of_member(model, -1, 2) == "index: expected a value from 0 to count - 1, found -1");
  CHECK(of_member(model, 0, 3) ==
        "network: expected units for 3 equal members, found 4 at grade 1, layer 1");
  CHECK(of_member(model, 0, 2, {{}, {}}) == "biases: expected one for each of 1 grades, found 2");
  CHECK(of_member(model, 0, 2, {RowVector<double>::Zero(3)}) ==
        "bias: expected 1 columns, found 3");
  const auto deep = random_model<double>(2, 1, {{4, 6}}, FeatureLink::LastHidden, random);
  CHECK(of_member(deep, 1, 2) ==
        "network: expected no weights between members, found one that is not zero at grade 1, "
        "layer 2, row 0");
  CHECK(error_of([&] {
          mgdl::member(network({4, 6, 1}), 0, 2, 5);
        }) == "shared_inputs: expected a number of inputs, found 5");
}

TEMPLATE_TEST_CASE("bounds of an average hold", "[network/model_average]", float, double) {
  RandomStream random(mgdl::test::seed(), 5);
  for (const auto link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    for (const Index d : {1, 3}) {
      CAPTURE(to_string(link), d);
      const Widths widths{{5, 5}, {5, 5}};
      const auto members = random_members<TestType>(d, 2, {widths, widths, widths}, link, random);
      const auto model = mgdl::average(members);
      const Vector<TestType> lower = Vector<TestType>::Constant(d, TestType(-0.5));
      const Vector<TestType> upper = Vector<TestType>::Constant(d, TestType(0.75));
      const auto bounds = mgdl::output_bounds(model, lower, upper);
      const double lipschitz = mgdl::lipschitz_bound(model);
      for (int i = 0; i < 50; ++i) {
        Matrix<TestType> x(1, d);
        for (Index j = 0; j < d; ++j) {
          x(0, j) = static_cast<TestType>(-0.5 + 1.25 * random.uniform());
        }
        const Eigen::RowVectorXd y = model.predict(x).template cast<double>();
        for (Index j = 0; j < 2; ++j) {
          CHECK(bounds.lower[j] <= y[j]);
          CHECK(y[j] <= bounds.upper[j]);
        }
        const Vector<TestType> point = x.row(0).transpose();
        const Eigen::MatrixXd derivative = model.jacobian(point).template cast<double>();
        CHECK(mgdl::test::spectral_norm(derivative) <= lipschitz * (1 + 1e-5));
      }
      if (d > 1) continue;
      const auto spline = mgdl::to_spline(model, -2.0, 2.0);
      const Eigen::VectorXd points = Eigen::VectorXd::LinSpaced(101, -2, 2);
      const Matrix<TestType> X = points.template cast<TestType>();
      CHECK(relative_difference(model.predict(X),
                                spline.evaluate(X.col(0).template cast<double>().eval())) <
            10 * sum_tolerance<TestType>);
    }
  }
}
