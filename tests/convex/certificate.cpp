#include "mgdl/convex/certificate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Certificate;
using mgdl::certify;
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
using mgdl::verify;
using mgdl::test::error_of;
using mgdl::test::near;
using mgdl::test::normal_matrix;

namespace {

using Real = long double;
using Reals = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;

enum class Kind { General, CollinearColumns, ConstantTargets };

/// A random problem with everything that can be there: weights, some of them zero, repeated
/// samples.
struct CertifiedProblem {
  Dataset<double> data;
  Gates gates;
};

CertifiedProblem random_certified_problem(Index n, Index d, Index c, Index patterns, bool bias,
                                          RandomStream& random, Kind kind = Kind::General) {
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, d, random);
  RowMatrix<double> Y = normal_matrix<RowMatrix<double>>(n, c, random);
  Y.col(0).array() += 3;
  if (kind == Kind::CollinearColumns && d > 1) X.col(1) = 2 * X.col(0);
  if (kind == Kind::ConstantTargets) Y.setConstant(3);
  Vector<double> w = normal_matrix<Vector<double>>(n, 1, random).cwiseAbs();
  for (Index i = 0; i < n; i += 7) w[i] = 0;
  for (Index i = 3; i + 1 < n; i += 11) X.row(i + 1) = X.row(i);
  const auto G = normal_matrix<RowMatrix<double>>(patterns, d + (bias ? 1 : 0), random);
  return {Dataset<double>(X, Y, w), Gates(X, G, bias)};
}

GatedSolution random_gated(const CertifiedProblem& problem, double lambda, bool output_bias,
                           RandomStream& random) {
  const Index c = problem.data.targets().cols();
  GatedSolution solution;
  solution.lambda = lambda;
  for (Index j = 1; j < problem.gates.size(); j += 3) solution.active.push_back(j);
  solution.coefficients =
      0.1 * normal_matrix<Matrix<double>>(std::ssize(solution.active) * problem.gates.dimension(),
                                          c, random);
  solution.bias = RowVector<double>::Zero(c);
  solution.output_bias = output_bias;
  if (output_bias) solution.bias = normal_matrix<RowVector<double>>(1, c, random);
  return solution;
}

/// Neurons along the gates, so in their cones.
ReluSolution random_relu(const CertifiedProblem& problem, double lambda, bool output_bias,
                         bool separate, RandomStream& random) {
  const Index c = problem.data.targets().cols();
  ReluSolution solution;
  solution.lambda = lambda;
  const Index m = problem.gates.size() / 2;
  solution.hidden = problem.gates.vectors().topRows(m);
  solution.output = 0.1 * normal_matrix<RowMatrix<double>>(m, c, random);
  for (Index k = 0; k < m; ++k) solution.gates.push_back(k);
  solution.bias = RowVector<double>::Zero(c);
  solution.output_bias = output_bias;
  if (output_bias) solution.bias = normal_matrix<RowVector<double>>(1, c, random);
  solution.separate_outputs = separate;
  return solution;
}

/// The definitions in long double, one term at a time.
struct Reference {
  const CertifiedProblem& problem;
  bool output_bias;
  Index n = problem.data.size();
  Index c = problem.data.targets().cols();
  Index d = problem.data.inputs().cols();
  Index p = problem.gates.dimension();

  Real input(Index i, Index k) const { return k < d ? problem.data.inputs()(i, k) : 1; }
  bool active(Index i, Index j) const {
    double value = 0;
    for (Index k = 0; k < d; ++k) {
      value = std::fma(problem.data.inputs()(i, k), problem.gates.vectors()(j, k), value);
    }
    if (p > d) value += problem.gates.vectors()(j, d);
    return value >= 0;
  }
  Reals targets() const { return problem.data.targets().cast<Real>(); }
  Real weight(Index i) const { return problem.data.weights()[i]; }

