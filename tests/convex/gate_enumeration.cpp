#include "mgdl/convex/gate_enumeration.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/arrangement/planar_cells.hpp"
#include "mgdl/linalg/exact_sign.hpp"
#include "support/patterns.hpp"
#include "support/samples.hpp"

using mgdl::count_patterns;
using mgdl::enumerate_gates;
using mgdl::Gates;
using mgdl::Index;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::pattern_of;

namespace {

using Patterns = std::set<std::string>;  // '1' for every active sample

/// The enumerated patterns, with what must hold for any input: all are different, not empty, the
/// signs of gate_value, and of gates that no sample is on the border of.
Patterns enumerated(const RowMatrix<double>& X, bool bias = true) {
  const Gates gates = enumerate_gates(X, bias);
  REQUIRE(gates.scope() == mgdl::PatternScope::AllPatterns);
  REQUIRE(gates.samples() == X.rows());
  REQUIRE(gates.bias() == bias);
  REQUIRE(gates.dimension() == X.cols() + (bias ? 1 : 0));
  Patterns patterns;
  bool right = true;
  for (Index j = 0; j < gates.size(); ++j) {
    const std::string pattern = pattern_of(gates, j);
    right = right && pattern.find('1') != std::string::npos;
    for (Index i = 0; i < X.rows(); ++i) {
      const double value = Gates::gate_value(X.row(i), gates.vectors().row(j), X.cols(), bias);
      right = right && (value >= 0) == (pattern[static_cast<std::size_t>(i)] == '1');
      if (X.cols() == 2 && bias) right = right && value != 0;
    }
    patterns.insert(pattern);
  }
  REQUIRE(right);
  REQUIRE(static_cast<Index>(patterns.size()) == gates.size());
  return patterns;
}

bool contains_all(const Patterns& all, const Patterns& some) {
  return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

// --- Which patterns there are, from theorems on integer points
// ------------------------------------

using Point = std::array<std::int64_t, 2>;

RowMatrix<double> matrix_of(const std::vector<Point>& points) {
  RowMatrix<double> X(static_cast<Index>(points.size()), 2);
  for (Index i = 0; i < X.rows(); ++i) {
    const Point& point = points[static_cast<std::size_t>(i)];
    X.row(i) << static_cast<double>(point[0]), static_cast<double>(point[1]);
  }
  return X;
}

int sign(std::int64_t value) { return (value > 0) - (value < 0); }

int turn(const Point& a, const Point& b, const Point& c) {
  return sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
}

/// c, which is on the line from a to b, between them or one of them.
bool between(const Point& a, const Point& b, const Point& c) {
  return std::min(a[0], b[0]) <= c[0] && c[0] <= std::max(a[0], b[0]) &&
         std::min(a[1], b[1]) <= c[1] && c[1] <= std::max(a[1], b[1]);
}

bool segments_meet(const Point& a, const Point& b, const Point& c, const Point& d) {
  const int abc = turn(a, b, c);
  const int abd = turn(a, b, d);
  const int cda = turn(c, d, a);
  const int cdb = turn(c, d, b);
  if (abc * abd < 0 && cda * cdb < 0) return true;
  return (abc == 0 && between(a, b, c)) || (abd == 0 && between(a, b, d)) ||
         (cda == 0 && between(c, d, a)) || (cdb == 0 && between(c, d, b));
}

bool in_triangle(const Point& a, const Point& b, const Point& c, const Point& p) {
  const int s = turn(a, b, c);
  return s != 0 && turn(a, b, p) * s >= 0 && turn(b, c, p) * s >= 0 && turn(c, a, p) * s >= 0;
}

/// Whether the convex hulls of two sets have no point in common. If they have, then already those
/// of four of the points (Kirchberger's theorem): segments that meet, or a point in a triangle.
bool separable(const std::vector<Point>& a, const std::vector<Point>& b) {
  for (const Point& a1 : a) {
    for (const Point& a2 : a) {
      for (const Point& b1 : b) {
        for (const Point& b2 : b) {
          if (segments_meet(a1, a2, b1, b2)) return false;
          for (const Point& a3 : a) {
            if (in_triangle(a1, a2, a3, b1)) return false;
          }
          for (const Point& b3 : b) {
            if (in_triangle(b1, b2, b3, a1)) return false;
          }
        }
      }
    }
  }
  return true;
}

/// All non-empty patterns of gates with bias: the separable subsets.
Patterns separable_subsets(const std::vector<Point>& points) {
  Patterns patterns;
  for (unsigned subset = 1; subset < 1u << points.size(); ++subset) {
    std::vector<Point> active;
    std::vector<Point> inactive;
    std::string pattern;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const bool is_active = (subset >> i & 1u) != 0;
      (is_active ? active : inactive).push_back(points[i]);
      pattern += is_active ? '1' : '0';
    }
    if (separable(active, inactive)) patterns.insert(pattern);
  }
  return patterns;
}

/// All non-empty patterns of gates without bias that no point is on the border of: those in the
/// middle between two neighbouring gates with a point on the border.
Patterns half_plane_subsets(const std::vector<Point>& points) {
  std::vector<double> borders{0};
  for (const Point& point : points) {
    if (point == Point{0, 0}) continue;
    for (const double quarter : {1, 3}) {
      const double angle =
          std::atan2(static_cast<double>(point[1]), static_cast<double>(point[0])) +
          quarter * std::numbers::pi / 2;
      borders.push_back(std::fmod(angle + 2 * std::numbers::pi, 2 * std::numbers::pi));
    }
  }
  std::sort(borders.begin(), borders.end());
  borders.push_back(borders.front() + 2 * std::numbers::pi);
  Patterns patterns;
  for (std::size_t k = 0; k + 1 < borders.size(); ++k) {
    if (borders[k + 1] - borders[k] < 1e-9) continue;
    const double angle = (borders[k] + borders[k + 1]) / 2;
    std::string pattern;
    for (const Point& point : points) {
      const double value = std::cos(angle) * static_cast<double>(point[0]) +
                           std::sin(angle) * static_cast<double>(point[1]);
      pattern += value >= 0 ? '1' : '0';
    }
    if (pattern.find('1') != std::string::npos) patterns.insert(pattern);
  }
  return patterns;
}

/// 1 + 2 sum over lines of (points - 1), lines found as sets of collinear points.
Index count_by_lines(const std::vector<Point>& points) {
  const std::set<Point> distinct(points.begin(), points.end());
  std::set<std::set<Point>> lines;
  for (const Point& a : distinct) {
    for (const Point& b : distinct) {
      if (a == b) continue;
      std::set<Point> line;
      for (const Point& c : distinct) {
        if (turn(a, b, c) == 0) line.insert(c);
      }
      lines.insert(line);
    }
  }
  Index count = 1;
  for (const auto& line : lines) count += 2 * (static_cast<Index>(line.size()) - 1);
  return count;
}

std::vector<Point> grid_points(Index rows, Index cols) {
  std::vector<Point> points;
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) points.push_back({i, j});
  }
  return points;
}

