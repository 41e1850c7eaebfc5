#include "mgdl/convex/trend_filter/trend_filter.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/trend_filter/interior_point.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using mgdl::Action;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::Progress;
using mgdl::RandomStream;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::detail::KnotProblem;
using mgdl::detail::KnotSmoother;
using mgdl::detail::solve_trend_filter;
using mgdl::detail::trend_filter_lambda_max;
using mgdl::detail::TrendFilterOptions;
using mgdl::detail::TrendFilterResult;
using mgdl::test::error_of;
using mgdl::test::seed;

namespace {

struct Data {
  std::string name;
  Vector<double> x;
  Vector<double> y;
  Vector<double> w;
};

Vector<double> list(std::initializer_list<double> values) {
  return Vector<double>::Map(values.begin(), static_cast<Index>(values.size()));
}

Vector<double> equal_weights(Index n) {
  return Vector<double>::Constant(n, 1.0 / static_cast<double>(n));
}

/// A smooth function with kinks and noise at the inputs `x`, whose extent should be about one.
Vector<double> noisy_values(const Vector<double>& x, double origin, RandomStream& random) {
  return x.unaryExpr([&](double v) {
    const double t = v - origin;
    return std::sin(6 * t) + 3 * std::abs(t - 0.3) + 0.3 * std::sin(40 * t) + 0.2 * random.normal();
  });
}

Data uniform(Index n, RandomStream& random) {
  Data data{"uniform", Vector<double>::LinSpaced(n, 0, 1), {}, equal_weights(n)};
  data.y = noisy_values(data.x, 0, random);
  return data;
}

Data random_inputs(Index n, RandomStream& random, double low = -1, double high = 2) {
  Data data{"random", Vector<double>(n), {}, Vector<double>(n)};
  for (Index i = 0; i < n; ++i) {
    data.x[i] = random.uniform(low, high);
    data.w[i] = random.uniform(0.1, 1);
  }
  data.w /= data.w.sum();
  data.y = noisy_values(data.x, low, random);
  return data;
}

/// What makes life hard, all of it at a size that O(n^2) checks can take.
std::vector<Data> hard_problems(Index n, RandomStream& random) {
  std::vector<Data> problems{uniform(n, random), random_inputs(n, random)};
  Data clustered{"clustered", Vector<double>(n), {}, equal_weights(n)};
  for (Index i = 0; i < n; ++i) clustered.x[i] = std::pow(10, random.uniform(-12, 0));
  clustered.y = noisy_values(clustered.x, 0, random);
  problems.push_back(clustered);
  Data duplicates = random_inputs(n, random);
  duplicates.name = "duplicates";
  for (Index i = 0; i < n; ++i) duplicates.x[i] = std::round(8 * duplicates.x[i]) / 8;
  problems.push_back(duplicates);
  Data unweighted = random_inputs(n, random);
  unweighted.name = "zero weights";
  for (Index i = 0; i < n; i += 3) unweighted.w[i] = 0;
  problems.push_back(unweighted);
  Data offset = uniform(n, random);
  offset.name = "offset";
  offset.x.array() += 1e3;
  problems.push_back(offset);
  for (const double scale : {1e8, 1e-8}) {
    Data scaled = random_inputs(n, random);
    scaled.name = "y scaled by " + std::to_string(scale);
    scaled.y *= scale;
    problems.push_back(scaled);
  }
  Data wide = random_inputs(n, random);
  wide.name = "x scaled";
  wide.x *= 1e4;
  problems.push_back(wide);
  Data constant = random_inputs(n, random);
  constant.name = "constant";
  constant.y.setConstant(-0.7);
  problems.push_back(constant);
  Data affine = random_inputs(n, random);
  affine.name = "affine";
  affine.y = 2 * affine.x.array() - 0.5;
  problems.push_back(affine);
  problems.push_back({"one sample", list({0.4}), list({-2}), list({1})});
  problems.push_back({"one input", list({-3, -3}), list({-2, 5}), list({0.5, 0.5})});
  problems.push_back({"two samples", list({-1, 2}), list({3, -1}), list({0.3, 0.7})});
  problems.push_back({"three samples", list({0, 1, 3}), list({1, -1, 2}), list({0.2, 0.3, 0.5})});
  return problems;
}

/// Network values by the definition.
Vector<double> network_values(const TrendFilterResult<double>& result, const Vector<double>& x) {
  Vector<double> values = Vector<double>::Constant(x.size(), result.bias);
  for (Index i = 0; i < x.size(); ++i) {
    long double sum = result.bias;
    for (Index k = 0; k < result.signs.size(); ++k) {
      const long double a = result.neurons(k, 0);
      const long double b = result.neurons(k, 1);
      sum += static_cast<long double>(result.signs[k]) *
             std::max(0.0L, a * static_cast<long double>(x[i]) + b);
    }
    values[i] = static_cast<double>(sum);
  }
  return values;
}

double primal_value(const Data& data, const TrendFilterResult<double>& result, double lambda) {
  const Vector<double> residual = data.y - network_values(result, data.x);
  return 0.5 * data.w.dot(residual.cwiseAbs2()) + lambda * result.neurons.rowwise().norm().sum();
}

/// Largest c . u over unit vectors u between the directions d and e (counterclockwise, less than
/// half a turn), at least 0.
double arc_maximum(const Eigen::Vector2d& c, const Eigen::Vector2d& d, const Eigen::Vector2d& e) {
  const auto cross = [](const Eigen::Vector2d& p, const Eigen::Vector2d& q) {
    return p[0] * q[1] - p[1] * q[0];
  };
  if (cross(d, c) >= 0 && cross(c, e) >= 0) return c.norm();
  return std::max({0.0, c.dot(d) / d.norm(), c.dot(e) / e.norm()});
}

/// Largest |sum_i N_i max(0, a x_i + b)| over |(a, b)| = 1, pattern by pattern, in O(n^2).
double dual_norm(const Data& data, const Vector<double>& N) {
  std::vector<double> kinks;
  for (Index i = 0; i < data.x.size(); ++i) {
    if (data.w[i] > 0) kinks.push_back(data.x[i]);
  }
  std::sort(kinks.begin(), kinks.end());
  kinks.erase(std::unique(kinks.begin(), kinks.end()), kinks.end());
  const auto correlation = [&](auto active) {
    long double linear = 0;
    long double constant = 0;
    for (Index i = 0; i < data.x.size(); ++i) {
      if (!active(data.x[i])) continue;
      linear += static_cast<long double>(N[i]) * static_cast<long double>(data.x[i]);
      constant += static_cast<long double>(N[i]);
    }
    return Eigen::Vector2d(static_cast<double>(linear), static_cast<double>(constant));
  };
  double largest = 0;
  const auto raise = [&](const Eigen::Vector2d& c, const Eigen::Vector2d& d,
                         const Eigen::Vector2d& e) {
    largest = std::max({largest, arc_maximum(c, d, e), arc_maximum(-c, d, e)});
  };
  for (std::size_t k = 0; k + 1 < kinks.size(); ++k) {
    const double left = kinks[k];
    const double right = kinks[k + 1];
    raise(correlation([&](double v) { return v >= right; }), {1, -right}, {1, -left});
    raise(correlation([&](double v) { return v <= left; }), {-1, right}, {-1, left});
  }
  const Eigen::Vector2d all = correlation([](double) { return true; });
  const Eigen::Vector2d first(1, -kinks.front());
  const Eigen::Vector2d last(-1, kinks.back());
  // The arc of neurons that are active everywhere may be half a turn: halves of it.
  const Eigen::Vector2d middle = first.normalized() + last.normalized() + Eigen::Vector2d(0, 1e-3);
  raise(all, first, middle);
  raise(all, middle, last);
  return largest;
}

/// Relative gap between the objective of a network and the bound that its residuals prove, in long
/// double: N = s w (y - f), centred with a bias, with the best s. All sums go over the samples in
/// their order.
double residual_gap(const Data& data, const TrendFilterResult<double>& result, double lambda,
                    bool bias) {
  using Wide = long double;
  std::vector<Index> order;
  for (Index i = 0; i < data.x.size(); ++i) {
    if (data.w[i] > 0) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](Index i, Index j) { return data.x[i] < data.x[j]; });
  const std::size_t m = order.size();
  std::vector<Wide> N(m);
  Wide primal = 0;
  Wide sum = 0;
  Wide weight = 0;
  for (Index k = 0; k < result.signs.size(); ++k) {
    primal += Wide(lambda) * std::hypot(Wide(result.neurons(k, 0)), Wide(result.neurons(k, 1)));
  }
  for (std::size_t i = 0; i < m; ++i) {
    Wide residual = Wide(data.y[order[i]]) - Wide(result.bias);
    for (Index k = 0; k < result.signs.size(); ++k) {
      const Wide z = Wide(result.neurons(k, 0)) * Wide(data.x[order[i]]) + result.neurons(k, 1);
      residual -= Wide(result.signs[k]) * std::max(Wide(0), z);
    }
    N[i] = Wide(data.w[order[i]]) * residual;
    primal += N[i] * residual / 2;
    sum += N[i];
    weight += Wide(data.w[order[i]]);
  }
  Wide linear = 0;
  Wide square = 0;
  for (std::size_t i = 0; i < m; ++i) {
    const Wide w = data.w[order[i]];
    if (bias) N[i] -= w * sum / weight;
    linear += N[i] * Wide(data.y[order[i]]);
    square += N[i] * N[i] / w;
  }
  Wide largest = 0;
  Wide a = 0;
  Wide b = 0;
  // Of c . u over unit vectors u from d to e, and of -c . u.
  const auto raise = [&](Wide d0, Wide d1, Wide e0, Wide e1) {
    for (const Wide s : {Wide(1), Wide(-1)}) {
      const bool inside = d0 * (s * b) >= d1 * (s * a) && (s * a) * e1 >= (s * b) * e0;
      const Wide at_d = s * (a * d0 + b * d1) / std::hypot(d0, d1);
      const Wide at_e = s * (a * e0 + b * e1) / std::hypot(e0, e1);
      largest = std::max({largest, at_d, at_e, inside ? std::hypot(a, b) : Wide(0)});
    }
  };
  const auto x = [&](std::size_t i) { return Wide(data.x[order[i]]); };
  for (std::size_t i = m; i-- > 1;) {
    a += N[i] * x(i);
    b += N[i];
    if (x(i) > x(i - 1)) raise(1, -x(i), 1, -x(i - 1));
  }
  a = b = 0;
  for (std::size_t i = 0; i < m; ++i) {
    a += N[i] * x(i);
    b += N[i];
    if (i + 1 < m && x(i + 1) > x(i)) raise(-1, x(i + 1), -1, x(i));
  }
  // Active everywhere, in two arcs of less than half a turn.
  const Wide middle = std::hypot(x(0), x(m - 1)) + 1;
  raise(1, -x(0), 0, middle);
  raise(0, middle, -1, x(m - 1));
  const Wide scale = std::max(Wide(0), std::min(Wide(lambda) / largest, linear / square));
  const Wide dual = scale * linear - scale * scale * square / 2;
  return static_cast<double>((primal - dual) / primal);
}

