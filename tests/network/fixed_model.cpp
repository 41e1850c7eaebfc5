#include "support/allocations.hpp"

#include "mgdl/network/fixed_model.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "mgdl/network/model_average.hpp"
#include "support/networks.hpp"

using mgdl::FeatureLink;
using mgdl::FixedModel;
using mgdl::Grouped;
using mgdl::HiddenLayers;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::ReluNetwork;
using mgdl::test::allocations_of;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_model;

namespace {

// Grades of different widths and depths; one has more inputs than are summed at once, and none is a
// whole number of registers wide.
template <class Scalar, FeatureLink Link>
using Mixed =
    FixedModel<Scalar, 5, 2, Link, HiddenLayers<9, 301>, HiddenLayers<130>, HiddenLayers<3, 17, 1>>;
const std::vector<std::vector<Index>> mixed_widths{{9, 301}, {130}, {3, 17, 1}};

template <class Fixed, class Row>
typename Fixed::Output predict_row(const Fixed& fixed, const Row& row, Index k) {
  std::array<typename Fixed::Scalar, static_cast<std::size_t>(Fixed::inputs())> x;
  for (std::size_t j = 0; j < x.size(); ++j) x[j] = row[static_cast<Index>(j)];
  return fixed.predict(x, k);
}

template <class Scalar, FeatureLink Link>
void check_bits() {
  using Fixed = Mixed<Scalar, Link>;
  RandomStream random(mgdl::test::seed(), Link == FeatureLink::LastHidden ? 1 : 2);
  const auto model = random_model<Scalar>(5, 2, mixed_widths, Link, random);
  const auto fixed = std::make_unique<Fixed>(model);
  CHECK(Fixed::parameters() == model.parameters() + 14);
  const auto X = normal_matrix<Matrix<Scalar>>(67, 5, random);
  auto predictor = model.predictor(1);
  for (Index k = 0; k <= 3; ++k) {
    const Matrix<Scalar> batch = model.predict(X, k);
    const Eigen::MatrixXd plain =
        mgdl::test::plain_model(model, X.template cast<double>(), k).prediction;
    Matrix<Scalar> found(67, 2), alone(67, 2);
    for (Index i = 0; i < X.rows(); ++i) {
      const auto y = predict_row(*fixed, X.row(i), k);
      found.row(i) << y[0], y[1];
      Matrix<Scalar> one(1, 2);
      predictor.predict_into(X.row(i), one, k);
      alone.row(i) = one;
    }
    CHECK(found == batch);  // to the bit, for one sample as for many
    CHECK(alone == batch);
    CHECK(mgdl::test::relative_difference(found, plain) < 10 * mgdl::test::sum_tolerance<Scalar>);
  }
  const auto first = predict_row(*fixed, X.row(0), 3);
  CHECK(predict_row(*fixed, X.row(0), 4) == first);
  CHECK(predict_row(*fixed, X.row(0), -1) == predict_row(*fixed, X.row(0), 0));
  CHECK(predict_row(*fixed, X.row(0), 2) != first);
}

}  // namespace

TEMPLATE_TEST_CASE("A fixed model has the bits of the model", "[network/fixed_model]", float,
                   double) {
  check_bits<TestType, FeatureLink::LastHidden>();
  check_bits<TestType, FeatureLink::LastHiddenAndInput>();
}

// Groups of which one lies on both sides of what is summed at once, and the mean of several models.
TEMPLATE_TEST_CASE("A fixed model with groups has the bits of the model", "[network/fixed_model]",
                   float, double) {
  using Fixed = FixedModel<TestType, 5, 2, FeatureLink::LastHidden,
                           Grouped<HiddenLayers<303, 303>, 1, 3>, Grouped<HiddenLayers<33>, 3>>;
  RandomStream random(mgdl::test::seed(), 7);
  const auto first =
      random_model<TestType>(5, 2, {{101, 101}, {11}}, FeatureLink::LastHidden, random);
  auto second = first;
  second.truncate(1);
  second.add_grade(
      {ReluNetwork<TestType>(mgdl::test::random_layers<TestType>({101, 11, 2}, random))});
  const auto model = mgdl::average(std::vector{first, second, first});
  const auto fixed = std::make_unique<Fixed>(model);
  CHECK(Fixed::parameters() == model.parameters() + 14);

  using Linked =
      FixedModel<TestType, 3, 2, FeatureLink::LastHiddenAndInput,
                 Grouped<HiddenLayers<8, 12>, 1, 4>, Grouped<HiddenLayers<15, 10>, 3, 5>>;
  const auto linked =
      mgdl::test::random_grouped_model<TestType>(FeatureLink::LastHiddenAndInput, random);
  const Linked fixed_linked(linked);
  for (Index k = 0; k <= 2; ++k) {
    const auto X = normal_matrix<Matrix<TestType>>(67, 5, random);
    const Matrix<TestType> expected = model.predict(X, k);
    const Matrix<TestType> also_expected = linked.predict(X.leftCols(3), k);
    Matrix<TestType> found(67, 2), also_found(67, 2);
    for (Index i = 0; i < X.rows(); ++i) {
      const auto y = predict_row(*fixed, X.row(i), k);
      found.row(i) << y[0], y[1];
      const auto z = predict_row(fixed_linked, X.row(i), k);
      also_found.row(i) << z[0], z[1];
    }
    CHECK(found == expected);
    CHECK(also_found == also_expected);
  }

  using Other =
      FixedModel<TestType, 5, 2, FeatureLink::LastHidden, HiddenLayers<303, 303>, HiddenLayers<33>>;
  CHECK(error_of([&] { std::make_unique<Other>(model); }) ==
        "model: expected 1 groups, found 3 at grade 1, layer 2");
}

