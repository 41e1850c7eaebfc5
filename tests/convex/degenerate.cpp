// Random small problems of the kinds that have made solvers stall or their reports untrue: every
// solve ends by itself, and what it says is what certify() finds, or says why it is not more.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/recertify.hpp"
#include "mgdl/convex/recovery.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "support/catch.hpp"
#include "support/samples.hpp"

using mgdl::Certificate;
using mgdl::ConvexMethod;
using mgdl::ConvexOptions;
using mgdl::ConvexReport;
using mgdl::Dataset;
using mgdl::GatedReluSolver;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::RandomStream;
using mgdl::ReluSolution;
using mgdl::ReluSolver;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::normal_matrix;

namespace {

struct Degenerate {
  RowMatrix<double> X, Y;
  Vector<double> weights;
  bool bias = true;
  bool output_bias = false;
  bool all_patterns = false;
  std::string what;

  Gates gates(std::uint64_t seed) const {
    return all_patterns ? mgdl::enumerate_gates(X, bias)
                        : mgdl::sample_gaussian_gates(X, 30, seed, bias);
  }
};

/// Problem k of a series: few samples (one, or fewer than inputs), or with equal, constant,
/// collinear, badly scaled or nearly collinear columns, on a grid; targets of two values, constant,
/// or with a large mean; 1 to 3 outputs; samples without weight.
Degenerate degenerate(std::uint64_t k) {
  RandomStream random(mgdl::test::seed(), 0xDE6 + k);
  const auto below = [&](double count) { return static_cast<Index>(random.uniform() * count); };
  Degenerate p;
  p.all_patterns = random.uniform() < 0.5;
  p.output_bias = random.uniform() < 0.5;
  p.bias = random.uniform() < 0.8;
  const Index d = p.all_patterns ? 1 + below(2) : 1 + below(6);
  const Index n = random.uniform() < 0.1 ? 1 + below(3) : 1 + below(d == 2 ? 16 : 30);
  const Index c = random.uniform() < 0.3 ? 1 + below(3) : 1;
  p.X = normal_matrix<RowMatrix<double>>(n, d, random);
  p.Y = normal_matrix<RowMatrix<double>>(n, c, random);
  const Index kind = below(8);
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < d; ++j) {
      double& x = p.X(i, j);
      switch (kind) {
        case 0: x = std::round(2 * x); break;
        case 1: x = j == 0 ? 1 : x; break;
        case 2: x = j > 0 ? 2 * p.X(i, 0) : x; break;
        case 3: x = i % 2 == 1 ? p.X(i - 1, j) : x; break;
        case 4: x *= std::pow(0.1, static_cast<double>(j)); break;
        case 5: x = static_cast<double>(j == 0 ? i / 4 : i % 4) / 7; break;
        case 6: x = j > 0 ? p.X(i, 0) + 1e-8 * x : x; break;
        default: break;
      }
    }
  }
  const Index target = below(6);
  for (Index i = 0; i < n; ++i) {
    for (Index o = 0; o < c; ++o) {
      double& y = p.Y(i, o);
      switch (target) {
        case 0: y = y > 0 ? 1 : -1; break;
        case 1: y = 3; break;
        case 2: y = std::abs(p.X(i, 0)); break;
        case 3: y += 1000; break;
        case 4: y = std::sin(3 * p.X(i, 0)); break;
        default: break;
      }
    }
  }
  p.weights = Vector<double>::Ones(n);
  if (random.uniform() < 0.2) {
    for (Index i = 0; i + 1 < n; ++i) p.weights[i] = random.uniform() < 0.3 ? 0 : 1;
  }
  if (p.X.isZero(0)) p.X(0, 0) = 1;
  p.what = "problem " + std::to_string(k) + ", inputs " + std::to_string(kind) + ", targets " +
           std::to_string(target) + ", " + std::to_string(n) + " x " + std::to_string(d);
  return p;
}

/// The claims of a report, against a certificate that is computed for the check.
void check_claims(const ConvexReport& report, const Certificate& found, double tolerance) {
  CHECK(report.certificate.primal == found.primal);
  CHECK(report.certificate.dual == found.dual);
  CHECK(found.relative_gap() >= -1e-9);
  const bool reached = report.termination == Termination::ToleranceReached;
  CHECK(reached == (found.relative_gap() <= 1.01 * tolerance + 1e-10));
  CHECK((reached || report.termination == Termination::NoProgress));
  // Newton's method is left when it stalls; what follows is bounded as well.
  CHECK(report.iterations < 3000);
}

}  // namespace

