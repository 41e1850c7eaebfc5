#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/convex/certificate/arrangement.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Certificate;
using mgdl::certify;
using mgdl::certify_all_patterns;
using mgdl::Dataset;
using mgdl::DualBound;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::PatternScope;
using mgdl::RandomStream;
using mgdl::ReluSolution;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Vector;
using mgdl::verify_all_patterns;
using mgdl::detail::all_patterns_maximum;
using mgdl::test::error_of;
using mgdl::test::near;
using mgdl::test::normal_matrix;

namespace {

using Real = long double;
using RealVector = Eigen::Matrix<Real, Eigen::Dynamic, 1>;

/// |sum_i max(0, x_i.u) N_i| for the direction of u.
Real value_at(const Matrix<double>& X, const Matrix<double>& N, const RealVector& u) {
  RealVector sum = RealVector::Zero(N.cols());
  for (Index i = 0; i < X.rows(); ++i) {
    Real product = 0;
    for (Index k = 0; k < X.cols(); ++k) product += X(i, k) * u[k];
    for (Index o = 0; o < N.cols() && product > 0; ++o) sum[o] += product * N(i, o);
  }
  return sum.norm() / u.norm();
}

/// The maximum over the circle: a grid of angles, and golden sections around its best points.
Real circle_maximum(const Matrix<double>& X, const Matrix<double>& N) {
  std::vector<Real> angles;
  const Real pi = std::acos(Real(-1));
  constexpr int kGrid = 3000;
  for (int k = 0; k < kGrid; ++k) angles.push_back(2 * pi * k / kGrid);
  for (Index i = 0; i < X.rows(); ++i) {
    const Real kink = std::atan2(static_cast<Real>(X(i, 0)), -static_cast<Real>(X(i, 1)));
    angles.insert(angles.end(), {kink, kink + pi});
  }
  for (Real& angle : angles) angle = std::remainder(angle, 2 * pi);
  std::sort(angles.begin(), angles.end());
  angles.push_back(angles.front() + 2 * pi);
  const auto at = [&](Real angle) {
    return value_at(X, N, RealVector{{std::cos(angle), std::sin(angle)}});
  };
  Real best = 0;
  std::vector<Real> values;
  for (const Real angle : angles) values.push_back(at(angle));
  const Real largest = *std::max_element(values.begin(), values.end());
  for (std::size_t k = 0; k + 1 < angles.size(); ++k) {
    if (std::max(values[k], values[k + 1]) < 0.99L * largest) continue;
    Real a = angles[k];
    Real b = angles[k + 1];
    for (int step = 0; step < 60; ++step) {
      const Real left = a + 0.382L * (b - a);
      const Real right = a + 0.618L * (b - a);
      (at(left) > at(right) ? b : a) = at(left) > at(right) ? right : left;
    }
    best = std::max({best, at(a), values[k], values[k + 1]});
  }
  return best;
}

/// A lower bound of the maximum: random directions, the best of them moved by shrinking steps.
Real search_maximum(const Matrix<double>& X, const Matrix<double>& N, int directions,
                    RandomStream& random) {
  const auto draw = [&] {
    RealVector u(X.cols());
    for (Index k = 0; k < u.size(); ++k) u[k] = random.normal();
    return u;
  };
  std::vector<std::pair<Real, RealVector>> found;
  for (int k = 0; k < directions; ++k) {
    const RealVector u = draw();
    found.emplace_back(value_at(X, N, u), u.normalized());
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first > b.first; });
  found.resize(std::min<std::size_t>(found.size(), 20));
  Real best = 0;
  for (auto& [value, u] : found) {
    Real size = 0.1L;
    for (int step = 0; step < 300; ++step, size *= 0.96L) {
      const RealVector next = (u + size * draw()).normalized();
      const Real there = value_at(X, N, next);
      if (there > value) {
        value = there;
        u = next;
      }
    }
    best = std::max(best, value);
  }
  return best;
}

Matrix<double> with_ones(const Matrix<double>& X) {
  Matrix<double> result(X.rows(), X.cols() + 1);
  result << X, Vector<double>::Ones(X.rows());
  return result;
}

ReluSolution zero_solution(Index p, Index c, double lambda, bool separate = true) {
  ReluSolution solution;
  solution.lambda = lambda;
  solution.hidden.resize(0, p);
  solution.output.resize(0, c);
  solution.bias = RowVector<double>::Zero(c);
  solution.separate_outputs = separate;
  return solution;
}

ReluSolution random_network(Index p, Index c, Index neurons, double lambda, RandomStream& random) {
  ReluSolution solution = zero_solution(p, c, lambda);
  solution.hidden = normal_matrix<RowMatrix<double>>(neurons, p, random);
  solution.output = 0.3 * normal_matrix<RowMatrix<double>>(neurons, c, random);
  solution.gates.assign(static_cast<std::size_t>(neurons), -1);
  return solution;
}

}  // namespace

