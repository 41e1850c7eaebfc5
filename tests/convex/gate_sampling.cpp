#include "mgdl/convex/gate_sampling.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_pairs.hpp"
#include "support/samples.hpp"

using mgdl::GateCoordinates;
using mgdl::Gates;
using mgdl::Index;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::sample_gaussian_gates;
using mgdl::sample_pair_gates;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;

namespace {

using Pair = std::pair<Index, Index>;

bool same_gates(const Gates& a, const Gates& b) {
  return a.sources() == b.sources() && a.vectors() == b.vectors();
}

/// Whether `count` of `trials` is what an event of this probability explains: five standard errors.
bool plausible(Index count, Index trials, double probability) {
  const double n = static_cast<double>(trials);
  return std::abs(static_cast<double>(count) - n * probability) <=
         5 * std::sqrt(n * probability * (1 - probability)) + 1e-9;
}

/// The pair (a, b) that gate j was made from: 0 at a, 1 at b. Requires that there is only one.
Pair pair_of(const Gates& gates, Index j, const RowMatrix<double>& X) {
  Pair pair{-1, -1};
  for (Index i = 0; i < X.rows(); ++i) {
    const double value =
        Gates::gate_value(X.row(i), gates.vectors().row(j), X.cols(), gates.bias());
    if (value == 0) {
      REQUIRE(pair.first == -1);
      pair.first = i;
    } else if (std::abs(value - 1) < 1e-9) {
      REQUIRE(pair.second == -1);
      pair.second = i;
    }
  }
  REQUIRE(pair.first >= 0);
  REQUIRE(pair.second >= 0);
  return pair;
}

/// What the probability of a pair is in proportion to.
double slope(const RowMatrix<double>& Z, const RowMatrix<double>& R, Index a, Index b) {
  double largest = 0;
  for (Index k = 0; k < R.cols(); ++k) largest = std::max(largest, std::abs(R(a, k) - R(b, k)));
  return largest / (Z.row(a) - Z.row(b)).norm();
}

}  // namespace

// --- Gaussian gates
// -------------------------------------------------------------------------------

namespace {

/// Requires independent standard normal columns, by five standard errors of their moments.
void require_standard_normal(const Eigen::MatrixXd& values) {
  const double n = static_cast<double>(values.rows());
  const Eigen::RowVectorXd mean = values.colwise().mean();
  const Eigen::MatrixXd second = values.transpose() * values / n;
  for (Index j = 0; j < values.cols(); ++j) {
    REQUIRE(std::abs(mean[j]) < 5 / std::sqrt(n));
    for (Index k = 0; k < values.cols(); ++k) {
      const double variance = j == k ? 2 : 1;
      REQUIRE(std::abs(second(j, k) - (j == k ? 1 : 0)) < 5 * std::sqrt(variance / n));
    }
    // Fourth moment 3, of variance 105 - 9.
    REQUIRE(std::abs(values.col(j).array().pow(4).mean() - 3) < 5 * std::sqrt(96 / n));
  }
}

}  // namespace

TEST_CASE("Gaussian gates are standard normal in their coordinates", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed());
  const auto Z = normal_matrix<RowMatrix<double>>(3000, 3, random);
  RowMatrix<double> X = Z;
  X.col(0) = 1e-3 * X.col(0).array() + 7;
  X.col(1) = 1e4 * X.col(1).array() - 2e4;
  const Eigen::RowVectorXd mean = X.colwise().mean();
  const Eigen::RowVectorXd deviation =
      (X.rowwise() - mean).array().square().colwise().mean().sqrt();
  constexpr Index count = 4000;
  for (const bool bias : {true, false}) {
    const Gates raw =
        sample_gaussian_gates(Z, count, mgdl::test::seed(), bias, GateCoordinates::Raw);
    REQUIRE(raw.given() == count);
    REQUIRE(raw.size() > count - count / 20);
    REQUIRE(raw.dimension() == (bias ? 4 : 3));
    REQUIRE(raw.scope() == mgdl::PatternScope::SampledPatterns);
    require_standard_normal(raw.vectors());
  }
  const Gates gates = sample_gaussian_gates(X, count, mgdl::test::seed());
  REQUIRE(gates.size() > count - count / 20);
  Eigen::MatrixXd values = gates.vectors();
  values.col(3) += values.leftCols(3) * mean.transpose();
  values.leftCols(3) *= deviation.asDiagonal();
  require_standard_normal(values);

  // Without bias, values are divided by their root mean square, here 1.4 standard deviations.
  RowMatrix<double> scaled = Z;
  scaled.col(0) = 1e-3 * (scaled.col(0).array() + 1);
  scaled.col(1) *= 1e4;
  const Eigen::RowVectorXd scaled_rms = scaled.array().square().colwise().mean().sqrt();
  const Gates unbiased = sample_gaussian_gates(scaled, count, mgdl::test::seed(), false);
  REQUIRE(unbiased.size() > count - count / 20);
  require_standard_normal(unbiased.vectors() * scaled_rms.asDiagonal());
}

