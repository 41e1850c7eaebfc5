#include "mgdl/training/approximate_lipschitz.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "mgdl/network/multigrade_model.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::approximate_lipschitz;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::Termination;
using Point = mgdl::Vector<double>;

namespace {

/// A function with its Lipschitz constant: waves, kinks with smoothed jumps, distances.
std::pair<std::function<double(const Point&)>, double> random_lipschitz_function(
    Index i, Index d, mgdl::RandomStream& random) {
  Point a(d);
  for (Index k = 0; k < d; ++k) a[k] = random.uniform(-2, 2);
  const double b = random.uniform(-1, 1);
  const Point inside = Point::Constant(d, random.uniform(0.2, 0.8));
  switch (i % 3) {
    case 0: return {[=](const Point& x) { return std::sin(3 * a.dot(x) + b); }, 3 * a.norm()};
    case 1:
      return {[=](const Point& x) {
                return std::abs(a.dot(x) + b) + 0.2 * std::tanh(10 * (x[0] - 0.4));
              },
              a.norm() + 2};
    default: return {[=](const Point& x) { return b - (x - inside).norm(); }, 1.0};
  }
}

/// Points of the grid with `steps` steps: all of them, or of more than `most` that many, at random.
Matrix<double> grid_points(Index d, Index steps, Index most, mgdl::RandomStream& random) {
  Index count = 1;
  for (Index k = 0; k < d; ++k) count *= steps + 1;
  const Index n = std::min(count, most);
  Matrix<double> X(n, d);
  for (Index i = 0; i < n; ++i) {
    Index rest =
        n < count ? static_cast<Index>(random.below(static_cast<std::uint64_t>(count))) : i;
    for (Index k = 0; k < d; ++k, rest /= steps + 1) {
      X(i, k) = static_cast<double>(rest % (steps + 1)) / static_cast<double>(steps);
    }
  }
  return X;
}

}  // namespace

TEST_CASE("The proven bound holds everywhere and halves with every pass",
          "[training/approximate_lipschitz]") {
  mgdl::RandomStream random(mgdl::test::seed(), 51);
  Index passes = 0;
  for (Index i = 0; i < 50; ++i) {
    const Index d = i < 30 ? 1 : i < 46 ? 2 : 3;
    const auto [f, lipschitz] = random_lipschitz_function(i, d, random);
    // In three dimensions one pass is all that is quick.
    const auto [model, report] = approximate_lipschitz(f, d, lipschitz,
                                                       {.hats = 16,
                                                        .max_passes = d == 1   ? 5
                                                                      : d == 2 ? 2
                                                                               : 1,
                                                        .max_evaluations = 300000});
    CAPTURE(i, d, report.message);
    REQUIRE(mgdl::is_usable(report.termination));
    if (report.passes.empty()) continue;
    // 16 times finer than the last lattice.
    const auto last = static_cast<Index>(1 / report.passes.back().spacing);
    const Matrix<double> X = grid_points(d, 16 * last, d == 1 ? 4100 : 500, random);
    Matrix<double> Y(X.rows(), 1);
    for (Index r = 0; r < X.rows(); ++r) Y(r, 0) = f(X.row(r).transpose());
    REQUIRE(Y.cwiseAbs().maxCoeff() <= report.initial_bound);
    Matrix<double> before = Y;
    double bound = report.initial_bound;
    Index k = 0;
    auto predictor = model.predictor(1);
    Matrix<double> after(X.rows(), 1);
    for (const auto& pass : report.passes) {
      ++passes;
      REQUIRE(pass.bound <= bound / 2);
      bound = pass.bound;
      REQUIRE(pass.largest_residual <= bound);
      REQUIRE(pass.residual_lipschitz >= lipschitz);
      for (Index g = 0; g < pass.grades; ++g) {
        ++k;
        // All grades, or of many those at the ends and one between.
        if (g > 1 && g != pass.grades / 2 && g < pass.grades - 1) continue;
        predictor.predict_into(X, after, k);
        after = Y - after;
        REQUIRE((after.cwiseAbs() - before.cwiseAbs()).maxCoeff() <= 1e-12);
        before = after;
        REQUIRE(model.grade(k).network.width() == model.grade(1).network.width());
      }
      REQUIRE(before.cwiseAbs().maxCoeff() <= bound);
    }
    REQUIRE(k == model.grades());
  }
  CHECK(passes > 125);
}