  Reals gated(const GatedSolution& solution) const {
    Reals f = Reals::Zero(n, c);
    for (Index k = 0; k < std::ssize(solution.active); ++k) {
      for (Index i = 0; i < n; ++i) {
        if (!active(i, solution.active[static_cast<std::size_t>(k)])) continue;
        for (Index l = 0; l < p; ++l) {
          for (Index o = 0; o < c; ++o) {
            f(i, o) += input(i, l) * solution.coefficients(k * p + l, o);
          }
        }
      }
    }
    return f;
  }
  Reals relu(const ReluSolution& solution) const {
    Reals f = Reals::Zero(n, c);
    for (Index k = 0; k < solution.hidden.rows(); ++k) {
      for (Index i = 0; i < n; ++i) {
        Real value = 0;
        for (Index l = 0; l < p; ++l) value += input(i, l) * solution.hidden(k, l);
        for (Index o = 0; o < c && value > 0; ++o) f(i, o) += value * solution.output(k, o);
      }
    }
    return f;
  }
  Real loss(const Reals& f, const RowVector<double>& bias) const {
    Real sum = 0;
    for (Index i = 0; i < n; ++i) {
      for (Index o = 0; o < c; ++o) {
        const Real e = targets()(i, o) - f(i, o) - bias[o];
        sum += weight(i) * e * e / 2;
      }
    }
    return sum;
  }
  Reals residual(const Reals& f) const {
    Reals R = targets() - f;
    for (Index o = 0; o < c && output_bias; ++o) {
      Real mean = 0;
      Real total = 0;
      for (Index i = 0; i < n; ++i) {
        mean += weight(i) * R(i, o);
        total += weight(i);
      }
      for (Index i = 0; i < n; ++i) R(i, o) -= mean / total;
    }
    return R;
  }
  /// X~' D_j W R, p x c
  Reals product(const Reals& R, Index j) const {
    Reals C = Reals::Zero(p, c);
    for (Index i = 0; i < n; ++i) {
      if (!active(i, j)) continue;
      for (Index l = 0; l < p; ++l) {
        for (Index o = 0; o < c; ++o) C(l, o) += input(i, l) * weight(i) * R(i, o);
      }
    }
    return C;
  }
  /// max_s <sWR, Y> - s^2/2 <WR, R> over |s| maximum <= lambda, of columns [first, first + count)
  Real dual(const Reals& R, Real maximum, Real lambda, Index first, Index count) const {
    Real linear = 0;
    Real quadratic = 0;
    for (Index i = 0; i < n; ++i) {
      for (Index o = first; o < first + count; ++o) {
        linear += weight(i) * R(i, o) * targets()(i, o);
        quadratic += weight(i) * R(i, o) * R(i, o);
      }
    }
    const Real s = std::clamp(linear / quadratic, -lambda / maximum, lambda / maximum);
    return s * linear - s * s * quadratic / 2;
  }
  /// Length of the projection of C's column o, times sign, onto the cone of gate j: of all points
  /// that are nearest on the intersection of up to p of the hyperplanes, the nearest in the cone.
  Real projection(const Reals& C, Index j, Index o, Real sign) const {
    using Point = std::array<Real, 4>;
    const auto dot = [](const Point& a, const Point& b) {
      return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3];
    };
    const auto without = [](Point a, Real factor, const Point& b) {
      for (std::size_t l = 0; l < 4; ++l) a[l] -= factor * b[l];
      return a;
    };
    std::vector<Point> normals(static_cast<std::size_t>(n));
    Point q{};
    for (Index l = 0; l < p; ++l) {
      const auto at = static_cast<std::size_t>(l);
      q[at] = sign * C(l, o);
      for (Index i = 0; i < n; ++i) {
        normals[static_cast<std::size_t>(i)][at] = (active(i, j) ? 1 : -1) * input(i, l);
      }
    }
    Real best = std::numeric_limits<Real>::infinity();
    Real length = 0;
    // u is q without its parts along the orthonormal vectors of `basis`.
    const auto visit = [&](const auto& self, std::size_t next, const std::vector<Point>& basis,
                           const Point& u) -> void {
      bool inside = true;
      for (const Point& a : normals) inside = inside && dot(a, u) >= -1e-15L;
      const Point rest = without(q, 1, u);
      if (inside && std::sqrt(dot(rest, rest)) < best) {
        best = std::sqrt(dot(rest, rest));
        length = std::sqrt(dot(u, u));
      }
      if (std::ssize(basis) == p) return;
      for (std::size_t i = next; i < normals.size(); ++i) {
        Point a = normals[i];
        for (int pass = 0; pass < 2; ++pass) {
          for (const Point& b : basis) a = without(a, dot(a, b), b);
        }
        const Real norm = std::sqrt(dot(a, a));
        if (norm < 1e-12L) continue;
        a = without({}, -1 / norm, a);
        std::vector<Point> longer = basis;
        longer.push_back(a);
        self(self, i + 1, longer, without(u, dot(u, a), a));
      }
    };
    visit(visit, 0, {}, q);
    return length;
  }
  /// Largest singular value of p x 2 values.
  static Real spectral_norm(const Reals& C) {
    Real aa = 0;
    Real ab = 0;
    Real bb = 0;
    for (Index l = 0; l < C.rows(); ++l) {
      aa += C(l, 0) * C(l, 0);
      ab += C(l, 0) * C(l, 1);
      bb += C(l, 1) * C(l, 1);
    }
    return std::sqrt((aa + bb + std::hypot(aa - bb, 2 * ab)) / 2);
  }
};

}  // namespace

TEST_CASE("a gated problem by hand", "[convex/certify]") {
  // One input without bias, and one gate that is active everywhere: ridge-less regression through
  // the origin with an absolute value as penalty, 1/4 (1 - u)^2 + 1/4 (2 - 2 u)^2 + lambda |u|.
  const RowMatrix<double> X{{1}, {2}};
  const Dataset<double> data(X, X);
  const Gates gates(X, RowMatrix<double>{{1}}, false);
  GatedSolution solution;
  solution.lambda = 1;
  solution.bias = RowVector<double>::Zero(1);

  const Certificate zero = certify(data, gates, solution);
  CHECK(zero.primal == 1.25);
  CHECK(zero.lambda == 1);
  CHECK(zero.lambda_max == 2.5);
  CHECK(near(zero.dual, 0.8));  // s = 1 / 2.5
  CHECK(near(zero.gap(), 0.45));
  CHECK(near(zero.relative_gap(), 0.36));
  CHECK(zero.scope == PatternScope::SampledPatterns);
  CHECK(zero.bound == DualBound::Exact);
  CHECK(zero.cone_violation == 0);

  // The optimum u = 1 - lambda / 2.5.
  solution.active = {0};
  solution.coefficients = Matrix<double>{{0.6}};
  const Certificate optimum = certify(data, gates, solution);
  CHECK(near(optimum.primal, 0.8));
  CHECK(near(optimum.dual, 0.8));
  CHECK(optimum.lambda_max == 2.5);

  // Without penalty nothing is known; of residuals that are zero neither.
  solution.lambda = 0;
  CHECK(certify(data, gates, solution).dual == 0);
  solution.coefficients(0, 0) = 1;
  const Certificate exact = certify(data, gates, solution);
  CHECK(exact.primal == 0);
  CHECK(exact.dual == 0);
  CHECK(exact.relative_gap() == 0);

  // A penalty above lambda_max: zero is optimal, and the factor s = 1 needs no scaling.
  solution = {};
  solution.lambda = 3;
  solution.bias = RowVector<double>::Zero(1);
  CHECK(certify(data, gates, solution).gap() == 0);
}

