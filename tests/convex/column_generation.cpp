#include "mgdl/convex/cone/column_generation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "mgdl/convex/cone/projection.hpp"
#include "mgdl/convex/gate_enumeration.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "support/samples.hpp"

using mgdl::ConvexOptions;
using mgdl::Dataset;
using mgdl::DualBound;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::ReluResult;
using mgdl::ReluSolution;
using mgdl::ReluSolver;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::detail::RowLasso;
using mgdl::test::normal_matrix;

namespace {

struct ColumnProblem {
  RowMatrix<double> X;
  RowMatrix<double> Y;
  Vector<double> weights;
  RowMatrix<double> vectors;  // of the gates
  bool bias;
  bool output_bias;

  Dataset<double> data() const { return {X, Y, weights}; }
  Gates gates() const { return {X, vectors, bias}; }
  RowMatrix<double> inputs() const {
    RowMatrix<double> result(X.rows(), X.cols() + (bias ? 1 : 0));
    result.leftCols(X.cols()) = X;
    if (bias) result.rightCols(1).setOnes();
    return result;
  }
};

/// Noise and what four neurons that serve all outputs give. Sizes, weights and biases depend on k.
ColumnProblem random_column_problem(std::uint64_t k) {
  RandomStream random(mgdl::test::seed(), k);
  const auto i = static_cast<Index>(k);
  const Index n = 12 + 9 * i % 47;
  const Index d = 1 + i % 5;
  const Index c = 2 + i % 3;
  ColumnProblem problem;
  problem.bias = i % 4 != 3;
  problem.output_bias = i % 3 == 1;
  problem.X = normal_matrix<RowMatrix<double>>(n, d, random);
  if (i % 5 == 2) problem.X.col(d - 1) = 2 * problem.X.col(0);
  const RowMatrix<double> inputs = problem.inputs();
  const auto hidden = normal_matrix<RowMatrix<double>>(inputs.cols(), 4, random);
  problem.Y = (inputs * hidden).cwiseMax(0) * normal_matrix<RowMatrix<double>>(4, c, random) +
              0.3 * normal_matrix<RowMatrix<double>>(n, c, random);
  problem.weights.setOnes(n);
  if (i % 2 == 1) {
    for (double& weight : problem.weights) weight = static_cast<double>(random.below(4));
    problem.weights[n / 2] = 1;
  }
  problem.vectors = normal_matrix<RowMatrix<double>>(8 + 7 * i, inputs.cols(), random);
  return problem;
}

constexpr std::uint64_t kProblems = 9;
constexpr double kColumnRatios[] = {0.4, 0.1, 0.03, 0.005};

ReluResult solve_shared(const ColumnProblem& problem, ConvexOptions options = {}) {
  options.shared_neurons = true;
  options.output_bias = problem.output_bias;
  return ReluSolver(options).solve(problem.data(), problem.gates());
}

/// 1/2 sum_i w_i |y_i - f(x_i)|^2 + lambda sum_k |v_k| |o_k|, whether the outputs share neurons or
/// not.
double shared_objective(const ColumnProblem& problem, const ReluSolution& solution) {
  RowMatrix<double> residual = problem.Y;
  if (solution.hidden.rows() > 0) {
    residual -= (problem.inputs() * solution.hidden.transpose()).cwiseMax(0) * solution.output;
  }
  residual.rowwise() -= solution.bias;
  const Vector<double> w = problem.weights / problem.weights.sum();
  return 0.5 * w.dot(residual.rowwise().squaredNorm()) +
         solution.lambda * solution.hidden.rowwise().norm().dot(solution.output.rowwise().norm());
}

/// X~' D_j W R for all gates, R the residual at the solution.
std::vector<Matrix<double>> correlations(const ColumnProblem& problem,
                                         const ReluSolution& solution) {
  const RowMatrix<double> inputs = problem.inputs();
  RowMatrix<double> N = problem.Y;
  if (solution.hidden.rows() > 0) {
    N -= (inputs * solution.hidden.transpose()).cwiseMax(0) * solution.output;
  }
  N.rowwise() -= solution.bias;
  N.array().colwise() *= (problem.weights / problem.weights.sum()).array();
  const Gates gates = problem.gates();
  std::vector<Matrix<double>> result;
  for (Index j = 0; j < gates.size(); ++j) {
    RowMatrix<double> masked = N;
    for (Index i = 0; i < N.rows(); ++i) {
      if (!gates.active(i, j)) masked.row(i).setZero();
    }
    result.push_back(inputs.transpose() * masked);
  }
  return result;
}

/// Relative difference of two positive numbers.
double relative_distance(double found, double expected) {
  return std::abs(found - expected) / std::abs(expected);
}

}  // namespace

