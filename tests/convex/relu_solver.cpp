#include "mgdl/convex/relu_solver.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "support/convex_problems.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using mgdl::Dataset;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::PatternScope;
using mgdl::RandomStream;
using mgdl::ReluSolution;
using mgdl::ReluSolver;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_problem;

namespace {

constexpr std::array<double, 4> kReluRatios{0.5, 0.1, 1e-2, 1e-3};

/// The network's objective, in long double.
long double objective(const Dataset<double>& data, bool bias, const ReluSolution& solution) {
  using mgdl::test::Extended;
  Extended X(data.size(), data.inputs().cols() + (bias ? 1 : 0));
  X.leftCols(data.inputs().cols()) = data.inputs().cast<long double>();
  if (bias) X.rightCols(1).setOnes();
  Extended R = data.targets().cast<long double>();
  R.rowwise() -= solution.bias.cast<long double>();
  long double penalty = 0;
  for (Index k = 0; k < solution.hidden.rows(); ++k) {
    const Extended h = solution.hidden.row(k).transpose().cast<long double>();
    const Extended o = solution.output.row(k).cast<long double>();
    R -= (X * h).cwiseMax(0) * o;
    penalty += h.norm() * (solution.separate_outputs ? o.lpNorm<1>() : o.norm());
  }
  const auto w = data.weights().cast<long double>().eval();
  return (R.array().square().colwise() * w.array()).sum() / 2 + solution.lambda * penalty;
}

}  // namespace

TEST_CASE("the solution is a network in the cones, and its gap is met", "[convex/relu_solver]") {
  for (std::uint64_t k = 0; k < 60; ++k) {
    const auto problem = random_problem(k, 2);
    const double ratio = kReluRatios[k % 4];
    CAPTURE(problem.what, ratio);
    const auto [solution, report] = ReluSolver({.lambda_ratio = ratio, .output_bias = k % 8 == 3})
                                        .solve(problem.data, problem.gates);
    const auto& certificate = report.certificate;
    CHECK(report.termination == Termination::ToleranceReached);
    CHECK(certificate.relative_gap() <= 1e-6);
    CHECK(report.iterations <= 60 * problem.data.targets().cols());  // Newton's method
    CHECK(certificate.cone_violation <= 1e-10);
    CHECK(certificate.scope == PatternScope::SampledPatterns);
    const long double primal = objective(problem.data, problem.gates.bias(), solution);
    CHECK(std::abs(certificate.primal - primal) <= 1e-11L * (1 + primal));
    if (certificate.lambda_max > 0) {
      CHECK(solution.lambda == Approx(ratio * certificate.lambda_max).epsilon(1e-9));
    } else {  // the penalty of rounding
      CHECK(solution.lambda < 1e-12);
      CHECK(solution.hidden.rows() == 0);
    }
    for (Index m = 0; m < solution.hidden.rows(); ++m) {
      CHECK((solution.output.row(m).array() != 0).count() == 1);
      CHECK(solution.hidden.row(m).norm() > 0);
    }
  }
}

TEST_CASE("at lambda_max no neuron is left", "[convex/relu_solver]") {
  for (std::uint64_t k = 0; k < 12; ++k) {
    const auto problem = random_problem(k, 1);
    CAPTURE(problem.what);
    const auto [solution, report] =
        ReluSolver({.lambda_ratio = 1 + 1e-9}).solve(problem.data, problem.gates);
    CHECK(solution.hidden.rows() == 0);
    CHECK(report.certificate.gap() <= 1e-12 * report.certificate.primal);
    const auto below = ReluSolver({.lambda_ratio = 0.99, .relative_tolerance = 1e-9})
                           .solve(problem.data, problem.gates);
    CHECK(below.solution.hidden.rows() > 0);
  }
}

TEST_CASE("one input: kinks and gates give the same optimum", "[convex/relu_solver]") {
  RandomStream random(mgdl::test::seed());
  for (int k = 0; k < 12; ++k) {
    const Index n = 4 + 3 * k;
    const Index c = 1 + k % 3;
    auto X = normal_matrix<RowMatrix<double>>(n, 1, random);
    if (k % 4 == 1) X(n - 1, 0) = X(0, 0);
    const auto Y = normal_matrix<RowMatrix<double>>(n, c, random);
    Vector<double> weights = Vector<double>::Ones(n);
    if (k % 3 == 2) weights[1] = 0;
    const Dataset<double> data(X, Y, weights);
    const mgdl::ConvexOptions options{.lambda_ratio = kReluRatios[static_cast<std::size_t>(k % 4)],
                                      .output_bias = k % 2 == 1};
    const auto kinks = ReluSolver(options).solve_all_patterns(data);
    const auto gates = ReluSolver(options).solve(data, mgdl::enumerate_gates(X));
    CAPTURE(n, c, options.lambda_ratio, options.output_bias);
    for (const auto* result : {&kinks, &gates}) {
      CHECK(result->report.termination == Termination::ToleranceReached);
      CHECK(result->report.certificate.relative_gap() <= 1e-6);
      CHECK(result->report.certificate.scope == PatternScope::AllPatterns);
      const long double primal = objective(data, true, result->solution);
      CHECK(std::abs(result->report.certificate.primal - primal) <= 1e-11L * (1 + primal));
    }
    CHECK(kinks.solution.lambda == Approx(gates.solution.lambda).epsilon(1e-9));
    CHECK(kinks.report.certificate.primal == Approx(gates.report.certificate.primal).epsilon(2e-6));
  }
}