TEST_CASE("a ReLU problem by hand", "[convex/certify]") {
  // The cone of the gate is the quadrant u >= 0, on which D = I.
  const RowMatrix<double> X{{1, 0}, {0, 1}};
  const Gates gates(X, RowMatrix<double>{{1, 1}}, false);
  ReluSolution solution;
  solution.lambda = 0.5;
  solution.bias = RowVector<double>::Zero(1);
  solution.hidden.resize(0, 2);
  solution.output.resize(0, 1);

  // X~' W Y = (3, -4): its projections are (3, 0), and (0, 4) for the other sign.
  const Dataset<double> mixed(X, Matrix<double>{{6}, {-8}});
  const Certificate zero = certify(mixed, gates, solution);
  CHECK(zero.primal == 25);
  CHECK(near(zero.lambda_max, 4));
  CHECK(near(zero.dual, 0.125 * 50 - 0.5 * 0.125 * 0.125 * 50));
  CHECK(zero.bound == DualBound::Exact);

  // y = (3, 0): one neuron (t, 0) with (3 - t) / 2 = lambda.
  const Dataset<double> one(X, Matrix<double>{{3}, {0}});
  solution.hidden = RowMatrix<double>{{4, 0}};
  solution.output = RowMatrix<double>{{0.5}};
  solution.gates = {0};
  const Certificate optimum = certify(one, gates, solution);
  CHECK(near(optimum.primal, 1.25));
  CHECK(near(optimum.dual, 1.25));
  CHECK(near(optimum.lambda_max, 1.5));
  CHECK(optimum.cone_violation == 0);

  // The objective is that of the network, wherever its neurons are: here max(0, x.v) = (2, 0).
  solution.hidden = RowMatrix<double>{{4, -3}};
  const Certificate outside = certify(one, gates, solution);
  CHECK(near(outside.primal, 0.25 + 0.5 * 5 * 0.5));
  CHECK(near(outside.cone_violation, 0.6));
}

TEST_CASE("gated certificates against the definitions in long double", "[convex/certify]") {
  RandomStream random(mgdl::test::seed());
  for (const Index n : {2, 20, 256, 300}) {  // the first is less than p
    for (const Index c : {1, 3}) {
      for (const bool output_bias : {false, true}) {
        if (n == 2 && output_bias) continue;  // one of two has weight 0: no residual is left
        for (const Kind kind : {Kind::General, Kind::CollinearColumns, Kind::ConstantTargets}) {
          const bool bias = n != 20;
          const CertifiedProblem problem =
              random_certified_problem(n, 3, c, 70, bias, random, kind);
          const auto solution = random_gated(problem, 0.02, output_bias, random);
          const Certificate found = certify(problem.data, problem.gates, solution);
          const Reference reference{problem, output_bias};
          const Reals f = reference.gated(solution);
          Real primal = reference.loss(f, solution.bias);
          for (Index k = 0; k < std::ssize(solution.active); ++k) {
            primal += solution.lambda * solution.block(k).cast<Real>().norm();
          }
          const Reals R = reference.residual(f);
          const Reals Y = reference.residual(Reals::Zero(n, c));
          Real maximum = 0;
          Real lambda_max = 0;
          for (Index j = 0; j < problem.gates.size(); ++j) {
            maximum = std::max(maximum, reference.product(R, j).norm());
            lambda_max = std::max(lambda_max, reference.product(Y, j).norm());
          }
          CAPTURE(n, c, output_bias, static_cast<int>(kind));
          CHECK(near(found.primal, static_cast<double>(primal)));
          CHECK(found.dual < found.primal);
          if (kind == Kind::ConstantTargets && output_bias) {
            // The bias fits them, so that the optimum is 0 for any penalty.
            CHECK(std::abs(found.dual) <= 1e-15);
            CHECK(std::abs(found.lambda_max) <= 1e-14);
            continue;
          }
          CHECK(near(found.lambda_max, static_cast<double>(lambda_max)));
          CHECK(near(found.dual,
                     static_cast<double>(reference.dual(R, maximum, solution.lambda, 0, c))));
          CHECK(found.dual > 0);
        }
      }
    }
  }
}

