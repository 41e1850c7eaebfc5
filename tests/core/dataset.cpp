#include "mgdl/core/dataset.hpp"

#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/samples.hpp"

using mgdl::Dataset;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::Vector;
using mgdl::test::error_of;

namespace {

template <class Scalar>
struct Samples {
  Matrix<Scalar> X{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
  Matrix<Scalar> Y{{-1, -2}, {-3, -4}, {-5, -6}, {-7, -8}};
  Vector<Scalar> weights{{1, 0, 5, 2}};
};

template <class Scalar>
std::string message(const Matrix<Scalar>& X, const Matrix<Scalar>& Y,
                    const Vector<Scalar>& weights = {}) {
  return error_of([&] { Dataset<Scalar>(X, Y, weights); });
}

}  // namespace

TEMPLATE_TEST_CASE("samples are kept and weights normalised", "[core/dataset]", float, double) {
  const Samples<TestType> samples;
  const Dataset<TestType> plain(samples.X, samples.Y);
  CHECK(plain.size() == 4);
  CHECK(plain.inputs() == samples.X);
  CHECK(plain.targets() == samples.Y);
  CHECK(plain.weights() == Vector<TestType>::Constant(4, TestType(0.25)));

  const Dataset<TestType> weighted(samples.X, samples.Y, samples.weights);
  CHECK(weighted.weights() == Vector<TestType>{{0.125, 0, 0.625, 0.25}});
  // The unit of the weights does not matter, not even where their sum overflows.
  const TestType unit = std::numeric_limits<TestType>::max() / 6;
  const Dataset<TestType> huge(samples.X, samples.Y, samples.weights * unit);
  CHECK(huge.weights().isApprox(weighted.weights()));
  const TestType tiny = std::numeric_limits<TestType>::min();
  const Dataset<TestType> small(samples.X, samples.Y, samples.weights * tiny);
  CHECK(small.weights().isApprox(weighted.weights()));
}

TEMPLATE_TEST_CASE("a subset", "[core/dataset]", float, double) {
  const Samples<TestType> samples;
  const Dataset<TestType> data(samples.X, samples.Y, samples.weights);
  const Dataset<TestType> part = data.subset({3, 1, 0});
  CHECK(part.size() == 3);
  CHECK(part.inputs() == Matrix<TestType>{{10, 11, 12}, {4, 5, 6}, {1, 2, 3}});
  CHECK(part.targets() == Matrix<TestType>{{-7, -8}, {-3, -4}, {-1, -2}});
  CHECK(part.weights().isApprox(Vector<TestType>{{2, 0, 1}} / TestType(3)));
  CHECK(error_of([&] { data.subset({1}); }) == "weights: expected a positive sum, found all zero");
}

TEMPLATE_TEST_CASE("unusable samples", "[core/dataset]", float, double) {
  using M = Matrix<TestType>;
  using V = Vector<TestType>;
  const Samples<TestType> samples;
  const M& X = samples.X;
  const M& Y = samples.Y;
  const TestType nan = std::numeric_limits<TestType>::quiet_NaN();
  const TestType infinity = std::numeric_limits<TestType>::infinity();

  CHECK(message<TestType>(M(0, 3), M(0, 2)) ==
        "X: expected at least one row and one column, found 0 x 3");
  CHECK(message<TestType>(M(4, 0), Y) ==
        "X: expected at least one row and one column, found 4 x 0");
  CHECK(message<TestType>(X, M(4, 0)) ==
        "Y: expected at least one row and one column, found 4 x 0");
  CHECK(message<TestType>(X, Y.topRows(3)) == "Y: expected 4 rows, found 3");
  M bad_X = X;
  bad_X(3, 1) = nan;
  CHECK(message<TestType>(bad_X, Y) == "X: expected finite values, found nan at row 3, column 1");
  M bad_Y = Y;
  bad_Y(2, 0) = -infinity;
  CHECK(message<TestType>(X, bad_Y) == "Y: expected finite values, found -inf at row 2, column 0");

  CHECK(message<TestType>(X, Y, V{{1, 2, 3}}) == "weights: expected 4 rows, found 3");
  CHECK(message<TestType>(X, Y, V{{1, 2, nan, 3}}) ==
        "weights: expected finite values, found nan at row 2, column 0");
  CHECK(message<TestType>(X, Y, V{{1, infinity, 0, 3}}) ==
        "weights: expected finite values, found inf at row 1, column 0");
  CHECK(message<TestType>(X, Y, V{{1, 2, 3, -0.5}}) ==
        "weights: expected values >= 0, found -0.5 at row 3");
  CHECK(message<TestType>(X, Y, V::Zero(4)) == "weights: expected a positive sum, found all zero");
}

TEMPLATE_TEST_CASE("a data set has the type of number of its samples", "[core/dataset]", float,
                   double) {
  const Samples<TestType> samples;
  const Dataset plain(samples.X, samples.Y);
  STATIC_REQUIRE(std::is_same_v<decltype(plain), const Dataset<TestType>>);
  const Dataset weighted(samples.X, samples.Y, samples.weights);
  STATIC_REQUIRE(std::is_same_v<decltype(weighted), const Dataset<TestType>>);
  const mgdl::RowMatrix<TestType> by_rows = samples.X;
  const Dataset others(by_rows.topRows(2), (2 * samples.Y).topRows(2));
  STATIC_REQUIRE(std::is_same_v<decltype(others), const Dataset<TestType>>);
  const Dataset converted(samples.X.template cast<double>(), samples.Y.template cast<double>());
  STATIC_REQUIRE(std::is_same_v<decltype(converted), const Dataset<double>>);
  const Dataset copy(weighted);
  STATIC_REQUIRE(std::is_same_v<decltype(copy), const Dataset<TestType>>);
  CHECK(copy.weights() == weighted.weights());
  CHECK(others.targets() == 2 * samples.Y.topRows(2));
}

TEMPLATE_TEST_CASE("parts of a temporary are values", "[core/dataset]", float, double) {
  const Samples<TestType> samples;
  const auto make = [&] { return Dataset(samples.X, samples.Y, samples.weights); };
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().inputs())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().targets())>);
  STATIC_REQUIRE_FALSE(std::is_reference_v<decltype(make().weights())>);
  const auto& X = make().inputs();
  const auto& Y = make().targets();
  const auto& w = make().weights();
  CHECK(X == samples.X);
  CHECK(Y == samples.Y);
  CHECK(w == make().weights());
}

