#include "mgdl/network/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "support/networks.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::MultigradeModel;
using mgdl::PiecewiseLinear;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Standardizer;
using mgdl::to_spline;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::links;
using mgdl::test::random_model;

namespace {

/// sum_j out_j relu(in_j x + bias_j)
MultigradeModel<double> hidden_layer(const RowVector<double>& in, const RowVector<double>& bias,
                                     const Vector<double>& out,
                                     FeatureLink link = FeatureLink::LastHidden) {
  MultigradeModel<double> model(Standardizer<double>::identity(1),
                                Standardizer<double>::identity(1), link);
  model.add_grade({mgdl::ReluNetwork<double>({{in, bias}, {out, RowVector<double>::Zero(1)}})});
  return model;
}

/// The spline is well formed, and equals the network in double at 10^4 random points, at the knots
/// and in the middle of every piece, where the slopes are the derivatives.
template <class Scalar>
void check_equal(const MultigradeModel<Scalar>& model, double a, double b, Index k,
                 RandomStream& random) {
  const PiecewiseLinear spline = to_spline(model, a, b, k);
  CAPTURE(spline.knots(), k);
  REQUIRE(spline.knots() >= 2);
  REQUIRE(spline.values.rows() == spline.knots());
  REQUIRE(spline.slopes.rows() == spline.knots() - 1);
  REQUIRE(spline.outputs() == model.outputs());
  REQUIRE(spline.slopes.cols() == model.outputs());
  CHECK(spline.x[0] == a);
  CHECK(spline.x[spline.knots() - 1] == b);
  const Index pieces = spline.knots() - 1;
  const Vector<double> length = spline.x.tail(pieces) - spline.x.head(pieces);
  CHECK(length.minCoeff() > 0);

  Vector<double> points(10000 + spline.knots() + pieces);
  for (Index i = 0; i < 10000; ++i) points[i] = std::min(b, a + random.uniform() * (b - a));
  points.segment(10000, spline.knots()) = spline.x;
  points.tail(pieces) = spline.x.head(pieces) + length / 2;
  const Matrix<double> expected = mgdl::test::plain_model(model, points, k).prediction;
  const double scale = expected.cwiseAbs().maxCoeff();
  CHECK((spline.evaluate(points) - expected).cwiseAbs().maxCoeff() <= 1e-12 * scale);
  CHECK((spline.values - expected.middleRows(10000, spline.knots())).cwiseAbs().maxCoeff() <=
        1e-12 * scale);
  const Matrix<double> rise = spline.slopes.array().colwise() * length.array();
  CHECK((spline.values.bottomRows(pieces) - spline.values.topRows(pieces) - rise)
            .cwiseAbs()
            .maxCoeff() <= 1e-12 * scale);
}

template <class Trainer>
MultigradeModel<double> trained(Trainer trainer, Index grades) {
  Matrix<double> X(400, 1);
  for (Index i = 0; i < X.rows(); ++i) X(i, 0) = 3 + static_cast<double>(i) / 399;
  Matrix<double> Y(400, 2);
  Y.col(0) = (12 * X.array()).sin() + 5;
  Y.col(1) = (X.array() - 3.3).abs();
  mgdl::MultigradeTrainer driver(std::move(trainer), {.max_grades = grades, .seed = 3});
  return driver.fit(X, Y).model;
}

}  // namespace

TEST_CASE("kinks of known functions are found exactly", "[network/to_spline]") {
  // A hat: 0 at -1 and 1, 1 at 0.
  auto spline = to_spline(hidden_layer(RowVector<double>{{1, 1, 1}}, RowVector<double>{{1, 0, -1}},
                                       Vector<double>{{1, -2, 1}}),
                          -2.5, 3);
  CHECK(spline.x == Vector<double>{{-2.5, -1, 0, 1, 3}});
  CHECK(spline.values == Matrix<double>{{0}, {0}, {1}, {0}, {0}});
  CHECK(spline.slopes == Matrix<double>{{0}, {1}, {-1}, {0}});
  CHECK(spline.lipschitz() == 1);
  CHECK(spline.at(-0.25)[0] == 0.75);
  CHECK(spline.at(3)[0] == 0);
  CHECK(spline.evaluate(Vector<double>{{-2.5, 0.5}}) == Matrix<double>{{0}, {0.5}});

  // |x - 3| and kinks of two units at one point.
  const auto absolute =
      hidden_layer(RowVector<double>{{1, -1}}, RowVector<double>{{-3, 3}}, Vector<double>{{1, 1}});
  spline = to_spline(absolute, 0, 10);
  CHECK(spline.x == Vector<double>{{0, 3, 10}});
  CHECK(spline.values == Matrix<double>{{3}, {0}, {7}});
  CHECK(spline.slopes == Matrix<double>{{-1}, {1}});
  // At an end of the interval there is nothing to split, nor beyond it.
  CHECK(to_spline(absolute, 3, 10).x == Vector<double>{{3, 10}});
  CHECK(to_spline(absolute, -1, 3).slopes == Matrix<double>{{-1}});
  CHECK(to_spline(absolute, 4, 10).x == Vector<double>{{4, 10}});

  // Large terms that cancel but for one: their kinks are none.
  spline = to_spline(hidden_layer(RowVector<double>{{1, 1, 2}}, RowVector<double>{{1, 1, 4}},
                                  Vector<double>{{1000, -1000, 1}}),
                     -5, 5);
  CHECK(spline.x == Vector<double>{{-5, -2, 5}});
  CHECK(spline.lipschitz() == 2);
}