TEST_CASE("ReLU certificates against the definitions in long double", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 1);
  for (const Index p : {1, 2, 3, 4}) {
    for (const Index c : {1, 2}) {
      for (int trial = 0; trial < 8; ++trial) {
        const bool separate = trial % 2 == 0;
        const Index n = trial / 2 == 1 ? 3 : 14;
        const bool output_bias = p % 2 == 0;
        Kind kind = Kind::General;
        if (trial / 2 == 2) kind = Kind::CollinearColumns;
        if (trial / 2 == 3 && !output_bias) kind = Kind::ConstantTargets;
        const bool bias = p > 1 && c == 1;
        const CertifiedProblem problem =
            random_certified_problem(n, p - (bias ? 1 : 0), c, 12, bias, random, kind);
        const auto solution = random_relu(problem, 0.05, output_bias, separate, random);
        const Certificate found = certify(problem.data, problem.gates, solution);
        const Reference reference{problem, output_bias};
        const Reals f = reference.relu(solution);
        Real primal = reference.loss(f, solution.bias);
        for (Index k = 0; k < solution.hidden.rows(); ++k) {
          const Real hidden = solution.hidden.row(k).cast<Real>().norm();
          const auto output = solution.output.row(k).cast<Real>();
          primal += solution.lambda * hidden * (separate ? output.lpNorm<1>() : output.norm());
        }
        const Reals R = reference.residual(f);
        const Reals Y = reference.residual(Reals::Zero(f.rows(), c));
        Real dual = 0;
        Real lambda_max = 0;
        if (separate || c == 1) {
          for (Index o = 0; o < c; ++o) {
            Real maximum = 0;
            for (Index j = 0; j < problem.gates.size(); ++j) {
              for (const Real sign : {1, -1}) {
                maximum =
                    std::max(maximum, reference.projection(reference.product(R, j), j, o, sign));
                lambda_max =
                    std::max(lambda_max, reference.projection(reference.product(Y, j), j, o, sign));
              }
            }
            dual += reference.dual(R, maximum, solution.lambda, o, 1);
          }
        } else {
          Real maximum = 0;
          for (Index j = 0; j < problem.gates.size(); ++j) {
            maximum = std::max(maximum, Reference::spectral_norm(reference.product(R, j)));
            lambda_max = std::max(lambda_max, Reference::spectral_norm(reference.product(Y, j)));
          }
          dual = reference.dual(R, maximum, solution.lambda, 0, c);
        }
        CAPTURE(n, p, c, separate);
        CHECK(near(found.primal, static_cast<double>(primal)));
        CHECK(near(found.lambda_max, static_cast<double>(lambda_max)));
        CHECK(near(found.dual, static_cast<double>(dual)));
        CHECK(found.bound ==
              (separate || c == 1 ? DualBound::Exact : DualBound::SpectralRelaxation));
        CHECK(found.cone_violation <= 1e-15);
        CHECK(found.dual > 0);
        CHECK(found.dual < found.primal);
      }
    }
  }
}

TEST_CASE("no dual bound is above any objective", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 2);
  constexpr Index n = 60;
  constexpr double lambda = 0.05;
  for (const Index c : {1, 2}) {
    for (const bool output_bias : {false, true}) {
      const CertifiedProblem problem = random_certified_problem(n, 2, c, 15, true, random);
      const Index p = problem.gates.dimension();
      auto solution = random_gated(problem, lambda, output_bias, random);
      solution.active.clear();
      RowMatrix<double> A(n, p * problem.gates.size());
      for (Index j = 0; j < problem.gates.size(); ++j) {
        solution.active.push_back(j);
        for (Index i = 0; i < n; ++i) {
          A.row(i).segment(j * p, p) << problem.data.inputs().row(i), 1;
          if (!problem.gates.active(i, j)) A.row(i).segment(j * p, p).setZero();
        }
      }
      // Proximal gradient steps with momentum, from a random point to near the optimum.
      const Vector<double>& w = problem.data.weights();
      const Matrix<double> gram = A.transpose() * w.asDiagonal() * A;
      const double step = 1 / gram.norm();
      solution.coefficients = normal_matrix<Matrix<double>>(A.cols(), c, random);
      Matrix<double> ahead = solution.coefficients;
      double primal = std::numeric_limits<double>::infinity();
      double dual = 0;
      for (int iteration = 0; iteration < 3000; ++iteration) {
        RowMatrix<double> R = problem.data.targets() - A * ahead;
        if (output_bias) solution.bias = w.transpose() * R;
        R.rowwise() -= solution.bias;
        const Matrix<double> last = solution.coefficients;
        solution.coefficients = ahead + step * A.transpose() * (w.asDiagonal() * R);
        for (Index j = 0; j < problem.gates.size(); ++j) {
          auto block = solution.coefficients.middleRows(j * p, p);
          const double norm = block.norm();
          block *= norm > step * lambda ? 1 - step * lambda / norm : 0;
        }
        // Momentum starts again now and then, so that it does not overshoot for ever.
        const double momentum = static_cast<double>(iteration % 200) / (iteration % 200 + 3);
        ahead = solution.coefficients + momentum * (solution.coefficients - last);
        if (iteration % 50 != 0) continue;
        const Certificate certificate = certify(problem.data, problem.gates, solution, 1);
        primal = std::min(primal, certificate.primal);
        dual = std::max(dual, certificate.dual);
      }
      CAPTURE(c, output_bias, primal, dual);
      CHECK(dual <= primal * (1 + 1e-12));
      CHECK(dual >= primal * 0.99);  // and it is tight

      // Networks in the cones.
      primal = std::numeric_limits<double>::infinity();
      dual = 0;
      for (int trial = 0; trial < 50; ++trial) {
        auto relu = random_relu(problem, lambda, output_bias, trial % 2 == 0, random);
        relu.output *= std::exp(-4 * random.uniform());
        const Certificate certificate = certify(problem.data, problem.gates, relu, 1);
        if (trial % 2 == 0) {  // all of the same problem
          primal = std::min(primal, certificate.primal);
          dual = std::max(dual, certificate.dual);
        }
        CHECK(certificate.dual <= certificate.primal);
      }
      CHECK(dual <= primal);
    }
  }
}