TEST_CASE("maxima over all patterns by hand", "[convex/certify]") {
  // Without bias, one input: u = 1 sees the positive inputs, u = -1 the others.
  const Matrix<double> line{{1}, {2}, {-3}};
  CHECK(near(all_patterns_maximum<double>(line, Matrix<double>{{1}, {1}, {2}}), 6));
  CHECK(near(all_patterns_maximum<double>(line, Matrix<double>{{1}, {3}, {2}}), 7));
  CHECK(near(all_patterns_maximum<double>(line, Matrix<double>{{-1}, {-3}, {2}}), 7));
  CHECK(near(all_patterns_maximum<double>(line, Matrix<double>{{3, 4}, {0, 0}, {1, 0}}), 5));

  // One sample: along it. Two at right angles: both, if N has one sign, else the larger.
  CHECK(near(all_patterns_maximum<double>(Matrix<double>{{3, 4}}, Matrix<double>{{-2}}), 10));
  CHECK(near(all_patterns_maximum<double>(Matrix<double>{{0, 3, 4}}, Matrix<double>{{-2}}), 10));
  const Matrix<double> corner = Matrix<double>::Identity(2, 2);
  CHECK(near(all_patterns_maximum<double>(corner, Matrix<double>{{3}, {4}}), 5));
  CHECK(near(all_patterns_maximum<double>(corner, Matrix<double>{{3}, {-4}}), 4));
  CHECK(near(all_patterns_maximum<double>(corner, Matrix<double>{{3, 0}, {0, 4}}), 4));
  const Matrix<double> cube = Matrix<double>::Identity(3, 3);
  CHECK(near(all_patterns_maximum<double>(cube, Matrix<double>{{3}, {4}, {12}}), 13));
  CHECK(near(all_patterns_maximum<double>(cube, Matrix<double>{{3}, {4}, {-12}}), 12));
  CHECK(near(all_patterns_maximum<double>(cube, Matrix<double>{{3}, {4}, {-4}}), 5));
  CHECK(near(all_patterns_maximum<double>(cube, Matrix<double>{{3, 0}, {0, 4}, {0, 3}}), 5));

  // Opposite samples: one of them at a time. The same sample twice: both.
  CHECK(near(
      all_patterns_maximum<double>(Matrix<double>{{1, 0}, {-1, 0}}, Matrix<double>{{2}, {-3}}), 3));
  CHECK(near(
      all_patterns_maximum<double>(Matrix<double>{{1, 0, 0}, {-2, 0, 0}}, Matrix<double>{{5}, {2}}),
      5));
  CHECK(near(
      all_patterns_maximum<double>(Matrix<double>{{1, 0, 0}, {3, 0, 0}}, Matrix<double>{{5}, {2}}),
      11));

  // What cancels may be rounding.
  const double cancelled =
      all_patterns_maximum<double>(Matrix<double>{{1, 0}, {1, 0}}, Matrix<double>{{1}, {-1}});
  CHECK(cancelled >= 2 * std::numeric_limits<Real>::epsilon());
  CHECK(cancelled <= 1000 * std::numeric_limits<Real>::epsilon());

  // Nothing to be seen.
  CHECK(all_patterns_maximum<double>(Matrix<double>{{0, 0}, {1, 2}}, Matrix<double>{{5}, {0}}) ==
        0);
  // Any unit.
  CHECK(near(all_patterns_maximum<double>(1e150 * cube, Matrix<double>{{3e150}, {4e150}, {12e150}}),
             13e300));
  CHECK(near(
      all_patterns_maximum<double>(1e-150 * cube, Matrix<double>{{3e-150}, {4e-150}, {12e-150}}),
      13e-300));
}

TEST_CASE("the maximum over all patterns of one input", "[convex/certify]") {
  RandomStream random(mgdl::test::seed());
  for (const Index n : {1, 2, 3, 10, 40}) {
    for (const Index c : {1, 2}) {
      for (const bool bias : {true, false}) {
        Matrix<double> X = normal_matrix<Matrix<double>>(n, bias ? 1 : 2, random);
        const Matrix<double> N = normal_matrix<Matrix<double>>(n, c, random);
        // Repeated samples; without bias also opposite and longer ones, and zeros.
        for (Index i = 2; i + 1 < n; i += 5) X.row(i + 1) = (bias ? 1 : -2) * X.row(i);
        if (!bias && n > 9) X.row(9).setZero();
        if (bias && n > 9) X(9, 0) = 0;
        if (bias) X = with_ones(X);
        const double found = all_patterns_maximum<double>(X, N);
        const auto expected = static_cast<double>(circle_maximum(X, N));
        CAPTURE(n, c, bias, found, expected);
        CHECK(found >= expected);
        CHECK(near(found, expected, 1e-9));
      }
    }
  }
}