/// Patterns of random gates: through the middle of the samples, and close to two of them.
Patterns random_patterns(const RowMatrix<double>& X, bool bias, int trials, RandomStream& random) {
  const Index n = X.rows();
  const Eigen::RowVectorXd mean = X.colwise().mean();
  const double size = (X.rowwise() - mean).norm() / std::sqrt(static_cast<double>(n));
  const auto any = [&] {
    return X.row(static_cast<Index>(random.below(static_cast<std::uint64_t>(n)))).eval();
  };
  Patterns patterns;
  for (int t = 0; t < trials; ++t) {
    Eigen::RowVectorXd w = normal_matrix<Eigen::RowVectorXd>(1, X.cols(), random);
    double shift = -mean.dot(w) + size * random.normal();
    if (t % 2 == 1) {
      const Eigen::RowVectorXd a = any();
      const Eigen::RowVectorXd step = bias ? Eigen::RowVectorXd(any() - a) : a;
      if (X.cols() == 2) {
        w *= 1e-3 * step.norm();
        w[0] -= step[1];
        w[1] += step[0];
      }
      shift = -a.dot(w) + 1e-3 * size * w.norm() * random.normal();
    }
    std::string pattern;
    for (Index i = 0; i < n; ++i) pattern += X.row(i).dot(w) + (bias ? shift : 0) > 0 ? '1' : '0';
    if (pattern.find('1') != std::string::npos) patterns.insert(pattern);
  }
  return patterns;
}

}  // namespace

// --- One input
// ------------------------------------------------------------------------------------