TEST_CASE("projections bound what every direction of the cone reaches", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 3);
  constexpr Index n = 12;
  for (const bool separate : {true, false}) {
    const Index c = separate ? 1 : 2;
    const CertifiedProblem problem = random_certified_problem(n, 2, c, 100, true, random);
    const auto solution = random_relu(problem, 1e-3, false, separate, random);
    const double claimed = certify(problem.data, problem.gates, solution).lambda_max;
    // At zero: the largest |sum_i w_i y_i max(0, x~_i.u)| for u in the cones, by random steps.
    RowMatrix<double> X(n, 3);
    X << problem.data.inputs(), Vector<double>::Ones(n);
    const Matrix<double> weighted = problem.data.weights().asDiagonal() * problem.data.targets();
    const auto h = [&](const Vector<double>& u) {
      return (weighted.transpose() * (X * u).cwiseMax(0)).norm();
    };
    double largest = 0;
    for (Index j = 0; j < problem.gates.size(); ++j) {
      Vector<double> best = problem.gates.vectors().row(j).transpose().normalized();
      double size = 1;
      for (int trial = 0; trial < 400; ++trial, size *= 0.98) {
        const Vector<double> u =
            (best + size * normal_matrix<Vector<double>>(3, 1, random)).normalized();
        const Vector<double> values = X * u;
        bool inside = true;
        for (Index i = 0; i < n; ++i) {
          inside = inside && (values[i] >= 0) == problem.gates.active(i, j);
        }
        if (inside && h(u) > h(best)) best = u;
      }
      largest = std::max(largest, h(best));
    }
    CHECK(largest <= claimed);
    CHECK(largest >= (separate ? 0.98 : 0.5) * claimed);
  }
}

TEST_CASE("samples without weight only shape the cones", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 4);
  CertifiedProblem problem = random_certified_problem(50, 2, 2, 30, true, random);
  std::vector<Index> rows;
  for (Index i = 0; i < 50; ++i) {
    if (problem.data.weights()[i] > 0) rows.push_back(i);
  }
  REQUIRE(rows.size() < 50);
  const Dataset<double> part = problem.data.subset(rows);
  // Gates that differ on the other samples alone would be one gate here.
  const Gates gates(part.inputs(), problem.gates.vectors());
  problem.gates = Gates(problem.data.inputs(), gates.vectors());
  const auto solution = random_gated(problem, 0.05, true, random);
  REQUIRE(gates.size() == problem.gates.size());
  const Certificate all = certify(problem.data, problem.gates, solution);
  const Certificate some = certify(part, gates, solution);
  CHECK(near(all.primal, some.primal));
  CHECK(near(all.dual, some.dual));
  CHECK(near(all.lambda_max, some.lambda_max));

  // Wider cones have longer projections.
  const auto relu = random_relu(problem, 0.05, true, true, random);
  const Certificate narrow = certify(problem.data, problem.gates, relu);
  const Certificate wide = certify(part, gates, relu);
  CHECK(near(narrow.primal, wide.primal));
  CHECK(narrow.dual >= wide.dual * (1 - 1e-12));
  CHECK(narrow.lambda_max <= wide.lambda_max * (1 + 1e-12));
}

TEST_CASE("an output bias takes up any offset of the targets", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 5);
  const CertifiedProblem problem = random_certified_problem(40, 2, 2, 20, true, random);
  Matrix<double> shifted = problem.data.targets();
  shifted.rowwise() += RowVector<double>{{100, -7}};
  const Dataset<double> data(problem.data.inputs(), shifted, problem.data.weights());
  auto solution = random_relu(problem, 0.05, true, true, random);
  const Certificate before = certify(problem.data, problem.gates, solution);
  solution.bias += RowVector<double>{{100, -7}};
  const Certificate after = certify(data, problem.gates, solution);
  CHECK(near(before.primal, after.primal, 1e-10));
  CHECK(near(before.dual, after.dual, 1e-10));
  CHECK(near(before.lambda_max, after.lambda_max, 1e-10));

  // A bias that is not the best one costs, and changes nothing else.
  solution.bias[0] += 1;
  const Certificate worse = certify(data, problem.gates, solution);
  CHECK(worse.primal != after.primal);
  CHECK(worse.dual == after.dual);
}