TEMPLATE_TEST_CASE("a view of samples copies what it cannot look at, once", "[core/dataset]", float,
                   double) {
  using View = mgdl::SampleView<TestType>;
  const Samples<TestType> samples;
  const mgdl::RowMatrix<TestType> X = samples.X;
  const mgdl::RowMatrix<TestType> Y = samples.Y;
  const View view{X, Y, samples.weights};
  CHECK(view.inputs.data() == X.data());
  CHECK(view.targets.data() == Y.data());
  CHECK(view.weights.data() == samples.weights.data());
  CHECK(view.size() == 4);
  const View part{X, Y.rightCols(1).eval(), samples.weights};  // a temporary
  CHECK(part.targets == samples.Y.rightCols(1));

  // Column-major, expressions, a temporary Ref, part of a row: the copy is the same for all copies
  // of the view, and outlives the first one.
  std::optional<View> first(View{samples.X, 2 * samples.Y, samples.weights.array() + 1});
  const View second = *first;
  CHECK(first->inputs.data() != samples.X.data());
  CHECK(second.inputs.data() == first->inputs.data());
  CHECK(second.targets.data() == first->targets.data());
  CHECK(second.weights.data() == first->weights.data());
  const TestType* at = second.inputs.data();
  first.reset();
  CHECK(second.inputs.data() == at);
  CHECK(second.inputs == samples.X);
  CHECK(second.targets == 2 * samples.Y);
  CHECK(second.weights == (samples.weights.array() + 1).matrix());
  const View third{mgdl::ConstRowMatrixRef<TestType>(samples.X), X.middleCols(1, 2), X.col(2)};
  CHECK(third.inputs == samples.X);
  CHECK(third.targets == samples.X.middleCols(1, 2));
  CHECK(third.weights == samples.X.col(2));

  const auto& [inputs, targets, weights] = second;
  CHECK(inputs.data() == at);
  CHECK(targets.rows() == weights.size());
}

TEST_CASE("a data set that was moved from is empty", "[core/dataset]") {
  const Samples<double> samples;
  Dataset data(samples.X, samples.Y);
  const Dataset<double> taken = std::move(data);
  CHECK(taken.size() == 4);
  CHECK(data.size() == 0);
  CHECK(error_of([&] { mgdl::split(data, 0.5, 1); }) ==
        "X: expected at least 2 rows to split off a validation part, found 0");
}
