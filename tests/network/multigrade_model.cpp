#include "mgdl/network/multigrade_model.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/network/bounds.hpp"
#include "mgdl/network/model_average.hpp"
#include "support/networks.hpp"

using mgdl::FeatureLink;
using mgdl::Grade;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::MultigradeModel;
using mgdl::RandomStream;
using mgdl::ReluNetwork;
using mgdl::RowVector;
using mgdl::Standardizer;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::links;
using mgdl::test::normal_matrix;
using mgdl::test::plain_model;
using mgdl::test::random_layers;
using mgdl::test::random_model;
using mgdl::test::relative_difference;
using mgdl::test::sum_tolerance;

namespace {

/// 4 inputs, 3 outputs and grades of 1 to 3 hidden layers, some wider than a panel.
template <class Scalar>
MultigradeModel<Scalar> sample_model(FeatureLink link, RandomStream& random) {
  return random_model<Scalar>(4, 3, {{21}, {70, 18}, {9, 5, 11}, {67}}, link, random);
}

template <class Scalar>
Grade<Scalar> grade(Index inputs, Index outputs, RandomStream& random) {
  return {ReluNetwork<Scalar>(random_layers<Scalar>({inputs, 6, outputs}, random))};
}

}  // namespace

TEMPLATE_TEST_CASE("predictions and features follow the formula", "[network/multigrade_model]",
                   float, double) {
  RandomStream random(mgdl::test::seed());
  for (const FeatureLink link : links) {
    CAPTURE(to_string(link));
    const auto model = sample_model<TestType>(link, random);
    const auto X = normal_matrix<Matrix<TestType>>(431, 4, random);
    for (Index k = 0; k <= 4; ++k) {
      CAPTURE(k);
      const auto expected = plain_model(model, X.template cast<double>(), k);
      CHECK(relative_difference(model.predict(X, k), expected.prediction) <
            4 * sum_tolerance<TestType>);
      CHECK(relative_difference(model.features(X, k), expected.features) <
            4 * sum_tolerance<TestType>);
      CHECK(model.feature_count(k) == expected.features.cols());
    }
    CHECK(model.predict(X) == model.predict(X, 4));
    CHECK(model.predict(Matrix<TestType>(0, 4)).rows() == 0);
  }
}

TEMPLATE_TEST_CASE("without grades a model predicts the mean", "[network/multigrade_model]", float,
                   double) {
  using Row = RowVector<TestType>;
  const MultigradeModel<TestType> model(Standardizer<TestType>(Row{{1, 2}}, Row{{3, 4}}),
                                        Standardizer<TestType>(Row{{5, -6, 7}}, Row{{8, 9, 10}}));
  CHECK(model.grades() == 0);
  CHECK(model.parameters() == 0);
  CHECK(model.multiply_adds() == 0);
  CHECK(model.link() == FeatureLink::LastHidden);
  const Matrix<TestType> X{{4, 6}, {-2, 10}};
  CHECK(model.predict(X) == Matrix<TestType>{{5, -6, 7}, {5, -6, 7}});
  CHECK(model.features(X, 0) == Matrix<TestType>{{1, 1}, {-1, 2}});
  CHECK(model.jacobian(Vector<TestType>::Ones(2)) == Matrix<TestType>::Zero(3, 2));
}

TEMPLATE_TEST_CASE("prefixes never change", "[network/multigrade_model]", float, double) {
  RandomStream random(mgdl::test::seed(), 1);
  for (const FeatureLink link : links) {
    const auto full = sample_model<TestType>(link, random);
    const auto X = normal_matrix<Matrix<TestType>>(391, 4, random);
    MultigradeModel<TestType> grown(full.input_standardizer(), full.output_standardizer(), link);
    for (Index k = 0; k <= 4; ++k) {
      if (k > 0) grown.add_grade(full.grade(k));
      CHECK(grown.predict(X) == full.predict(X, k));
      CHECK(grown.features(X, k) == full.features(X, k));
      auto cut = full;
      cut.truncate(k);
      CHECK(cut == grown);
      CHECK(cut.predict(X) == full.predict(X, k));
    }
    CHECK(grown == full);
  }
}

