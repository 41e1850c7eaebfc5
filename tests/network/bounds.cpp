#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "mgdl/linalg/spectral_norm_bound.hpp"
#include "mgdl/network/bounds.hpp"
#include "support/factorisations.hpp"
#include "support/networks.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::lipschitz_bound;
using mgdl::Matrix;
using mgdl::MultigradeModel;
using mgdl::output_bounds;
using mgdl::output_range;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::slope_range;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::links;
using mgdl::test::normal_matrix;
using mgdl::test::random_model;

namespace {

Index between(Index low, Index high, RandomStream& random) {
  return low + static_cast<Index>(random.below(static_cast<std::uint64_t>(high - low + 1)));
}

/// Network number i of a series: 1 to 4 grades of 1 to 3 hidden layers, both links.
template <class Scalar>
MultigradeModel<Scalar> series_model(int i, Index inputs, RandomStream& random) {
  std::vector<std::vector<Index>> widths(static_cast<std::size_t>(1 + i % 4));
  for (auto& hidden : widths) {
    hidden.resize(static_cast<std::size_t>(between(1, 3, random)));
    for (Index& width : hidden) width = between(1, 40, random);
  }
  return random_model<Scalar>(inputs, between(1, 3, random), widths, links[i / 4 % 2], random);
}

template <class Scalar>
struct Box {
  Vector<Scalar> lower, upper;
};

/// Boxes of all sizes, every fifth degenerate in some inputs and every seventh far from zero.
template <class Scalar>
Box<Scalar> series_box(int i, Index d, RandomStream& random) {
  Vector<Scalar> centre = normal_matrix<Vector<Scalar>>(d, 1, random);
  if (i % 7 == 6) centre *= Scalar(1e5);
  Vector<Scalar> radius(d);
  for (Index j = 0; j < d; ++j) {
    radius[j] = static_cast<Scalar>(std::pow(10, -5 + 6 * random.uniform()));
    if (i % 5 == 4 && (i % 10 == 9 || random.below(2) == 0)) radius[j] = 0;
  }
  return {centre - radius, centre + radius};
}

/// n points of the box, of which every other has some inputs at its faces.
template <class Scalar>
Matrix<Scalar> points_in(const Box<Scalar>& box, Index n, RandomStream& random) {
  Matrix<Scalar> X(n, box.lower.size());
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      const auto part = static_cast<Scalar>(random.uniform());
      const Scalar inside = box.lower[j] + part * (box.upper[j] - box.lower[j]);
      X(i, j) = std::clamp(inside, box.lower[j], box.upper[j]);
      if (i % 2 == 1 && random.below(2) == 0) X(i, j) = part < 0.5 ? box.lower[j] : box.upper[j];
    }
  }
  return X;
}

bool contains(const mgdl::OutputBounds& bounds, const Matrix<double>& values) {
  for (Index j = 0; j < values.cols(); ++j) {
    if (!(values.col(j).array() >= bounds.lower[j]).all()) return false;
    if (!(values.col(j).array() <= bounds.upper[j]).all()) return false;
  }
  return true;
}