TEST_CASE("all patterns of one input", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed());
  for (const Index n : {1, 2, 3, 10, 64, 100}) {
    const auto X = normal_matrix<RowMatrix<double>>(n, 1, random);
    const Patterns patterns = enumerated(X);
    CHECK(static_cast<Index>(patterns.size()) == 2 * n - 1);
    CHECK(count_patterns(X) == 2 * n - 1);
    CHECK(contains_all(patterns, random_patterns(X, true, 1000, random)));
  }
  RowMatrix<double> X(7, 1);
  X << 2, -1, 2, 0, -0.0, 5, -1;
  CHECK(enumerated(X) == Patterns{"1111111", "1011110", "1010010", "0000010",  // from -1, 0, 2, 5
                                  "0100001", "0101101", "1111101"});           // up to -1, 0, 2
  CHECK(count_patterns(X) == 7);
  // Neighbouring numbers, tiny and huge.
  X.resize(8, 1);
  X << 1, std::nextafter(1, 2), 5e-324, 1e-323, -5e-324, -1e308, 1.7e308, 0;
  CHECK(enumerated(X).size() == 15);
}

TEST_CASE("all patterns of one input without bias", "[convex/gate_enumeration]") {
  const auto patterns = [](std::vector<double> values) {
    const RowMatrix<double> X = Eigen::Map<Eigen::VectorXd>(values.data(), std::ssize(values));
    const Patterns found = enumerated(X, false);
    CHECK(count_patterns(X, false) == static_cast<Index>(found.size()));
    return found;
  };
  CHECK(patterns({1, -1, 2}) == Patterns{"101", "010"});
  CHECK(patterns({1, 0, -2, -0.0}) == Patterns{"1101", "0111"});
  CHECK(patterns({1, 3}) == Patterns{"11"});
  CHECK(patterns({-1, -3}) == Patterns{"11"});
  CHECK(patterns({0, 3}) == Patterns{"11", "10"});
  CHECK(patterns({0, 0}) == Patterns{"11"});
}

// --- Two inputs
// -----------------------------------------------------------------------------------

TEST_CASE("patterns of two inputs are the separable subsets", "[convex/gate_enumeration]") {
  // Few places for many points: most are on lines with others, some twice.
  RandomStream random(mgdl::test::seed(), 1);
  for (int repeat = 0; repeat < 60; ++repeat) {
    std::vector<Point> points(1 + random.below(8));
    const std::uint64_t places = 2 + random.below(5);
    for (Point& point : points) {
      point = {static_cast<std::int64_t>(random.below(places)),
               static_cast<std::int64_t>(random.below(places)) - 2};
    }
    const RowMatrix<double> X = matrix_of(points);
    const Patterns patterns = enumerated(X);
    CAPTURE(X);
    CHECK(patterns == separable_subsets(points));
    CHECK(count_patterns(X) == static_cast<Index>(patterns.size()));
    CHECK(count_by_lines(points) == static_cast<Index>(patterns.size()));
  }
}

TEST_CASE("patterns of two inputs without bias", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 2);
  for (int repeat = 0; repeat < mgdl::test::draws(100, 2000); ++repeat) {
    std::vector<Point> points(1 + random.below(9));
    const std::uint64_t places = 2 + random.below(7);
    const auto offset = static_cast<std::int64_t>(random.below(5));
    for (Point& point : points) {
      point = {static_cast<std::int64_t>(random.below(places)) - offset,
               static_cast<std::int64_t>(random.below(places)) - 1};
    }
    const RowMatrix<double> X = matrix_of(points);
    const Patterns patterns = enumerated(X, false);
    CAPTURE(X);
    CHECK(patterns == half_plane_subsets(points));
    CHECK(count_patterns(X, false) == static_cast<Index>(patterns.size()));
  }
  // General position: 2 m, or one less if all are in a half-plane.
  const auto X = normal_matrix<RowMatrix<double>>(90, 2, random);
  CHECK(enumerated(X, false).size() == 180);
  CHECK(enumerated(X.cwiseAbs(), false).size() == 179);
  CHECK(contains_all(enumerated(X, false), random_patterns(X, false, 20000, random)));
}

TEST_CASE("general position", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 3);
  for (const Index m : {1, 2, 3, 4, 5, 8, 20, 65, 100}) {
    const auto X = normal_matrix<RowMatrix<double>>(m, 2, random);
    const Patterns patterns = enumerated(X);
    CHECK(static_cast<Index>(patterns.size()) == m * m - m + 1);
    CHECK(count_patterns(X) == m * m - m + 1);
    if (m == 1 || m > 20) continue;
    const Patterns found = random_patterns(X, true, 100000 / static_cast<int>(m), random);
    CHECK(contains_all(patterns, found));
    if (m <= 5) CHECK(found.size() == patterns.size());
  }
}