TEST_CASE("the maximum over all patterns of two inputs", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 1);
  for (const Index n : {1, 2, 4, 12, 30}) {
    for (const Index c : {1, 3}) {
      for (const int kind : {0, 1, 2, 3}) {
        Matrix<double> X = normal_matrix<Matrix<double>>(n, 2, random);
        const Matrix<double> N = normal_matrix<Matrix<double>>(n, c, random);
        if (kind == 1) X = X.array().round();                // repeated and collinear points
        if (kind == 2) X.col(1) = 2 * X.col(0).array() + 1;  // all on a line
        X = with_ones(X);
        if (kind == 3) {  // without bias: any vectors, with opposite and parallel ones
          X = normal_matrix<Matrix<double>>(n, 3, random);
          for (Index i = 1; i + 1 < n; i += 4) X.row(i + 1) = (i % 8 == 1 ? -3 : 2) * X.row(i);
        }
        const double found = all_patterns_maximum<double>(X, N);
        const auto reached = static_cast<double>(search_maximum(X, N, 10000, random));
        CAPTURE(n, c, kind, found, reached);
        CHECK(found >= reached);
        CHECK(near(found, reached, 1e-3));
      }
    }
  }
}

TEST_CASE("the maximum over all patterns is that over the cones of all gates", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 2);
  for (const Index d : {1, 2}) {
    for (const Index n : {1, 2, 7, 14}) {
      const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, d, random);
      const Dataset<double> data(X, normal_matrix<Matrix<double>>(n, 2, random),
                                 normal_matrix<Vector<double>>(n, 1, random).cwiseAbs());
      const Gates all = mgdl::enumerate_gates(X);
      REQUIRE(all.scope() == PatternScope::AllPatterns);
      const Gates some(X, all.vectors());
      REQUIRE(some.scope() == PatternScope::SampledPatterns);
      auto solution = random_network(d + 1, 2, 4, 1e-2, random);
      solution.output_bias = n % 2 == 0;
      const Certificate by_cones = certify(data, some, solution);
      const Certificate by_samples = certify_all_patterns(data, solution);
      CAPTURE(d, n);
      CHECK(near(by_cones.primal, by_samples.primal));
      CHECK(near(by_cones.dual, by_samples.dual, 1e-10));
      CHECK(near(by_cones.lambda_max, by_samples.lambda_max, 1e-10));
      CHECK(by_cones.scope == PatternScope::SampledPatterns);
      CHECK(by_samples.scope == PatternScope::AllPatterns);
      CHECK(by_samples.cone_violation == 0);
      CHECK(by_cones.cone_violation <= 1e-15);  // every neuron is in some cone
      // Gates that say so get the same answer from the samples.
      const Certificate by_gates = certify(data, all, solution);
      CHECK(by_gates.scope == PatternScope::AllPatterns);
      CHECK(by_gates.dual == by_samples.dual);
      CHECK(by_gates.lambda_max == by_samples.lambda_max);
      // Shared neurons: exact here, a relaxation over gates.
      solution.separate_outputs = false;
      const Certificate shared = certify_all_patterns(data, solution);
      const Certificate relaxed = certify(data, some, solution);
      CHECK(shared.bound == DualBound::Exact);
      CHECK(relaxed.bound == DualBound::SpectralRelaxation);
      CHECK(shared.dual >= relaxed.dual * (1 - 1e-12));
      CHECK(shared.lambda_max <= relaxed.lambda_max * (1 + 1e-12));
      CHECK(shared.dual <= shared.primal);
    }
  }
}

TEST_CASE("gates that only say they are all are believed for networks of up to p = 3",
          "[convex/certify]") {
  // One gate out of many: the bound must be that over all, not over this one.
  RandomStream random(mgdl::test::seed(), 3);
  const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(20, 2, random);
  const Dataset<double> data(X, normal_matrix<Matrix<double>>(20, 1, random));
  const auto solution = zero_solution(3, 1, 0.01);
  const RowMatrix<double> vector{{1, 0, 0.3}};
  const Certificate claimed =
      certify(data, Gates(X, vector, true, PatternScope::AllPatterns), solution);
  const Certificate one = certify(data, Gates(X, vector), solution);
  const Certificate all = certify_all_patterns(data, solution);
  CHECK(claimed.lambda_max == all.lambda_max);
  CHECK(claimed.dual == all.dual);
  CHECK(one.lambda_max < all.lambda_max);
  CHECK(one.dual > all.dual);

  const RowMatrix<double> wide = normal_matrix<RowMatrix<double>>(20, 3, random);
  const RowMatrix<double> G = normal_matrix<RowMatrix<double>>(5, 4, random);
  const Dataset<double> more(wide, data.targets());
  CHECK(certify(more, Gates(wide, G, true, PatternScope::AllPatterns), zero_solution(4, 1, 0.01))
            .scope == PatternScope::SampledPatterns);
}