/// Optimum of the problem restricted to neurons evenly spread over the circle and those with their
/// kink at a sample (where z has edges), by a primal-dual method with dense Newton steps for its
/// dual,
///
///     max_u  linear . u - 1/2 u' quadratic u,   |H' u| <= 1.
///
/// Its u is feasible and its multipliers are a network: the optimum is between their objectives.
struct GridOptimum {
  double lower;
  double upper;
};

GridOptimum grid_optimum(const Data& data, double lambda, bool bias, Index directions) {
  const Index n = data.x.size();
  Matrix<double> neurons(n, directions + 2 * n);
  for (Index j = 0; j < directions; ++j) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(directions);
    neurons.col(j) = (std::cos(angle) * data.x.array() + std::sin(angle)).max(0);
  }
  for (Index i = 0; i < n; ++i) {
    const double norm = std::hypot(data.x[i], 1);
    neurons.col(directions + 2 * i) = (data.x.array() - data.x[i]).max(0) / norm;
    neurons.col(directions + 2 * i + 1) = (data.x[i] - data.x.array()).max(0) / norm;
  }
  neurons /= lambda;
  // N = Z u; with a bias Z spans what has the sum zero.
  Matrix<double> Z = Matrix<double>::Identity(n, n);
  if (bias) {
    const Matrix<double> Q = mgdl::test::orthogonal_basis(Matrix<double>::Ones(n, 1));
    Z = Matrix<double>(Q.rightCols(n - 1));
  }
  const Matrix<double> H = Z.transpose() * neurons;
  const Vector<double> linear = Z.transpose() * data.y;
  const Matrix<double> quadratic = Z.transpose() * data.w.cwiseInverse().asDiagonal() * Z;
  Vector<double> u = Vector<double>::Zero(Z.cols());
  // Of the constraints H' u <= 1 and -H' u <= 1.
  using Pairs = Eigen::Array<double, Eigen::Dynamic, 2>;
  Pairs slack = Pairs::Ones(H.cols(), 2);
  const auto count = static_cast<double>(slack.size());
  GridOptimum best{0, 0.5 * data.w.dot(data.y.cwiseAbs2())};  // u = 0, no neurons
  // So large that |H' u| <= 1/2 after a first full step, which is a point on the central path but
  // for second-order terms.
  Pairs multiplier = Pairs::Constant(H.cols(), 2, 4 * best.upper);
  for (int step = 0; step < 200 && best.upper - best.lower > 1e-10 * best.upper; ++step) {
    const double target = (step == 0 ? 1 : 0.2) * (multiplier * slack).sum() / count;
    const Pairs flexibility = multiplier / slack;
    const Vector<double> pull = (target / slack.col(0) - target / slack.col(1)).matrix();
    const Vector<double> curvature = flexibility.rowwise().sum().matrix();
    const Matrix<double> hessian = quadratic + H * curvature.asDiagonal() * H.transpose();
    const Vector<double> u_step =
        mgdl::test::solve_symmetric(hessian, linear - quadratic * u - H * pull);
    Pairs slack_step(H.cols(), 2);
    slack_step.col(1) = (H.transpose() * u_step).array();
    slack_step.col(0) = -slack_step.col(1);
    const Pairs multiplier_step = target / slack - multiplier - flexibility * slack_step;
    const double decline =
        std::max((-slack_step / slack).maxCoeff(), (-multiplier_step / multiplier).maxCoeff());
    const double size = std::min(1.0, 0.9 / decline);
    u += size * u_step;
    slack += size * slack_step;
    multiplier += size * multiplier_step;

    const double stretch = 1 / std::max(1.0, (H.transpose() * u).cwiseAbs().maxCoeff());
    const double dual = stretch * linear.dot(u) - 0.5 * stretch * stretch * u.dot(quadratic * u);
    best.lower = std::max(best.lower, dual);
    const Vector<double> weights = (multiplier.col(0) - multiplier.col(1)).matrix();
    Vector<double> residual = data.y - neurons * weights;
    if (bias) residual.array() -= data.w.dot(residual) / data.w.sum();
    best.upper = std::min(best.upper, 0.5 * data.w.dot(residual.cwiseAbs2()) + weights.lpNorm<1>());
  }
  return best;
}