TEST_CASE("What is known of a residual between the centres holds",
          "[training/approximate_lipschitz]") {
  mgdl::RandomStream random(mgdl::test::seed(), 52);
  for (Index d = 1; d <= 3; ++d) {
    // Steep beside the function, so that most of what happens in a cell is the sum's doing.
    mgdl::detail::KuhnInterpolant sum(d, 4);
    for (double& value : sum.values()) value = random.uniform(-1, 1);
    Point direction = mgdl::test::normal_matrix<Point>(d, 1, random);
    direction /= 2 * direction.norm();
    const auto f = [&](const Point& x) { return direction.dot(x); };
    const auto values = mgdl::detail::cell_values(f, {d, 8}, 0.5);
    const mgdl::detail::LipschitzResidual residual(values, 0.5, sum, 0);
    double nearest = 0;
    for (int trial = 0; trial < 20000; ++trial) {
      Point x(d);
      for (double& coordinate : x) coordinate = random.uniform(0, 1);
      mgdl::detail::KuhnNode cell{};
      for (Index k = 0; k < d; ++k) {
        cell[static_cast<std::size_t>(k)] = static_cast<std::int64_t>(8 * x[k]);
      }
      const Index number = values.cells.number(cell);
      const double difference = std::abs(f(x) - sum.at(x.data()) - residual.values[number]);
      REQUIRE(difference <= residual.margins[number]);
      nearest = std::max(nearest, difference / residual.margins[number]);
      REQUIRE(std::abs(f(x) - sum.at(x.data())) <= residual.bound);
    }
    CAPTURE(d, nearest);
    CHECK(nearest > 0.6);
  }
}

TEST_CASE("It stops for the reason that it gives", "[training/approximate_lipschitz]") {
  const auto f = [](const Point& x) { return std::abs(x[0] - 0.3); };
  const auto close = approximate_lipschitz(f, 1, 1, {.tolerance = 0.05});
  CHECK(close.report.termination == Termination::ToleranceReached);
  CHECK(close.report.passes.back().bound <= 0.05);
  CHECK(approximate_lipschitz(f, 1, 1, {.max_passes = 1}).report.termination ==
        Termination::MaxIterations);
  const auto poor = approximate_lipschitz(f, 1, 1, {.max_evaluations = 1000});
  CHECK(poor.report.termination == Termination::NoProgress);
  CHECK(poor.report.evaluations <= 1000);
  CHECK_THAT(poor.report.message, ContainsSubstring("more values of the function"));
  const auto watched = approximate_lipschitz(
      f, 1, 1, {.observer = [](const mgdl::Progress& progress) {
        return progress.iteration == 2 ? mgdl::Action::Stop : mgdl::Action::Continue;
      }});
  CHECK(watched.report.termination == Termination::StoppedByObserver);
  CHECK(watched.report.passes.size() == 2);
  // Constants cost one pass, and zero none.
  const auto constant = approximate_lipschitz([](const Point&) { return 3.0; }, 2, 0);
  CHECK(constant.report.termination == Termination::ToleranceReached);
  CHECK(constant.report.passes.size() == 1);
  CHECK(constant.report.passes[0].hats == 4);
  CHECK(approximate_lipschitz([](const Point&) { return 0.0; }, 2, 0).model.grades() == 0);
}

namespace {

double middle_distance(const Point& x) { return std::abs(x[0] - 0.5); }

}  // namespace

TEST_CASE("A plain function will do", "[training/approximate_lipschitz]") {
  const auto fit = approximate_lipschitz(middle_distance, 1, 1, {.max_passes = 2});
  CHECK(fit.report.passes.back().bound < fit.report.initial_bound);
}

TEST_CASE("What cannot be approximated is refused", "[training/approximate_lipschitz]") {
  const auto f = [](const Point& x) { return 2 * x.sum(); };
  using mgdl::test::error_of;
  CHECK_THAT(error_of([&] { approximate_lipschitz(f, 4, 1); }),
             ContainsSubstring("inputs: expected a value from 1 to 3, found 4"));
  CHECK_THAT(error_of([&] { approximate_lipschitz(f, 1, -1); }), ContainsSubstring("lipschitz"));
  CHECK_THAT(error_of([&] { approximate_lipschitz(f, 1, 1.9); }),
             ContainsSubstring("where f has the slope 2"));
  CHECK_THAT(error_of([&] {
               approximate_lipschitz([](const Point& x) { return 1 / (x[0] - 0.5); }, 1, 1);
             }),
             ContainsSubstring("f: expected finite values"));
  const auto option = [&](mgdl::ApproximationOptions options) {
    return error_of([&] { approximate_lipschitz(f, 1, 2, options); });
  };
  CHECK_THAT(option({.hats = 0}), ContainsSubstring("ApproximationOptions.hats"));
  CHECK_THAT(option({.max_passes = 0}), ContainsSubstring("ApproximationOptions.max_passes"));
  CHECK_THAT(option({.tolerance = -1}), ContainsSubstring("ApproximationOptions.tolerance"));
  CHECK_THAT(option({.max_evaluations = 0}),
             ContainsSubstring("ApproximationOptions.max_evaluations"));
}