TEST_CASE("separate outputs are separate problems", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 6);
  const CertifiedProblem problem = random_certified_problem(40, 2, 3, 20, true, random);
  auto solution = random_relu(problem, 0.05, false, true, random);
  const Certificate together = certify(problem.data, problem.gates, solution);
  double primal = 0;
  double dual = 0;
  double lambda_max = 0;
  for (Index o = 0; o < 3; ++o) {
    const Dataset<double> data(problem.data.inputs(), problem.data.targets().col(o),
                               problem.data.weights());
    ReluSolution part = solution;
    part.output = solution.output.col(o);
    part.bias = RowVector<double>::Zero(1);
    const Certificate certificate = certify(data, problem.gates, part);
    primal += certificate.primal;
    dual += certificate.dual;
    lambda_max = std::max(lambda_max, certificate.lambda_max);
  }
  CHECK(near(together.primal, primal));
  CHECK(near(together.dual, dual));
  CHECK(near(together.lambda_max, lambda_max));

  // A neuron that serves several outputs costs less if it is shared.
  solution.separate_outputs = false;
  CHECK(certify(problem.data, problem.gates, solution).primal < together.primal);
}

TEST_CASE("cone violations", "[convex/certify]") {
  // x~ = (x, 1); the first gate is active for x >= 0, the second for x <= 0.
  const RowMatrix<double> X{{-1}, {0}, {2}};
  const Gates gates(X, RowMatrix<double>{{1, 0}, {-1, 0}, {0, 1}});
  const Dataset<double> data(X, X, Vector<double>{{1, 1, 0}});
  ReluSolution solution;
  solution.bias = RowVector<double>::Zero(1);
  solution.output = RowMatrix<double>{{1}};
  const auto violation = [&](double slope, double offset, Index gate) {
    solution.hidden = RowMatrix<double>{{slope, offset}};
    solution.gates = {gate};
    return certify(data, gates, solution).cone_violation;
  };
  CHECK(violation(3, 0, 0) == 0);
  CHECK(violation(1, 1, 0) == 0);                        // zero at x = -1
  CHECK(near(violation(0, 5, 0), std::sqrt(0.5)));       // x = -1, |x~| = sqrt(2)
  CHECK(near(violation(-1, 0, 0), 2 / std::sqrt(5.0)));  // x = 2, although it has no weight
  CHECK(violation(-1, 0, 1) == 0);
  CHECK(near(violation(-1, 1, 2), 1 / std::sqrt(10.0)));
  // Without a gate: the nearest cone.
  CHECK(violation(-3, 0, -1) == 0);
  CHECK(violation(0, 2, -1) == 0);
  CHECK(violation(0, -2, -1) == 0);  // active nowhere
  CHECK(violation(-1, 1, -1) == 0);
  CHECK(near(violation(1, -1, -1), 1 / std::sqrt(10.0)));  // next to active nowhere, by x = 2
  CHECK(near(violation(2, -1, -1), 1 / std::sqrt(5.0)));   // x = 0 in the cone of the first gate
  CHECK(violation(0, 0, 0) == 0);

  // Blocks of samples: the violation may be anywhere.
  RandomStream random(mgdl::test::seed(), 7);
  const Index n = 600;
  RowMatrix<double> line = normal_matrix<RowMatrix<double>>(n, 1, random).cwiseAbs();
  for (const Index bad : {0, 255, 256, 599}) {
    RowMatrix<double> moved = line;
    moved(bad, 0) = -2;
    const Gates all(moved, RowMatrix<double>{{0, 1}});
    solution.hidden = RowMatrix<double>{{1, 0}};
    solution.gates = {0};
    CHECK(near(certify(Dataset<double>(moved, moved), all, solution).cone_violation,
               2 / std::sqrt(5.0)));
  }
}

TEST_CASE("certificates do not depend on the number of threads", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 8);
  const CertifiedProblem problem = random_certified_problem(700, 4, 2, 300, true, random);
  const auto same = [](const Certificate& a, const Certificate& b) {
    return a.primal == b.primal && a.dual == b.dual && a.lambda_max == b.lambda_max &&
           a.cone_violation == b.cone_violation;
  };
  const auto gated = random_gated(problem, 0.01, true, random);
  auto relu = random_relu(problem, 0.01, true, true, random);
  relu.hidden += 0.01 * normal_matrix<RowMatrix<double>>(relu.hidden.rows(), 5, random);
  relu.gates[3] = -1;
  for (const int threads : {2, 3, 0}) {
    CHECK(same(certify(problem.data, problem.gates, gated, threads),
               certify(problem.data, problem.gates, gated, 1)));
    CHECK(same(certify(problem.data, problem.gates, relu, threads),
               certify(problem.data, problem.gates, relu, 1)));
  }
}

