#include "mgdl/convex/gates.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/patterns.hpp"
#include "support/samples.hpp"

using mgdl::Gates;
using mgdl::Index;
using mgdl::PatternScope;
using mgdl::RowMatrix;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::pattern_of;

namespace {

/// Patterns by the definition, '1' for active, of all gates.
std::vector<std::string> plain_patterns(const RowMatrix<double>& X, const RowMatrix<double>& G,
                                        bool bias) {
  std::vector<std::string> patterns;
  for (Index j = 0; j < G.rows(); ++j) {
    std::string pattern;
    for (Index i = 0; i < X.rows(); ++i) {
      double value = 0;
      for (Index k = 0; k < X.cols(); ++k) value = std::fma(X(i, k), G(j, k), value);
      if (bias) value += G(j, X.cols());
      pattern += value >= 0 ? '1' : '0';
    }
    patterns.push_back(pattern);
  }
  return patterns;
}

/// Requires that `gates` holds the first of every non-empty pattern, in order.
void require_distinct(const Gates& gates, const RowMatrix<double>& X, const RowMatrix<double>& G,
                      bool bias) {
  const std::vector<std::string> patterns = plain_patterns(X, G, bias);
  std::vector<Index> sources;
  for (std::size_t j = 0; j < patterns.size(); ++j) {
    const bool repeated = std::find(patterns.begin(), patterns.begin() + static_cast<Index>(j),
                                    patterns[j]) != patterns.begin() + static_cast<Index>(j);
    if (!repeated && patterns[j].find('1') != std::string::npos) {
      sources.push_back(static_cast<Index>(j));
    }
  }
  REQUIRE(gates.sources() == sources);
  REQUIRE(gates.size() == static_cast<Index>(sources.size()));
  REQUIRE(gates.given() == G.rows());
  REQUIRE(gates.samples() == X.rows());
  REQUIRE(gates.dimension() == G.cols());
  REQUIRE(gates.bias() == bias);
  REQUIRE(gates.words() == (X.rows() + 63) / 64);
  for (Index j = 0; j < gates.size(); ++j) {
    const Index source = sources[static_cast<std::size_t>(j)];
    const std::string expected = patterns[static_cast<std::size_t>(source)];
    REQUIRE(pattern_of(gates, j) == expected);
    REQUIRE(gates.vectors().row(j) == G.row(source));
    REQUIRE(gates.active_samples(j) == std::count(expected.begin(), expected.end(), '1'));
    if (X.rows() % 64 != 0) {
      REQUIRE((gates.pattern(j)[gates.words() - 1] >> (X.rows() % 64)) == 0);
    }
  }
}

}  // namespace

TEST_CASE("patterns have the bits of gate_value", "[convex/gates]") {
  mgdl::RandomStream random(mgdl::test::seed());
  for (const Index n : {1, 2, 63, 64, 65, 127, 128, 200}) {
    for (const Index d : {1, 2, 3, 10, 17}) {
      for (const bool bias : {true, false}) {
        const auto X = normal_matrix<RowMatrix<double>>(n, d, random);
        const auto G = normal_matrix<RowMatrix<double>>(40, d + (bias ? 1 : 0), random);
        require_distinct(Gates(X, G, bias), X, G, bias);
      }
    }
  }
}

TEST_CASE("zero is active, with any sign and rounding", "[convex/gates]") {
  // Small integers, so that many values are exactly zero.
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  for (const bool bias : {true, false}) {
    RowMatrix<double> X(150, 3);
    RowMatrix<double> G(60, bias ? 4 : 3);
    for (Index k = 0; k < X.size(); ++k) X.data()[k] = static_cast<double>(random.below(5)) - 2;
    for (Index k = 0; k < G.size(); ++k) G.data()[k] = static_cast<double>(random.below(3)) - 1;
    X.row(0).setConstant(-0.0);
    require_distinct(Gates(X, G, bias), X, G, bias);
  }
  RowMatrix<double> zero(1, 1);
  zero << -0.0;
  RowMatrix<double> gate(1, 2);
  gate << 1, -0.0;
  CHECK(Gates(zero, gate).active(0, 0));
}

TEST_CASE("products are summed in order with one rounding each", "[convex/gates]") {
  const double e = 0x1p-30;
  RowMatrix<double> X(1, 2);
  RowMatrix<double> G(2, 2);
  // The exact value is -e^2 for both. Fused, the second product keeps its error, the first does
  // not.
  X << 1, 1 + e;
  G << 1 + 2 * e, -(1 + e), 1, 1;
  CHECK(Gates::gate_value(X.row(0), G.row(0), 2, false) == -e * e);
  CHECK(Gates(X, G, false).sources() == std::vector<Index>{1});
  X << 1 + e, 1;
  G << -(1 + e), 1 + 2 * e, -1, -1;
  CHECK(Gates::gate_value(X.row(0), G.row(0), 2, false) == 0);
  CHECK(Gates(X, G, false).sources() == std::vector<Index>{0});
}

