#include "mgdl/core/standardizer.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "mgdl/core/dataset.hpp"
#include "support/samples.hpp"

using mgdl::Index;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Standardizer;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;

namespace {

template <class Scalar>
Scalar tolerance() {
  return 64 * std::numeric_limits<Scalar>::epsilon();
}

/// n positive weights with sum 1.
template <class Scalar>
Vector<Scalar> random_weights(Index n, mgdl::RandomStream& random) {
  Vector<Scalar> weights(n);
  for (Scalar& w : weights) w = static_cast<Scalar>(random.uniform(0.1, 1));
  return weights / weights.sum();
}

template <class Scalar>
RowMatrix<Scalar> applied(const Standardizer<Scalar>& map, const RowMatrix<Scalar>& values) {
  RowMatrix<Scalar> result(values.rows(), values.cols());
  map.apply(values, result);
  return result;
}

/// Weighted mean and mean square of each column of z, in double.
template <class Scalar>
Eigen::RowVectorXd mean_of(const RowMatrix<Scalar>& z, const Vector<Scalar>& weights) {
  const Eigen::RowVectorXd sums =
      weights.template cast<double>().transpose() * z.template cast<double>();
  return sums / weights.template cast<double>().sum();
}

}  // namespace

TEMPLATE_TEST_CASE("columns get mean 0 and deviation 1", "[core/standardizer]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed());
  const auto weights = random_weights<TestType>(41, random);
  const auto normal = normal_matrix<RowMatrix<TestType>>(41, 5, random);
  // Spreads from tiny to huge, means from 0 to far larger than the spread.
  const RowVector<TestType> scale{{1, TestType(1e-8), TestType(1e8), TestType(1e30), 3}};
  const RowVector<TestType> shift{{0, TestType(2e-8), TestType(-5e8), TestType(1e31),
                                   std::is_same_v<TestType, float> ? 1e4f : 1e8f}};
  RowMatrix<TestType> values = normal * scale.asDiagonal();
  values.rowwise() += shift;
  const auto map = Standardizer<TestType>::fit(values, weights);
  REQUIRE(map.columns() == 5);
  const RowMatrix<TestType> z = applied(map, values);
  const auto mean = mean_of(z, weights);
  const auto square = mean_of(RowMatrix<TestType>(z.cwiseAbs2()), weights);
  for (Index j = 0; j < 5; ++j) {
    CAPTURE(j);
    // The mean is rounded to Scalar: an error of epsilon times mean over spread.
    const double ratio = std::abs(static_cast<double>(map.mean()[j] / map.scale()[j])) + 1;
    CHECK(std::abs(mean[j]) < static_cast<double>(tolerance<TestType>()) * ratio);
    CHECK(std::abs(square[j] - 1) < static_cast<double>(tolerance<TestType>()) * ratio);
  }
  RowMatrix<TestType> back(41, 5);
  map.invert(z, back);
  for (Index j = 0; j < 5; ++j) CHECK(back.col(j).isApprox(values.col(j), tolerance<TestType>()));

  RowMatrix<TestType> in_place = values;
  map.apply(in_place, in_place);
  CHECK(in_place == z);
  map.invert(in_place, in_place);
  CHECK(in_place == back);
}

TEMPLATE_TEST_CASE("values whose squares are not representable", "[core/standardizer]", float,
                   double) {
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  const auto weights = random_weights<TestType>(23, random);
  const auto values = normal_matrix<RowMatrix<TestType>>(23, 3, random);
  const auto plain = Standardizer<TestType>::fit(values, weights);
  const auto common = Standardizer<TestType>::fit_common_scale(values, weights);
  // Powers of two, so that every result has to be the same but for the factor.
  const int large = std::is_same_v<TestType, float> ? 110 : 1010;
  for (const int exponent : {large, -large, 27, -27}) {
    CAPTURE(exponent);
    const TestType factor = std::ldexp(TestType(1), exponent);
    const RowMatrix<TestType> scaled_values = values * factor;
    const auto scaled = Standardizer<TestType>::fit(scaled_values, weights);
    CHECK(scaled.mean() == plain.mean() * factor);
    CHECK(scaled.scale() == plain.scale() * factor);
    const auto scaled_common = Standardizer<TestType>::fit_common_scale(scaled_values, weights);
    CHECK(scaled_common.scale().isApprox(common.scale() * factor));
    CHECK(applied(scaled, scaled_values).isApprox(applied(plain, values)));
  }
}

TEMPLATE_TEST_CASE("constant columns", "[core/standardizer]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  const auto weights = random_weights<TestType>(37, random);
  const TestType big = TestType(1) / 3 * TestType(1e20);
  RowMatrix<TestType> values(37, 4);
  values.col(0).setZero();
  values.col(1).setConstant(TestType(0.1));
  values.col(2).setConstant(big);
  values.col(3).setConstant(big);
  values(5, 3) = std::nextafter(big, TestType(0));  // constant but for rounding
  const auto map = Standardizer<TestType>::fit(values, weights);
  CHECK(map.mean().head(3) == RowVector<TestType>{{0, TestType(0.1), big}});
  CHECK(map.scale() == RowVector<TestType>{{1, 1, 1, big}});
  const RowMatrix<TestType> z = applied(map, values);
  CHECK((z.leftCols(3).array() == 0).all());
  CHECK(z.col(3).cwiseAbs().maxCoeff() < tolerance<TestType>());

  const auto one = Standardizer<TestType>::fit(values.row(1), Vector<TestType>::Ones(1));
  CHECK(one.mean() == values.row(1));
  CHECK(one.scale() == RowVector<TestType>::Ones(4));
  CHECK(Standardizer<TestType>::fit_common_scale(values, weights).scale() ==
        RowVector<TestType>::Ones(4));
}