TEST_CASE("arguments that do not fit together", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 9);
  const CertifiedProblem problem = random_certified_problem(20, 2, 2, 10, true, random);
  const GatedSolution gated = random_gated(problem, 0.05, true, random);
  const ReluSolution relu = random_relu(problem, 0.05, true, true, random);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto gated_error = [&](const auto& change) {
    GatedSolution changed = gated;
    change(changed);
    return error_of([&] { certify(problem.data, problem.gates, changed); });
  };
  const auto relu_error = [&](const auto& change) {
    ReluSolution changed = relu;
    change(changed);
    return error_of([&] { certify(problem.data, problem.gates, changed); });
  };
  CHECK(gated_error([&](auto& s) { s.lambda = nan; }) ==
        "GatedSolution.lambda: expected a finite value >= 0, found nan");
  CHECK(gated_error([&](auto& s) { s.lambda = -1; }) ==
        "GatedSolution.lambda: expected a finite value >= 0, found -1");
  CHECK(gated_error([&](auto& s) { s.bias.resize(1); }) ==
        "GatedSolution.bias: expected 2 columns, found 1");
  CHECK(gated_error([&](auto& s) { s.bias[1] = nan; }) ==
        "GatedSolution.bias: expected finite values, found nan at row 0, column 1");
  CHECK_THAT(gated_error([&](auto& s) { s.output_bias = false; }),
             ContainsSubstring("GatedSolution.bias: expected zeros"));
  CHECK_THAT(gated_error([&](auto& s) { s.active.back() = problem.gates.size(); }),
             ContainsSubstring("GatedSolution.active: expected gates from 0 to"));
  CHECK_THAT(gated_error([&](auto& s) { s.active[0] = s.active[1]; }),
             ContainsSubstring("GatedSolution.active: expected ascending gates"));
  CHECK_THAT(gated_error([&](auto& s) { s.active.pop_back(); }),
             ContainsSubstring("GatedSolution.coefficients: expected"));
  CHECK(gated_error([&](auto& s) { s.coefficients.conservativeResize(Eigen::NoChange, 3); }) ==
        "GatedSolution.coefficients: expected 2 columns, found 3");
  CHECK(gated_error([&](auto& s) { s.coefficients(4, 1) = -1 / 0.0; }) ==
        "GatedSolution.coefficients: expected finite values, found -inf at row 4, column 1");
  CHECK(gated_error([&](auto& s) { s.coefficients *= 1e200; }) ==
        "solution: expected a finite objective, found an overflow");

  CHECK_THAT(relu_error([&](auto& s) { s.lambda = 1 / 0.0; }),
             ContainsSubstring("ReluSolution.lambda"));
  CHECK_THAT(relu_error([&](auto& s) { s.bias.resize(3); }),
             ContainsSubstring("ReluSolution.bias: expected 2 columns"));
  CHECK_THAT(relu_error([&](auto& s) { s.output_bias = false; }),
             ContainsSubstring("ReluSolution.bias: expected zeros"));
  CHECK(relu_error([&](auto& s) { s.hidden.conservativeResize(Eigen::NoChange, 2); }) ==
        "ReluSolution.hidden: expected 3 columns, found 2");
  CHECK_THAT(relu_error([&](auto& s) { s.output.conservativeResize(2, Eigen::NoChange); }),
             ContainsSubstring("ReluSolution.output: expected"));
  CHECK(relu_error([&](auto& s) { s.output.conservativeResize(Eigen::NoChange, 1); }) ==
        "ReluSolution.output: expected 2 columns, found 1");
  CHECK_THAT(relu_error([&](auto& s) { s.hidden(1, 0) = nan; }),
             ContainsSubstring("ReluSolution.hidden: expected finite values, found nan at row 1"));
  CHECK_THAT(relu_error([&](auto& s) { s.output(2, 1) = nan; }),
             ContainsSubstring("ReluSolution.output: expected finite values, found nan at row 2"));
  CHECK_THAT(relu_error([&](auto& s) { s.gates.pop_back(); }),
             ContainsSubstring("ReluSolution.gates: expected"));
  CHECK_THAT(relu_error([&](auto& s) { s.gates[1] = -2; }),
             ContainsSubstring("ReluSolution.gates: expected gates from -1 to"));
  CHECK_THAT(relu_error([&](auto& s) { s.gates[0] = problem.gates.size(); }),
             ContainsSubstring("ReluSolution.gates: expected gates from -1 to"));
  CHECK(relu_error([&](auto& s) { s.output *= 1e200; }) ==
        "solution: expected a finite objective, found an overflow");

  const Dataset<double> shorter = problem.data.subset({0, 1, 2});
  CHECK(error_of([&] { certify(shorter, problem.gates, gated); }) ==
        "X: expected 20 rows, found 3");
  CHECK(error_of([&] { certify(shorter, problem.gates, relu); }) == "X: expected 20 rows, found 3");
  const Dataset<double> narrow(problem.data.inputs().leftCols(1), problem.data.targets());
  CHECK(error_of([&] { certify(narrow, problem.gates, gated); }) ==
        "X: expected 2 columns, found 1");
  CHECK_THAT(error_of([&] { certify(problem.data, problem.gates, relu, -1); }),
             ContainsSubstring("threads"));
  CHECK_THAT(error_of([&] { verify({}, problem.data, problem.gates, relu, -1e-3); }),
             ContainsSubstring("tolerance"));
  CHECK_THAT(error_of([&] { verify({}, problem.data, problem.gates, relu, nan); }),
             ContainsSubstring("tolerance"));

  // Nothing is asked of the shape of coefficients that are not there.
  GatedSolution none;
  none.bias = RowVector<double>::Zero(2);
  CHECK(certify(problem.data, problem.gates, none).primal > 0);
  ReluSolution empty;
  empty.bias = RowVector<double>::Zero(2);
  CHECK(certify(problem.data, problem.gates, empty).primal > 0);
}

