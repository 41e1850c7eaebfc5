#include "support/allocations.hpp"

#include "mgdl/network/multigrade_model.hpp"

#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/networks.hpp"

using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::test::allocations_of;
using mgdl::test::counts_new;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_model;

TEST_CASE("allocations are noticed", "[network/multigrade_model]") {
  CHECK(allocations_of([] {}) == 0);
  // Calls of the functions, which unlike `new` expressions no compiler may leave out.
  CHECK(allocations_of([] {
          ::operator delete(::operator new(5));
          ::operator delete(::operator new(5, std::align_val_t(64)), std::align_val_t(64));
          ::operator delete[](::operator new[](5));
        }) == (counts_new ? 3 : 0));
  CHECK_THROWS_AS(allocations_of([] { Matrix<float>(7, 3).setZero(); }), std::logic_error);
}

TEMPLATE_TEST_CASE("predict_into allocates nothing", "[network/multigrade_model]", float, double) {
  RandomStream random(mgdl::test::seed());
  for (const FeatureLink link : {FeatureLink::LastHidden, FeatureLink::LastHiddenAndInput}) {
    const auto model = random_model<TestType>(5, 2, {{9, 40}, {130}, {3}}, link, random);
    const auto X = normal_matrix<Matrix<TestType>>(1000, 5, random);
    const Matrix<TestType> expected = model.predict(X);
    const Matrix<TestType> features = model.features(X, 2);
    for (int threads = 1; threads <= 3; ++threads) {
      auto predictor = model.predictor(threads);
      Matrix<TestType> result(1000, 2);
      Matrix<TestType> hidden(1000, model.feature_count(2));
      predictor.predict_into(X, result);  // starts the threads
      result.setZero();
      CHECK(allocations_of([&] {
              for (int repeat = 0; repeat < 5; ++repeat) {
                predictor.predict_into(X, result, 1);
                predictor.features_into(X, hidden, 2);
                predictor.predict_into(X, result);
              }
            }) == 0);
      CHECK(result == expected);
      CHECK(hidden == features);

      // Any number of rows, and views whose columns are not contiguous.
      for (const Index n : {0, 1, 65, 66, 67, 999}) {
        Matrix<TestType> wide = Matrix<TestType>::Constant(1001, 4, TestType(-77));
        const auto rows = X.middleRows(1, n);
        auto part = wide.block(1, 1, n, 2);
        CHECK(allocations_of([&] { predictor.predict_into(rows, part); }) == 0);
        CHECK(part == expected.middleRows(1, n));
        CHECK((wide.col(0).array() == -77).all());
        CHECK((wide.col(3).array() == -77).all());
        CHECK((wide.row(0).array() == -77).all());
        CHECK((wide.bottomRows(1000 - n).array() == -77).all());
      }
    }
  }
}

TEMPLATE_TEST_CASE("inputs in another layout are copied", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 1);
  const auto model = random_model<TestType>(5, 2, {{9}}, FeatureLink::LastHidden, random);
  const auto X = normal_matrix<Matrix<TestType>>(7, 5, random);
  const RowMatrix<TestType> row_major = X;
  auto predictor = model.predictor(1);
  Matrix<TestType> result(7, 2);
  predictor.predict_into(row_major, result);
  CHECK(result == model.predict(X));
  const Matrix<TestType> flipped = X.transpose();
  predictor.predict_into(flipped.transpose(), result);
  CHECK(result == model.predict(X));
  CHECK_THROWS_AS(allocations_of([&] { predictor.predict_into(row_major, result); }),
                  std::logic_error);
}

TEMPLATE_TEST_CASE("a predictor outlives its model", "[network/multigrade_model]", float, double) {
  RandomStream random(mgdl::test::seed(), 2);
  auto model = random_model<TestType>(5, 2, {{9}, {4}}, FeatureLink::LastHidden, random);
  const auto X = normal_matrix<Matrix<TestType>>(7, 5, random);
  const Matrix<TestType> expected = model.predict(X);
  auto predictor = model.predictor();
  model.truncate(0);
  CHECK(predictor.inputs() == 5);
  CHECK(predictor.outputs() == 2);
  CHECK(predictor.grades() == 2);
  Matrix<TestType> result(7, 2);
  predictor.predict_into(X, result);
  CHECK(result == expected);
}