TEST_CASE("Degenerate gated and ReLU problems end, and their reports are true",
          "[convex/degenerate]") {
  const std::uint64_t draws = mgdl::test::draws(60, 2000);
  Index solves = 0, unsolved = 0;
  for (std::uint64_t k = 0; k < draws; ++k) {
    const Degenerate p = degenerate(k);
    INFO(p.what);
    const Dataset<double> data(p.X, p.Y, p.weights);
    const Gates gates = p.gates(k);
    ConvexOptions options{.lambda_ratio = k % 3 == 0   ? 1e-1
                                          : k % 3 == 1 ? 1e-2
                                                       : 1e-3,
                          .output_bias = p.output_bias,
                          .threads = 1};
    const auto gated = GatedReluSolver<double>(options).solve(data, gates);
    check_claims(gated.report, certify(data, gates, gated.solution, 1), 1e-6);
    const auto relu = ReluSolver<double>(options).solve(data, gates);
    check_claims(relu.report, certify(data, gates, relu.solution, 1), 1e-6);
    CHECK(relu.report.certificate.cone_violation < 1e-9);
    solves += 2;
    unsolved += gated.report.termination != Termination::ToleranceReached;
    unsolved += relu.report.termination != Termination::ToleranceReached;

    // The network of the gated solution is what is claimed of it, in both precisions.
    const auto check_network = [&]<class Scalar>(Scalar) {
      const auto recovery = mgdl::recover<Scalar>(data, gates, gated.solution, 1);
      const auto network = mgdl::to_network<Scalar>(recovery.solution, gates.bias());
      auto witness =
          mgdl::make_witness(gates, recovery.solution,
                             recovery.same_values ? std::optional(gated.solution) : std::nullopt);
      for (Index j = 0; j < data.inputs().cols(); ++j) witness.columns.push_back(j);
      const Certificate found = recertify(witness, gated.solution.lambda, data, network, 1);
      if (recovery.same_values) CHECK(found.primal == gated.report.certificate.primal);
      CHECK(recertify(mgdl::network_witness(witness), gated.solution.lambda, data, network, 1)
                .relative_gap() > -1e-6);
    };
    check_network(double{});
    check_network(float{});
  }
  // Of the rest the reports have said why.
  CHECK(unsolved <= solves / 100);
}

TEST_CASE("Targets that the patterns do not explain have the solution zero",
          "[convex/degenerate]") {
  // Both values of the input with both targets, as often.
  RowMatrix<double> X(40, 1), Y(40, 1);
  for (Index i = 0; i < 40; ++i) {
    X(i, 0) = static_cast<double>(i % 2);
    Y(i, 0) = i / 2 % 2 == 0 ? 1.6 : 1.4;
  }
  const auto unexplained = [](const RowMatrix<double>& inputs, const RowMatrix<double>& targets) {
    const Dataset<double> data(inputs, targets);
    const Gates gates = mgdl::sample_gaussian_gates(inputs, 20, 1);
    const auto check = [&](const auto& result, bool zero) {
      CHECK(result.report.termination == Termination::ToleranceReached);
      CHECK(result.report.iterations <= 2);
      // Of targets around 1e6, rounding is 1e-9 of what is left.
      CHECK(result.report.certificate.relative_gap() <= 1e-8);
      CHECK(zero);
      CHECK_THAT(result.report.message, Catch::Matchers::ContainsSubstring("rounding"));
    };
    for (const double ratio : {0.3, 1e-2, 1e-6}) {
      ConvexOptions options{.lambda_ratio = ratio, .output_bias = true, .threads = 1};
      for (const auto method : {ConvexMethod::WorkingSet, ConvexMethod::ProximalGradient}) {
        options.method = method;
        const auto gated = GatedReluSolver<double>(options).solve(data, gates);
        check(gated, gated.solution.active.empty());
      }
      const auto relu = ReluSolver<double>(options).solve(data, gates);
      check(relu, relu.solution.hidden.rows() == 0);
      if (inputs.cols() > 1) continue;
      const auto kinks = ReluSolver<double>(options).solve_all_patterns(data);
      check(kinks, kinks.solution.hidden.rows() == 0);
    }
    // A penalty below rounding: still no endless work, and the truth about the gap.
    ConvexOptions tiny{.lambda = 1e-20, .output_bias = true, .threads = 1};
    const auto gated = GatedReluSolver<double>(tiny).solve(data, gates);
    CHECK(gated.report.iterations <= 2);
    CHECK(gated.solution.active.empty());
  };
  unexplained(X, Y);
  // Equal samples with other targets; a constant that is no binary number; a large mean.
  unexplained(RowMatrix<double>::Constant(2, 2, -2.0),
              (RowMatrix<double>(2, 1) << 0.669752642329447, -0.3007379130562255).finished());
  unexplained((RowMatrix<double>(2, 2) << 0.5618, 0.133, 0.5618, 0.133).finished(),
              (RowMatrix<double>(2, 1) << 1.2655198694581213, 0.934690667848149).finished());
  unexplained(X, RowMatrix<double>::Constant(40, 1, 0.1));
  unexplained(X, (Y.array() + 1e6).matrix());
}