TEST_CASE("the result is a network in the cones, between its objective and its bound",
          "[convex/cone/column_generation]") {
  Index found = 0;
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    const ColumnProblem problem = random_column_problem(k);
    const double ratio = kColumnRatios[k % 4];
    CAPTURE(k, ratio);
    const auto [solution, report] = solve_shared(problem, {.lambda_ratio = ratio});
    const mgdl::Certificate& certificate = report.certificate;
    const Index m = solution.hidden.rows();
    found += m;
    REQUIRE(solution.output.rows() == m);
    REQUIRE(std::ssize(solution.gates) == m);
    CHECK_FALSE(solution.separate_outputs);
    CHECK(certificate.bound == DualBound::SpectralRelaxation);
    CHECK(certificate.cone_violation <= 1e-12);
    const RowMatrix<double> inputs = problem.inputs();
    const Gates gates = problem.gates();
    for (Index l = 0; l < m; ++l) {
      CHECK(std::abs(solution.output.row(l).norm() - 1) <= 1e-12);
      CHECK(solution.hidden.row(l).norm() > 0);
      const Vector<double> values = inputs * solution.hidden.row(l).transpose();
      for (Index i = 0; i < values.size(); ++i) {
        const bool active = gates.active(i, solution.gates[static_cast<std::size_t>(l)]);
        const double allowed = 1e-12 * inputs.row(i).norm() * solution.hidden.row(l).norm();
        if ((active ? -values[i] : values[i]) > allowed) FAIL("outside of its cone");
      }
    }
    const double objective = shared_objective(problem, solution);
    CHECK(relative_distance(certificate.primal, objective) <= 1e-12);
    CHECK(certificate.dual > 0);
    CHECK(certificate.dual <= objective);
    CHECK(certificate.lambda == Approx(ratio * certificate.lambda_max).epsilon(1e-12));
    const bool proven = certificate.relative_gap() <= 1e-6;
    CHECK(report.termination == (proven ? Termination::ToleranceReached : Termination::NoProgress));
  }
  CHECK(found > 20);
}

TEST_CASE("the result satisfies the conditions of an optimum", "[convex/cone/column_generation]") {
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    const ColumnProblem problem = random_column_problem(k);
    CAPTURE(k);
    const ReluSolution solution = solve_shared(problem, {.lambda_ratio = kColumnRatios[(k + 1) % 4],
                                                         .relative_tolerance = 1e-9})
                                      .solution;
    const double lambda = solution.lambda;
    const auto C = correlations(problem, solution);
    for (Index l = 0; l < solution.hidden.rows(); ++l) {
      const auto j = static_cast<std::size_t>(solution.gates[static_cast<std::size_t>(l)]);
      const RowVector<double> u = solution.hidden.row(l).normalized();
      CHECK((u * C[j] - lambda * solution.output.row(l)).norm() <= 1e-4 * lambda);
    }
    // No neuron of a single output lowers the objective, so no solution of separate problems can
    // be better.
    const Dataset<double> data = problem.data();
    const Gates gates = problem.gates();
    const mgdl::detail::ConeProjector projector(data, gates);
    for (Index j = 0; j < gates.size(); ++j) {
      const Matrix<double>& Cj = C[static_cast<std::size_t>(j)];
      for (Index o = 0; o < Cj.cols(); ++o) {
        for (const double sign : {1.0, -1.0}) {
          mgdl::detail::ConeProjector<double>::Face face;
          const Vector<double> projection = projector.project(j, sign * Cj.col(o), face);
          CHECK(projection.norm() <= lambda * (1 + 1e-6));
        }
      }
    }
  }
}