TEST_CASE("two inputs: all patterns are certified from the samples alone", "[convex/relu_solver]") {
  RandomStream random(mgdl::test::seed());
  for (const Index n : {6, 11, 17}) {
    const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
    const auto Y = normal_matrix<RowMatrix<double>>(n, 1, random);
    const Dataset<double> data(X, Y);
    const auto [solution, report] =
        ReluSolver({.lambda_ratio = 0.05}).solve(data, mgdl::enumerate_gates(X));
    CHECK(report.certificate.scope == PatternScope::AllPatterns);
    CHECK(report.certificate.relative_gap() <= 2e-6);
  }
}

TEST_CASE("near interpolation the dual point proves what the residuals cannot",
          "[convex/relu_solver]") {
  const Vector<double> x = Vector<double>::LinSpaced(1500, 0, 1);
  const Vector<double> y = (190 * x.array()).sin() + (47 * x.array()).cos();
  const Dataset<double> data(x, y);
  auto [solution, report] = ReluSolver({.lambda_ratio = 1e-9}).solve_all_patterns(data);
  CHECK(report.termination == Termination::ToleranceReached);
  CHECK(report.certificate.relative_gap() <= 1e-6);
  CHECK(verify_all_patterns(report.certificate, data, solution).valid);
  solution.dual.resize(0, 0);
  CHECK_FALSE(verify_all_patterns(report.certificate, data, solution).valid);
}

TEST_CASE("no network trained by gradients gets below the bound", "[convex/relu_solver]") {
  // Adam on the weight decay form of the objective, all samples at once, many starts and widths.
  RandomStream random(mgdl::test::seed());
  const Index n = 15;
  const auto X = normal_matrix<RowMatrix<double>>(n, 1, random);
  const auto Y = normal_matrix<RowMatrix<double>>(n, 1, random);
  const Dataset<double> data(X, Y);
  const auto [solution, report] = ReluSolver({.lambda_ratio = 0.03}).solve_all_patterns(data);
  REQUIRE(report.certificate.relative_gap() <= 1e-6);
  const double lambda = solution.lambda;
  Matrix<double> inputs(n, 2);
  inputs << X, Vector<double>::Ones(n);
  double best = std::numeric_limits<double>::infinity();
  for (int start = 0; start < 60; ++start) {
    const Index width = Index{1} << (start % 6);
    // Rows: the hidden weights, the hidden bias, the output weight.
    Matrix<double> weights = normal_matrix<Matrix<double>>(3, width, random);
    weights /= std::sqrt(static_cast<double>(width));
    Matrix<double> first = Matrix<double>::Zero(3, width);
    Matrix<double> second = first;
    double objective = 0;
    for (int step = 1; step <= 3000; ++step) {
      const Matrix<double> z = inputs * weights.topRows(2);
      const Matrix<double> h = z.cwiseMax(0);
      const Vector<double> error = h * weights.row(2).transpose() - Y;
      objective = 0.5 * error.squaredNorm() / n + 0.5 * lambda * weights.squaredNorm();
      best = std::min(best, objective);
      Matrix<double> gradient = lambda * weights;
      gradient.row(2) += error.transpose() * h / n;
      const Matrix<double> back =
          ((error * weights.row(2)).array() * (z.array() > 0).cast<double>()).matrix() / n;
      gradient.topRows(2) += inputs.transpose() * back;
      first = 0.9 * first + 0.1 * gradient;
      second = 0.999 * second + 0.001 * gradient.cwiseAbs2();
      const double rate = 0.03 * (1 - step / 3001.0);
      const Matrix<double> move = (first / (1 - std::pow(0.9, step))).array() /
                                  ((second / (1 - std::pow(0.999, step))).array().sqrt() + 1e-12);
      weights -= rate * move;
    }
  }
  CHECK(best >= report.certificate.dual);
  // The starts were good enough to come near: the bound is not trivially low.
  CHECK(best <= 1.1 * report.certificate.primal);
}