TEST_CASE("inputs far from the origin", "[convex/certify]") {
  // For x = r + t with large r, what is left of sums is smaller than their terms by r^2. The
  // directions of all arcs between kinks are then nearly the same, far from that of any sum, so
  // that the maximum is at a kink u = (1, -x_i), where sum_k N_k max(0, t_k - t_i) is known.
  RandomStream random(mgdl::test::seed(), 4);
  const Index n = 50;
  for (const double r : {1e3, 1e6}) {
    Matrix<double> X(n, 2);
    for (Index i = 0; i < n; ++i) {
      X.row(i) << r + std::ldexp(std::floor(std::ldexp(random.uniform(), 20)), -20), 1;
    }
    const Vector<double> t = X.col(0).array() - r;
    // Without a linear part, which would be larger than everything else.
    Matrix<double> N = normal_matrix<Matrix<double>>(n, 1, random);
    Matrix<double> basis(n, 2);
    basis << Vector<double>::Ones(n), t;
    N -= basis * mgdl::test::solve_symmetric(basis.transpose() * basis, basis.transpose() * N);
    Real expected = 0;
    for (Index i = 0; i < n; ++i) {
      for (const int sign : {1, -1}) {
        Real sum = 0;
        for (Index k = 0; k < n; ++k) {
          const Real step = sign * (static_cast<Real>(t[k]) - t[i]);
          if (step > 0) sum += step * N(k, 0);
        }
        expected = std::max(expected, std::abs(sum) / std::hypot(Real(1), r + t[i]));
      }
    }
    const double found = all_patterns_maximum<double>(X, N);
    const Real terms = X.rowwise().norm().dot(N.cwiseAbs().col(0));
    const Real margin = 65 * std::numeric_limits<Real>::epsilon() * terms;
    CAPTURE(r, found, static_cast<double>(expected), static_cast<double>(margin));
    CHECK(found >= static_cast<double>(expected));
    CHECK(found <= static_cast<double>(expected * (1 + 1e-9L) + margin));
  }
}

TEST_CASE("no bound is above the objective where values without the output bias are large",
          "[convex/certify]") {
  // One neuron that is active everywhere is a straight line: with the best one the bound is the
  // objective. Far from zero its values are large, and the bias takes them away again.
  const std::uint64_t problems = mgdl::test::draws(30, 1000);
  int checked = 0;
  for (std::uint64_t k = 0; k < problems; ++k) {
    for (const double offset : {0.0, 1e2, 1e4, 1e5, 1e6, 1e7, 1e8}) {
      RandomStream random(mgdl::test::seed(), 12 + k);
      const Index n = k % 3 == 0 ? 3 : 4 + static_cast<Index>(random.below(40));
      const Index d = 1 + static_cast<Index>(k % 2);
      const Matrix<double> X =
          (offset + normal_matrix<Matrix<double>>(n, d, random).array()).matrix();
      const auto Y = normal_matrix<Matrix<double>>(n, 1, random);
      CAPTURE(k, offset, n, d);
      const Matrix<double> inner = X.rowwise() - X.colwise().mean();
      const Vector<double> y = (Y.array() - Y.mean()).matrix();
      const Vector<double> pull = inner.transpose() * y / n;
      const double lambda = (k % 4 < 2 ? 1e-2 : 1e-4) * pull.norm();
      Vector<double> g = pull;
      for (int step = 0; step < 1000; ++step) {
        Matrix<double> H = inner.transpose() * inner / n;
        H.diagonal().array() += lambda / g.norm();
        g = mgdl::test::solve_symmetric(H, pull);
      }
      const double sign = g.sum() > 0 ? 1 : -1;
      if ((sign * X * g).minCoeff() <= 0) continue;  // not active everywhere
      ++checked;
      ReluSolution line = zero_solution(d + 1, 1, lambda);
      line.hidden.setZero(1, d + 1);
      line.hidden.leftCols(d) = sign * g.transpose();
      line.output.setConstant(1, 1, sign);
      line.output_bias = true;
      line.bias[0] = (Y - X * g).mean();
      GatedSolution gated;
      gated.lambda = lambda;
      gated.active = {0};
      gated.coefficients = Matrix<double>::Zero(d + 1, 1);
      gated.coefficients.topRows(d) = g;
      gated.output_bias = true;
      gated.bias = line.bias;
      RealVector residual(n);
      for (Index i = 0; i < n; ++i) {
        residual[i] = Real(Y(i, 0)) - line.bias[0];
        for (Index j = 0; j < d; ++j) residual[i] -= Real(X(i, j)) * g[j];
      }
      const Real objective =
          residual.squaredNorm() / (2 * n) + lambda * g.cast<Real>().stableNorm();

      RowMatrix<double> everywhere = RowMatrix<double>::Zero(1, d + 1);
      everywhere(0, d) = 1;
      const Dataset<double> data(X, Y);
      const Gates gates(data.inputs(), everywhere);
      line.gates = {-1};
      const Certificate all = certify_all_patterns(data, line);
      line.gates = {0};
      for (const Certificate& certificate :
           {all, certify(data, gates, line), certify(data, gates, gated)}) {
        CAPTURE(certificate.scope, certificate.patterns);
        CHECK(certificate.dual <= objective * (1 + 1e-12L));
        // With a pattern, what is proven is as good as weights in double can be, whose rounding
        // moves values by 1e-8 at the largest offset.
        if (certificate.scope == PatternScope::SampledPatterns) {
          CHECK(certificate.dual >= objective * (1 - (offset < 1e8 ? 1e-5L : 1e-4L)));
        }
      }
    }
  }
  CHECK(checked > 100);
}