TEST_CASE("neurons that serve all outputs are cheaper than those of single outputs",
          "[convex/cone/column_generation]") {
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    const ColumnProblem problem = random_column_problem(k);
    CAPTURE(k);
    const auto shared = solve_shared(problem, {.lambda_ratio = kColumnRatios[(k + 2) % 4]});
    const auto separate =
        ReluSolver({.lambda = shared.solution.lambda, .output_bias = problem.output_bias})
            .solve(problem.data(), problem.gates());
    REQUIRE(separate.report.termination == Termination::ToleranceReached);
    const double objective = shared_objective(problem, separate.solution);
    CHECK(shared.report.certificate.primal <= objective * (1 + 1e-6));
    CHECK(shared.report.certificate.dual <= objective);
    if (separate.solution.hidden.rows() > 0) {
      CHECK(shared.report.certificate.primal < 0.999 * objective);
    }
  }
}

TEST_CASE("with all patterns the result is close to the proven global optimum",
          "[convex/cone/column_generation]") {
  Index neurons = 0;
  for (std::uint64_t k = 0; k < 8; ++k) {
    RandomStream random(mgdl::test::seed(), 100 + k);
    const auto i = static_cast<Index>(k);
    const Index n = 6 + i;
    const Index c = 2 + i % 2;
    const auto X = normal_matrix<RowMatrix<double>>(n, 1 + i % 2, random);
    const auto Y = normal_matrix<RowMatrix<double>>(n, c, random);
    CAPTURE(k);
    const auto [solution, report] = ReluSolver({.lambda_ratio = kColumnRatios[k % 4],
                                                .relative_tolerance = 1e-7,
                                                .output_bias = i % 3 == 0,
                                                .shared_neurons = true})
                                        .solve({X, Y}, mgdl::enumerate_gates(X));
    CHECK(report.certificate.bound == DualBound::Exact);
    // The search for neurons is a local one, so that the gap need not close.
    CHECK(report.certificate.relative_gap() <= 1e-4);
    neurons += solution.hidden.rows();
  }
  CHECK(neurons > 20);
}

TEST_CASE("no training run of a small network is better", "[convex/cone/column_generation]") {
  // Gradient descent with backtracking on the network itself, from many starts.
  RandomStream random(mgdl::test::seed(), 200);
  const Index n = 7;
  const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
  const auto Y = normal_matrix<RowMatrix<double>>(n, 3, random);
  const Gates gates = mgdl::enumerate_gates(X);
  const auto [solution, report] =
      ReluSolver({.lambda_ratio = 0.1, .shared_neurons = true}).solve({X, Y}, gates);
  RowMatrix<double> inputs(n, 3);
  inputs << X, Vector<double>::Ones(n);
  const double lambda = solution.lambda;
  double best = 0.5 * Y.squaredNorm() / static_cast<double>(n);
  for (int start = 0; start < 20; ++start) {
    auto V = normal_matrix<RowMatrix<double>>(10, 3, random);
    auto O = normal_matrix<RowMatrix<double>>(10, 3, random);
    double rate = 0.1;
    const auto evaluate = [&](const RowMatrix<double>& v, const RowMatrix<double>& o) {
      const RowMatrix<double> R = Y - (inputs * v.transpose()).cwiseMax(0) * o;
      return 0.5 * R.squaredNorm() / static_cast<double>(n) +
             0.5 * lambda * (v.squaredNorm() + o.squaredNorm());
    };
    double value = evaluate(V, O);
    for (int step = 0; step < 2000; ++step) {
      const RowMatrix<double> Z = inputs * V.transpose();
      const RowMatrix<double> H = Z.cwiseMax(0);
      const RowMatrix<double> R = (Y - H * O) / static_cast<double>(n);
      const RowMatrix<double> back =
          ((R * O.transpose()).array() * (Z.array() > 0).cast<double>()).matrix();
      const RowMatrix<double> v = V + rate * (back.transpose() * inputs - lambda * V);
      const RowMatrix<double> o = O + rate * (H.transpose() * R - lambda * O);
      const double trial = evaluate(v, o);
      rate *= trial < value ? 1.2 : 0.5;
      if (trial >= value) continue;
      V = v;
      O = o;
      value = trial;
    }
    best = std::min(best, value);
  }
  CHECK(report.certificate.primal <= best * (1 + 1e-6));
  CHECK(best <= 1.05 * report.certificate.primal);  // training does work
}

