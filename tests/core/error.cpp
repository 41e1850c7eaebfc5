#include "mgdl/core/error.hpp"

#include <limits>
#include <string>

#include "support/samples.hpp"

using mgdl::test::error_of;

TEST_CASE("the message names argument, expectation, finding and place", "[core/error]") {
  const mgdl::InvalidArgument error("X", "finite values", "nan", "row 3, column 2");
  CHECK(error.what() == std::string("X: expected finite values, found nan at row 3, column 2"));
  CHECK(error.argument() == "X");
  CHECK(error.expected() == "finite values");
  CHECK(error.found() == "nan");
  CHECK(error.where() == "row 3, column 2");

  const mgdl::InvalidArgument nowhere("Y", "4 rows", "3");
  CHECK(nowhere.what() == std::string("Y: expected 4 rows, found 3"));
  CHECK(nowhere.where().empty());
  CHECK_THROWS_AS(throw nowhere, std::invalid_argument);
}

TEST_CASE("shapes and options", "[core/error]") {
  mgdl::detail::require_rows("X", 5, 5);
  CHECK(error_of([] { mgdl::detail::require_rows("X", 5, 4); }) == "X: expected 5 rows, found 4");
  mgdl::detail::require_cols("X", 3, 3);
  CHECK(error_of([] { mgdl::detail::require_cols("X", 3, 7); }) ==
        "X: expected 3 columns, found 7");
  mgdl::detail::require_option(true, "Options.rate", "a value > 0", 1.5);
  CHECK(error_of([] {
          mgdl::detail::require_option(false, "Options.rate", "a value > 0", -1.5);
        }) == "Options.rate: expected a value > 0, found -1.5");
}

TEMPLATE_TEST_CASE("every NaN and infinity is found", "[core/error]", float, double) {
  using Limits = std::numeric_limits<TestType>;
  // More elements than a few registers, and a block whose columns are not contiguous.
  mgdl::Matrix<TestType> large(23, 9);
  for (mgdl::Index k = 0; k < large.size(); ++k) {
    large.data()[k] = k % 3 == 0 ? Limits::max() : (k % 3 == 1 ? Limits::lowest() : TestType(-0.0));
  }
  large(2, 2) = Limits::denorm_min();
  const auto block = large.block(3, 1, 19, 7);
  mgdl::detail::require_finite("X", large);
  mgdl::detail::require_finite("X", mgdl::Matrix<TestType>(0, 4));
  for (const TestType bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
    for (mgdl::Index i = 0; i < block.rows(); ++i) {
      for (mgdl::Index j = 0; j < block.cols(); ++j) {
        const TestType before = large(i + 3, j + 1);
        large(i + 3, j + 1) = bad;
        const std::string place = " at row " + std::to_string(i) + ", column " + std::to_string(j);
        const std::string found = mgdl::detail::to_text(bad);
        CHECK(error_of([&] { mgdl::detail::require_finite("X", block); }) ==
              "X: expected finite values, found " + found + place);
        CHECK(error_of([&] {
                mgdl::detail::require_finite("X", mgdl::RowMatrix<TestType>(block));
              }) == "X: expected finite values, found " + found + place);
        large(i + 3, j + 1) = before;
      }
    }
  }
  mgdl::detail::require_finite("X", block);  // what lies around a block does not matter
  large(0, 0) = large(22, 8) = large(3, 0) = Limits::quiet_NaN();
  mgdl::detail::require_finite("X", block);

  // The first in row order, not in memory order.
  mgdl::Matrix<TestType> two = mgdl::Matrix<TestType>::Zero(5, 4);
  two(3, 1) = Limits::infinity();
  two(2, 3) = Limits::quiet_NaN();
  two(2, 2) = -Limits::infinity();
  CHECK(error_of([&] { mgdl::detail::require_finite("two", two); }) ==
        "two: expected finite values, found -inf at row 2, column 2");
}

TEMPLATE_TEST_CASE("weights", "[core/error]", float, double) {
  using Weights = mgdl::Vector<TestType>;
  const auto message = [](const Weights& weights) {
    return error_of([&] { mgdl::detail::require_weights(weights); });
  };
  mgdl::detail::require_weights(Weights{{0, 2, 0}});
  CHECK(message(Weights{{1, 2, -0.25}}) == "weights: expected values >= 0, found -0.25 at row 2");
  CHECK(message(Weights{{0, 0}}) == "weights: expected a positive sum, found all zero");
  CHECK(message(Weights{{1, std::numeric_limits<TestType>::infinity()}}) ==
        "weights: expected finite values, found inf at row 1, column 0");
}