TEMPLATE_TEST_CASE("the bits of a row depend on nothing else", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 2);
  for (const FeatureLink link : links) {
    const auto model = sample_model<TestType>(link, random);
    const auto X = normal_matrix<Matrix<TestType>>(601, 4, random);
    const Matrix<TestType> all = model.predict(X);
    bool alone = true;
    for (Index i = 0; i < X.rows(); i += 7) {
      alone = alone && model.predict(X.row(i)) == all.row(i);
    }
    CHECK(alone);
    CHECK(model.predict(X.middleRows(3, 200)) == all.middleRows(3, 200));
    CHECK(model.predict(X.colwise().reverse()) == all.colwise().reverse());
    for (int threads = 1; threads <= 4; ++threads) {
      auto predictor = model.predictor(threads);
      Matrix<TestType> result(601, 3);
      bool same = true;
      for (int repeat = 0; repeat < 10; ++repeat) {
        predictor.predict_into(X, result);
        same = same && result == all;
      }
      CHECK(same);
    }
  }
}

TEMPLATE_TEST_CASE("jacobians agree with central differences", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 3);
  constexpr double step = 1e-5;
  for (const FeatureLink link : links) {
    const auto model = sample_model<TestType>(link, random);
    int compared = 0;
    for (int sample = 0; sample < 30; ++sample) {
      const auto x = normal_matrix<Vector<TestType>>(4, 1, random);
      const Eigen::MatrixXd point = x.transpose().template cast<double>();
      for (Index k = 1; k <= 4; ++k) {
        // Piecewise affine: exact while no unit changes sides.
        const auto center = plain_model(model, point, k);
        Eigen::MatrixXd expected(3, 4);
        bool smooth = true;
        for (Index j = 0; j < 4; ++j) {
          Eigen::MatrixXd high = point;
          Eigen::MatrixXd low = point;
          high(0, j) += step;
          low(0, j) -= step;
          const auto above = plain_model(model, high, k);
          const auto below = plain_model(model, low, k);
          smooth = smooth && above.active == center.active && below.active == center.active;
          expected.col(j) = (above.prediction - below.prediction).transpose() / (2 * step);
        }
        if (!smooth) continue;
        ++compared;
        CHECK(relative_difference(model.jacobian(x, k), expected) <
              4 * sum_tolerance<TestType> + 1e-9);
      }
      CHECK(model.jacobian(x) == model.jacobian(x, 4));
    }
    CHECK(compared > 90);
  }
}

TEMPLATE_TEST_CASE("jacobians of many rows are those of each", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 5);
  const auto check = [&](const MultigradeModel<TestType>& model) {
    const Index n = 201;  // more than a block of rows
    const Index c = model.outputs();
    const auto X = normal_matrix<Matrix<TestType>>(n, model.inputs(), random);
    const mgdl::RowMatrix<TestType> all = model.jacobians(X);
    REQUIRE(all.rows() == n * c);
    REQUIRE(all.cols() == model.inputs());
    for (int threads = 1; threads <= 3; ++threads) {
      CHECK(model.jacobians(X, model.grades(), threads) == all);
    }
    for (Index k = 0; k <= model.grades(); ++k) {
      const mgdl::RowMatrix<TestType> some = model.jacobians(X, k, 2);
      for (Index i = 0; i < n; i += 17) {
        const Vector<TestType> x = X.row(i).transpose();
        CHECK(relative_difference(some.middleRows(i * c, c),
                                  model.jacobian(x, k).template cast<double>()) <
              4 * sum_tolerance<TestType>);
      }
    }
    CHECK(model.jacobians(X.topRows(0)).rows() == 0);
  };
  for (const FeatureLink link : links) {
    check(sample_model<TestType>(link, random));
    check(mgdl::test::random_grouped_model<TestType>(link, random));
  }
}

TEMPLATE_TEST_CASE("the jacobian at a kink is that of the inactive side",
                   "[network/multigrade_model]", float, double) {
  using Row = RowVector<TestType>;
  using W = mgdl::RowMatrix<TestType>;
  MultigradeModel<TestType> model(Standardizer<TestType>(Row{{1}}, Row{{2}}),
                                  Standardizer<TestType>(Row{{0}}, Row{{10}}));
  model.add_grade({ReluNetwork<TestType>({{W{{1}}, Row{{0}}}, {W{{3}}, Row{{0}}}})});
  const auto slope = [&](TestType x) { return model.jacobian(Vector<TestType>{{x}})(0, 0); };
  CHECK(slope(1) == 0);
  CHECK(slope(TestType(0.5)) == 0);
  CHECK(slope(TestType(1.5)) == 15);
}