TEST_CASE("targets that are multiples of one vector are a problem of one output",
          "[convex/cone/column_generation]") {
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    ColumnProblem problem = random_column_problem(k);
    CAPTURE(k);
    RandomStream random(mgdl::test::seed(), 300 + k);
    const Vector<double> y = problem.Y.col(0);
    const auto a = normal_matrix<RowVector<double>>(1, problem.Y.cols(), random);
    problem.Y = y * a;
    const auto shared =
        solve_shared(problem, {.lambda_ratio = kColumnRatios[k % 4], .relative_tolerance = 1e-9});
    const auto scalar = ReluSolver({.lambda = shared.solution.lambda / a.norm(),
                                    .relative_tolerance = 1e-9,
                                    .output_bias = problem.output_bias})
                            .solve({problem.X, y, problem.weights}, problem.gates());
    REQUIRE(scalar.report.termination == Termination::ToleranceReached);
    const double expected = a.squaredNorm() * scalar.report.certificate.primal;
    CHECK(relative_distance(shared.report.certificate.primal, expected) <= 1e-8);
    CHECK(scalar.solution.hidden.rows() > 0);
    for (Index l = 0; l < shared.solution.output.rows(); ++l) {
      const double cosine = shared.solution.output.row(l).dot(a) / a.norm();
      CHECK(std::abs(std::abs(cosine) - 1) <= 1e-9);
    }
  }
}

TEST_CASE("units and the order of outputs do not matter", "[convex/cone/column_generation]") {
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    const ColumnProblem problem = random_column_problem(k);
    CAPTURE(k);
    const ConvexOptions options{.lambda_ratio = kColumnRatios[k % 4], .relative_tolerance = 1e-9};
    const ReluResult plain = solve_shared(problem, options);
    const double objective = plain.report.certificate.primal;
    ColumnProblem scaled = problem;
    scaled.Y *= 1024;
    scaled.weights *= 3;
    const ReluResult large = solve_shared(scaled, options);
    CHECK(relative_distance(large.report.certificate.primal, 1048576 * objective) <= 1e-9);
    CHECK(relative_distance(large.solution.lambda, 1024 * plain.solution.lambda) <= 1e-12);
    scaled = problem;
    scaled.Y *= std::ldexp(1.0, -40);
    const ReluResult small = solve_shared(scaled, options);
    CHECK(relative_distance(small.report.certificate.primal, std::ldexp(objective, -80)) <= 1e-9);
    scaled = problem;
    scaled.Y = problem.Y.rowwise().reverse();
    scaled.Y.col(0) *= -1;
    const ReluResult turned = solve_shared(scaled, options);
    CHECK(relative_distance(turned.report.certificate.primal, objective) <= 1e-6);
  }
}

TEST_CASE("from lambda_max on there is no neuron", "[convex/cone/column_generation]") {
  for (std::uint64_t k = 0; k < kProblems; ++k) {
    ColumnProblem problem = random_column_problem(k);
    CAPTURE(k);
    for (const double ratio : {1.0, 1.5}) {
      const auto [solution, report] = solve_shared(problem, {.lambda_ratio = ratio});
      CHECK(report.termination == Termination::ToleranceReached);
      CHECK(report.iterations == 1);
      CHECK(solution.hidden.rows() == 0);
      CHECK(report.certificate.relative_gap() <= 1e-12);
    }
    CHECK(solve_shared(problem, {.lambda_ratio = 0.4}).solution.hidden.rows() > 0);
    problem.Y.setZero();
    const auto zero = solve_shared(problem);
    CHECK(zero.report.termination == Termination::ToleranceReached);
    CHECK(zero.solution.hidden.rows() == 0);
  }
}