TEMPLATE_TEST_CASE("bad input leaves the result unchanged", "[network/multigrade_model]", float,
                   double) {
  RandomStream random(mgdl::test::seed(), 3);
  const auto model = random_model<TestType>(5, 2, {{9}, {4}}, FeatureLink::LastHidden, random);
  auto predictor = model.predictor(2);
  const auto X = normal_matrix<Matrix<TestType>>(700, 5, random);
  Matrix<TestType> result = Matrix<TestType>::Constant(700, 2, TestType(-77));
  Matrix<TestType> hidden = Matrix<TestType>::Constant(700, 4, TestType(-77));
  const auto message = [&](const Matrix<TestType>& inputs) {
    const std::string text = error_of([&] { predictor.predict_into(inputs, result); });
    CHECK(error_of([&] { predictor.features_into(inputs, hidden, 2); }) == text);
    return text;
  };
  Matrix<TestType> bad = X;
  bad(699, 3) = std::numeric_limits<TestType>::quiet_NaN();
  CHECK(message(bad) == "X: expected finite values, found nan at row 699, column 3");
  bad(0, 4) = -std::numeric_limits<TestType>::infinity();
  CHECK(message(bad) == "X: expected finite values, found -inf at row 0, column 4");
  CHECK(message(X.leftCols(4)) == "X: expected 5 columns, found 4");

  CHECK(error_of([&] { predictor.predict_into(X, result, 3); }) ==
        "grades: expected a value from 0 to 2, found 3");
  CHECK(error_of([&] { predictor.predict_into(X, result, -1); }) ==
        "grades: expected a value from 0 to 2, found -1");
  CHECK(error_of([&] { predictor.features_into(X, hidden, 3); }) ==
        "grades: expected a value from 0 to 2, found 3");
  CHECK(error_of([&] { predictor.predict_into(X, result.topRows(699)); }) ==
        "result: expected 700 rows, found 699");
  CHECK(error_of([&] { predictor.predict_into(X, hidden); }) ==
        "result: expected 2 columns, found 4");
  CHECK(error_of([&] { predictor.features_into(X, hidden, 1); }) ==
        "result: expected 9 columns, found 4");
  CHECK((result.array() == -77).all());
  CHECK((hidden.array() == -77).all());

  predictor.predict_into(X, result);  // and it still works
  CHECK(result == model.predict(X));
}

TEMPLATE_TEST_CASE("a predictor can be moved, and one that was moved from throws",
                   "[network/multigrade_model]", float, double) {
  using Predictor = mgdl::Predictor<TestType>;
  STATIC_REQUIRE(std::is_nothrow_move_constructible_v<Predictor>);
  STATIC_REQUIRE(std::is_move_assignable_v<Predictor>);
  STATIC_REQUIRE(std::is_copy_assignable_v<Predictor>);
  RandomStream random(mgdl::test::seed(), 3);
  const auto model = random_model<TestType>(2, 2, {{9}, {5}}, FeatureLink::LastHidden, random);
  const auto other = random_model<TestType>(3, 1, {{4}}, FeatureLink::LastHidden, random);
  const auto X = normal_matrix<Matrix<TestType>>(900, 2, random);
  const Matrix<TestType> expected = model.predict(X);
  Matrix<TestType> result(900, 2);
  Predictor first = model.predictor(2);
  first.predict_into(X, result);  // its threads run
  std::vector<Predictor> several;
  several.push_back(std::move(first));
  several.push_back(other.predictor());  // moves the one before
  result.setZero();
  several.front().predict_into(X, result);
  CHECK(result == expected);

  const std::string moved = "predictor: expected that of a model, found one moved from";
  CHECK(error_of([&] { first.predict_into(X, result); }) == moved);
  CHECK(error_of([&] { first.predict_into(X, result, 0); }) == moved);
  CHECK(error_of([&] { first.features_into(X, result, 0); }) == moved);
  first = std::move(several.front());
  result.setZero();
  first.predict_into(X, result);
  CHECK(result == expected);

  mgdl::Executor threads = 2;
  const mgdl::Executor taken = std::move(threads);
  CHECK(&threads.pool() == &taken.pool());
}