TEMPLATE_TEST_CASE("counts and parts of a model", "[network/multigrade_model]", float, double) {
  RandomStream random(mgdl::test::seed(), 4);
  const auto plain = random_model<TestType>(4, 3, {{5}, {6, 7}}, FeatureLink::LastHidden, random);
  CHECK(plain.inputs() == 4);
  CHECK(plain.outputs() == 3);
  CHECK(plain.grades() == 2);
  CHECK(plain.feature_count(0) == 4);
  CHECK(plain.feature_count(1) == 5);
  CHECK(plain.feature_count(2) == 7);
  CHECK(plain.multiply_adds() == 4 * 5 + 5 * 3 + 5 * 6 + 6 * 7 + 7 * 3);
  CHECK(plain.parameters() == plain.multiply_adds() + 5 + 3 + 6 + 7 + 3);
  CHECK(plain.grade(1).network.width() == 5);
  CHECK(plain.grade(2).network.width() == 7);
  CHECK(std::isnan(plain.grade(1).train_rse));
  CHECK(std::isnan(plain.grade(1).validation_rse));

  const auto linked =
      random_model<TestType>(4, 3, {{5}, {6, 7}}, FeatureLink::LastHiddenAndInput, random);
  CHECK(linked.feature_count(1) == 9);
  CHECK(linked.feature_count(2) == 11);
  CHECK(linked.multiply_adds() == 4 * 5 + 5 * 3 + 9 * 6 + 6 * 7 + 7 * 3);
  CHECK(std::string(to_string(plain.link())) == "LastHidden");
  CHECK(std::string(to_string(linked.link())) == "LastHiddenAndInput");
}

TEMPLATE_TEST_CASE("equality of models and grades", "[network/multigrade_model]", float, double) {
  RandomStream random(mgdl::test::seed(), 5);
  const auto a = grade<TestType>(4, 3, random);
  auto b = a;
  CHECK(a == b);  // NaN errors too
  b.train_rse = 0.5;
  CHECK_FALSE(a == b);
  auto c = b;
  CHECK(b == c);
  c.validation_rse = 0.25;
  CHECK_FALSE(b == c);
  CHECK_FALSE(a == grade<TestType>(4, 3, random));

  const auto in = Standardizer<TestType>::identity(4);
  const auto out = Standardizer<TestType>::identity(3);
  const MultigradeModel<TestType> model(in, out);
  CHECK(model == MultigradeModel<TestType>(in, out));
  CHECK_FALSE(model == MultigradeModel<TestType>(in, out, FeatureLink::LastHiddenAndInput));
  CHECK_FALSE(model == MultigradeModel<TestType>(out, out));
  CHECK_FALSE(model == MultigradeModel<TestType>(in, in));
  auto longer = model;
  longer.add_grade(a);
  CHECK_FALSE(model == longer);
}

TEMPLATE_TEST_CASE("what does not fit a model leaves it unchanged", "[network/multigrade_model]",
                   float, double) {
  RandomStream random(mgdl::test::seed(), 6);
  auto model = random_model<TestType>(4, 3, {{5}, {7}}, FeatureLink::LastHiddenAndInput, random);
  const auto before = model;
  CHECK(error_of([&] { model.add_grade(grade<TestType>(7, 3, random)); }) ==
        "grade: expected 11 inputs, found 7");
  CHECK(error_of([&] { model.add_grade(grade<TestType>(11, 2, random)); }) ==
        "grade: expected 3 outputs, found 2");
  CHECK(error_of([&] { model.truncate(3); }) == "grades: expected a value from 0 to 2, found 3");
  CHECK(error_of([&] { model.truncate(-1); }) == "grades: expected a value from 0 to 2, found -1");
  CHECK(model == before);
  CHECK(error_of([&] { model.grade(0); }) == "grade: expected a value >= 1, found 0");
  CHECK(error_of([&] { model.grade(3); }) == "grades: expected a value from 0 to 2, found 3");
  CHECK(error_of([&] { model.feature_count(-1); }) ==
        "grades: expected a value from 0 to 2, found -1");

  const Matrix<TestType> X = Matrix<TestType>::Ones(2, 4);
  CHECK(error_of([&] { model.predict(X, 3); }) == "grades: expected a value from 0 to 2, found 3");
  CHECK(error_of([&] { model.features(X, -1); }) ==
        "grades: expected a value from 0 to 2, found -1");
  CHECK(error_of([&] { model.predict(X.leftCols(3)); }) == "X: expected 4 columns, found 3");
  CHECK(error_of([&] { model.predictor(-2); }) ==
        "threads: expected a value >= 0 (0: all available), found -2");

  Vector<TestType> x = Vector<TestType>::Ones(4);
  CHECK(error_of([&] { model.jacobian(x.head(3)); }) == "x: expected 4 rows, found 3");
  CHECK(error_of([&] { model.jacobian(x, 3); }) == "grades: expected a value from 0 to 2, found 3");
  x[2] = std::numeric_limits<TestType>::infinity();
  CHECK(error_of([&] { model.jacobian(x); }) ==
        "x: expected finite values, found inf at row 2, column 0");

  const auto some = Standardizer<TestType>::identity(2);
  CHECK(error_of([&] { MultigradeModel<TestType>(Standardizer<TestType>(), some); }) ==
        "input: expected at least one column, found none");
  CHECK(error_of([&] { MultigradeModel<TestType>(some, Standardizer<TestType>()); }) ==
        "output: expected at least one column, found none");
}

