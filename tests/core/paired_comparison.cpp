#include "mgdl/core/metrics.hpp"

#include <cmath>

#include "support/catch.hpp"

using Catch::Matchers::WithinRel;
using mgdl::Index;
using mgdl::Vector;
using mgdl::detail::compare_errors;
using Verdict = mgdl::detail::PairedComparison::Verdict;

namespace {

Vector<double> equal_weights(Index n) { return Vector<double>::Constant(n, 1.0 / double(n)); }

}  // namespace

TEST_CASE("Errors are compared sample by sample", "[core/metrics]") {
  const Vector<double> before{{3, 1, 2, 5}};
  const Vector<double> after{{1, 2, 2, 4}};
  const Vector<double> weights{{0.1, 0.2, 0.3, 0.4}};
  const auto result = compare_errors(before, after, weights);
  // Squares fall by 8, -3, 0, 9.
  const double mean = 0.1 * 8 - 0.2 * 3 + 0.4 * 9;
  CHECK_THAT(result.gain, WithinRel(mean, 1e-14));
  double squares = 0;
  const double falls[] = {8, -3, 0, 9};
  for (Index i = 0; i < 4; ++i) squares += std::pow(weights[i] * (falls[i] - mean), 2);
  CHECK_THAT(result.gain_error, WithinRel(std::sqrt(squares / (1 - weights.squaredNorm())), 1e-14));
  CHECK(result.verdict == Verdict::Better);
  CHECK(compare_errors(after, before, weights).verdict == Verdict::Worse);
  CHECK(compare_errors(after, before, weights).gain == -result.gain);
  CHECK(compare_errors(before, before, weights).verdict == Verdict::Flat);
}

TEST_CASE("A few large errors do not hide what all others say", "[core/metrics]") {
  // 99 samples are better by a tenth, one is much worse: the squares say nothing, with a standard
  // error as large as their mean.
  Vector<double> before = Vector<double>::Ones(100);
  Vector<double> after = Vector<double>::Constant(100, 0.9);
  before[0] = 10;
  after[0] = 11;
  const auto weights = equal_weights(100);
  const auto result = compare_errors(before, after, weights);
  CHECK(std::abs(result.gain) <= result.gain_error);
  CHECK(result.verdict == Verdict::Better);
  CHECK(compare_errors(after, before, weights).verdict == Verdict::Worse);
  // But what the squares say for certain counts: here they are worse, and most samples better.
  for (Index i = 0; i < 10; ++i) {
    before[i] = 10;
    after[i] = 10.5;
  }
  const auto certain = compare_errors(before, after, weights);
  CHECK(certain.gain < -certain.gain_error);
  CHECK((before - after).mean() > 0);
  CHECK(certain.verdict == Verdict::Worse);
}

TEST_CASE("What is within both standard errors is flat", "[core/metrics]") {
  Vector<double> before = Vector<double>::Ones(100);
  Vector<double> after = before;
  for (Index i = 0; i < 100; ++i) after[i] += i % 2 == 0 ? 0.1 : -0.1;
  CHECK(compare_errors(before, after, equal_weights(100)).verdict == Verdict::Flat);
}

TEST_CASE("A single sample is taken at its word", "[core/metrics]") {
  const Vector<double> one = Vector<double>::Ones(1);
  CHECK(compare_errors(2 * one, one, one).verdict == Verdict::Better);
  CHECK(compare_errors(one, 2 * one, one).verdict == Verdict::Worse);
  CHECK(compare_errors(one, one, one).verdict == Verdict::Flat);
}