TEST_CASE("scaling the targets scales the network", "[convex/relu_solver]") {
  for (std::uint64_t k = 2; k < 8; ++k) {
    const auto problem = random_problem(k, 1);
    CAPTURE(problem.what);
    const mgdl::ConvexOptions options{.lambda_ratio = 0.02, .relative_tolerance = 1e-8};
    const auto first = ReluSolver(options).solve(problem.data, problem.gates);
    for (const double factor : {1e-6, -3.0}) {
      const Dataset<double> scaled(problem.data.inputs(), factor * problem.data.targets(),
                                   problem.data.weights());
      const auto second = ReluSolver(options).solve(scaled, problem.gates);
      CHECK(second.report.certificate.primal ==
            Approx(factor * factor * first.report.certificate.primal).epsilon(1e-6).margin(0));
    }
  }
}

TEST_CASE("lambda_max is where the dual constraint of the zero solution is met",
          "[convex/relu_solver]") {
  for (std::uint64_t k = 0; k < 20; ++k) {
    const auto problem = random_problem(k, 3);
    const auto& [data, gates, what] = problem;
    mgdl::ConvexOptions options{.output_bias = k % 4 == 3};
    CAPTURE(what, options.output_bias);
    const double largest = ReluSolver(options).lambda_max(data, gates);
    if (largest == 0) {
      CHECK(data.targets().cols() > 0);
      continue;
    }
    // The certificate has projections of its own.
    options.lambda = largest;
    const auto at = ReluSolver(options).solve(data, gates);
    CHECK(at.solution.hidden.rows() == 0);
    CHECK(at.report.certificate.lambda_max == Approx(largest).epsilon(1e-9));
    options.lambda = 0.99 * largest;
    const auto below = ReluSolver(options).solve(data, gates);
    CHECK(below.solution.hidden.rows() > 0);

    options.shared_neurons = true;
    options.lambda.reset();
    const double shared = ReluSolver(options).lambda_max(data, gates);
    if (data.targets().cols() == 1) {
      CHECK(shared == largest);
      continue;
    }
    const Vector<double>& w = data.weights();
    Matrix<double> R = data.targets();
    if (options.output_bias) R.rowwise() -= (w.transpose() * R / w.sum()).eval().row(0);
    double spectral = 0;
    for (Index j = 0; j < gates.size(); ++j) {
      const Matrix<double> A =
          mgdl::test::masked(mgdl::test::extended_inputs(data, gates), gates, j).cast<double>();
      const Matrix<double> C = A.transpose() * w.asDiagonal() * R;
      spectral = std::max(spectral, mgdl::test::spectral_norm(C));
    }
    CHECK(shared == Approx(spectral).epsilon(1e-9));
    options.lambda = shared;
    CHECK(ReluSolver(options).solve(data, gates).solution.hidden.rows() == 0);
  }
}

TEST_CASE("lambda_max over all patterns is that of their gates", "[convex/relu_solver]") {
  RandomStream random(mgdl::test::seed(), 56);
  const auto X = normal_matrix<RowMatrix<double>>(25, 1, random);
  const Dataset<double> data(X, normal_matrix<RowMatrix<double>>(25, 2, random));
  for (const bool output_bias : {false, true}) {
    const ReluSolver solver({.output_bias = output_bias});
    CHECK(solver.lambda_max_all_patterns(data) ==
          Approx(solver.lambda_max(data, mgdl::enumerate_gates(X))).epsilon(1e-9));
  }
  CHECK_THROWS_AS(ReluSolver().lambda_max_all_patterns({X.replicate(1, 2), X}),
                  mgdl::InvalidArgument);
}

TEST_CASE("samples in float give ReluSolver the solution of the same in double",
          "[convex/relu_solver]") {
  RandomStream random(mgdl::test::seed(), 57);
  const auto X = normal_matrix<RowMatrix<float>>(40, 1, random);
  const auto Y = normal_matrix<RowMatrix<float>>(40, 2, random);
  const Dataset<float> single(X, Y);
  const Dataset<double> same(X.cast<double>(), Y.cast<double>(), single.weights().cast<double>());
  const Gates gates(X, normal_matrix<RowMatrix<float>>(20, 2, random));
  for (const bool shared : {false, true}) {
    const mgdl::ConvexOptions options{.shared_neurons = shared};
    const auto a = ReluSolver<float>(options).solve(single, gates);
    const auto b = ReluSolver(options).solve(same, gates);
    CHECK(a.solution.hidden == b.solution.hidden);
    CHECK(a.solution.output == b.solution.output);
    CHECK(a.report.certificate.dual == b.report.certificate.dual);
    CHECK(ReluSolver<float>(options).lambda_max(single, gates) ==
          ReluSolver(options).lambda_max(same, gates));
    // Proven for the numbers that are there.
    const auto again = mgdl::certify(single, gates, a.solution);
    CHECK(again.primal == a.report.certificate.primal);
    CHECK(mgdl::verify(a.report.certificate, single, gates, a.solution).valid);
  }
  const auto a = ReluSolver<float>().solve_all_patterns(single);
  const auto b = ReluSolver().solve_all_patterns(same);
  CHECK(a.solution.hidden == b.solution.hidden);
  CHECK(a.report.certificate.dual == b.report.certificate.dual);
  CHECK(mgdl::verify_all_patterns(a.report.certificate, single, a.solution).valid);
}