/// Largest width of the bounds relative to the range of the values.
double excess(const mgdl::OutputBounds& bounds, const Matrix<double>& values) {
  const Vector<double> range = values.colwise().maxCoeff() - values.colwise().minCoeff();
  return ((bounds.upper - bounds.lower).array() / range.array()).maxCoeff();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

TEMPLATE_TEST_CASE("output bounds contain what is predicted", "[network/output_bounds]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 0xB0);
  for (int i = 0; i < mgdl::test::draws(100, 2000); ++i) {
    CAPTURE(i);
    const Index d = between(1, 6, random);
    const auto model = series_model<TestType>(i, d, random);
    const auto box = series_box<TestType>(i, d, random);
    const auto X = points_in(box, 10000, random);
    const Index k = i % 3 == 0 ? between(0, model.grades(), random) : model.grades();
    CAPTURE(k, model.grades(), to_string(model.link()));
    const auto bounds = output_bounds(model, box.lower, box.upper, k);
    CHECK(contains(bounds, model.predict(X, k).template cast<double>()));
    // The function itself, up to the rounding of the reference.
    const Matrix<double> exact =
        mgdl::test::plain_model(model, X.topRows(500).template cast<double>(), k).prediction;
    const double slack = 1e-13 * exact.cwiseAbs().maxCoeff();
    CHECK(contains({bounds.lower.array() - slack, bounds.upper.array() + slack}, exact));
    if (k == model.grades()) {
      const auto all = output_bounds(model, box.lower, box.upper);
      CHECK(all.lower == bounds.lower);
      CHECK(all.upper == bounds.upper);
    }
  }
}

// At a single point the bounds are as far apart as the roundings that they allow for.
TEMPLATE_TEST_CASE("output bounds of a point are its prediction", "[network/output_bounds]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 0xB1);
  std::vector<double> widths;
  for (int i = 0; i < mgdl::test::draws(40, 1000); ++i) {
    CAPTURE(i);
    const auto model = series_model<TestType>(i, 3, random);
    for (int point = 0; point < 50; ++point) {
      const auto x = normal_matrix<Vector<TestType>>(3, 1, random);
      const auto bounds = output_bounds(model, x, x);
      const Matrix<double> value = model.predict(x.transpose()).template cast<double>();
      CHECK(contains(bounds, value));
      widths.push_back((bounds.upper - bounds.lower).maxCoeff() / value.cwiseAbs().maxCoeff());
    }
  }
  CHECK(median(widths) < 1e5 * std::numeric_limits<TestType>::epsilon());
}

TEST_CASE("output bounds of small boxes are tight", "[network/output_bounds]") {
  RandomStream random(mgdl::test::seed(), 0xB2);
  std::vector<double> small, large;
  for (int i = 0; i < mgdl::test::draws(40, 1000); ++i) {
    const auto model = random_model<double>(3, 1, {{30}, {30, 20}, {25}}, links[i % 2], random);
    const auto x = normal_matrix<Vector<double>>(3, 1, random);
    for (const double radius : {1e-3, 0.1}) {
      const Box<double> box{x.array() - radius, x.array() + radius};
      const double ratio = excess(output_bounds(model, box.lower, box.upper),
                                  model.predict(points_in(box, 4000, random)));
      CHECK(ratio >= 1);
      (radius == 0.1 ? large : small).push_back(ratio);
    }
  }
  const double worst = *std::max_element(small.begin(), small.end());
  CAPTURE(median(small), worst, median(large));
  CHECK(median(small) < 1.01);
  CHECK(worst < 1.5);
  CHECK(median(large) < 2);
}

TEST_CASE("without kinks in the box, output bounds are the range", "[network/output_bounds]") {
  // relu(x + 5) - relu(x + 4) + 2 relu(y - 9) = 1 for x > -4, y < 9: intervals alone would say
  // that the first two terms vary.
  const RowMatrix<double> W{{1, 1, 0}, {0, 0, 1}};
  MultigradeModel<double> model(mgdl::Standardizer<double>::identity(2),
                                mgdl::Standardizer<double>::identity(1));
  model.add_grade({mgdl::ReluNetwork<double>(
      {{W, RowVector<double>{{5, 4, -9}}},
       {RowMatrix<double>{{1}, {-1}, {2}}, RowVector<double>::Zero(1)}})});
  auto bounds = output_bounds(model, Vector<double>{{-3, -7}}, Vector<double>{{6, 8}});
  CHECK(bounds.lower[0] <= 1);
  CHECK(bounds.upper[0] >= 1);
  CHECK(bounds.upper[0] - bounds.lower[0] < 1e-12);
  // With the kink at y = 9 in it: 1 + 2 relu(y - 9).
  bounds = output_bounds(model, Vector<double>{{-3, 7}}, Vector<double>{{6, 10}});
  CHECK(bounds.upper[0] == Approx(3));
  CHECK(bounds.lower[0] <= 1);
  CHECK(bounds.lower[0] > -1);
}

// Hidden values of order 1 that are differences of large numbers: nearly all of the rounding is in
// them, and hardly any in the readout.
TEMPLATE_TEST_CASE("output bounds allow for rounding in hidden layers", "[network/output_bounds]",
                   float, double) {
  RandomStream random(mgdl::test::seed(), 0xBD);
  const TestType large = 1 / std::numeric_limits<TestType>::epsilon();
  int rounded = 0;
  for (int i = 0; i < 200; ++i) {
    CAPTURE(i);
    MultigradeModel<TestType> model(mgdl::Standardizer<TestType>::identity(3),
                                    mgdl::Standardizer<TestType>::identity(1));
    const Vector<TestType> x = normal_matrix<Vector<TestType>>(3, 1, random);
    const Vector<TestType> w = large * normal_matrix<Vector<TestType>>(3, 1, random);
    const RowVector<TestType> b{{TestType(1) - (w[0] * x[0] + w[1] * x[1] + w[2] * x[2])}};
    const RowMatrix<TestType> one{{1}};
    model.add_grade({mgdl::ReluNetwork<TestType>({{w, b}, {one, RowVector<TestType>{{0}}}})});
    const auto bounds = output_bounds(model, x, x);
    const auto value = static_cast<double>(model.predict(x.transpose())(0, 0));
    CHECK(value >= bounds.lower[0]);
    CHECK(value <= bounds.upper[0]);
    using Wide = long double;
    const Wide exact = static_cast<Wide>(w[0]) * x[0] + static_cast<Wide>(w[1]) * x[1] +
                       static_cast<Wide>(w[2]) * x[2] + b[0];
    rounded += std::abs(exact - static_cast<Wide>(value)) > 0.01L && exact > 0;
  }
  CHECK(rounded > 50);
}

TEST_CASE("output bounds are infinite where predictions overflow", "[network/output_bounds]") {
  using Row = RowVector<float>;
  MultigradeModel<float> model(mgdl::Standardizer<float>::identity(1),
                               mgdl::Standardizer<float>::identity(1));
  // 1e35 x - 1e35 x: NaN in float for x > 3e3, though all hidden values and the sum are small.
  model.add_grade({mgdl::ReluNetwork<float>(
      {{Row{{1e20F, 1e20F}}, Row{{0, 0}}}, {Row{{1e15F, -1e15F}}.transpose(), Row{{0}}}})});
  const auto safe = output_bounds(model, Vector<float>{{0}}, Vector<float>{{1e2F}});
  CHECK(std::isfinite(safe.upper[0]));
  const auto unsafe = output_bounds(model, Vector<float>{{0}}, Vector<float>{{1e8F}});
  CHECK(unsafe.lower[0] == -std::numeric_limits<double>::infinity());
  CHECK(unsafe.upper[0] == std::numeric_limits<double>::infinity());
}

TEMPLATE_TEST_CASE("bad boxes are refused", "[network/output_bounds]", float, double) {
  using V = Vector<TestType>;
  RandomStream random(mgdl::test::seed(), 0xB3);
  const auto model = random_model<TestType>(2, 1, {{3}}, links[0], random);
  const V low{{0, 1}};
  const V high{{1, 2}};
  const auto message = [&](const V& lower, const V& upper, Index k) {
    return error_of([&] { output_bounds(model, lower, upper, k); });
  };
  const TestType nan = std::numeric_limits<TestType>::quiet_NaN();
  const TestType infinity = std::numeric_limits<TestType>::infinity();
  CHECK(message(high, low, 1) == "upper: expected a value >= 1, found 0 at row 0");
  CHECK(message(low, V{{1, 0.5}}, 1) == "upper: expected a value >= 1, found 0.5 at row 1");
  CHECK(message(V{{0, 1, 2}}, high, 1) == "lower: expected 2 rows, found 3");
  CHECK(message(low, V{{1}}, 1) == "upper: expected 2 rows, found 1");
  CHECK_THAT(message(V{{0, nan}}, high, 1), ContainsSubstring("lower: expected finite values"));
  CHECK_THAT(message(low, V{{infinity, 2}}, 1), ContainsSubstring("upper: expected finite values"));
  CHECK_THAT(message(low, high, 2), ContainsSubstring("a value from 0 to 1, found 2"));
  CHECK_THAT(message(low, high, -1), ContainsSubstring("a value from 0 to 1, found -1"));
}

TEMPLATE_TEST_CASE("ranges contain what is predicted, at any number of boxes",
                   "[network/output_range]", float, double) {
  RandomStream random(mgdl::test::seed(), 0xB8);
  std::vector<double> widths[4];
  for (int i = 0; i < mgdl::test::draws(60, 2000); ++i) {
    CAPTURE(i);
    const Index d = between(1, 4, random);
    const auto model = series_model<TestType>(i, d, random);
    const auto box = series_box<TestType>(i, d, random);
    const auto X = points_in(box, 5000, random);
    const Index k = i % 3 == 0 ? between(0, model.grades(), random) : model.grades();
    const Matrix<double> values = model.predict(X, k).template cast<double>();
    const Matrix<double> exact =
        mgdl::test::plain_model(model, X.topRows(500).template cast<double>(), k).prediction;
    const double slack = 1e-13 * exact.cwiseAbs().maxCoeff();
    mgdl::OutputBounds before = output_bounds(model, box.lower, box.upper, k);
    for (const Index boxes : {1, 2, 20, 120}) {
      CAPTURE(boxes);
      const auto range =
          output_range(model, box.lower, box.upper, k, {.max_boxes = boxes, .threads = 1});
      CHECK(range.boxes <= boxes);
      CHECK(contains(range.bounds, values));
      CHECK(contains({range.bounds.lower.array() - slack, range.bounds.upper.array() + slack},
                     exact));
      // More boxes, no worse.
      CHECK((range.bounds.lower.array() >= before.lower.array()).all());
      CHECK((range.bounds.upper.array() <= before.upper.array()).all());
      before = range.bounds;
      // What is called met, was.
      for (Index j = 0; j < model.outputs(); ++j) {
        const Vector<TestType> low = range.lower_at.row(j).transpose().template cast<TestType>();
        const Vector<TestType> high = range.upper_at.row(j).transpose().template cast<TestType>();
        CHECK((low.array() >= box.lower.array() && low.array() <= box.upper.array()).all());
        CHECK((high.array() >= box.lower.array() && high.array() <= box.upper.array()).all());
        CHECK(static_cast<double>(model.predict(low.transpose(), k)(0, j)) == range.met.lower[j]);
        CHECK(static_cast<double>(model.predict(high.transpose(), k)(0, j)) == range.met.upper[j]);
      }
    }
  }
}

TEST_CASE("ranges of two inputs come within the tolerance of a fine grid",
          "[network/output_range]") {
  RandomStream random(mgdl::test::seed(), 0xB9);
  constexpr Index side = 300;
  Matrix<double> grid(side * side, 2);
  for (Index i = 0; i < grid.rows(); ++i) {
    grid(i, 0) = -1 + 2 * static_cast<double>(i % side) / (side - 1);
    grid(i, 1) = -1 + 2 * static_cast<double>(i / side) / (side - 1);
  }
  std::vector<double> boxes;
  for (int i = 0; i < mgdl::test::draws(12, 200); ++i) {
    CAPTURE(i);
    const auto model = random_model<double>(2, 2, {{30}, {30, 20}, {25}}, links[i % 2], random);
    const Vector<double> upper = Vector<double>::Ones(2);
    const auto range = output_range(model, -upper, upper, {.threads = 1});
    const Matrix<double> values = model.predict(grid);
    CHECK(range.termination == Termination::ToleranceReached);
    CHECK(range.gap() <= 0.01);
    CHECK(contains(range.bounds, values));
    const Vector<double> low = values.colwise().minCoeff();
    const Vector<double> high = values.colwise().maxCoeff();
    CHECK(((range.bounds.upper - high).array() <= 0.02 * (high - low).array()).all());
    CHECK(((low - range.bounds.lower).array() <= 0.02 * (high - low).array()).all());
    boxes.push_back(static_cast<double>(range.boxes));
    // The same bits for any number of threads.
    const auto other = output_range(model, -upper, upper, {.threads = 3});
    CHECK(other.bounds.lower == range.bounds.lower);
    CHECK(other.bounds.upper == range.bounds.upper);
    CHECK(other.upper_at == range.upper_at);
    CHECK(other.boxes == range.boxes);
  }
  std::cout << "boxes for a range within 1 %: " << median(boxes) << '\n';
  CHECK(median(boxes) < 1000);
}

TEST_CASE("a search for the range ends for a reason", "[network/output_range]") {
  RandomStream random(mgdl::test::seed(), 0xBA);
  const auto model = random_model<double>(3, 1, {{20, 20}, {20}}, links[0], random);
  const Vector<double> upper = Vector<double>::Ones(3);
  const Vector<double> lower = -upper;
  const auto range = [&](const mgdl::BoundOptions& options) {
    return output_range(model, lower, upper, options);
  };
  const auto few = range({.max_boxes = 7});
  CHECK(few.boxes == 7);
  CHECK(few.termination == Termination::MaxIterations);
  const auto short_run = range({.time_limit_seconds = 1e-9});
  CHECK(short_run.termination == Termination::TimeLimit);
  CHECK(short_run.boxes == 3);
  CHECK(short_run.bounds.upper[0] >= few.bounds.upper[0]);
  // Rounding is what is left.
  const auto point = output_range(model, upper, upper, {.relative_tolerance = 0});
  CHECK(point.boxes == 1);
  CHECK(point.termination == Termination::NoProgress);
  CHECK(point.bounds.upper[0] - point.bounds.lower[0] < 1e-10);
  CHECK(point.met.lower == point.met.upper);
  // A linear part needs one box.
  const Vector<double> near = Vector<double>::Constant(3, 1e-9);
  const auto linear = output_range(model, -near, near);
  CHECK(linear.boxes == 1);
  CHECK(linear.termination == Termination::ToleranceReached);
  // Without grades, the mean.
  const auto none = output_range(model, lower, upper, 0);
  CHECK(none.bounds.upper[0] == Approx(model.output_standardizer().mean()[0]));

  const auto message = [&](const mgdl::BoundOptions& options) {
    return error_of([&] { range(options); });
  };
  CHECK(message({.max_boxes = 0}) == "BoundOptions.max_boxes: expected a value >= 1, found 0");
  CHECK(message({.relative_tolerance = -1}) ==
        "BoundOptions.relative_tolerance: expected a value >= 0, found -1");
  CHECK(message({.time_limit_seconds = 0}) ==
        "BoundOptions.time_limit_seconds: expected a value > 0, found 0");
  CHECK_THAT(message({.threads = -1}), ContainsSubstring("BoundOptions.threads"));
  CHECK_THAT(error_of([&] { output_range(model, upper, lower); }),
             ContainsSubstring("upper: expected a value >= 1, found -1"));
  CHECK_THAT(error_of([&] { slope_range(model, lower, upper, 3); }),
             ContainsSubstring("a value from 0 to 2, found 3"));
}

TEST_CASE("ranges are infinite where predictions overflow, and not elsewhere",
          "[network/output_range]") {
  using Row = RowVector<float>;
  MultigradeModel<float> model(mgdl::Standardizer<float>::identity(1),
                               mgdl::Standardizer<float>::identity(1));
  model.add_grade({mgdl::ReluNetwork<float>(
      {{Row{{1e20F, 1e20F}}, Row{{0, 0}}}, {Row{{1e15F, -1e15F}}.transpose(), Row{{0}}}})});
  const auto safe = output_range(model, Vector<float>{{0}}, Vector<float>{{1e2F}});
  CHECK(std::isfinite(safe.bounds.upper[0]));
  const auto unsafe =
      output_range(model, Vector<float>{{0}}, Vector<float>{{1e8F}}, {.max_boxes = 200});
  CHECK(unsafe.bounds.lower[0] == -std::numeric_limits<double>::infinity());
  CHECK(unsafe.bounds.upper[0] == std::numeric_limits<double>::infinity());
  CHECK(unsafe.boxes <= 200);
}

TEMPLATE_TEST_CASE("differences in a box do not exceed its slope", "[network/slope_range]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 0xBB);
  std::vector<double> ratios;
  for (int i = 0; i < mgdl::test::draws(60, 1000); ++i) {
    CAPTURE(i);
    const Index d = between(1, 4, random);
    const auto model = series_model<TestType>(i, d, random);
    const auto box = series_box<TestType>(i, d, random);
    const Index k = i % 3 == 0 ? between(0, model.grades(), random) : model.grades();
    const auto X = points_in(box, 600, random);
    double largest = 0;
    for (Index row = 0; row < 200; ++row) {
      // In double: what the model in exact arithmetic does, not what rounding makes of it.
      const Matrix<double> J = model.jacobian(X.row(row).transpose(), k).template cast<double>();
      largest = std::max(largest, mgdl::test::spectral_norm(J));
    }
    const Eigen::MatrixXd from = X.topRows(300).template cast<double>();
    const Eigen::MatrixXd to = X.bottomRows(300).template cast<double>();
    const Eigen::MatrixXd change = mgdl::test::plain_model(model, to, k).prediction -
                                   mgdl::test::plain_model(model, from, k).prediction;
    const double scale = mgdl::test::plain_model(model, from, k).prediction.cwiseAbs().maxCoeff();
    double before = std::numeric_limits<double>::infinity();
    for (const Index boxes : {1, 20, 120}) {
      CAPTURE(boxes);
      const auto slope =
          slope_range(model, box.lower, box.upper, k, {.max_boxes = boxes, .threads = 1});
      CHECK(slope.bound <= before);
      before = slope.bound;
      const double rounding = 1e3 * std::numeric_limits<TestType>::epsilon();
      CHECK(largest <= slope.bound * (1 + rounding));
      CHECK(slope.met <= slope.bound * (1 + rounding));
      bool below = true;
      for (Index pair = 0; pair < 300; ++pair) {
        const double step = (to.row(pair) - from.row(pair)).norm();
        below = below && change.row(pair).norm() <= slope.bound * step + 1e-12 * scale;
      }
      CHECK(below);
      if (boxes == 1 && slope.met > 0) ratios.push_back(lipschitz_bound(model, k) / slope.bound);
    }
  }
  // Looking at a box only, and at all grades at once, it is far below the bound for all inputs.
  std::cout << "lipschitz_bound, relative to the slope in a box: " << median(ratios) << '\n';
  CHECK(median(ratios) > 2);
}

TEST_CASE("the slope of a linear map is its norm, not that of its entries",
          "[network/slope_range]") {
  // Inputs that the bias keeps positive in the box; the norm of the entries' sizes is 2.
  MultigradeModel<double> model(mgdl::Standardizer<double>::identity(2),
                                mgdl::Standardizer<double>::identity(2));
  model.add_grade({mgdl::ReluNetwork<double>(
      {{RowMatrix<double>::Identity(2, 2), RowVector<double>::Constant(2, 10)},
       {RowMatrix<double>{{1, 1}, {1, -1}}, RowVector<double>::Zero(2)}})});
  const Vector<double> upper = Vector<double>::Ones(2);
  const auto slope = slope_range(model, -upper, upper, {.relative_tolerance = 1e-3});
  CHECK(slope.bound >= std::sqrt(2.0) * (1 - 1e-15));
  CHECK(slope.bound < 1.4145);
  CHECK(slope.boxes == 1);
  CHECK(slope.termination == Termination::ToleranceReached);
  // Where a unit may be off, only what is left of it counts.
  const auto cut = slope_range(model, Vector<double>{{-20, -20}}, Vector<double>{{-11, 20}});
  CHECK(cut.bound == Approx(std::sqrt(2.0)).epsilon(1e-3));
}

TEST_CASE("the slope in an interval is that of the spline", "[network/slope_range]") {
  RandomStream random(mgdl::test::seed(), 0xBC);
  for (int i = 0; i < 12; ++i) {
    CAPTURE(i);
    const auto model = series_model<double>(i, 1, random);
    const double exact = mgdl::to_spline(model, -1, 2).lipschitz();
    const auto slope = slope_range(model, Vector<double>{{-1}}, Vector<double>{{2}});
    CHECK(slope.bound >= exact * (1 - 1e-12));
    if (slope.termination == Termination::ToleranceReached) {
      CHECK(slope.bound <= 1.0101 * exact);
      CHECK(slope.bound <= 1.0101 * slope.met);
    }
    CHECK(slope.bound <= 1.1 * exact);
    CHECK(slope.met <= exact * (1 + 1e-12));
    CHECK(model.jacobian(slope.at).norm() == Approx(slope.met));
    CHECK(slope_range(model, Vector<double>{{-1}}, Vector<double>{{2}}, {.threads = 3}).bound ==
          slope.bound);
  }
}

TEST_CASE("spectral norms are bounded from above, tightly", "[network/lipschitz_bound]") {
  RandomStream random(mgdl::test::seed(), 0xB4);
  for (int i = 0; i < 60; ++i) {
    CAPTURE(i);
    const Index rows = between(1, 60, random);
    Eigen::MatrixXd M = normal_matrix<Eigen::MatrixXd>(rows, between(1, 60, random), random);
    if (i % 5 == 1)
      M = Eigen::MatrixXd::Identity(rows, rows) + 1e-9 * M.col(0) * M.col(0).transpose();
    if (i % 5 == 2) M = M.col(0) * M.row(0);
    if (i % 5 == 3) M *= 1e-200;
    if (i % 5 == 4) M *= 1e200;
    const double exact = mgdl::test::spectral_norm(M);
    const double bound = mgdl::detail::spectral_norm_bound(M);
    CHECK(bound >= exact * (1 - 1e-15));
    CHECK(bound <= exact * (1 + 1.1e-4));
  }
  CHECK(mgdl::detail::spectral_norm_bound(Eigen::MatrixXd::Zero(3, 2)) == 0);
}

TEMPLATE_TEST_CASE("differences do not exceed the Lipschitz bound", "[network/lipschitz_bound]",
                   float, double) {
  RandomStream random(mgdl::test::seed(), 0xB5);
  std::vector<double> ratios;
  std::vector<double> shallow;  // one hidden layer in all
  for (int i = 0; i < 60; ++i) {
    CAPTURE(i);
    const Index d = between(1, 5, random);
    const auto model = series_model<TestType>(i, d, random);
    for (Index k = 0; k <= model.grades(); ++k) {
      CAPTURE(k);
      const double bound = lipschitz_bound(model, k);
      if (k == model.grades()) CHECK(bound == lipschitz_bound(model));
      if (k == 0) CHECK(bound == 0);
      double largest = 0;
      for (int pair = 0; pair < 300; ++pair) {
        const auto x = normal_matrix<Vector<TestType>>(d, 1, random);
        const double norm = mgdl::test::spectral_norm(model.jacobian(x, k).template cast<double>());
        largest = std::max(largest, norm);
      }
      const double rounding = 1e3 * std::numeric_limits<TestType>::epsilon();
      CHECK(largest <= bound * (1 + rounding));
      // Pairs at all distances.
      const auto from = normal_matrix<Eigen::MatrixXd>(300, d, random);
      Eigen::MatrixXd step = normal_matrix<Eigen::MatrixXd>(300, d, random);
      for (Index pair = 0; pair < 300; ++pair) {
        step.row(pair) *= std::pow(10, -4 + 6 * random.uniform());
      }
      const Eigen::MatrixXd change = mgdl::test::plain_model(model, from + step, k).prediction -
                                     mgdl::test::plain_model(model, from, k).prediction;
      bool below = true;
      for (Index pair = 0; pair < 300; ++pair) {
        below = below && change.row(pair).norm() <= bound * step.row(pair).norm() * (1 + 1e-9);
      }
      CHECK(below);
      if (k == model.grades() && d > 1) ratios.push_back(bound / largest);
      if (k == 1 && d > 1 && model.grade(1).network.hidden_layers() == 1) {
        shallow.push_back(bound / largest);
      }
    }
  }
  // Of models with 1 to 12 hidden layers in all. What is sampled is below the best constant.
  CAPTURE(median(ratios), median(shallow));
  CHECK(median(ratios) < 500);
  CHECK(median(shallow) < 4);
}

TEST_CASE("the Lipschitz bound of a linear map is its norm", "[network/lipschitz_bound]") {
  // relu(z) of inputs that the bias keeps positive near the data, with standardisation.
  RandomStream random(mgdl::test::seed(), 0xB6);
  const mgdl::Standardizer<double> input(RowVector<double>{{1, 2}}, RowVector<double>{{4, 0.5}});
  const mgdl::Standardizer<double> output(RowVector<double>{{3, 4}}, RowVector<double>{{2, 3}});
  MultigradeModel<double> model(input, output);
  model.add_grade({mgdl::ReluNetwork<double>(
      {{RowMatrix<double>::Identity(2, 2), RowVector<double>::Constant(2, 10)},
       {RowMatrix<double>{{0, 1}, {-5, 0}}, RowVector<double>::Zero(2)}})});
  // Derivatives: output 0 by input 1: 2 * -5 / 0.5; output 1 by input 0: 3 * 1 / 4.
  CHECK(lipschitz_bound(model) >= 20);
  CHECK(lipschitz_bound(model) < 20.01);
}

// All slopes point the same way, so neither way of bounding loses anything.
TEST_CASE("Lipschitz bounds add what grades and inputs contribute", "[network/lipschitz_bound]") {
  const mgdl::Standardizer<double> input(RowVector<double>{{1, 2}}, RowVector<double>{{2, 0.5}});
  const mgdl::Standardizer<double> output(RowVector<double>{{3}}, RowVector<double>{{7}});
  MultigradeModel<double> model(input, output, FeatureLink::LastHiddenAndInput);
  const RowMatrix<double> one{{1}};
  const RowVector<double> bias{{9}};
  // u = 3 z_0 + 4 z_1 + 9, then u + (3 z_0 + 4 z_1) + 9.
  model.add_grade({mgdl::ReluNetwork<double>({{RowMatrix<double>{{3}, {4}}, bias}, {one, bias}})});
  model.add_grade(
      {mgdl::ReluNetwork<double>({{RowMatrix<double>{{1}, {3}, {4}}, bias}, {one, bias}})});
  const double slope = 7 * std::hypot(3 / 2.0, 4 / 0.5);
  for (Index k = 1; k <= 2; ++k) {
    const double exact = (k == 1 ? 1 : 3) * slope;
    CHECK(model.jacobian(Vector<double>{{1, 2}}, k).norm() == Approx(exact));
    for (const double bound : {mgdl::detail::norm_product_bound(model, k),
                               mgdl::detail::interval_jacobian_bound(model, k)}) {
      CHECK(bound >= exact * (1 - 1e-15));
      CHECK(bound <= exact * (1 + 3e-4));
    }
  }
}

namespace {

/// Of a model of one input, at the points.
template <class Scalar>
double largest_slope(const MultigradeModel<Scalar>& model, const Vector<Scalar>& points) {
  const auto slopes = model.jacobians(points).template cast<double>().eval();
  double largest = 0;
  for (Index j = 0; j < points.size(); ++j) {
    largest = std::max(largest, slopes.middleRows(j * model.outputs(), model.outputs()).norm());
  }
  return largest;
}

}  // namespace

TEMPLATE_TEST_CASE("with one input the Lipschitz bound is the largest slope",
                   "[network/lipschitz_bound]", float, double) {
  RandomStream random(mgdl::test::seed(), 0xB7);
  for (int i = 0; i < 24; ++i) {
    CAPTURE(i);
    const auto model = series_model<TestType>(i, 1, random);
    const double bound = lipschitz_bound(model);
    // A grid finds nearly all pieces, and the two outermost ones.
    Vector<TestType> grid(40000);
    for (Index j = 0; j < grid.size(); ++j) {
      const double t = (static_cast<double>(j) - 20000 + random.uniform()) / 20000;
      grid[j] = static_cast<TestType>(j % 2 == 0 ? 4 * t : std::sinh(30 * t));
    }
    double largest = largest_slope(model, grid);
    CHECK(bound >= largest * (1 - 1e3 * std::numeric_limits<TestType>::epsilon()));
    // The others by their middles. In float those may lie in another piece.
    if constexpr (std::is_same_v<TestType, double>) {
      const Vector<double> knots = mgdl::to_spline(model, -1e5, 1e5).x;
      const Index pieces = std::max<Index>(0, knots.size() - 1);
      const Vector<double> middles = (knots.head(pieces) + knots.tail(pieces)) / 2;
      largest = std::max(largest, largest_slope(model, middles));
      CHECK(bound <= largest * (1 + 1e-12));
    }
  }
  const auto model = series_model<TestType>(3, 1, random);
  CHECK_THAT(error_of([&] { lipschitz_bound(model, 5); }),
             ContainsSubstring("a value from 0 to 4, found 5"));
  CHECK_THAT(error_of([&] { lipschitz_bound(model, -1); }),
             ContainsSubstring("a value from 0 to 4, found -1"));
}