TEST_CASE("kinks that rounding makes coincide are one", "[network/to_spline]") {
  // -0.1 / 1, -0.3 / 3, -0.7 / 7 differ in the last place.
  const auto model = hidden_layer(RowVector<double>{{1, 3, 7}}, RowVector<double>{{0.1, 0.3, 0.7}},
                                  Vector<double>{{3000, 1000, -857}});
  const auto spline = to_spline(model, -1, 1);
  CHECK(spline.knots() == 3);
  CHECK(spline.x[1] == Approx(-0.1).epsilon(1e-15));
  CHECK(spline.lipschitz() == Approx(1).epsilon(1e-12));
  CHECK(lipschitz_bound(model) == Approx(1).epsilon(1e-12));
}

TEST_CASE("kinks of later grades are found", "[network/to_spline]") {
  // A tooth t(x) = 2x on [0, 1/2], 2 - 2x on [1/2, 1] gives its hidden values relu(x), relu(x -
  // 1/2) to a second one, whose readout gives t(t(x)): kinks at every quarter.
  for (const FeatureLink link : links) {
    auto model = hidden_layer(RowVector<double>{{1, 1}}, RowVector<double>{{0, -0.5}},
                              Vector<double>{{2, -4}}, link);
    RowMatrix<double> W = RowMatrix<double>::Zero(model.feature_count(1), 2);
    W.topRows(2) = RowMatrix<double>{{2, 2}, {-4, -4}};
    model.add_grade(
        {mgdl::ReluNetwork<double>({{W, RowVector<double>{{0, -0.5}}},
                                    {RowMatrix<double>{{2}, {-4}}, RowVector<double>::Zero(1)}})});
    const auto spline = to_spline(model, 0, 1);  // t + t(t)
    CHECK(spline.x == Vector<double>{{0, 0.25, 0.5, 0.75, 1}});
    CHECK(spline.values == Matrix<double>{{0}, {1.5}, {1}, {1.5}, {0}});
    CHECK(spline.slopes == Matrix<double>{{6}, {-2}, {2}, {-6}});
    CHECK(to_spline(model, 0, 1, 1).x == Vector<double>{{0, 0.5, 1}});
    CHECK(to_spline(model, 0, 1, 0).x == Vector<double>{{0, 1}});
    CHECK(to_spline(model, 0, 1, 0).values == Matrix<double>::Zero(2, 1));
    CHECK(lipschitz_bound(model) == 6);
    CHECK(lipschitz_bound(model, 1) == 2);
  }
}

TEMPLATE_TEST_CASE("splines equal random networks", "[network/to_spline]", float, double) {
  RandomStream random(mgdl::test::seed(), 0xC0);
  const std::vector<std::vector<std::vector<Index>>> shapes{{{1}},
                                                            {{40}},
                                                            {{20, 20, 20}},
                                                            {{30}, {20, 10}, {25}},
                                                            {{12, 12, 12, 12, 12, 12, 12, 12}},
                                                            {{60, 50}, {40, 40}, {30, 30}, {64}}};
  for (const auto& shape : shapes) {
    for (const FeatureLink link : links) {
      CAPTURE(shape.size(), to_string(link));
      const auto model = random_model<TestType>(1, 2, shape, link, random);
      for (Index k = 0; k <= model.grades(); ++k) check_equal(model, -3, 4.5, k, random);
      check_equal(model, -1e6, 1e6, model.grades(), random);
      check_equal(model, 0.3, 0.3 + 1e-6, model.grades(), random);
    }
  }
}

TEST_CASE("splines equal trained networks", "[network/to_spline]") {
  RandomStream random(mgdl::test::seed(), 0xC1);
  const auto model =
      trained(mgdl::GradientTrainer<double>{{.width = 24, .hidden_layers = 2, .epochs = 100}}, 3);
  REQUIRE(model.grades() >= 2);
  for (Index k = 1; k <= model.grades(); ++k) check_equal(model, 3, 4, k, random);
  check_equal(model, -10, 10, model.grades(), random);
  const auto spline = to_spline(model, 3, 4);
  CHECK(spline.knots() > 40);
  CHECK(spline.lipschitz() <= lipschitz_bound(model));
  CHECK(spline.lipschitz() > 10);
}