TEST_CASE("many samples add no rounding", "[convex/certify]") {
  // Most partial sums are rounded, and always in the same direction.
  const Index n = 200000;
  const Matrix<double> X = Vector<double>::Ones(n) * RowVector<double>{{1, 0}};
  const double found = all_patterns_maximum<double>(X, Vector<double>::Constant(n, 0.6));
  const auto expected = static_cast<double>(n * static_cast<Real>(0.6));
  CHECK(found >= expected);
  CHECK(near(found, expected, 4e-16));
}

TEST_CASE("the number of patterns", "[convex/certify]") {
  using mgdl::detail::count_patterns;
  RandomStream random(mgdl::test::seed(), 5);
  CHECK(count_patterns(RowMatrix<double>{{1}}) == 1);
  CHECK(count_patterns(RowMatrix<double>{{1}, {3}, {2}, {1}}) == 5);
  CHECK(count_patterns(RowMatrix<double>{{0.0}, {-0.0}}) == 1);
  CHECK(count_patterns(RowMatrix<double>{{1, 2}}) == 1);
  CHECK(count_patterns(RowMatrix<double>{{1, 2}, {1, 2}}) == 1);
  CHECK(count_patterns(RowMatrix<double>{{1, 2}, {1, 3}}) == 3);
  CHECK(count_patterns(RowMatrix<double>{{1, 2}, {1, 3}, {2, 5}}) == 7);
  CHECK(count_patterns(RowMatrix<double>{{1, 2}, {1, 3}, {1, 7}}) == 5);
  // Nearly on a line, by the last bit.
  const double tiny = std::numeric_limits<double>::epsilon();
  CHECK(count_patterns(RowMatrix<double>{{0, 0}, {1, 1}, {2, 2 * (1 + tiny)}}) == 7);
  CHECK(count_patterns(RowMatrix<double>{{0, 0}, {0.1, 0.1}, {0.7, 0.7}}) == 5);
  // In general position n (n - 1) + 1.
  CHECK(count_patterns(normal_matrix<RowMatrix<double>>(9, 2, random)) == 73);

  // A grid, against all patterns that lines with small coefficients make.
  for (const Index columns : {2, 3, 4}) {
    RowMatrix<double> grid(3 * columns, 2);
    for (Index i = 0; i < grid.rows(); ++i)
      grid.row(i) << static_cast<double>(i / columns), static_cast<double>(i % columns);
    std::set<std::vector<bool>> patterns;
    for (int a = -12; a <= 12; ++a) {
      for (int b = -12; b <= 12; ++b) {
        for (int e = -121; e <= 121; e += 2) {
          std::vector<bool> pattern;
          for (Index i = 0; i < grid.rows(); ++i) {
            pattern.push_back(a * grid(i, 0) + b * grid(i, 1) + 0.5 * e > 0);
          }
          patterns.insert(pattern);
        }
      }
    }
    CHECK(count_patterns(grid) == std::ssize(patterns) - 1);
    CHECK(mgdl::enumerate_gates(grid).size() == count_patterns(grid));
  }
}

TEST_CASE("signs of sums of products are exact", "[convex/certify]") {
  using mgdl::detail::sign_of_products;
  const double tiny = std::numeric_limits<double>::epsilon();
  CHECK(sign_of_products<2>({{{3, 4}, {-2, 6}}}) == 0);
  CHECK(sign_of_products<2>({{{3, 4}, {-2, 6.5}}}) == -1);
  CHECK(sign_of_products<2>({{{1 + tiny, 1 + tiny}, {-1, 1 + 2 * tiny}}}) == 1);
  CHECK(sign_of_products<2>({{{1 - tiny, 1 + tiny}, {-1, 1}}}) == -1);
  CHECK(sign_of_products<3>({{{1e17, 1}, {1, 1}, {-1e17, 1}}}) == 1);
  CHECK(sign_of_products<3>({{{1e17, 1e17}, {-1e-3, 1e-3}, {-1e17, 1e17}}}) == -1);
  CHECK(sign_of_products<3>({{{0, 1}, {0, -1}, {-0.0, 5}}}) == 0);
}