TEST_CASE("grids", "[convex/gate_enumeration]") {
  for (const auto& [rows, cols, count] : {std::array<Index, 3>{3, 3, 57},
                                          {4, 5, 263},
                                          {1, 7, 13},
                                          {7, 1, 13},
                                          {2, 2, 13},
                                          {2, 6, 93},
                                          {10, 10, 6213}}) {
    const std::vector<Point> points = grid_points(rows, cols);
    const RowMatrix<double> X = matrix_of(points);
    CAPTURE(rows, cols);
    CHECK(count_by_lines(points) == count);
    CHECK(count_patterns(X) == count);
    CHECK(static_cast<Index>(enumerated(X).size()) == count);
  }
}

TEST_CASE("all samples on a line, or all but one", "[convex/gate_enumeration]") {
  for (const Point& step : {Point{1, 0}, Point{0, 1}, Point{2, -3}}) {
    std::vector<Point> points;
    for (const std::int64_t k : {5, 0, 9, 1, 1, -4, 13}) {
      points.push_back({7 + k * step[0], k * step[1] - 2});
    }
    const RowMatrix<double> X = matrix_of(points);
    CHECK(enumerated(X) == separable_subsets(points));
    CHECK(enumerated(X).size() == 11);
    CHECK(count_patterns(X) == 11);
    points.push_back({8, 8});
    CHECK(enumerated(matrix_of(points)) == separable_subsets(points));
  }
}

TEST_CASE("repeated samples have the bits of the first", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 4);
  const auto points = normal_matrix<RowMatrix<double>>(9, 2, random);
  RowMatrix<double> X(150, 2);
  for (Index i = 0; i < 150; ++i) X.row(i) = points.row(i % 9);
  X(3, 0) = 0;
  X(12, 0) = -0.0;
  X(12, 1) = X(3, 1);
  for (const bool bias : {true, false}) {
    const Patterns patterns = enumerated(X, bias);
    for (const std::string& pattern : patterns) CHECK(pattern[3] == pattern[12]);
    CHECK(count_patterns(X, bias) == static_cast<Index>(patterns.size()));
  }
}

TEST_CASE("origin and unit of inputs do not matter", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 5);
  std::vector<Point> points;
  for (int i = 0; i < 14; ++i) {
    points.push_back(
        {static_cast<std::int64_t>(random.below(8)), static_cast<std::int64_t>(random.below(8))});
  }
  const RowMatrix<double> X = matrix_of(points);
  const Patterns expected = enumerated(X);
  CHECK(static_cast<Index>(expected.size()) == count_by_lines(points));
  RowMatrix<double> Y = X;
  Y.col(0) *= 0x1p-800;
  Y.col(1) *= 0x1p900;
  CHECK(enumerated(Y) == expected);
  CHECK(count_patterns(Y) == static_cast<Index>(expected.size()));
  Y = X.array() * 0x1p-1074;  // smaller than all normal numbers
  CHECK(enumerated(Y) == expected);
  Y.col(0) = X.col(0).array() + 0x1p40;
  Y.col(1) = 3 * X.col(1).array() - 0x1p40;
  CHECK(enumerated(Y) == expected);
  Y.col(0) = X.col(0) + 2 * X.col(1);
  Y.col(1) = X.col(0) - X.col(1);
  CHECK(enumerated(Y) == expected);
}

TEST_CASE("nearly collinear samples are told apart", "[convex/gate_enumeration]") {
  // (1, 1) is 2^-52 off the line of the others; then seven patterns, else five.
  RowMatrix<double> X(3, 2);
  X << 0, 0, 1, 1, 2, 2 + 0x1p-51;
  CHECK(count_patterns(X) == 7);
  CHECK(enumerated(X).size() == 7);
  X(2, 1) = 2;
  CHECK(count_patterns(X) == 5);
  CHECK(enumerated(X).size() == 5);
  RandomStream random(mgdl::test::seed(), 6);
  for (int repeat = 0; repeat < mgdl::test::draws(200, 4000); ++repeat) {
    X = normal_matrix<RowMatrix<double>>(3, 2, random);
    const double t = random.uniform();
    X.row(2) = (1 - t) * X.row(0) + t * X.row(1);
    X(2, repeat % 2) += 1e-13;
    CHECK(enumerated(X).size() == 7);
  }
}