TEST_CASE("values that overflow", "[convex/gates]") {
  const double huge = std::numeric_limits<double>::max();
  RowMatrix<double> X(3, 2);
  X << huge, huge, huge, -huge, -huge, 1;
  RowMatrix<double> G(3, 3);
  G << 2, 2, 0, -2, 2, huge, 1, 1, -1;
  // Without inf - inf, because a product that is added is not rounded.
  CHECK(plain_patterns(X, G, true) == std::vector<std::string>{"110", "001", "100"});
  require_distinct(Gates(X, G), X, G, true);
}

TEST_CASE("the first of equal patterns is kept, empty ones are not", "[convex/gates]") {
  RowMatrix<double> X(3, 1);
  X << -1, 0, 1;
  RowMatrix<double> G(6, 2);
  G << 1, -2, /**/ 1, -0.5, /**/ 2, -0.5, /**/ -1, 0.5, /**/ 1, -0.6, /**/ 0, 1;
  const Gates gates(X, G, true, PatternScope::AllPatterns);
  CHECK(gates.sources() == std::vector<Index>{1, 3, 5});
  CHECK(pattern_of(gates, 0) == "001");
  CHECK(pattern_of(gates, 1) == "110");
  CHECK(pattern_of(gates, 2) == "111");
  CHECK(gates.given() == 6);
  CHECK(gates.scope() == PatternScope::AllPatterns);
  CHECK(Gates(X, G).scope() == PatternScope::SampledPatterns);
  CHECK(to_string(PatternScope::AllPatterns) == std::string("AllPatterns"));
  CHECK(to_string(PatternScope::SampledPatterns) == std::string("SampledPatterns"));
}

TEST_CASE("many gates with few patterns", "[convex/gates]") {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  const auto X = normal_matrix<RowMatrix<double>>(6, 2, random);
  const auto G = normal_matrix<RowMatrix<double>>(1500, 3, random);
  const Gates gates(X, G);
  CHECK(gates.size() <= 31);  // 6 (6 - 1) + 1
  require_distinct(gates, X, G, true);
}

TEST_CASE("pattern sets find what they hold", "[convex/gates]") {
  // Of the same first word, so that only the second can tell them apart.
  mgdl::detail::PatternSet set(2);
  for (const bool is_new : {true, false}) {
    for (std::uint64_t k = 0; k < 3000; ++k) {
      const std::uint64_t bits[] = {7, k};
      REQUIRE(set.insert(bits) == std::pair(static_cast<Index>(k), is_new));
    }
  }
  REQUIRE(set.size() == 3000);
  for (Index k = 0; k < 3000; ++k) REQUIRE(set.pattern(k)[1] == static_cast<std::uint64_t>(k));
}

TEST_CASE("parts of matrices and columns-major inputs", "[convex/gates]") {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  const auto all_X = normal_matrix<RowMatrix<double>>(90, 7, random);
  const auto all_G = normal_matrix<RowMatrix<double>>(50, 9, random);
  const RowMatrix<double> X = all_X.block(5, 2, 70, 3);
  const RowMatrix<double> G = all_G.block(3, 4, 40, 4);
  require_distinct(Gates(all_X.block(5, 2, 70, 3), all_G.block(3, 4, 40, 4)), X, G, true);
  require_distinct(Gates(Eigen::MatrixXd(X), Eigen::MatrixXd(G)), X, G, true);
}

TEST_CASE("bad gates", "[convex/gates]") {
  RowMatrix<double> X = RowMatrix<double>::Ones(3, 2);
  RowMatrix<double> G = RowMatrix<double>::Ones(2, 3);
  CHECK(error_of([&] { Gates(X, G.leftCols(2)); }) == "gates: expected 3 columns, found 2");
  CHECK(error_of([&] { Gates(X, G, false); }) == "gates: expected 2 columns, found 3");
  CHECK(error_of([&] { Gates(X, G.topRows(0)); }) ==
        "gates: expected at least one gate, found none");
  CHECK(error_of([&] { Gates(X.topRows(0), G); }) ==
        "X: expected at least one row and one column, found 0 x 2");
  CHECK(error_of([&] { Gates(X.leftCols(0), G.leftCols(1)); }) ==
        "X: expected at least one row and one column, found 3 x 0");
  CHECK(error_of([&] { Gates(X, -G); }) ==
        "gates: expected a gate with an active sample, found none among 2");
  G(1, 2) = std::numeric_limits<double>::infinity();
  CHECK(error_of([&] { Gates(X, G); }) ==
        "gates: expected finite values, found inf at row 1, column 2");
  X(2, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] { Gates(X, G); }) ==
        "X: expected finite values, found nan at row 2, column 0");
}