TEST_CASE("gates in standardised coordinates do not depend on units", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 1);
  const auto X = normal_matrix<RowMatrix<double>>(100, 3, random);
  const auto R = normal_matrix<RowMatrix<double>>(100, 1, random);
  RowMatrix<double> Y = X;  // powers of two: without rounding errors
  Y.col(0) *= 0x1p40;
  Y.col(2) *= 0x1p-300;
  for (const bool bias : {true, false}) {
    const Gates gaussian = sample_gaussian_gates(X, 200, 5, bias);
    const Gates pairs = sample_pair_gates(X, R, 200, 5, bias);
    const Gates gaussian_units = sample_gaussian_gates(Y, 200, 5, bias);
    const Gates pairs_units = sample_pair_gates(Y, R, 200, 5, bias);
    REQUIRE(gaussian.sources() == gaussian_units.sources());
    REQUIRE(pairs.sources() == pairs_units.sources());
    CHECK(std::equal(gaussian.pattern(0), gaussian.pattern(gaussian.size()),
                     gaussian_units.pattern(0)));
    CHECK(std::equal(pairs.pattern(0), pairs.pattern(pairs.size()), pairs_units.pattern(0)));
  }
  // Far from zero, raw gates have hardly any pattern but all and none.
  Y = X.array() + 1e6;
  CHECK(sample_gaussian_gates(Y, 200, 5).size() > 150);
  CHECK(sample_gaussian_gates(Y, 200, 5, true, GateCoordinates::Raw).size() < 5);
}

TEST_CASE("a seed fixes sampled gates", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 2);
  const auto X = normal_matrix<RowMatrix<double>>(70, 4, random);
  const auto R = normal_matrix<RowMatrix<double>>(70, 2, random);
  CHECK(same_gates(sample_gaussian_gates(X, 50, 9), sample_gaussian_gates(X, 50, 9)));
  CHECK_FALSE(same_gates(sample_gaussian_gates(X, 50, 9), sample_gaussian_gates(X, 50, 10)));
  CHECK(same_gates(sample_pair_gates(X, R, 50, 9), sample_pair_gates(X, R, 50, 9)));
  CHECK_FALSE(same_gates(sample_pair_gates(X, R, 50, 9), sample_pair_gates(X, R, 50, 10)));
  // More gates are the same and others for a Gaussian.
  const Gates more = sample_gaussian_gates(X, 80, 9);
  const Gates fewer = sample_gaussian_gates(X, 50, 9);
  CHECK(more.vectors().topRows(fewer.size()) == fewer.vectors());
}

TEST_CASE("constant columns", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 3);
  auto X = normal_matrix<RowMatrix<double>>(30, 3, random);
  X.col(1).setConstant(1000);
  X.col(2).setZero();
  const auto R = normal_matrix<RowMatrix<double>>(30, 1, random);
  for (const bool bias : {true, false}) {
    CHECK(sample_gaussian_gates(X, 100, 1, bias).vectors().allFinite());
    CHECK(sample_pair_gates(X, R, 100, 1, bias).vectors().allFinite());
  }
  CHECK(sample_gaussian_gates(X, 100, 1).size() > 15);
}

// --- Gates from pairs
// -----------------------------------------------------------------------------