TEMPLATE_TEST_CASE("a common scale", "[core/standardizer]", float, double) {
  // Deviations 3, 0 and 4 around the means; the constant column is large, which must not matter.
  const TestType big = TestType(1e9);
  const RowMatrix<TestType> values{{4, big, -2}, {-2, big, 6}};
  const Vector<TestType> weights{{TestType(0.5), TestType(0.5)}};
  const auto map = Standardizer<TestType>::fit_common_scale(values, weights);
  CHECK(map.mean() == RowVector<TestType>{{1, big, 2}});
  const TestType expected = std::sqrt(TestType(25) / 3);
  for (const TestType scale : map.scale()) CHECK(std::abs(scale - expected) < 1e-6);
  // All columns together have mean square 1.
  CHECK(std::abs(applied(map, values).cwiseAbs2().mean() - 1) < tolerance<TestType>());
}

TEMPLATE_TEST_CASE("weights mean the same as repeated rows", "[core/standardizer]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  auto values = normal_matrix<RowMatrix<TestType>>(5, 3, random);
  values.row(1) *= TestType(1e15);  // has weight 0
  const Vector<TestType> weights{{3, 0, 1, 2, 1}};
  RowMatrix<TestType> repeated(7, 3);
  repeated << values.row(0), values.row(3), values.row(0), values.row(2), values.row(0),
      values.row(4), values.row(3);
  const Vector<TestType> ones = Vector<TestType>::Ones(7);
  const auto map = Standardizer<TestType>::fit(values, weights / 7);
  const auto expected = Standardizer<TestType>::fit(repeated, ones / 7);
  CHECK(map.mean().isApprox(expected.mean(), tolerance<TestType>()));
  CHECK(map.scale().isApprox(expected.scale(), tolerance<TestType>()));
  const auto common = Standardizer<TestType>::fit_common_scale(values, weights / 7);
  const auto expected_common = Standardizer<TestType>::fit_common_scale(repeated, ones / 7);
  CHECK(common.mean().isApprox(expected_common.mean(), tolerance<TestType>()));
  CHECK(common.scale().isApprox(expected_common.scale(), tolerance<TestType>()));
}

TEMPLATE_TEST_CASE("given mean and scale", "[core/standardizer]", float, double) {
  using Row = RowVector<TestType>;
  const Standardizer<TestType> map(Row{{1, -2}}, Row{{4, 8}});
  CHECK(applied(map, RowMatrix<TestType>{{3, 2}, {-1, -2}}) ==
        RowMatrix<TestType>{{TestType(0.5), TestType(0.5)}, {TestType(-0.5), 0}});
  CHECK(map == Standardizer<TestType>(Row{{1, -2}}, Row{{4, 8}}));
  CHECK_FALSE(map == Standardizer<TestType>(Row{{1, -1}}, Row{{4, 8}}));
  CHECK_FALSE(map == Standardizer<TestType>(Row{{1, -2}}, Row{{4, 9}}));
  CHECK_FALSE(map == Standardizer<TestType>::identity(3));
  CHECK(Standardizer<TestType>::identity(3) == Standardizer<TestType>(Row::Zero(3), Row::Ones(3)));
  CHECK(Standardizer<TestType>().columns() == 0);

  const TestType nan = std::numeric_limits<TestType>::quiet_NaN();
  const auto message = [](const Row& mean, const Row& scale) {
    return error_of([&] { Standardizer<TestType>(mean, scale); });
  };
  CHECK(message(Row{{1, 2, 3}}, Row{{1, 2}}) == "scale: expected 3 columns, found 2");
  CHECK(message(Row{{1, nan}}, Row{{1, 2}}) ==
        "mean: expected finite values, found nan at row 0, column 1");
  CHECK(message(Row{{1, 2}}, Row{{nan, 2}}) ==
        "scale: expected finite values, found nan at row 0, column 0");
  CHECK(message(Row{{1, 2}}, Row{{1, 0}}) == "scale: expected values > 0, found 0 at column 1");
  CHECK(message(Row{{1, 2}}, Row{{-3, 1}}) == "scale: expected values > 0, found -3 at column 0");
}

TEMPLATE_TEST_CASE("what cannot be standardised", "[core/standardizer]", float, double) {
  using M = RowMatrix<TestType>;
  using W = Vector<TestType>;
  const auto message = [](const M& values, const W& weights) {
    const std::string text = error_of([&] { Standardizer<TestType>::fit(values, weights); });
    CHECK(error_of([&] { Standardizer<TestType>::fit_common_scale(values, weights); }) == text);
    return text;
  };
  CHECK(message(M(0, 3), W(0)) == "values: expected at least one row and one column, found 0 x 3");
  CHECK(message(M(2, 0), W::Ones(2)) ==
        "values: expected at least one row and one column, found 2 x 0");
  CHECK(message(M::Ones(2, 3), W::Ones(3)) == "weights: expected 2 rows, found 3");
  CHECK(message(M::Ones(2, 3), W{{1, -1}}) == "weights: expected values >= 0, found -1 at row 1");

  const auto map = Standardizer<TestType>::identity(3);
  const auto shape_message = [&](const M& values, M out) {
    const std::string text = error_of([&] { map.apply(values, out); });
    CHECK(error_of([&] { map.invert(values, out); }) == text);
    return text;
  };
  CHECK(shape_message(M::Ones(2, 4), M(2, 3)) == "values: expected 3 columns, found 4");
  CHECK(shape_message(M::Ones(2, 3), M(1, 3)) == "out: expected 2 rows, found 1");
  CHECK(shape_message(M::Ones(2, 3), M(2, 4)) == "out: expected 3 columns, found 4");
}