TEST_CASE("ReluSolver gives the same bits for any number of threads", "[convex/relu_solver]") {
  const auto problem = random_problem(2, 1);
  const auto one = ReluSolver({.threads = 1}).solve(problem.data, problem.gates);
  const auto two = ReluSolver({.threads = 2}).solve(problem.data, problem.gates);
  CHECK(one.solution.hidden == two.solution.hidden);
  CHECK(one.solution.output == two.solution.output);
}

TEST_CASE("stops when told to and keeps a network", "[convex/relu_solver]") {
  const auto problem = random_problem(2, 1);
  const auto [solution, report] = ReluSolver({.lambda_ratio = 1e-3,
                                              .observer =
                                                  [](const mgdl::Progress& progress) {
                                                    return progress.iteration >= 3
                                                               ? mgdl::Action::Stop
                                                               : mgdl::Action::Continue;
                                                  }})
                                      .solve(problem.data, problem.gates);
  CHECK(report.termination == Termination::StoppedByObserver);
  CHECK(report.certificate.relative_gap() > 1e-6);
  CHECK(solution.hidden.rows() > 0);
  CHECK(report.certificate.cone_violation <= 1e-10);
}

TEST_CASE("a stop ends all outputs, and those that were not reached are zero",
          "[convex/relu_solver]") {
  RandomStream random(mgdl::test::seed(), 55);
  const auto X = normal_matrix<RowMatrix<double>>(60, 1, random);
  const auto Y = normal_matrix<RowMatrix<double>>(60, 3, random);
  const Dataset<double> data(X, Y);
  const Gates gates(X, normal_matrix<RowMatrix<double>>(20, 2, random));
  for (const bool all_patterns : {false, true}) {
    CAPTURE(all_patterns);
    const auto run = [&](mgdl::ConvexOptions options) {
      options.lambda_ratio = 1e-3;
      const ReluSolver solver(options);
      return all_patterns ? solver.solve_all_patterns(data) : solver.solve(data, gates);
    };
    int calls = 0;
    const auto stopped = run({.observer = [&](const mgdl::Progress& progress) {
      CHECK(progress.iteration == ++calls);
      return calls == 3 ? mgdl::Action::Stop : mgdl::Action::Continue;
    }});
    CHECK(calls == 3);
    CHECK(stopped.report.termination == Termination::StoppedByObserver);
    CHECK(stopped.report.iterations == 3);
    CHECK(stopped.solution.output.rightCols(2).isZero(0));
    CHECK(stopped.report.certificate.relative_gap() > 1e-6);
    const long double primal = objective(data, true, stopped.solution);
    CHECK(std::abs(stopped.report.certificate.primal - primal) <= 1e-11L * (1 + primal));
    const auto limited = run({.max_iterations = 4});
    CHECK(limited.report.termination == Termination::MaxIterations);
    CHECK(limited.report.iterations == 4);
    const auto late = run({.time_limit_seconds = 1e-9});
    CHECK(late.report.termination == Termination::TimeLimit);
  }
}

TEST_CASE("bad input to ReluSolver is refused", "[convex/relu_solver]") {
  using Catch::Matchers::ContainsSubstring;
  const auto problem = random_problem(0);
  const auto other = random_problem(3);
  CHECK_THAT(error_of([&] { ReluSolver().solve(problem.data, other.gates); }),
             ContainsSubstring("X: expected"));
  CHECK_THAT(error_of([&] { ReluSolver({.lambda = 0}).solve(problem.data, problem.gates); }),
             ContainsSubstring("ConvexOptions.lambda: expected a value > 0"));
  const auto X = RowMatrix<double>::Identity(3, 3).eval();
  CHECK_THAT(error_of([&] {
               ReluSolver().solve_all_patterns({X, X});
             }),
             ContainsSubstring("one column"));
  const auto x = RowMatrix<double>::Identity(3, 1).eval();
  CHECK_THAT(error_of([&] {
               ReluSolver({.shared_neurons = true}).solve_all_patterns({x, X});
             }),
             ContainsSubstring("ConvexOptions.shared_neurons"));
}