TEST_CASE("Nearly dependent inputs and a small penalty are solved, or it is said why not",
          "[convex/degenerate]") {
  for (std::uint64_t k = 0; k < 8; ++k) {
    RandomStream random(mgdl::test::seed(), 0xC0D + k);
    RowMatrix<double> X = normal_matrix<RowMatrix<double>>(60, 3, random);
    for (Index i = 0; i < X.rows(); ++i) X(i, 2) = X(i, 0) + 1e-8 * random.normal();
    const auto Y = normal_matrix<RowMatrix<double>>(60, 1, random);
    const Dataset<double> data(X, Y);
    const Gates gates = mgdl::sample_gaussian_gates(X, 20, k);
    CAPTURE(k);
    const ConvexOptions options{.lambda_ratio = 1e-6};
    const auto check = [](const ConvexReport& report) {
      CAPTURE(report.certificate.relative_gap(), report.message);
      const bool proven = report.certificate.relative_gap() <= 1e-6;
      CHECK(proven == (report.termination == Termination::ToleranceReached));
      if (!proven) CHECK_THAT(report.message, Catch::Matchers::ContainsSubstring("condition of"));
    };
    check(GatedReluSolver(options).solve(data, gates).report);
    check(ReluSolver(options).solve(data, gates).report);
  }
}

TEST_CASE("Inputs far from zero are solved, or it is said why not", "[convex/degenerate]") {
  struct Case {
    double offset, ratio;
    std::uint64_t problems;
    int least;  ///< that the ReLU solver has to solve
  };
  const Case cases[] = {{-100, 1e-5, 3, 2}, {1e3, 1e-3, 3, 2}, {1e4, 1e-1, 2, 2}};
  for (const Case& each : cases) {
    int solved = 0;
    for (std::uint64_t k = 0; k < each.problems; ++k) {
      CAPTURE(each.offset, each.ratio, k);
      RandomStream random(mgdl::test::seed(), 0xFA4 + k);
      const auto X = normal_matrix<RowMatrix<double>>(60, 3, random);
      RowMatrix<double> Y = (2 * X.col(0).array()).sin().matrix();
      Y += 0.1 * normal_matrix<RowMatrix<double>>(60, 1, random);
      // Patterns as of inputs around zero.
      RowMatrix<double> vectors = normal_matrix<RowMatrix<double>>(20, 4, random);
      vectors.col(3) -= each.offset * vectors.leftCols(3).rowwise().sum();
      const RowMatrix<double> far = X.array() + each.offset;
      const Dataset<double> data(far, Y);
      const Gates gates(far, vectors);
      const ConvexOptions options{.lambda_ratio = each.ratio, .threads = 1};
      const auto is_solved = [&](const ConvexReport& report) {
        CAPTURE(report.certificate.relative_gap(), report.message);
        const bool proven = report.certificate.relative_gap() <= 1e-6;
        CHECK(proven == (report.termination == Termination::ToleranceReached));
        if (!proven) CHECK_THAT(report.message, Catch::Matchers::ContainsSubstring("condition of"));
        return proven;
      };
      if (k == 0) CHECK(is_solved(GatedReluSolver(options).solve(data, gates).report));
      solved += is_solved(ReluSolver(options).solve(data, gates).report);
    }
    CAPTURE(each.offset, each.ratio);
    CHECK(solved >= each.least);
  }
}

TEST_CASE("Without a penalty there is no bound, and no tolerance is reached",
          "[convex/degenerate]") {
  const Degenerate p = [] {
    Degenerate q = degenerate(0);
    RandomStream random(mgdl::test::seed(), 3);
    q.X = normal_matrix<RowMatrix<double>>(30, 1, random);
    q.Y = normal_matrix<RowMatrix<double>>(30, 1, random);
    return q;
  }();
  const Dataset<double> data(p.X, p.Y);
  const Gates gates = mgdl::sample_gaussian_gates(p.X, 3, 1);
  const auto result = GatedReluSolver<double>({.lambda = 0}).solve(data, gates);
  CHECK(result.report.certificate.relative_gap() == 1);
  CHECK(result.report.termination == Termination::NoProgress);
}

TEST_CASE("A network of a gated solution whose cones are thin", "[convex/degenerate]") {
  RandomStream random(mgdl::test::seed(), 5);
  // Columns of very different size with a mean, or one input far from zero and wide.
  RowMatrix<double> X = normal_matrix<RowMatrix<double>>(200, 3, random).cwiseAbs();
  X.col(0) = (600 + 200 * X.col(0).array()).matrix();
  X.col(2) *= 1e-3;
  RowMatrix<double> Y = (X.col(1).array() + X.col(0).array() / 1000).sin().matrix();
  const Dataset<double> data(X, Y);
  const Gates gates = mgdl::sample_gaussian_gates(X, 300, 2);
  const auto gated = GatedReluSolver<double>({.lambda_ratio = 1e-3}).solve(data, gates);
  const auto recovery = mgdl::recover<double>(data, gates, gated.solution);
  const auto network = mgdl::to_network<double>(recovery.solution);
  const double unit = std::sqrt(2 * gated.report.certificate.primal) +
                      1e-3 * std::sqrt((Y.array() - Y.mean()).square().mean());
  const RowMatrix<double> values = predict(gated.solution, gates, X);
  const double difference = (network.predict(X, 1) - values).norm() / std::sqrt(200.0) / unit;
  CHECK_THAT(recovery.difference, Catch::Matchers::WithinRel(difference, 1e-6));
  CHECK(recovery.same_values == (difference <= 1e-6));
}