// Random networks of this depth would have few pieces; sawtooth layers have as many as there can
// be.
TEST_CASE("splines of very many pieces", "[network/to_spline]") {
  RandomStream random(mgdl::test::seed(), 0xC2);
  std::vector<mgdl::DenseLayer<double>> layers;
  layers.emplace_back(RowVector<double>{{1, 1}}, RowVector<double>{{0, -0.5}});
  for (int l = 1; l < 16; ++l) {
    layers.emplace_back(RowMatrix<double>{{2, 2}, {-4, -4}}, RowVector<double>{{0, -0.5}});
  }
  layers.emplace_back(RowMatrix<double>{{2}, {-4}}, RowVector<double>::Zero(1));
  MultigradeModel<double> model(Standardizer<double>::identity(1),
                                Standardizer<double>::identity(1));
  model.add_grade({mgdl::ReluNetwork<double>(layers)});
  const auto spline = to_spline(model, 0, 1);
  CHECK(spline.knots() == 65537);
  bool exact = true;
  for (Index i = 0; i < spline.knots(); ++i) {
    exact = exact && spline.x[i] * 65536 == static_cast<double>(i) &&
            spline.values(i, 0) == static_cast<double>(i % 2);
  }
  CHECK(exact);
  CHECK(spline.lipschitz() == 65536);
}

TEST_CASE("splines of many pieces of wide grades", "[network/to_spline]") {
  // 2^7 teeth, each of which 50 units cut at random, and some of the pieces once more.
  RandomStream random(mgdl::test::seed(), 0xC4);
  std::vector<mgdl::DenseLayer<double>> teeth;
  teeth.emplace_back(RowVector<double>{{1, 1}}, RowVector<double>{{0, -0.5}});
  for (int l = 1; l < 7; ++l) {
    teeth.emplace_back(RowMatrix<double>{{2, 2}, {-4, -4}}, RowVector<double>{{0, -0.5}});
  }
  teeth.emplace_back(RowMatrix<double>{{2}, {-4}}, RowVector<double>::Zero(1));
  for (const FeatureLink link : links) {
    MultigradeModel<double> model(
        Standardizer<double>(RowVector<double>{{3}}, RowVector<double>{{4}}),
        Standardizer<double>(RowVector<double>{{5}}, RowVector<double>{{6}}), link);
    model.add_grade({mgdl::ReluNetwork<double>(teeth)});
    for (int g = 0; g < 2; ++g) {
      const Index inputs = model.feature_count(model.grades());
      model.add_grade({mgdl::ReluNetwork<double>(
          mgdl::test::random_layers<double>({inputs, 50, 50, 1}, random))});
    }
    check_equal(model, 3, 7, 3, random);
    CHECK(to_spline(model, 3, 7).knots() > 2000);
  }
}

TEST_CASE("bad intervals and points are refused", "[network/to_spline]") {
  RandomStream random(mgdl::test::seed(), 0xC3);
  const auto model = random_model<double>(1, 1, {{3}}, links[0], random);
  const auto plane = random_model<double>(2, 1, {{3}}, links[0], random);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto message = [&](double a, double b, Index k) {
    return error_of([&] { to_spline(model, a, b, k); });
  };
  CHECK(error_of([&] { to_spline(plane, 0, 1); }) == "model: expected 1 input, found 2");
  CHECK(message(2, 1, 1) == "upper: expected a value > 2, found 1");
  CHECK(message(2, 2, 1) == "upper: expected a value > 2, found 2");
  CHECK(message(nan, 1, 1) == "lower: expected a finite value, found nan");
  CHECK(message(0, nan, 1) == "upper: expected a finite value, found nan");
  CHECK(message(-infinity, 1, 1) == "lower: expected a finite value, found -inf");
  CHECK(message(0, infinity, 1) == "upper: expected a finite value, found inf");
  CHECK_THAT(message(0, 1, 2), ContainsSubstring("a value from 0 to 1, found 2"));
  CHECK_THAT(message(0, 1, -1), ContainsSubstring("a value from 0 to 1, found -1"));
  const auto spline = to_spline(model, 0, 1);
  CHECK(error_of([&] { spline.at(1.5); }) == "point: expected a value in [0, 1], found 1.5");
  CHECK(error_of([&] { spline.at(-0.5); }) == "point: expected a value in [0, 1], found -0.5");
  CHECK_THAT(error_of([&] {
               spline.evaluate(Vector<double>{{0.5, nan}});
             }),
             ContainsSubstring("found nan"));
}