TEMPLATE_TEST_CASE("A fixed model allocates nothing", "[network/fixed_model]", float, double) {
  using Fixed = Mixed<TestType, FeatureLink::LastHidden>;
  RandomStream random(mgdl::test::seed(), 3);
  const auto model = random_model<TestType>(5, 2, mixed_widths, FeatureLink::LastHidden, random);
  const auto fixed = std::make_unique<Fixed>(model);
  const std::array<TestType, 5> x{1, -2, TestType(0.5), 0, 3};
  typename Fixed::Output y{};
  CHECK(allocations_of([&] { y = fixed->predict(x); }) == 0);
  CHECK(allocations_of([&] { y[1] += fixed->predict(x, 1)[1]; }) == 0);
  CHECK(y[0] == fixed->predict(x)[0]);
  static_assert(noexcept(fixed->predict(x))&& noexcept(fixed->predict(x, 1)));
}

TEST_CASE("A fixed model can be a constant", "[network/fixed_model]") {
  using Fixed = FixedModel<double, 1, 1, FeatureLink::LastHidden, HiddenLayers<2>>;
  static_assert(Fixed::parameters() == 11);
  // 10 + 4 (3 relu(2 z - 1) - relu(z) + 0.5) with z = (x - 1) / 2.
  static constexpr double values[] = {1, 2, 2, 1, -1, 0, 3, -1, 0.5, 10, 4};
  static constexpr Fixed fixed(values);
  const auto at = [](double x) { return fixed.predict(std::array<double, 1>{x})[0]; };
  CHECK(at(-5) == 12);
  CHECK(at(2) == 10);
  CHECK(at(5) == 10 + 4 * (9 - 2 + 0.5));

  RandomStream random(mgdl::test::seed(), 4);
  const auto model =
      random_model<float>(5, 2, mixed_widths, FeatureLink::LastHiddenAndInput, random);
  using Large = Mixed<float, FeatureLink::LastHiddenAndInput>;
  const std::vector<float> flat = mgdl::detail::flat_parameters(model);
  const auto large = std::make_unique<Large>(
      std::span<const float, static_cast<std::size_t>(Large::parameters())>(flat));
  const std::array<float, 5> x{1, -2, 0.5F, 0, 3};
  CHECK(large->predict(x) == Large(model).predict(x));
}

TEST_CASE("NaN and infinity come through a fixed model", "[network/fixed_model]") {
  RandomStream random(mgdl::test::seed(), 5);
  const auto model = random_model<float>(5, 2, mixed_widths, FeatureLink::LastHidden, random);
  const Mixed<float, FeatureLink::LastHidden> fixed(model);
  std::array<float, 5> x{1, -2, 0.5F, 0, 3};
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    x[3] = bad;
    CHECK_FALSE(std::isfinite(fixed.predict(x)[0]));
  }
}

TEST_CASE("A model of other sizes is refused", "[network/fixed_model]") {
  using Fixed =
      FixedModel<double, 3, 2, FeatureLink::LastHidden, HiddenLayers<4, 5>, HiddenLayers<6>>;
  RandomStream random(mgdl::test::seed(), 6);
  const auto message = [&](Index d, Index c, const std::vector<std::vector<Index>>& widths,
                           FeatureLink link = FeatureLink::LastHidden) {
    return error_of([&] { Fixed fixed(random_model<double>(d, c, widths, link, random)); });
  };
  CHECK(message(4, 2, {{4, 5}, {6}}) == "model: expected 3 inputs, found 4");
  CHECK(message(3, 1, {{4, 5}, {6}}) == "model: expected 2 outputs, found 1");
  CHECK(message(3, 2, {{4, 5}}) == "model: expected 2 grades, found 1");
  CHECK(message(3, 2, {{4, 5}, {6}}, FeatureLink::LastHiddenAndInput) ==
        "model: expected the link LastHidden, found LastHiddenAndInput");
  CHECK(message(3, 2, {{4, 5}, {6, 6}}) == "model: expected 1 hidden layers, found 2 at grade 2");
  CHECK(message(3, 2, {{4, 7}, {6}}) == "model: expected 5 units, found 7 at grade 1, layer 2");
}