TEST_CASE("rounded grids have the patterns of grids", "[convex/gate_enumeration]") {
  const std::vector<Point> points = grid_points(9, 7);
  const RowMatrix<double> X = matrix_of(points);
  const Patterns expected = enumerated(X);
  RowMatrix<double> Y(X.rows(), 2);
  Y.col(0) = X.col(0).array() / 9 + 0.1;
  Y.col(1) = (X.col(1).array() - 3.14) / 1.7;
  CHECK(count_patterns(Y) > static_cast<Index>(expected.size()));
  CHECK(enumerated(Y) == expected);
  // Decimal numbers, some of them repeated with another rounding.
  for (Index i = 0; i < X.rows(); ++i) Y.row(i) << 0.1 * X(i, 0), 0.01 * X(i, 1);
  RowMatrix<double> Z(2 * X.rows(), 2);
  Z << Y, X.array().rowwise() / Eigen::Array2d(10, 100).transpose();
  Patterns twice;
  for (const std::string& pattern : expected) twice.insert(pattern + pattern);
  CHECK(enumerated(Z) == twice);
}

TEST_CASE("samples that cannot be told apart are refused", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 7);
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(60, 2, random);
  X.col(1) = X.col(0).array() / 3 + std::sqrt(0.1);
  CHECK_THAT(error_of([&] { enumerate_gates(X); }),
             Catch::Matchers::ContainsSubstring(
                 "X: expected samples that are on a common line exactly, or not nearly, found a "
                 "pattern that no gate in double precision makes at rows "));
  X.col(1) = X.col(0) / 3;
  CHECK_THAT(error_of([&] { enumerate_gates(X, false); }),
             Catch::Matchers::ContainsSubstring("in double precision"));
}

TEST_CASE("bad input to gate enumeration", "[convex/gate_enumeration]") {
  const auto errors = [](const RowMatrix<double>& X) {
    const std::string message = error_of([&] { enumerate_gates(X); });
    CHECK(error_of([&] { enumerate_gates(X, false); }) == message);
    CHECK(error_of([&] { count_patterns(X); }) == message);
    return message;
  };
  CHECK(errors(RowMatrix<double>(0, 2)) ==
        "X: expected at least one row and one column, found 0 x 2");
  CHECK(errors(RowMatrix<double>(3, 0)) ==
        "X: expected at least one row and one column, found 3 x 0");
  CHECK(errors(RowMatrix<double>::Zero(4, 3)) ==
        "X: expected 1 or 2 columns, for all patterns, found 3");
  RowMatrix<double> X(2, 2);
  X << 1, 2, 3, std::numeric_limits<double>::infinity();
  CHECK(errors(X) == "X: expected finite values, found inf at row 1, column 1");
  X << 1e200, 2, 1e70, 4;
  CHECK(errors(X) ==
        "X: expected 0 or at least 2^-400 of the largest value in a column, found 1e+70 at row 1, "
        "column 0");

  RandomStream random(mgdl::test::seed(), 8);
  RowMatrix<double> many = normal_matrix<RowMatrix<double>>(600, 2, random);
  CHECK(error_of([&] { enumerate_gates(many.topRows(513)); }) ==
        "X: expected at most 512 different rows of 2 columns, found 513");
  many.bottomRows(590) = many.row(3).replicate(590, 1);
  CHECK(enumerate_gates(many).size() == 91);
}

// --- Parts
// ----------------------------------------------------------------------------------------