TEST_CASE("gated problems over all patterns are counted", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 6);
  const auto scope_of = [](const RowMatrix<double>& X, const Gates& gates) {
    GatedSolution solution;
    solution.bias = RowVector<double>::Zero(1);
    return certify(Dataset<double>(X, X.col(0)), gates, solution).scope;
  };
  for (const Index d : {1, 2}) {
    for (const bool degenerate : {false, true}) {
      RowMatrix<double> X = normal_matrix<RowMatrix<double>>(15, d, random);
      if (degenerate) X = X.array().round();
      const Gates all = mgdl::enumerate_gates(X);
      CAPTURE(d, degenerate);
      CHECK(scope_of(X, all) == PatternScope::AllPatterns);
      // They have to say so, and to be complete.
      const RowMatrix<double>& G = all.vectors();
      CHECK(scope_of(X, Gates(X, G)) == PatternScope::SampledPatterns);
      const auto claim = [&](const RowMatrix<double>& vectors) {
        return scope_of(X, Gates(X, vectors, true, PatternScope::AllPatterns));
      };
      CHECK(claim(G) == PatternScope::AllPatterns);
      for (const Index missing : {Index{0}, G.rows() / 2, G.rows() - 1}) {
        RowMatrix<double> rest(G.rows() - 1, G.cols());
        rest << G.topRows(missing), G.bottomRows(G.rows() - 1 - missing);
        CHECK(claim(rest) == PatternScope::SampledPatterns);
        GatedSolution zero;
        zero.bias = RowVector<double>::Zero(1);
        const Dataset<double> data(X, X.col(0));
        const Gates incomplete(X, rest, true, PatternScope::AllPatterns);
        Certificate false_claim = certify(data, incomplete, zero);
        false_claim.scope = PatternScope::AllPatterns;
        CHECK(mgdl::verify(false_claim, data, incomplete, zero).message ==
              "scope: stated AllPatterns, recomputed SampledPatterns");
        // Nor is one in its place that is there already.
        RowMatrix<double> twice = G;
        twice.row(missing) = 2 * G.row((missing + 1) % G.rows());
        CHECK(claim(twice) == PatternScope::SampledPatterns);
      }
    }
  }
  // A pattern that only rounding makes does not count: slope (1 + 2^-52) is rounded to `product`,
  // so that the larger point counts as active, which it is only if that was rounding down.
  const RowMatrix<double> X{{1 + 0x1p-52}, {1}};
  for (const double slope : {1.25, 1.75}) {
    const double product = slope * (1 + 0x1p-52);
    const RowMatrix<double> vectors{{0, 1}, {slope, -product}, {-1, 1}};  // both, larger, smaller
    const Gates gates(X, vectors, true, PatternScope::AllPatterns);
    REQUIRE(gates.size() == 3);
    CHECK(gates.active(0, 1));
    CHECK(scope_of(X, gates) ==
          (slope < 1.5 ? PatternScope::AllPatterns : PatternScope::SampledPatterns));
  }
  // Without bias, and for more inputs, nothing is claimed.
  const RowMatrix<double> plane = normal_matrix<RowMatrix<double>>(6, 2, random);
  CHECK(scope_of(plane, mgdl::enumerate_gates(plane, false)) == PatternScope::SampledPatterns);
}

TEST_CASE("certificates of networks over all patterns", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 7);
  for (const Index d : {1, 2}) {
    const Index n = 30;
    const Matrix<double> X = normal_matrix<Matrix<double>>(n, d, random);
    const Matrix<double> Y = normal_matrix<Matrix<double>>(n, 2, random);
    const Dataset<double> data(X, Y);
    for (const bool separate : {true, false}) {
      // No bound is above any objective: networks at random, and shrunk towards zero.
      double primal = std::numeric_limits<double>::infinity();
      double dual = 0;
      for (int trial = 0; trial < 20; ++trial) {
        auto solution = random_network(d + 1, 2, 1 + trial % 7, 0.2, random);
        solution.separate_outputs = separate;
        solution.output *= trial / 20.0;
        const Certificate certificate = certify_all_patterns(data, solution);
        primal = std::min(primal, certificate.primal);
        dual = std::max(dual, certificate.dual);
        CHECK(verify_all_patterns(certificate, data, solution).valid);
      }
      CHECK(dual <= primal * (1 + 1e-12));
      // At lambda_max zero is optimal, just below it is not.
      auto zero = zero_solution(d + 1, 2, 1, separate);
      zero.lambda = certify_all_patterns(data, zero).lambda_max * (1 + 1e-12);
      CHECK(std::abs(certify_all_patterns(data, zero).relative_gap()) <= 1e-14);
      zero.lambda *= 0.9;
      CHECK(certify_all_patterns(data, zero).relative_gap() > 1e-4);
    }
  }
}