TEST_CASE("pairs have the probability of their slopes", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 4);
  constexpr Index n = 5;
  constexpr Index trials = 20000;
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, 2, random);
  X.col(1) = 10 * X.col(1).array() + 3;
  const auto R = normal_matrix<RowMatrix<double>>(n, 2, random);
  const Eigen::RowVectorXd deviation =
      (X.rowwise() - X.colwise().mean()).array().square().colwise().mean().sqrt();
  for (const auto coordinates : {GateCoordinates::Standardised, GateCoordinates::Raw}) {
    RowMatrix<double> Z = X;
    if (coordinates == GateCoordinates::Standardised) Z *= deviation.cwiseInverse().asDiagonal();
    std::map<Pair, double> weights;
    double total = 0;
    for (Index a = 0; a < n; ++a) {
      for (Index b = 0; b < n; ++b) {
        if (a != b) total += weights[{a, b}] = slope(Z, R, a, b);
      }
    }
    std::map<Pair, Index> counts;
    for (Index t = 0; t < trials; ++t) {
      const Gates gates = sample_pair_gates(
          X, R, 1, static_cast<std::uint64_t>(t) + 1000000ull * mgdl::test::seed(), true,
          coordinates);
      ++counts[pair_of(gates, 0, X)];
    }
    for (const auto& [pair, weight] : weights) {
      CAPTURE(pair.first, pair.second, weight / total, counts[pair]);
      CHECK(plausible(counts[pair], trials, weight / total));
    }
  }
}

TEST_CASE("gates from pairs are 0 at one sample and 1 at the other", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 5);
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(200, 3, random);
  X.col(0) = 1e-2 * X.col(0).array() + 100;
  X.col(1) *= 1e3;
  const auto R = normal_matrix<RowMatrix<double>>(200, 2, random);
  for (const auto coordinates : {GateCoordinates::Standardised, GateCoordinates::Raw}) {
    const Gates gates = sample_pair_gates(X, R, 300, mgdl::test::seed(), true, coordinates);
    REQUIRE(gates.size() > 100);
    const Eigen::RowVectorXd unit =
        coordinates == GateCoordinates::Raw
            ? Eigen::RowVectorXd::Ones(3)
            : (X.rowwise() - X.colwise().mean()).array().square().colwise().mean().sqrt().eval();
    Index ascending = 0;
    for (Index j = 0; j < gates.size(); ++j) {
      const auto [a, b] = pair_of(gates, j, X);
      REQUIRE(gates.active(a, j));
      REQUIRE(gates.active(b, j));
      const Eigen::RowVectorXd step = (X.row(b) - X.row(a)).cwiseQuotient(unit);
      const Eigen::RowVectorXd normal = step.cwiseQuotient(unit) / step.squaredNorm();
      REQUIRE((gates.vectors().row(j).head(3) - normal).norm() < 1e-9 * normal.norm());
      ascending += a < b;
    }
    CHECK(plausible(ascending, gates.size(), 0.5));
  }
  // Without bias only the direction: some pair has it.
  const Gates gates = sample_pair_gates(X, R, 20, 1, false, GateCoordinates::Raw);
  REQUIRE(gates.dimension() == 3);
  for (Index j = 0; j < gates.size(); ++j) {
    const Eigen::RowVectorXd direction = gates.vectors().row(j).normalized();
    double closest = 2;
    for (Index a = 0; a < X.rows(); ++a) {
      for (Index b = 0; b < X.rows(); ++b) {
        if (a == b) continue;
        closest = std::min(closest, ((X.row(b) - X.row(a)).normalized() - direction).norm());
      }
    }
    REQUIRE(closest < 1e-12);
  }
}