TEMPLATE_TEST_CASE("parts of a temporary model are values", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 6);
  const auto model = sample_model<TestType>(FeatureLink::LastHidden, random);
  const auto make = [&] { return model; };
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().grade(1))>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().input_standardizer())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().output_standardizer())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().input_standardizer().mean())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().input_standardizer().scale())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().grade(1).network.layers())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().grade(1).network.readout())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().grade(1).network.readout().weights())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().grade(1).network.readout().bias())>);
  const auto& grade = make().grade(2);
  const auto& input = make().input_standardizer();
  const auto& mean = make().output_standardizer().mean();
  const auto& layers = make().grade(3).network.layers();
  const auto& bias = make().grade(4).network.readout().bias();
  CHECK(grade == model.grade(2));
  CHECK(input == model.input_standardizer());
  CHECK(mean == model.output_standardizer().mean());
  CHECK(layers == model.grade(3).network.layers());
  CHECK(bias == model.grade(4).network.readout().bias());
  CHECK(error_of([&] { make().grade(5); }) == "grades: expected a value from 0 to 4, found 5");
}

TEMPLATE_TEST_CASE("a model without inputs can only be assigned to", "[network/multigrade_model]",
                   float, double) {
  using Model = MultigradeModel<TestType>;
  RandomStream random(mgdl::test::seed(), 7);
  const auto full = sample_model<TestType>(FeatureLink::LastHidden, random);
  Model moved_from = full;
  const Model taken = std::move(moved_from);
  CHECK(taken == full);
  const std::string expected =
      "model: expected a model with inputs, found one without: default-constructed, or moved from";
  for (Model& model : std::vector<Model>{Model(), moved_from}) {
    CHECK(model.inputs() == 0);
    CHECK(model.outputs() == 0);
    CHECK(model.grades() == 0);
    const Matrix<TestType> none(3, 0);
    CHECK(error_of([&] { model.predict(none); }) == expected);
    CHECK(error_of([&] { model.features(none, 0); }) == expected);
    CHECK(error_of([&] { model.predictor(); }) == expected);
    CHECK(error_of([&] { model.jacobian(Vector<TestType>()); }) == expected);
    CHECK(error_of([&] { model.jacobians(none); }) == expected);
    CHECK(error_of([&] { model.add_grade(full.grade(1)); }) == expected);
    CHECK(error_of([&] { model.grade(1); }) == "grades: expected a value from 0 to 0, found 1");
    CHECK(error_of([&] { mgdl::lipschitz_bound(model); }) == expected);
    CHECK(error_of([&] { mgdl::to_spline(model, 0, 1); }) == "model: expected 1 input, found 0");
    const Vector<TestType> no_input;
    CHECK(error_of([&] { mgdl::output_bounds(model, no_input, no_input); }) == expected);
    CHECK(error_of([&] { mgdl::average(std::vector<Model>{model}); }) ==
          "input: expected at least one column, found none");
    model = full;
    CHECK(model == full);
  }
}

TEMPLATE_TEST_CASE("a network that was moved from throws", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 8);
  auto network = grade<TestType>(4, 3, random).network;
  const auto taken = std::move(network);
  CHECK(taken.width() == 6);
  CHECK(network.inputs() == 0);
  CHECK(network.outputs() == 0);
  CHECK(network.width() == 0);
  CHECK(network.hidden_layers() == 0);
  CHECK(network.parameters() == 0);
  const std::string expected = "network: expected layers, found none: it was moved from";
  const mgdl::RowMatrix<TestType> none(2, 0);
  CHECK(error_of([&] { network.predict(none); }) == expected);
  CHECK(error_of([&] { network.features(none); }) == expected);
  CHECK(error_of([&] { network.readout(); }) == expected);
  CHECK(error_of([&] { network.scaled(2); }) == expected);
  CHECK(error_of([&] { network.with_readout(taken.readout()); }) == expected);
  network = taken;
  CHECK(network == taken);
}