TEST_CASE("no trained network gets below the bound over all patterns", "[convex/certify]") {
  // Networks of several widths for one input, trained from several starts by Adam on loss and
  // weight decay. The largest bound is below all of them, and the best of them is near to it.
  RandomStream random(mgdl::test::seed(), 11);
  constexpr Index n = 14;
  constexpr double lambda = 0.02;
  const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, 1, random);
  RowMatrix<double> Y(n, 1);
  for (Index i = 0; i < n; ++i) Y(i, 0) = std::sin(2 * X(i, 0)) + 0.3 * random.normal();
  Vector<double> w = normal_matrix<Vector<double>>(n, 1, random).cwiseAbs();
  w[3] = 0;
  w /= w.sum();
  const Dataset<double> data(X, Y, w);
  double primal = std::numeric_limits<double>::infinity();
  double dual = 0;
  for (const Index width : {1, 2, 5, 40}) {
    for (int start = 0; start < 4; ++start) {
      auto solution = random_network(2, 1, width, lambda, random);
      std::vector<double> theta(static_cast<std::size_t>(3 * width));  // slope, offset, output
      for (double& value : theta) value = random.normal() / std::sqrt(static_cast<double>(width));
      std::vector<double> gradient(theta.size());
      std::vector<double> mean(theta.size());
      std::vector<double> square(theta.size());
      for (int step = 1; step <= 4000; ++step) {
        for (std::size_t k = 0; k < theta.size(); ++k) gradient[k] = lambda * theta[k];
        for (Index i = 0; i < n; ++i) {
          double residual = -Y(i, 0);
          for (std::size_t k = 0; k < theta.size(); k += 3) {
            residual += std::max(0.0, theta[k] * X(i, 0) + theta[k + 1]) * theta[k + 2];
          }
          for (std::size_t k = 0; k < theta.size(); k += 3) {
            const double hidden = theta[k] * X(i, 0) + theta[k + 1];
            if (hidden <= 0) continue;
            gradient[k] += data.weights()[i] * residual * theta[k + 2] * X(i, 0);
            gradient[k + 1] += data.weights()[i] * residual * theta[k + 2];
            gradient[k + 2] += data.weights()[i] * residual * hidden;
          }
        }
        const double rate = 0.02 * std::pow(1e-3, step / 4000.0);
        for (std::size_t k = 0; k < theta.size(); ++k) {
          mean[k] += 0.1 * (gradient[k] - mean[k]);
          square[k] += 0.01 * (gradient[k] * gradient[k] - square[k]);
          theta[k] -= rate * mean[k] / (std::sqrt(square[k]) + 1e-9);
        }
        if (step % 500 != 0) continue;
        for (Index k = 0; k < width; ++k) {
          const double* neuron = theta.data() + 3 * k;
          solution.hidden.row(k) << neuron[0], neuron[1];
          solution.output(k, 0) = neuron[2];
        }
        const Certificate certificate = certify_all_patterns(data, solution, true, 1);
        primal = std::min(primal, certificate.primal);
        dual = std::max(dual, certificate.dual);
      }
    }
  }
  CAPTURE(primal, dual);
  CHECK(dual <= primal);
  CHECK(dual >= 0.9 * primal);
}

TEST_CASE("an optimum over all patterns has no gap", "[convex/certify]") {
  // Two samples, one neuron: x = -1, 1 with y = 0, 2. By the dual of the one hinge: the neuron is
  // relu(a x + b) with a = b at x = -1 ... its kink there, (t, t) / sqrt(2) per unit of output.
  const Dataset<double> data(Matrix<double>{{-1}, {1}}, Matrix<double>{{0}, {2}});
  auto solution = zero_solution(2, 1, 0.25);
  // 1/4 (2 - 2 t)^2 + lambda sqrt(2) t: 2 (1 - t) = lambda sqrt(2).
  const double t = 1 - 0.25 * std::sqrt(2.0) / 2;
  solution.hidden = RowMatrix<double>{{t, t}};
  solution.output = RowMatrix<double>{{1}};
  const Certificate certificate = certify_all_patterns(data, solution);
  CHECK(near(certificate.primal, (1 - t) * (1 - t) + 0.25 * std::sqrt(2.0) * t));
  CHECK(std::abs(certificate.relative_gap()) <= 1e-14);
  CHECK(near(certificate.lambda_max, std::sqrt(2.0)));
}