TrendFilterOptions with_bias(bool bias) {
  TrendFilterOptions options;
  options.output_bias = bias;
  return options;
}

}  // namespace

TEST_CASE("certificates hold when recomputed from the raw data", "[convex/trend_filter]") {
  RandomStream random(seed());
  for (const Data& data : hard_problems(120, random)) {
    for (const bool bias : {false, true}) {
      const double lambda_max = trend_filter_lambda_max(data.x, data.y, data.w, bias);
      for (const double ratio : {0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
        const double lambda = ratio * lambda_max;
        CAPTURE(data.name, bias, ratio);
        const TrendFilterResult<double> result =
            solve_trend_filter(data.x, data.y, data.w, lambda, with_bias(bias));
        CHECK(result.termination == Termination::ToleranceReached);
        CHECK(result.lambda_max == lambda_max);
        const double scale = 0.5 * data.w.dot(data.y.cwiseAbs2());
        const double rounding = 1e-15 * scale * (10 + data.x.cwiseAbs().maxCoeff());
        CHECK(result.primal - result.dual <= 1e-6 * result.primal + rounding);
        CHECK(result.dual <= result.primal + rounding);

        const double primal = primal_value(data, result, lambda);
        CHECK(std::abs(primal - result.primal) <= 1e-8 * primal + rounding);
        const Vector<double>& N = result.dual_point;
        CHECK(dual_norm(data, N) <= lambda * (1 + 1e-9) + 1e-15 * lambda_max);
        double dual = N.dot(data.y);
        for (Index i = 0; i < N.size(); ++i) {
          if (data.w[i] > 0) {
            dual -= 0.5 * N[i] * N[i] / data.w[i];
          } else if (N[i] != 0) {
            FAIL("a sample without weight has a dual value");
          }
        }
        CHECK(std::abs(dual - result.dual) <= 1e-8 * std::abs(dual) + rounding);
        if (bias) CHECK(std::abs(N.sum()) <= 1e-13 * N.cwiseAbs().sum() + 1e-300);
        CHECK(((result.signs.array() == 1) || (result.signs.array() == -1)).all());
        CHECK(result.neurons.cols() == 2);
        CHECK(result.neurons.rows() == result.signs.size());
        if (!bias) CHECK(result.bias == 0);
      }
    }
  }
}

TEST_CASE("a network proves by its own residuals that it is optimal", "[convex/trend_filter]") {
  RandomStream random(seed(), 10);
  int exact = 0;
  int problems = 0;
  for (const double tolerance : {1e-6, 1e-9}) {
    for (int k = 0; k < 120; ++k) {
      const Index n = 4 + k % 40;
      Data data{"normal", Vector<double>(n), Vector<double>(n), equal_weights(n)};
      for (Index i = 0; i < n; ++i) {
        data.x[i] = random.normal();
        data.y[i] = random.normal();
      }
      if (k % 4 == 1) data.x[n - 1] = data.x[0];
      if (k % 3 == 2) data.w[1] = 0;
      if (k % 5 == 3) data.w[2] *= 7;
      TrendFilterOptions options = with_bias(k % 2 == 1);
      options.relative_tolerance = tolerance;
      options.fewest_neurons = k % 8 < 4;
      const double ratio = 0.5 * std::pow(2e-3, (k % 13) / 12.0);
      const double lambda =
          ratio * trend_filter_lambda_max(data.x, data.y, data.w, options.output_bias);
      const TrendFilterResult<double> result =
          solve_trend_filter(data.x, data.y, data.w, lambda, options);
      CAPTURE(k, n, ratio, tolerance, options.output_bias, options.fewest_neurons);
      CHECK(result.termination == Termination::ToleranceReached);
      const double gap = residual_gap(data, result, lambda, options.output_bias);
      CHECK(gap <= tolerance);
      ++problems;
      if (gap <= 1e-10) ++exact;
    }
  }
  CHECK(exact > 0.8 * problems);
  // With many samples, too.
  const Data many = random_inputs(3000, random);
  for (const double ratio : {0.1, 1e-2, 1e-3, 1e-4}) {
    for (const bool bias : {false, true}) {
      const double lambda = ratio * trend_filter_lambda_max(many.x, many.y, many.w, bias);
      const TrendFilterResult<double> result =
          solve_trend_filter(many.x, many.y, many.w, lambda, with_bias(bias));
      CAPTURE(ratio, bias);
      CHECK(result.termination == Termination::ToleranceReached);
      CHECK(residual_gap(many, result, lambda, bias) <= 1e-6);
    }
  }
}

TEST_CASE("the optimum is that of an independent solver", "[convex/trend_filter]") {
  RandomStream random(seed(), 1);
  constexpr Index kDirections = 4000;  // costs up to (pi / 4000)^2 / 2 = 3e-7 of the penalty
  for (const Index n : {2, 3, 8, 25}) {
    const Data data = random_inputs(n, random);
    for (const bool bias : {false, true}) {
      const double lambda_max = trend_filter_lambda_max(data.x, data.y, data.w, bias);
      for (const double ratio : {0.6, 0.1, 1e-2, 1e-3}) {
        const double lambda = ratio * lambda_max;
        CAPTURE(n, bias, ratio);
        TrendFilterOptions options = with_bias(bias);
        options.relative_tolerance = 1e-9;
        const TrendFilterResult<double> result =
            solve_trend_filter(data.x, data.y, data.w, lambda, options);
        const GridOptimum grid = grid_optimum(data, lambda, bias, kDirections);
        REQUIRE(grid.upper - grid.lower <= 1e-9 * grid.upper);
        CHECK(result.primal <= grid.upper * (1 + 2e-9));
        CHECK(result.dual <= grid.lower * (1 + 2e-9));
        CHECK(grid.lower <= result.primal * (1 + 5e-7));
      }
    }
  }
}

TEST_CASE("lambda_max is the largest correlation and the edge of zero", "[convex/trend_filter]") {
  RandomStream random(seed(), 2);
  for (const Data& data : hard_problems(30, random)) {
    for (const bool bias : {false, true}) {
      CAPTURE(data.name, bias);
      const double lambda_max = trend_filter_lambda_max(data.x, data.y, data.w, bias);
      const double mean = data.w.dot(data.y) / data.w.sum();
      const Vector<double> N = data.w.cwiseProduct((data.y.array() - (bias ? mean : 0)).matrix());
      CHECK(std::abs(lambda_max - dual_norm(data, N)) <=
            1e-12 * lambda_max +
                1e-14 * data.y.cwiseAbs().maxCoeff() * (1 + data.x.cwiseAbs().maxCoeff()));
      double largest = 0;  // any neuron is a lower bound
      for (int k = 0; k < 5000; ++k) {
        const double angle = random.uniform(0, 2 * std::numbers::pi);
        const double z = N.dot(
            Vector<double>((std::cos(angle) * data.x.array() + std::sin(angle)).max(0).matrix()));
        largest = std::max(largest, std::abs(z));
      }
      CHECK(largest <= lambda_max * (1 + 1e-12) + 1e-14 * data.y.cwiseAbs().maxCoeff() *
                                                      (1 + data.x.cwiseAbs().maxCoeff()));

      for (const double factor : {1.0, 1.5}) {
        const TrendFilterResult<double> zero =
            solve_trend_filter(data.x, data.y, data.w, factor * lambda_max, with_bias(bias));
        CHECK(zero.signs.size() == 0);
        CHECK(zero.primal == zero.dual);
        CHECK(zero.termination == Termination::ToleranceReached);
      }
      if (lambda_max < 1e-12 * data.y.cwiseAbs().maxCoeff()) continue;  // a constant and a bias
      // Without neurons the relative gap is about 1e-3^2.
      TrendFilterOptions options = with_bias(bias);
      options.relative_tolerance = 1e-9;
      const TrendFilterResult<double> some =
          solve_trend_filter(data.x, data.y, data.w, lambda_max * (1 - 1e-3), options);
      CHECK(some.signs.size() > 0);
    }
  }
}

TEST_CASE("targets and penalty scale together", "[convex/trend_filter]") {
  RandomStream random(seed(), 3);
  const Data data = random_inputs(60, random);
  const double lambda = 1e-3 * trend_filter_lambda_max(data.x, data.y, data.w, false);
  TrendFilterOptions options;
  options.relative_tolerance = 1e-8;
  const TrendFilterResult<double> plain =
      solve_trend_filter(data.x, data.y, data.w, lambda, options);
  for (const double scale : {0x1p40, 0x1p-70}) {  // exact
    const TrendFilterResult<double> scaled =
        solve_trend_filter<double>(data.x, scale * data.y, data.w, scale * lambda, options);
    CHECK(scaled.neurons == scale * plain.neurons);
    CHECK(scaled.signs == plain.signs);
    CHECK(scaled.primal == scale * scale * plain.primal);
    CHECK(scaled.dual == scale * scale * plain.dual);
    CHECK(scaled.dual_point.isApprox(scale * plain.dual_point, 1e-12));
  }
  for (const double scale : {3.7e5, 1e-8, -1.0, -12.5}) {
    const TrendFilterResult<double> scaled = solve_trend_filter<double>(
        data.x, scale * data.y, data.w, std::abs(scale) * lambda, options);
    CHECK(std::abs(scaled.primal / (scale * scale) - plain.primal) <= 2e-8 * plain.primal);
    const Vector<double> difference =
        network_values(scaled, data.x) / scale - network_values(plain, data.x);
    CHECK(difference.cwiseAbs().maxCoeff() < 1e-3);
  }
  const Vector<double> mirror = -data.x;
  CHECK(std::abs(solve_trend_filter(mirror, data.y, data.w, lambda, options).primal -
                 plain.primal) <= 2e-8 * plain.primal);
}

TEST_CASE("order, multiplicity and unused samples do not matter", "[convex/trend_filter]") {
  RandomStream random(seed(), 4);
  const Data data = random_inputs(50, random);
  const double lambda = 1e-2 * trend_filter_lambda_max(data.x, data.y, data.w, true);
  const auto solve = [&](const Data& d) {
    return solve_trend_filter(d.x, d.y, d.w, lambda, with_bias(true));
  };
  const TrendFilterResult<double> plain = solve(data);
  const TrendFilterResult<double> again = solve(data);
  CHECK(again.neurons == plain.neurons);
  CHECK(again.primal == plain.primal);

  std::vector<Index> order(50);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Index>(i);
  random.shuffle(order);
  const Data shuffled{"", data.x(order), data.y(order), data.w(order)};
  const TrendFilterResult<double> other = solve(shuffled);
  CHECK(other.neurons == plain.neurons);
  CHECK(other.bias == plain.bias);
  CHECK(other.primal == plain.primal);
  CHECK(other.dual == plain.dual);
  CHECK(other.dual_point == Vector<double>(plain.dual_point(order)));

  // Every sample twice with half its weight, and samples without weight in between.
  Data doubled{"", Vector<double>(150), Vector<double>(150), Vector<double>::Zero(150)};
  for (Index i = 0; i < 50; ++i) {
    doubled.x.segment<3>(3 * i) << data.x[i], 17 + random.normal(), data.x[i];
    doubled.y.segment<3>(3 * i) << data.y[i], 1e6 * random.normal(), data.y[i];
    doubled.w.segment<3>(3 * i) << 0.5 * data.w[i], 0, 0.5 * data.w[i];
  }
  const TrendFilterResult<double> twice = solve(doubled);
  CHECK(twice.neurons == plain.neurons);
  CHECK(twice.primal == plain.primal);

  // Different targets at one input add a constant loss.
  Data split = doubled;
  for (Index i = 0; i < 50; ++i) {
    split.y[3 * i] += 0.25;
    split.y[3 * i + 2] -= 0.25;
  }
  const TrendFilterResult<double> apart = solve(split);
  CHECK(std::abs(apart.primal - plain.primal - 0.5 * 0.25 * 0.25) <= 2e-6 * plain.primal);
}

TEST_CASE("as few neurons as the optimum has kinks", "[convex/trend_filter]") {
  RandomStream random(seed(), 5);
  const Index n = 3000;
  Data data = uniform(n, random);
  // Two kinks, on a slope: with a small penalty no more than two hinges and the line.
  data.y = data.x.unaryExpr(
      [](double t) { return 1 + t + 4 * std::max(0.0, t - 0.31) - 9 * std::max(0.0, t - 0.72); });
  for (const bool bias : {false, true}) {
    const double lambda = 1e-3 * trend_filter_lambda_max(data.x, data.y, data.w, bias);
    const TrendFilterResult<double> result =
        solve_trend_filter(data.x, data.y, data.w, lambda, with_bias(bias));
    CAPTURE(bias);
    CHECK(result.relative_gap() <= 1e-6);
    CHECK(result.signs.size() <= 4);
    CHECK(result.signs.size() >= 2);
  }
  // A line that is positive on the samples is one neuron.
  data.y = 2 * data.x.array() + 1;
  const double lambda = 1e-2 * trend_filter_lambda_max(data.x, data.y, data.w, false);
  const TrendFilterResult<double> line = solve_trend_filter(data.x, data.y, data.w, lambda);
  CHECK(line.signs.size() == 1);
  CHECK(line.signs[0] == 1);

  // Where two kinks at samples act like one in between, there is one.
  const Vector<double> x = list({0, 1, 2, 3});
  const Vector<double> y = list({0, 0, 1, 3});
  TrendFilterOptions options;
  options.relative_tolerance = 1e-9;
  const TrendFilterResult<double> joined =
      solve_trend_filter(x, y, equal_weights(4),
                         1e-6 * trend_filter_lambda_max(x, y, equal_weights(4), false), options);
  REQUIRE(joined.signs.size() == 1);
  CHECK(std::abs(-joined.neurons(0, 1) / joined.neurons(0, 0) - 1.5) < 1e-3);
}

TEST_CASE("near interpolation of sums of sines", "[convex/trend_filter]") {
  const Index n = 1024;
  const auto f = [](double t) {
    double sum = 0;
    for (const double k : {1.0, 8.25, 15.5, 22.75, 30.0}) {
      sum += std::sin(2 * std::numbers::pi * k * t);
    }
    return sum;
  };
  const Vector<double> x = Vector<double>::LinSpaced(n, 0, 1);
  const Vector<double> y = x.unaryExpr(f);
  const Vector<double> w = equal_weights(n);
  for (const bool fewest : {false, true}) {
    TrendFilterOptions options;
    options.fewest_neurons = fewest;
    const double lambda = 1e-9 * trend_filter_lambda_max(x, y, w, false);
    const TrendFilterResult<double> result = solve_trend_filter(x, y, w, lambda, options);
    // Too many neurons to polish: the residuals, which nearly vanish, prove nothing, the dual point
    // does.
    CHECK(result.termination == Termination::ToleranceReached);
    CHECK(result.relative_gap() <= 1e-6);
    const Vector<double> test = Vector<double>::LinSpaced(3000, 0, 1);
    const double error = (network_values(result, test) - test.unaryExpr(f)).squaredNorm() / 3000;
    CHECK(error <= (fewest ? 3e-5 : 1e-5));
    CHECK(result.signs.size() <= (fewest ? 800 : 1100));
    CHECK((network_values(result, x) - y).cwiseAbs().maxCoeff() < 1e-3);
  }
}

// Two steep neurons that nearly cancel: the closer to the optimum, the less exact is what the
// interior point says about them.
TEST_CASE("a jump at a tiny penalty", "[convex/trend_filter]") {
  for (const Index n : {3000, 5000}) {
    const Vector<double> x = Vector<double>::LinSpaced(n, 0, 1);
    const Vector<double> y = x.unaryExpr([](double t) { return t < 0.5 ? 0.0 : 1.0; });
    const Vector<double> w = equal_weights(n);
    for (const bool bias : {false, true}) {
      CAPTURE(n, bias);
      const double lambda = 1e-8 * trend_filter_lambda_max(x, y, w, bias);
      const TrendFilterResult<double> result = solve_trend_filter(x, y, w, lambda, with_bias(bias));
      CHECK(result.relative_gap() <= 1e-4);
      CHECK(result.signs.size() >= 2);
      CHECK(result.signs.size() <= 10);
    }
  }
}

TEST_CASE("many samples", "[convex/trend_filter]") {
  RandomStream random(seed(), 6);
  const Data data = uniform(20000, random);
  const double lambda_max = trend_filter_lambda_max(data.x, data.y, data.w, false);
  double before = std::numeric_limits<double>::infinity();
  for (const double ratio : {1e-1, 1e-2, 1e-4, 1e-6}) {
    TrendFilterOptions options;
    options.relative_tolerance = 1e-8;
    const TrendFilterResult<double> result =
        solve_trend_filter(data.x, data.y, data.w, ratio * lambda_max, options);
    CAPTURE(ratio);
    CHECK(result.termination == Termination::ToleranceReached);
    CHECK(result.relative_gap() <= 1e-8);
    CHECK(result.primal < before);
    CHECK(result.signs.size() < 500);
    before = result.primal;
  }
}

TEST_CASE("one input has a closed form", "[convex/trend_filter]") {
  const double x = -1.5;
  const double y = 4;
  const double norm = std::hypot(x, 1.0);
  const auto one = [](double v) { return list({v}); };
  CHECK(trend_filter_lambda_max(one(x), one(y), one(1), false) == Approx(y * norm));
  CHECK(trend_filter_lambda_max(one(x), one(y), one(1), true) == 0);
  const TrendFilterResult<double> result =
      solve_trend_filter(one(x), one(y), one(1), 0.25 * y * norm);
  REQUIRE(result.signs.size() == 1);
  CHECK(result.neurons.row(0).norm() * norm == Approx(0.75 * y));
  CHECK(result.neurons(0, 0) / result.neurons(0, 1) == Approx(x));
  CHECK(result.primal == Approx(0.5 * y * y * (0.25 * 0.25 + 2 * 0.25 * 0.75)));
  CHECK(result.dual == Approx(result.primal));
  const TrendFilterResult<double> biased =
      solve_trend_filter(one(x), one(y), one(1), 0.1, with_bias(true));
  CHECK(biased.signs.size() == 0);
  CHECK(biased.bias == y);
}

TEST_CASE("without penalty the means are interpolated", "[convex/trend_filter]") {
  RandomStream random(seed(), 7);
  for (const Data& data : hard_problems(40, random)) {
    if (data.name == "clustered") continue;  // slopes of 1e12
    for (const bool bias : {false, true}) {
      CAPTURE(data.name, bias);
      const TrendFilterResult<double> result =
          solve_trend_filter(data.x, data.y, data.w, 0, with_bias(bias));
      CHECK(result.termination == Termination::ToleranceReached);
      const Vector<double> values = network_values(result, data.x);
      const double scale = data.y.cwiseAbs().maxCoeff();
      for (Index i = 0; i < data.x.size(); ++i) {
        double weight = 0;
        double sum = 0;
        for (Index j = 0; j < data.x.size(); ++j) {
          if (data.x[j] != data.x[i]) continue;
          weight += data.w[j];
          sum += data.w[j] * data.y[j];
        }
        if (weight > 0) CHECK(std::abs(values[i] - sum / weight) <= 1e-9 * scale);
      }
      CHECK(std::abs(result.primal - result.dual) <= 1e-12 * scale * scale);
    }
  }
}

TEST_CASE("work can be limited, and what was reached is returned", "[convex/trend_filter]") {
  RandomStream random(seed(), 8);
  const Data data = uniform(400, random);
  const double lambda = 1e-4 * trend_filter_lambda_max(data.x, data.y, data.w, false);
  const auto check = [&](const TrendFilterOptions& options, Termination expected) {
    const TrendFilterResult<double> result =
        solve_trend_filter(data.x, data.y, data.w, lambda, options);
    CHECK(result.termination == expected);
    CHECK(result.dual <= result.primal);
    CHECK(result.primal <= 0.5 * data.w.dot(data.y.cwiseAbs2()) * (1 + 1e-12));
    CHECK(std::abs(primal_value(data, result, lambda) - result.primal) <= 1e-9 * result.primal);
    return result;
  };
  CHECK(check({.max_iterations = 3}, Termination::MaxIterations).iterations == 3);
  CHECK(check({.time_limit_seconds = 1e-9}, Termination::TimeLimit).iterations == 0);
  Index calls = 0;
  TrendFilterOptions observed;
  observed.observer = [&](const Progress& progress) {
    ++calls;
    CHECK(progress.iteration == calls);
    CHECK(progress.max_iterations == 10000);
    CHECK(progress.objective >= 0);
    CHECK(progress.objective <= 1);
    return calls == 5 ? Action::Stop : Action::Continue;
  };
  CHECK(check(observed, Termination::StoppedByObserver).iterations == 5);
  CHECK(calls == 5);
  // It can be stopped while it polishes, too: at any step.
  const Index steps = solve_trend_filter(data.x, data.y, data.w, lambda).iterations;
  CHECK(steps > 8);
  for (Index stop = 1; stop < steps; ++stop) {
    TrendFilterOptions options;
    options.observer = [&](const Progress& progress) {
      return progress.iteration == stop ? Action::Stop : Action::Continue;
    };
    CHECK(check(options, Termination::StoppedByObserver).iterations == stop);
  }
  // Rounding does not allow this much; the best there is comes back.
  const TrendFilterResult<double> best =
      solve_trend_filter(data.x, data.y, data.w, lambda, {.relative_tolerance = 0});
  CHECK(best.relative_gap() < 1e-9);
}

TEST_CASE("bad input to the trend filter is refused", "[convex/trend_filter]") {
  const Vector<double> x = list({0, 1, 2});
  const Vector<double> y = list({1, 2, 0});
  const Vector<double> w = equal_weights(3);
  const auto message = [&](const Vector<double>& a, const Vector<double>& b,
                           const Vector<double>& c, double lambda = 0.1,
                           const TrendFilterOptions& options = {}) {
    return error_of([&] { solve_trend_filter(a, b, c, lambda, options); });
  };
  CHECK(message({}, {}, {}) == "x: expected at least one sample, found none");
  CHECK(message(x, y.head(2), w) == "y: expected 3 rows, found 2");
  CHECK(message(x, y, w.head(2)) == "weights: expected 3 rows, found 2");
  CHECK(message(list({0, std::nan(""), 2}), y, w) ==
        "x: expected finite values, found nan at row 1, column 0");
  CHECK(message(x, list({0, 1, INFINITY}), w) ==
        "y: expected finite values, found inf at row 2, column 0");
  CHECK(message(x, y, list({1, -1, 1})) == "weights: expected values >= 0, found -1 at row 1");
  CHECK(message(x, y, list({0, 0, 0})) == "weights: expected a positive sum, found all zero");
  CHECK(message(x, y, w, -1) == "lambda: expected a finite value >= 0, found -1");
  CHECK(message(x, y, w, 1, {.relative_tolerance = -1}) ==
        "TrendFilterOptions.relative_tolerance: expected a value >= 0, found -1");
  CHECK(message(x, y, w, 1, {.max_iterations = 0}) ==
        "TrendFilterOptions.max_iterations: expected a value >= 1, found 0");
  CHECK(message(x, y, w, 1, {.time_limit_seconds = 0}) ==
        "TrendFilterOptions.time_limit_seconds: expected a value > 0, found 0");
  CHECK(error_of([&] { trend_filter_lambda_max<double>(x, y.head(1), w, false); }) ==
        "y: expected 3 rows, found 1");
}

TEST_CASE("the smoother solves its least squares problem", "[convex/trend_filter]") {
  RandomStream random(seed(), 9);
  for (const Index K : {0, 1, 2, 7}) {
    // A chain of segments, some empty, some of one sample, some of several.
    KnotProblem<double> problem;
    problem.knots.setZero(K);
    Vector<double> E(K);
    Eigen::Matrix<double, 2, Eigen::Dynamic> forces(2, K + 1);
    Eigen::Array<double, 4, Eigen::Dynamic> eta(4, K);
    for (Index k = 0; k <= K; ++k) {
      const bool empty = k > 0 && k < K && k % 3 == 2;
      problem.segments.push_back({.weight = empty ? 0 : random.uniform(0.1, 1),
                                  .spread = empty || k % 3 == 1 ? 0 : random.uniform(0.01, 1),
                                  .before = k == 1 ? 0 : random.uniform(0, 1),
                                  .after = random.uniform(0.01, 1)});
      forces.col(k) << (empty ? 0 : random.normal()), (empty ? 0 : random.normal());
      if (k == K) break;
      E[k] = std::exp(3 * random.normal());
      for (Index j = 0; j < 4; ++j) eta(j, k) = j == 3 ? 0 : random.normal();
    }
    // Unknowns: d at the first sample and the K + 1 slopes.
    const Index size = K + 2;
    Matrix<double> A = Matrix<double>::Zero(size, size);
    Matrix<double> B = Matrix<double>::Zero(size, 3);
    Vector<double> at = Vector<double>::Unit(size, 0);  // d at the left end of a segment
    Matrix<double> centre_row(K + 1, size);
    for (Index k = 0; k <= K; ++k) {
      const auto& segment = problem.segments[static_cast<std::size_t>(k)];
      const Vector<double> slope = Vector<double>::Unit(size, 1 + k);
      const Vector<double> centre = at + segment.before * slope;
      centre_row.row(k) = centre.transpose();
      A += segment.weight * centre * centre.transpose();
      A += segment.spread * slope * slope.transpose();
      B.col(0) += forces(0, k) * centre + forces(1, k) * slope;
      at = centre + segment.after * slope;
      if (k == K) break;
      const Vector<double> change = Vector<double>::Unit(size, 2 + k) - slope;
      A += change * change.transpose() / E[k];
      for (Index j = 0; j < 3; ++j) B.col(j) += eta(j, k) * change;
    }
    const Vector<double> start = Vector<double>::Unit(size, 0);
    B.col(1) -= 0.5 * (start + at);
    B.col(2) -= at - start;
    const Matrix<double> X = mgdl::test::least_squares(A, B);

    KnotSmoother<double> smoother(problem);
    smoother.factor(E);
    const Eigen::Matrix4d gram = smoother.forward(forces, eta);
    const Matrix<double> expected = B.transpose() * X;
    CHECK((gram.topLeftCorner<3, 3>() - expected).cwiseAbs().maxCoeff() <
          1e-9 * expected.cwiseAbs().maxCoeff());
    const Eigen::Vector3d g(1, random.normal(), random.normal());
    const Vector<double> solution = X * g;
    Vector<double> centre(K + 1);
    Vector<double> slope(K + 1);
    Vector<double> force(K);
    smoother.backward({g[0], g[1], g[2], 0}, centre, slope, force);
    CHECK((slope - solution.tail(K + 1)).norm() < 1e-9 * (1 + solution.norm()));
    CHECK((centre - centre_row * solution).norm() < 1e-9 * (1 + solution.norm()));
    for (Index k = 0; k < K; ++k) {
      const double change = solution[2 + k] - solution[1 + k];
      CHECK(std::abs(force[k] * E[k] - change) < 1e-9 * (1 + solution.norm()));
    }
  }
}