TEST_CASE("every iteration lowers the objective, and its network can be used",
          "[convex/cone/column_generation]") {
  const ColumnProblem problem = random_column_problem(7);
  double last = std::numeric_limits<double>::infinity();
  for (Index limit = 1; limit < 100; ++limit) {
    const auto [solution, report] =
        solve_shared(problem, {.lambda_ratio = 0.01, .max_iterations = limit});
    if (report.termination != Termination::MaxIterations) {
      CHECK(limit > 3);
      break;
    }
    CHECK(report.iterations == limit);
    CHECK(report.certificate.primal < last);
    CHECK(report.certificate.cone_violation <= 1e-12);
    last = report.certificate.primal;
  }
  const auto stopped = solve_shared(
      problem, {.lambda_ratio = 0.01, .observer = [](const mgdl::Progress& progress) {
                  return progress.iteration == 3 ? mgdl::Action::Stop : mgdl::Action::Continue;
                }});
  CHECK(stopped.report.termination == Termination::StoppedByObserver);
  CHECK(stopped.report.iterations == 3);
}

TEST_CASE("threads do not change the result", "[convex/cone/column_generation]") {
  const ColumnProblem problem = random_column_problem(6);
  const ReluSolution one = solve_shared(problem, {.threads = 1}).solution;
  CHECK(one.hidden.rows() > 3);
  for (const int threads : {2, 5}) {
    const ReluSolution other = solve_shared(problem, {.threads = threads}).solution;
    CHECK(other.hidden == one.hidden);
    CHECK(other.output == one.output);
    CHECK(other.gates == one.gates);
  }
}

TEST_CASE("the row lasso meets its optimality conditions", "[convex/cone/column_generation]") {
  RandomStream random(mgdl::test::seed(), 400);
  for (int k = 0; k < 12; ++k) {
    // More rows than columns and fewer, and columns that are repeated.
    const Index n = k % 2 == 0 ? 40 : 9;
    const Index m = 5 + 3 * (k % 5);
    auto phi = normal_matrix<Matrix<double>>(n, m, random);
    if (k % 3 == 1) phi.col(1) = phi.col(0);
    const auto Y = normal_matrix<Matrix<double>>(n, 1 + k % 4, random);
    const double ratio = kColumnRatios[k % 4];
    const double lambda = ratio * (phi.transpose() * Y).rowwise().norm().maxCoeff();
    CAPTURE(n, m, ratio);
    const RowLasso lasso(phi, Y, lambda);
    const Matrix<double> O = lasso.solve(Matrix<double>::Zero(m, Y.cols()), 1e-12);
    const Matrix<double> correlation = phi.transpose() * (Y - phi * O);
    Index active = 0;
    for (Index row = 0; row < m; ++row) {
      const double norm = O.row(row).norm();
      CHECK(correlation.row(row).norm() <= lambda * (1 + 1e-5));
      if (norm == 0) continue;
      ++active;
      CHECK((correlation.row(row) - lambda * O.row(row) / norm).norm() <= 1e-4 * lambda);
    }
    CHECK(active > 0);
    if (ratio > 0.3) CHECK(active < m);
    const auto value = [&](const Matrix<double>& at) {
      return 0.5 * (Y - phi * at).squaredNorm() + lambda * at.rowwise().norm().sum();
    };
    // From another start the same objective.
    const auto start = normal_matrix<Matrix<double>>(m, Y.cols(), random);
    CHECK(relative_distance(value(lasso.solve(start, 1e-12)), value(O)) <= 1e-10);
  }
}