TEST_CASE("a dual point that comes with the network", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 71);
  int better = 0;
  for (int k = 0; k < 24; ++k) {
    const Index n = 4 + k;
    const Index c = 1 + k % 2;
    CAPTURE(n, c);
    const auto X = normal_matrix<RowMatrix<double>>(n, 1, random);
    const auto Y = normal_matrix<RowMatrix<double>>(n, c, random);
    Vector<double> weights = Vector<double>::Ones(n);
    if (k % 3 == 0) weights[1] = 0;
    const Dataset<double> data(X, Y, weights);
    ReluSolution solution;
    solution.hidden = normal_matrix<RowMatrix<double>>(3, 2, random);
    solution.output = normal_matrix<RowMatrix<double>>(3, c, random);
    solution.bias = RowVector<double>::Zero(c);
    solution.output_bias = k % 2 == 0;
    solution.lambda = 0.1;
    const double without = certify_all_patterns(data, solution).dual;
    solution.dual = normal_matrix<RowMatrix<double>>(n, c, random);
    if (k % 4 < 2) {  // near the targets' own
      solution.dual = 0.1 * solution.dual + (Y.array().colwise() * data.weights().array()).matrix();
    }

    // By the definition: the best multiple of N within the constraints, one output at a time.
    Matrix<double> inputs(n, 2);
    inputs << X, Vector<double>::Ones(n);
    double expected = 0;
    for (Index o = 0; o < c; ++o) {
      Vector<double> N = solution.dual.col(o);
      if (k % 3 == 0) N[1] = 0;
      if (solution.output_bias) N -= N.sum() / data.weights().sum() * data.weights();
      const double linear = N.dot(Y.col(o));
      double quadratic = 0;
      for (Index i = 0; i < n; ++i) quadratic += N[i] == 0 ? 0 : N[i] * N[i] / data.weights()[i];
      const double reach = solution.lambda / static_cast<double>(circle_maximum(inputs, N));
      const double s = std::clamp(linear / quadratic, -reach, reach);
      expected += s * linear - 0.5 * s * s * quadratic;
    }
    const double found = certify_all_patterns(data, solution).dual;
    CHECK(near(found, std::max(without, expected), 1e-9));
    if (expected > without) ++better;

    for (const bool rows : {true, false}) {
      ReluSolution bad = solution;
      bad.dual = RowMatrix<double>::Zero(rows ? n + 1 : n, rows ? c : c + 1);
      CHECK_THAT(error_of([&] { certify_all_patterns(data, bad); }),
                 ContainsSubstring("ReluSolution.dual"));
    }
    solution.dual(0, 0) = std::numeric_limits<double>::quiet_NaN();
    CHECK_THAT(error_of([&] { certify_all_patterns(data, solution); }),
               ContainsSubstring("ReluSolution.dual"));
  }
  CHECK(better > 5);
  CHECK(better < 24);
}

TEST_CASE("samples without weight and zero rows play no part", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 8);
  for (const Index d : {1, 2}) {
    const Matrix<double> X = normal_matrix<Matrix<double>>(30, d, random);
    const Matrix<double> Y = normal_matrix<Matrix<double>>(30, 1, random);
    Vector<double> w = Vector<double>::Ones(30);
    std::vector<Index> rows;
    for (Index i = 0; i < 30; ++i) {
      if (i % 3 == 0) {
        w[i] = 0;
      } else {
        rows.push_back(i);
      }
    }
    const Dataset<double> data(X, Y, w);
    const auto solution = random_network(d + 1, 1, 5, 0.01, random);
    const Certificate all = certify_all_patterns(data, solution);
    const Certificate some = certify_all_patterns(data.subset(rows), solution);
    CHECK(near(all.primal, some.primal));
    CHECK(near(all.dual, some.dual));
    CHECK(near(all.lambda_max, some.lambda_max));
  }
}

TEST_CASE("false certificates over all patterns", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 9);
  const Dataset<double> data(normal_matrix<Matrix<double>>(30, 1, random),
                             normal_matrix<Matrix<double>>(30, 1, random));
  const auto solution = random_network(2, 1, 5, 0.01, random);
  const Certificate honest = certify_all_patterns(data, solution);
  CHECK(verify_all_patterns(honest, data, solution).valid);
  Certificate modest = honest;
  modest.scope = PatternScope::SampledPatterns;
  CHECK(verify_all_patterns(modest, data, solution).valid);
  for (double Certificate::*field :
       {&Certificate::primal, &Certificate::dual, &Certificate::lambda, &Certificate::lambda_max}) {
    Certificate changed = honest;
    changed.*field += 1e-6 * honest.primal;
    CHECK(!verify_all_patterns(changed, data, solution).valid);
    CHECK(verify_all_patterns(changed, data, solution, true, 1e-2).valid);
  }
}

TEST_CASE("problems with too many inputs to enumerate", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 10);
  const Dataset<double> three(normal_matrix<Matrix<double>>(10, 3, random),
                              normal_matrix<Matrix<double>>(10, 1, random));
  CHECK(error_of([&] { certify_all_patterns(three, zero_solution(4, 1, 1)); }) ==
        "X: expected at most 2 columns, found 3");
  CHECK(certify_all_patterns(three, zero_solution(3, 1, 1), false).lambda_max > 0);
  const Dataset<double> four(normal_matrix<Matrix<double>>(10, 4, random),
                             normal_matrix<Matrix<double>>(10, 1, random));
  CHECK(error_of([&] { certify_all_patterns(four, zero_solution(4, 1, 1), false); }) ==
        "X: expected at most 3 columns, found 4");
  auto solution = random_network(3, 1, 2, 1, random);
  const Dataset<double> one(normal_matrix<Matrix<double>>(10, 1, random),
                            normal_matrix<Matrix<double>>(10, 1, random));
  CHECK(error_of([&] { certify_all_patterns(one, solution); }) ==
        "ReluSolution.hidden: expected 2 columns, found 3");
  solution = random_network(2, 1, 2, 1, random);
  solution.output *= 1e200;
  CHECK(error_of([&] { certify_all_patterns(one, solution); }) ==
        "solution: expected a finite objective, found an overflow");
}