TEST_CASE("exact signs", "[convex/gate_enumeration]") {
  // Integers whose products need up to 61 bits, divided by 2^30. The directions from a to b and c
  // are successive convergents of a continued fraction, so that their cross product is 1 or -1.
  RandomStream random(mgdl::test::seed(), 9);
  constexpr std::int64_t size = std::int64_t{1} << 29;
  const auto point = [](const Point& p) {
    return Eigen::RowVector2d(std::ldexp(static_cast<double>(p[0]), -30),
                              std::ldexp(static_cast<double>(p[1]), -30));
  };
  bool right = true;
  for (int repeat = 0; repeat < 20000; ++repeat) {
    Point previous{1, 0};
    Point step{0, 1};
    while (true) {
      const auto k = static_cast<std::int64_t>(1 + random.below(4));
      const Point next{k * step[0] + previous[0], k * step[1] + previous[1]};
      if (std::max(next[0], next[1]) > size) break;
      previous = std::exchange(step, next);
    }
    const auto any = [&] { return static_cast<std::int64_t>(random.below(size)) - size / 2; };
    const Point a{any(), any()};
    const Point b{a[0] + step[0], a[1] + step[1]};
    const Point c{a[0] + previous[0], a[1] + previous[1]};
    const Point middle{a[0] + step[0] - previous[0], a[1] + step[1] - previous[1]};
    const Point twice{a[0] - step[0], a[1] - step[1]};
    REQUIRE(turn(a, b, c) != 0);
    for (const Point& p : {c, middle, twice}) {
      right =
          right && mgdl::detail::orientation_sign(point(a), point(b), point(p)) == turn(a, b, p);
      right =
          right && mgdl::detail::orientation_sign(point(p), point(b), point(a)) == turn(p, b, a);
    }
    right = right &&
            mgdl::detail::cross_sign(point(step), point(previous)) ==
                sign(step[0] * previous[1] - step[1] * previous[0]) &&
            mgdl::detail::cross_sign(point(step), point(step)) == 0;
  }
  CHECK(right);
  // Points on a line but for rounding, with coordinates of different sizes, so that even their
  // differences are rounded: exact signs do not depend on the order of the points.
  for (int repeat = 0; repeat < 20000; ++repeat) {
    const auto any = [&](double unit) {
      return (unit * normal_matrix<Eigen::RowVector2d>(1, 2, random)).eval();
    };
    const Eigen::RowVector2d a = any(0x1p-7);
    const Eigen::RowVector2d b = any(0x1p-3);
    const Eigen::RowVector2d c = a + random.uniform() * (b - a);
    const int expected = mgdl::detail::orientation_sign(a, b, c);
    right = right && mgdl::detail::orientation_sign(b, c, a) == expected &&
            mgdl::detail::orientation_sign(c, a, b) == expected &&
            mgdl::detail::orientation_sign(b, a, c) == -expected &&
            mgdl::detail::orientation_sign(c, b, a) == -expected &&
            mgdl::detail::orientation_sign(a, c, b) == -expected;
  }
  CHECK(right);
  // Far beyond the digits of a double: 1 + 2^-300 against 1.
  const Eigen::RowVector2d a(1, 0x1p-150);
  CHECK(mgdl::detail::cross_sign(a, Eigen::RowVector2d(1, 0x1p-150)) == 0);
  CHECK(mgdl::detail::cross_sign(a, Eigen::RowVector2d(1, std::nextafter(0x1p-150, 1))) == 1);
  CHECK(mgdl::detail::orientation_sign(Eigen::RowVector2d(0x1p-400, 0), Eigen::RowVector2d(1, 1),
                                       Eigen::RowVector2d(-1, -1)) == 1);
  CHECK(mgdl::detail::orientation_sign(Eigen::RowVector2d(0, 0x1p-400), Eigen::RowVector2d(1, 1),
                                       Eigen::RowVector2d(-1, -1)) == -1);
}

TEST_CASE("lattices", "[convex/gate_enumeration]") {
  RandomStream random(mgdl::test::seed(), 10);
  for (int repeat = 0; repeat < mgdl::test::draws(100, 2000); ++repeat) {
    Eigen::VectorXd integers(12);
    for (double& k : integers) k = static_cast<double>(random.below(1000));
    integers[0] = 0;
    integers[1] = 1;
    integers[2] = 999;
    const double step = random.uniform(0.1, 1) / 1000;
    const double base = random.uniform(-0.1, 0);
    Eigen::VectorXd values = base + integers.array() * step;
    double found = 0;
    const auto coordinates =
        mgdl::detail::lattice_coordinates<double>(values, base, 0x1p-46, found);
    REQUIRE(coordinates);
    CHECK(*coordinates == integers);
    CHECK(std::abs(found / step - 1) < 1e-12);
    values[5] += 1e-10;
    CHECK_FALSE(mgdl::detail::lattice_coordinates<double>(values, base, 0x1p-46, found));
  }
  double step = 0;
  const auto constant =
      mgdl::detail::lattice_coordinates<double>(Eigen::Vector3d::Constant(0.3), 0.3, 0x1p-46, step);
  REQUIRE(constant);
  CHECK(*constant == Eigen::Vector3d::Zero());
  CHECK(step == 1);
  const Eigen::VectorXd any = normal_matrix<Eigen::VectorXd>(10, 1, random);
  CHECK_FALSE(mgdl::detail::lattice_coordinates<double>(any, any.minCoeff(), 0x1p-46, step));
}