TEST_CASE("steep residuals attract gates, also among many samples", "[convex/gate_sampling]") {
  // A step at x_1 = 0: only pairs across it have a slope, short ones a larger one.
  RandomStream random(mgdl::test::seed(), 6);
  constexpr Index n = 2000;
  const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
  RowMatrix<double> R(n, 1);
  for (Index i = 0; i < n; ++i) R(i, 0) = X(i, 0) > 0 ? 1 : 0;
  const auto mean_distance = [&](const RowMatrix<double>& residual, bool across) {
    const Gates gates =
        sample_pair_gates(X, residual, 500, mgdl::test::seed(), true, GateCoordinates::Raw);
    double sum = 0;
    for (Index j = 0; j < gates.size(); ++j) {
      const auto [a, b] = pair_of(gates, j, X);
      if (across) REQUIRE((X(a, 0) > 0) != (X(b, 0) > 0));
      sum += (X.row(a) - X.row(b)).norm();
    }
    return sum / static_cast<double>(gates.size());
  };
  // Means over all pairs, without and with the weights 1 / distance.
  double flat = 0;
  double pairs = 0;
  double steep = 0;
  double weights = 0;
  for (Index a = 0; a < n; ++a) {
    for (Index b = 0; b < a; ++b) {
      const double distance = (X.row(a) - X.row(b)).norm();
      flat += distance;
      pairs += 1;
      if (R(a, 0) == R(b, 0)) continue;
      steep += 1;
      weights += 1 / distance;
    }
  }
  CHECK(std::abs(mean_distance(RowMatrix<double>::Zero(n, 1), false) / (flat / pairs) - 1) < 0.12);
  CHECK(std::abs(mean_distance(R, true) / (steep / weights) - 1) < 0.12);
}

TEST_CASE("pairs are drawn once, flat ones last", "[convex/gate_sampling]") {
  RowMatrix<double> X(6, 1);
  X << 0, 1, 3, 7, 15, 31;
  RowMatrix<double> R = RowMatrix<double>::Zero(6, 1);
  R(2, 0) = 1;  // 10 of 30 pairs have a slope
  const auto draw = [&](Index count) { return sample_pair_gates(X, R, count, mgdl::test::seed()); };
  CHECK(draw(1000).given() == 30);
  CHECK(draw(1000).size() == 9);  // 5 up, 5 down, with all active in both
  for (const Index count : {9, 10, 11, 29, 30}) CHECK(draw(count).given() == count);
  // Ten draws are exactly the ten pairs with a slope: from 3 in both directions, and towards it.
  const Gates ten = draw(10);
  std::set<std::string> patterns;
  for (Index j = 0; j < ten.size(); ++j) {
    std::string pattern;
    for (Index i = 0; i < 6; ++i) pattern += ten.active(i, j) ? '1' : '0';
    patterns.insert(pattern);
  }
  CHECK(patterns ==
        std::set<std::string>{"111111", "011111", "001111", "111000", "111100", "111110"});
}

TEST_CASE("residuals that overflow when subtracted, and tiny distances", "[convex/gate_sampling]") {
  RowMatrix<double> X(3, 1);
  X << 0, 1e-250, 1;
  RowMatrix<double> R(3, 1);
  R << -1.5e308, 1.5e308, 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    // The slope between the first two is 1e250 times that of any other pair.
    const Gates gates = sample_pair_gates(X, R, 1, seed, true, GateCoordinates::Raw);
    const Pair pair = pair_of(gates, 0, X.topRows(2));
    CHECK(pair.first + pair.second == 1);
  }
}

// --- Parts
// ----------------------------------------------------------------------------------------

TEST_CASE("every ordered pair of different samples has one number", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 7);
  for (int repeat = 0; repeat < 20; ++repeat) {
    RowMatrix<double> X(static_cast<Index>(1 + random.below(12)), 2);
    for (Index k = 0; k < X.size(); ++k) X.data()[k] = static_cast<double>(random.below(2));
    X = X.array() * -1;  // some zeros become -0
    if (repeat % 2 == 0) X(0, 0) = std::abs(X(0, 0));
    std::set<Pair> expected;
    for (Index a = 0; a < X.rows(); ++a) {
      for (Index b = 0; b < X.rows(); ++b) {
        if (X.row(a) != X.row(b)) expected.insert({a, b});
      }
    }
    const mgdl::detail::SamplePairs pairs(X);
    std::set<Pair> found;
    for (std::uint64_t k = 0; k < pairs.size(); ++k) found.insert(pairs[k]);
    CHECK(pairs.size() == expected.size());
    CHECK(found == expected);
  }
}

