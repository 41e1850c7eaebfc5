// The solvers against an independent one: see reference/make_reference.py.

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "reference/problems.hpp"
#include "support/catch.hpp"

using mgdl::ConvexOptions;
using mgdl::ConvexReport;
using mgdl::Dataset;
using mgdl::Gates;
using mgdl::Index;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::reference_problems;
using mgdl::test::ReferenceProblem;

namespace {

RowMatrix<double> matrix(const std::vector<double>& values, Index rows) {
  const Index cols = static_cast<Index>(values.size()) / rows;
  return Eigen::Map<const RowMatrix<double>>(values.data(), rows, cols);
}

Dataset<double> dataset_of(const ReferenceProblem& problem) {
  return {matrix(problem.X, problem.n), matrix(problem.Y, problem.n),
          matrix(problem.weights, problem.n).col(0)};
}

Gates gates_of(const ReferenceProblem& problem) {
  return {matrix(problem.X, problem.n), matrix(problem.gates, problem.patterns),
          problem.input_bias};
}

/// Solves at the reference's lambda, or at its ratio to lambda_max.
ConvexReport solve_reference(const ReferenceProblem& problem, bool by_ratio = false) {
  ConvexOptions options;
  if (!by_ratio) options.lambda = problem.lambda;
  options.lambda_ratio = problem.ratio;
  options.relative_tolerance = 1e-9;
  options.output_bias = problem.output_bias;
  options.max_iterations = 1000;
  const Dataset<double> data = dataset_of(problem);
  const Gates gates = gates_of(problem);
  return problem.relu ? mgdl::ReluSolver(options).solve(data, gates).report
                      : mgdl::GatedReluSolver(options).solve(data, gates).report;
}

/// Gap of the references and what rounding adds to it.
constexpr double kReferenceGap = 2e-9;

}  // namespace

TEST_CASE("the reference problems are what they are meant to be", "[convex/reference]") {
  for (const bool relu : {false, true}) {
    CHECK(std::count_if(reference_problems().begin(), reference_problems().end(),
                        [&](const auto& problem) { return problem.relu == relu; }) == 10);
  }
  for (const ReferenceProblem& problem : reference_problems()) {
    CHECK(problem.lower_bound > 0);
    CHECK(problem.lower_bound <= problem.optimum * (1 + 1e-12));
    CHECK(problem.optimum <= problem.lower_bound * (1 + kReferenceGap));
  }
}

TEST_CASE("optimum and bound agree with an independent solver", "[convex/reference]") {
  for (const ReferenceProblem& problem : reference_problems()) {
    CAPTURE(problem.relu, problem.n, problem.ratio);
    const ConvexReport report = solve_reference(problem);
    const mgdl::Certificate& certificate = report.certificate;
    CAPTURE(report.message, report.active_groups, report.iterations);
    CHECK(report.termination == Termination::ToleranceReached);
    CHECK(certificate.relative_gap() <= 1.1e-9);
    CHECK(std::abs(certificate.primal - problem.optimum) <= 2e-9 * problem.optimum);
    // The true optimum is between the reference's bounds.
    CHECK(certificate.dual <= problem.optimum * (1 + 1e-12));
    CHECK(problem.lower_bound <= certificate.primal * (1 + 1e-12));
    CHECK(certificate.dual >= problem.lower_bound * (1 - 2e-9));
    CHECK(problem.optimum <= certificate.primal * (1 + kReferenceGap));
  }
}

TEST_CASE("lambda_max agrees with an independent solver", "[convex/reference]") {
  for (const ReferenceProblem& problem : reference_problems()) {
    CAPTURE(problem.relu, problem.n, problem.ratio);
    const ConvexReport report = solve_reference(problem, true);
    CHECK(std::abs(report.certificate.lambda - problem.lambda) <= 1e-9 * problem.lambda);
    const double expected = problem.lambda / problem.ratio;
    CHECK(std::abs(report.certificate.lambda_max - expected) <= 1e-9 * expected);
  }
}
