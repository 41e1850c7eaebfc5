#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "mgdl/core/dataset.hpp"
#include "support/samples.hpp"

using mgdl::Dataset;
using mgdl::Index;
using mgdl::test::error_of;

namespace {

/// n samples, numbered in their only input, with weights that grow with the number.
template <class Scalar>
Dataset<Scalar> numbered(Index n) {
  mgdl::Matrix<Scalar> X(n, 1);
  for (Index i = 0; i < n; ++i) X(i, 0) = static_cast<Scalar>(i);
  mgdl::Matrix<Scalar> Y(n, 2);
  Y << -X, 2 * X;
  const mgdl::Vector<Scalar> weights = X.col(0).array() + 1;
  return Dataset<Scalar>(X, Y, weights);
}

template <class Scalar>
std::vector<int> numbers(const Dataset<Scalar>& data) {
  std::vector<int> result;
  for (Index i = 0; i < data.size(); ++i) {
    const Scalar x = data.inputs()(i, 0);
    if (data.targets()(i, 0) != -x || data.targets()(i, 1) != 2 * x) FAIL("samples torn apart");
    result.push_back(static_cast<int>(x));
  }
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("a split is disjoint, complete and in order", "[core/split]", float, double) {
  for (const Index n : {2, 3, 17, 101}) {
    for (const double fraction : {1e-9, 0.1, 0.25, 0.5, 0.999}) {
      CAPTURE(n, fraction);
      const auto parts = mgdl::split(numbered<TestType>(n), fraction, mgdl::test::seed());
      REQUIRE(parts.validation);
      const auto train = numbers(parts.train);
      const auto validation = numbers(*parts.validation);
      const auto wanted = static_cast<Index>(std::llround(fraction * static_cast<double>(n)));
      CHECK(parts.validation->size() == std::clamp<Index>(wanted, 1, n - 1));
      CHECK(std::is_sorted(train.begin(), train.end()));
      CHECK(std::is_sorted(validation.begin(), validation.end()));
      std::set<int> all(train.begin(), train.end());
      all.insert(validation.begin(), validation.end());
      CHECK(all.size() == static_cast<std::size_t>(n));
      CHECK(train.size() + validation.size() == static_cast<std::size_t>(n));
      for (const auto* part : {&parts.train, &*parts.validation}) {
        const TestType tolerance = 8 * std::numeric_limits<TestType>::epsilon();
        CHECK(std::abs(part->weights().sum() - 1) < tolerance);
        const mgdl::Vector<TestType> raw = part->inputs().col(0).array() + 1;
        CHECK(part->weights().isApprox(raw / raw.sum(), 8 * tolerance));
      }
    }
  }
}

TEMPLATE_TEST_CASE("the seed decides the split", "[core/split]", float, double) {
  const auto part = [](std::uint64_t seed) {
    return numbers(*mgdl::split(numbered<TestType>(60), 0.3, seed).validation);
  };
  const std::uint64_t seed = mgdl::test::seed();
  CHECK(part(seed) == part(seed));
  CHECK(part(seed) != part(seed + 1));
  // The same on every platform.
  CHECK(numbers(*mgdl::split(numbered<TestType>(12), 0.4, 7).validation) ==
        std::vector<int>{2, 5, 8, 9, 11});
}

TEST_CASE("every sample is held out equally often", "[core/split]") {
  std::vector<int> counts(9, 0);
  constexpr int n = 9000;
  for (int i = 0; i < n; ++i) {
    const auto seed = mgdl::test::seed() + static_cast<std::uint64_t>(i);
    for (const int number : numbers(*mgdl::split(numbered<double>(9), 0.34, seed).validation)) {
      ++counts[static_cast<std::size_t>(number)];
    }
  }
  for (const int count : counts) {
    CHECK(std::abs(count / double{n} - 1.0 / 3) < 5 * std::sqrt(2.0 / 9 / n));
  }
}

TEMPLATE_TEST_CASE("a fraction of zero holds nothing out", "[core/split]", float, double) {
  const auto parts = mgdl::split(numbered<TestType>(5), 0, 1);
  CHECK_FALSE(parts.validation);
  CHECK(numbers(parts.train) == std::vector<int>{0, 1, 2, 3, 4});
  CHECK_FALSE(mgdl::split(numbered<TestType>(1), 0, 1).validation);
}

TEST_CASE("splits that cannot be made", "[core/split]") {
  for (const double fraction : {-0.1, 1.0, 1.5, std::nan("")}) {
    CHECK(error_of([&] { mgdl::split(numbered<double>(5), fraction, 1); }) ==
          "validation_fraction: expected a value in [0, 1), found " +
              mgdl::detail::to_text(fraction));
  }
  CHECK(error_of([] { mgdl::split(numbered<double>(1), 0.5, 1); }) ==
        "X: expected at least 2 rows to split off a validation part, found 1");
  // All weight on one sample: one part would be empty.
  const mgdl::Matrix<double> X = mgdl::Matrix<double>::Random(6, 2);
  const Dataset<double> data(X, X.leftCols(1), mgdl::Vector<double>{{0, 0, 1, 0, 0, 0}});
  CHECK(error_of([&] { mgdl::split(data, 0.5, 1); }) ==
        "weights: expected a positive sum, found all zero");
}