TEST_CASE("candidate pairs", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 8);
  // 100 equal samples and 100 others: pairs of two equal ones do not exist, so that 10,000 of
  // 29,900 have their first sample among the equal ones.
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(200, 1, random);
  X.topRows(100).setZero();
  const mgdl::detail::SamplePairs pairs(X);
  REQUIRE(pairs.size() == 29900);
  CHECK(candidate_pairs(pairs, 29900, random).size() == 29900);
  const auto few = candidate_pairs(pairs, 3000, random);
  CHECK(few.size() > 2700);
  CHECK(few.size() <= 3000);
  CHECK(std::set<Pair>(few.begin(), few.end()).size() == few.size());
  Index equal = 0;
  for (const auto& [a, b] : few) {
    REQUIRE(X(a, 0) != X(b, 0));
    equal += a < 100;
  }
  CHECK(plausible(equal, static_cast<Index>(few.size()), 10000.0 / 29900));
}

TEST_CASE("weighted draws without replacement", "[convex/gate_sampling]") {
  RandomStream random(mgdl::test::seed(), 9);
  const std::vector<double> weights{3, 0, 1, 0, 4, 2, 0};
  constexpr Index trials = 20000;
  std::map<Index, Index> first;
  std::map<Pair, Index> second;
  std::map<Index, Index> fifth;
  for (Index t = 0; t < trials; ++t) {
    mgdl::detail::WeightedDraw draw(weights);
    std::vector<Index> order;
    while (draw.left() > 0) order.push_back(draw.draw(random));
    REQUIRE(std::set<Index>(order.begin(), order.end()).size() == weights.size());
    REQUIRE(order.size() == weights.size());
    ++first[order[0]];
    ++second[{order[0], order[1]}];
    ++fifth[order[4]];
  }
  for (Index i = 0; i < 7; ++i) {
    const double p = weights[static_cast<std::size_t>(i)] / 10;
    CHECK(plausible(first[i], trials, p));
    CHECK(plausible(fifth[i], trials, p > 0 ? 0 : 1.0 / 3));
    for (Index k = 0; k < 7; ++k) {
      const double q = i == k ? 0 : weights[static_cast<std::size_t>(k)] / 10;
      CHECK(plausible(second[{i, k}], trials, p * q / (1 - p)));
    }
  }
  CHECK(mgdl::detail::WeightedDraw({0.5}).draw(random) == 0);
}

// --- Bad input
// ------------------------------------------------------------------------------------

TEST_CASE("bad input to gate sampling", "[convex/gate_sampling]") {
  RowMatrix<double> X(3, 2);
  X << 1, 2, 3, 4, 5, 6;
  RowMatrix<double> R(3, 1);
  R << 1, 2, 3;
  CHECK(error_of([&] { sample_gaussian_gates(X, 0, 1); }) ==
        "count: expected a value >= 1, found 0");
  CHECK(error_of([&] { sample_pair_gates(X, R, 0, 1); }) ==
        "count: expected a value >= 1, found 0");
  for (const Index rows : {0, 3}) {
    const RowMatrix<double> empty(rows, 3 - rows);
    const std::string message = "X: expected at least one row and one column, found " +
                                std::to_string(rows) + " x " + std::to_string(3 - rows);
    CHECK(error_of([&] { sample_gaussian_gates(empty, 1, 1); }) == message);
    CHECK(error_of([&] { sample_pair_gates(empty, R, 1, 1); }) == message);
  }
  CHECK(error_of([&] { sample_pair_gates(X, R.topRows(2), 1, 1); }) ==
        "residual: expected 3 rows, found 2");
  CHECK(error_of([&] { sample_pair_gates(X, R.leftCols(0), 1, 1); }) ==
        "residual: expected at least one column, found none");
  CHECK(error_of([&] { sample_pair_gates(X.row(1).replicate(3, 1), R, 1, 1); }) ==
        "X: expected at least two different rows, found one");
  R(2, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] { sample_pair_gates(X, R, 1, 1); }) ==
        "residual: expected finite values, found nan at row 2, column 0");
  X(1, 1) = std::numeric_limits<double>::infinity();
  CHECK(error_of([&] { sample_gaussian_gates(X, 1, 1); }) ==
        "X: expected finite values, found inf at row 1, column 1");
  CHECK(error_of([&] { sample_pair_gates(X, R, 1, 1); }) ==
        "X: expected finite values, found inf at row 1, column 1");
}