TEST_CASE("true certificates are told from false ones", "[convex/certify]") {
  RandomStream random(mgdl::test::seed(), 10);
  const CertifiedProblem problem = random_certified_problem(50, 2, 2, 20, true, random);
  auto solution = random_relu(problem, 0.05, true, true, random);
  solution.hidden += 0.1 * normal_matrix<RowMatrix<double>>(solution.hidden.rows(), 3, random);
  const Certificate honest = certify(problem.data, problem.gates, solution);
  REQUIRE(honest.cone_violation > 1e-3);
  const auto judge = [&](const auto& change, double tolerance = 1e-9) {
    Certificate changed = honest;
    change(changed);
    const auto result = verify(changed, problem.data, problem.gates, solution, tolerance);
    CHECK(result.recomputed.primal == honest.primal);
    CHECK(result.recomputed.dual == honest.dual);
    return result.valid ? std::string("valid") : result.message;
  };
  CHECK(judge([](auto&) {}) == "valid");
  CHECK(verify(honest, problem.data, problem.gates, solution).message == "the certificate holds");
  CHECK_THAT(judge([](auto& c) { c.primal *= 1 + 1e-8; }), ContainsSubstring("primal: stated "));
  CHECK_THAT(judge([](auto& c) { c.primal *= 1 - 1e-8; }), ContainsSubstring("primal: stated "));
  CHECK_THAT(judge([](auto& c) { c.dual += 1e-8 * c.primal; }), ContainsSubstring("dual: stated "));
  CHECK_THAT(judge([](auto& c) { c.lambda *= 1 + 1e-8; }), ContainsSubstring("lambda: stated "));
  CHECK_THAT(judge([](auto& c) { c.lambda *= 1 - 1e-8; }), ContainsSubstring("lambda: stated "));
  CHECK_THAT(judge([](auto& c) { c.lambda_max *= 1 + 1e-8; }),
             ContainsSubstring("lambda_max: stated "));
  CHECK_THAT(judge([](auto& c) { c.lambda_max *= 1 - 1e-8; }),
             ContainsSubstring("lambda_max: stated "));
  CHECK_THAT(judge([](auto& c) { c.cone_violation -= 1e-8; }),
             ContainsSubstring("cone_violation: stated "));
  CHECK(judge([](auto& c) { c.scope = PatternScope::AllPatterns; }) ==
        "scope: stated AllPatterns, recomputed SampledPatterns");
  CHECK_THAT(judge([](auto& c) { c.rounding *= 1 + 1e-8; }),
             ContainsSubstring("rounding: stated "));
  for (double Certificate::*field :
       {&Certificate::primal, &Certificate::dual, &Certificate::lambda, &Certificate::lambda_max,
        &Certificate::cone_violation, &Certificate::rounding}) {
    CHECK(judge([&](auto& c) { c.*field = std::numeric_limits<double>::quiet_NaN(); }) != "valid");
  }
  // Weaker claims are true.
  CHECK(judge([](auto& c) { c.dual *= 0.9; }) == "valid");
  CHECK(judge([](auto& c) { c.dual = -1; }) == "valid");
  // But this is a figure, not a bound.
  CHECK_THAT(judge([](auto& c) { c.cone_violation *= 2; }), ContainsSubstring("cone_violation: "));
  CHECK(judge([](auto& c) { c.rounding = 0; }) == "valid");
  CHECK(judge([](auto& c) { c.bound = DualBound::SpectralRelaxation; }) == "valid");
  // Within the tolerance.
  CHECK(judge([](auto& c) { c.dual += 1e-4 * c.primal; }, 1e-3) == "valid");
  CHECK(judge([](auto& c) { c.primal *= 1 + 1e-4; }, 1e-3) == "valid");

  solution.separate_outputs = false;
  Certificate shared = certify(problem.data, problem.gates, solution);
  CHECK(shared.bound == DualBound::SpectralRelaxation);
  CHECK(verify(shared, problem.data, problem.gates, solution).valid);
  shared.bound = DualBound::Exact;
  CHECK(verify(shared, problem.data, problem.gates, solution).message ==
        "bound: stated Exact, recomputed SpectralRelaxation");

  // Another solution, other data, other gates.
  const auto gated = random_gated(problem, 0.05, true, random);
  const Certificate certificate = certify(problem.data, problem.gates, gated);
  CHECK(verify(certificate, problem.data, problem.gates, gated).valid);
  auto other = gated;
  other.coefficients(0, 0) += 1e-3;
  CHECK(!verify(certificate, problem.data, problem.gates, other).valid);
  Matrix<double> Y = problem.data.targets();
  Y(5, 1) += 0.1;
  const Dataset<double> data(problem.data.inputs(), Y, problem.data.weights());
  CHECK(!verify(certificate, data, problem.gates, gated).valid);
}

TEST_CASE("certificates are printed", "[convex/certificate]") {
  Certificate certificate;
  certificate.primal = 0.5;
  certificate.dual = 0.25;
  certificate.lambda = 2;
  certificate.lambda_max = 8;
  certificate.cone_violation = 0.125;
  std::ostringstream text;
  text << certificate;
  CHECK(text.str() ==
        "objective 0.5, optimum at least 0.25 (relative gap 0.5)\n"
        "lambda 2, lambda_max 8\n"
        "SampledPatterns, bound Exact, cone violation 0.125\n");
  certificate.scope = PatternScope::AllPatterns;
  certificate.bound = DualBound::SpectralRelaxation;
  text.str("");
  text << certificate;
  CHECK_THAT(text.str(), ContainsSubstring("AllPatterns, bound SpectralRelaxation"));
}
