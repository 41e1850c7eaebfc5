#include "mgdl/convex/gated_relu_solver.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <vector>

#include "support/convex_problems.hpp"
#include "support/factorisations.hpp"
#include "support/samples.hpp"

using mgdl::ConvexMethod;
using mgdl::Dataset;
using mgdl::GatedReluSolver;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_problem;

namespace {

constexpr std::array<double, 5> kGatedRatios{0.5, 0.1, 1e-2, 1e-3, 1e-4};

/// f at the samples.
Matrix<double> fitted(const Dataset<double>& data, const Gates& gates,
                      const GatedSolution& solution) {
  const auto X = mgdl::test::extended_inputs(data, gates);
  mgdl::test::Extended f = mgdl::test::Extended::Zero(data.size(), data.targets().cols());
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    f += mgdl::test::masked(X, gates, solution.active[static_cast<std::size_t>(k)]) *
         solution.block(k).cast<long double>();
  }
  f.rowwise() += solution.bias.cast<long double>();
  return f.cast<double>();
}

}  // namespace

TEST_CASE("every reported gap is true, on 100 random problems", "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(mgdl::test::draws(100, 2000)); ++k) {
    const auto problem = random_problem(k);
    const double ratio = kGatedRatios[k % 5];
    CAPTURE(problem.what, ratio);
    const GatedReluSolver solver({.lambda_ratio = ratio, .output_bias = k % 8 == 3});
    const auto [solution, report] = solver.solve(problem.data, problem.gates);
    const auto& certificate = report.certificate;
    const auto truth = mgdl::test::gated_bounds(problem.data, problem.gates, solution);
    const auto tolerance = 1e-11L * (1 + truth.primal);
    CHECK(report.termination == Termination::ToleranceReached);
    CHECK(certificate.relative_gap() <= 1e-6);
    CHECK(report.iterations <= 60);  // Newton's method
    CHECK(std::abs(certificate.primal - truth.primal) <= tolerance);
    CHECK(std::abs(certificate.dual - truth.dual) <= tolerance);
    CHECK(certificate.lambda == solution.lambda);
    if (certificate.lambda_max > 0) {
      CHECK(solution.lambda == Approx(ratio * certificate.lambda_max).epsilon(1e-12));
    } else {  // the penalty of rounding
      CHECK(solution.lambda < 1e-12);
      CHECK(solution.active.empty());
    }
    CHECK(report.active_groups == std::ssize(solution.active));
    CHECK(std::is_sorted(solution.active.begin(), solution.active.end()));
    for (Index g = 0; g < report.active_groups; ++g) CHECK(solution.block(g).norm() > 0);
  }
}

TEST_CASE("both methods find the same optimum", "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < 40; k += 1 + k % 3) {
    const auto problem = random_problem(k);
    if (k % 4 == 1) continue;  // ill-conditioned: the baseline does not get there
    CAPTURE(problem.what);
    const mgdl::ConvexOptions options{
        .lambda_ratio = 0.03, .relative_tolerance = 1e-5, .output_bias = k % 2 == 1};
    mgdl::ConvexOptions baseline = options;
    baseline.method = ConvexMethod::ProximalGradient;
    baseline.max_iterations = 100000;
    const auto ours = GatedReluSolver(options).solve(problem.data, problem.gates);
    const auto theirs = GatedReluSolver(baseline).solve(problem.data, problem.gates);
    REQUIRE(theirs.report.termination == Termination::ToleranceReached);
    CHECK(ours.report.certificate.primal ==
          Approx(theirs.report.certificate.primal).epsilon(2e-5).margin(1e-12));
    CHECK(ours.report.certificate.dual <= theirs.report.certificate.primal * (1 + 1e-12));
    CHECK(theirs.report.certificate.dual <= ours.report.certificate.primal * (1 + 1e-12));
  }
}

TEST_CASE("at lambda_max the solution is zero and the gap too, below it is not",
          "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < 30; ++k) {
    const auto problem = random_problem(k);
    CAPTURE(problem.what);
    const bool output_bias = k % 2 == 0;
    const double lambda_max =
        GatedReluSolver({.output_bias = output_bias}).lambda_max(problem.data, problem.gates);
    // Nothing but rounding: the targets or the samples are constant, and there is a bias.
    if (lambda_max <= 1e-12 * problem.data.targets().norm()) continue;
    for (const double factor : {1 + 1e-9, 1.5, 100.0}) {
      const auto [solution, report] =
          GatedReluSolver({.lambda = factor * lambda_max, .output_bias = output_bias})
              .solve(problem.data, problem.gates);
      CHECK(solution.active.empty());
      CHECK(report.certificate.gap() <= 1e-14 * report.certificate.primal);
      CHECK(report.termination == Termination::ToleranceReached);
    }
    const auto below =
        GatedReluSolver(
            {.lambda = 0.999 * lambda_max, .relative_tolerance = 1e-10, .output_bias = output_bias})
            .solve(problem.data, problem.gates);
    CHECK_FALSE(below.solution.active.empty());
  }
}

TEST_CASE("without penalty: least squares of least norm", "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < 20; ++k) {
    const auto problem = random_problem(k);
    if (k % 4 == 1) continue;  // the rank is a matter of rounding
    CAPTURE(problem.what);
    const auto [solution, report] =
        GatedReluSolver({.lambda = 0}).solve(problem.data, problem.gates);
    const Index n = problem.data.size();
    const Index p = problem.gates.dimension();
    const auto X = mgdl::test::extended_inputs(problem.data, problem.gates);
    Matrix<double> A(n, problem.gates.size() * p);
    for (Index j = 0; j < problem.gates.size(); ++j) {
      A.middleCols(j * p, p) = mgdl::test::masked(X, problem.gates, j).cast<double>();
    }
    const Vector<double> root = problem.data.weights().cwiseSqrt();
    A.array().colwise() *= root.array();
    const Matrix<double> Y = problem.data.targets().array().colwise() * root.array();
    const Matrix<double> U = mgdl::test::least_norm_squares(A, Y, 1e-11);
    Matrix<double> found = Matrix<double>::Zero(U.rows(), U.cols());
    for (Index g = 0; g < std::ssize(solution.active); ++g) {
      found.middleRows(solution.active[static_cast<std::size_t>(g)] * p, p) = solution.block(g);
    }
    CHECK((found - U).norm() <= 1e-7 * (1e-30 + U.norm()));
    // Without penalty nothing is proven, except where nothing is left.
    const bool proven = report.certificate.relative_gap() <= 1e-6;
    CHECK(report.termination == (proven ? Termination::ToleranceReached : Termination::NoProgress));
  }
}

TEST_CASE("large least squares problems are solved by iteration", "[convex/gated_relu_solver]") {
  RandomStream random(mgdl::test::seed());
  const auto X = normal_matrix<RowMatrix<double>>(400, 6, random);
  const auto Y = normal_matrix<RowMatrix<double>>(400, 2, random);
  const Dataset<double> data(X, Y);
  const Gates gates(X, normal_matrix<RowMatrix<double>>(300, 7, random));
  const auto [solution, report] = GatedReluSolver({.lambda = 0}).solve(data, gates);
  const bool proven = report.certificate.relative_gap() <= 1e-6;
  CHECK(report.termination == (proven ? Termination::ToleranceReached : Termination::NoProgress));
  CHECK(report.iterations > 1);
  CHECK(report.certificate.primal < 1e-12);  // 2100 unknowns interpolate 400 samples
}

TEST_CASE("the order of samples and gates does not matter", "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < 24; k += 3) {
    const auto problem = random_problem(k);
    CAPTURE(problem.what);
    RandomStream random(mgdl::test::seed(), 99 + k);
    std::vector<Index> rows(static_cast<std::size_t>(problem.data.size()));
    std::iota(rows.begin(), rows.end(), Index{0});
    random.shuffle(rows);
    std::vector<Index> order(static_cast<std::size_t>(problem.gates.size()));
    std::iota(order.begin(), order.end(), Index{0});
    random.shuffle(order);
    const Dataset<double> shuffled = problem.data.subset(rows);
    const RowMatrix<double> vectors = problem.gates.vectors()(order, mgdl::detail::kAll);
    const Gates gates(shuffled.inputs(), vectors, problem.gates.bias());
    const mgdl::ConvexOptions options{.lambda_ratio = 0.02, .relative_tolerance = 1e-8};
    const auto first = GatedReluSolver(options).solve(problem.data, problem.gates);
    const auto second = GatedReluSolver(options).solve(shuffled, gates);
    CHECK(second.report.certificate.primal ==
          Approx(first.report.certificate.primal).epsilon(1e-7).margin(1e-14));
    const Matrix<double> expected = fitted(problem.data, problem.gates, first.solution);
    const Matrix<double> found = fitted(shuffled, gates, second.solution);
    const Matrix<double> reordered = expected(rows, mgdl::detail::kAll);
    // The fit is unique where the loss counts: it is strictly convex in the weighted residual.
    const Matrix<double> error =
        (found - reordered).array().colwise() * shuffled.weights().cwiseSqrt().array();
    CHECK(0.5 * error.squaredNorm() <= 2e-7 * first.report.certificate.primal + 1e-20);
  }
}

TEST_CASE("scaling the targets scales the solution", "[convex/gated_relu_solver]") {
  for (std::uint64_t k = 0; k < 12; ++k) {
    const auto problem = random_problem(k);
    CAPTURE(problem.what);
    const mgdl::ConvexOptions options{.lambda_ratio = 0.02, .relative_tolerance = 1e-8};
    const auto first = GatedReluSolver(options).solve(problem.data, problem.gates);
    for (const double factor : {1e-8, -3.0, 1e8}) {
      const Dataset<double> scaled(problem.data.inputs(), factor * problem.data.targets(),
                                   problem.data.weights());
      const auto second = GatedReluSolver(options).solve(scaled, problem.gates);
      CHECK(second.report.certificate.primal ==
            Approx(factor * factor * first.report.certificate.primal).epsilon(1e-7).margin(0));
      CHECK(second.solution.lambda ==
            Approx(std::abs(factor) * first.solution.lambda).epsilon(1e-12).margin(0));
    }
  }
}

TEST_CASE("GatedReluSolver gives the same bits for any number of threads",
          "[convex/gated_relu_solver]") {
  const auto problem = random_problem(2);
  for (const auto method : {ConvexMethod::WorkingSet, ConvexMethod::ProximalGradient}) {
    std::vector<GatedSolution> solutions;
    for (const int threads : {1, 2, 3}) {
      solutions.push_back(
          GatedReluSolver({.max_iterations = 200, .method = method, .threads = threads})
              .solve(problem.data, problem.gates)
              .solution);
      CHECK(solutions.back().active == solutions.front().active);
      CHECK(solutions.back().coefficients == solutions.front().coefficients);
    }
  }
}

TEST_CASE("a start near the solution saves steps and changes nothing",
          "[convex/gated_relu_solver]") {
  const auto problem = random_problem(12);
  const auto first = GatedReluSolver({.lambda_ratio = 0.011}).solve(problem.data, problem.gates);
  const GatedReluSolver solver({.lambda_ratio = 0.01});
  const auto cold = solver.solve(problem.data, problem.gates);
  const auto warm = solver.solve(problem.data, problem.gates, &first.solution);
  CHECK(warm.report.iterations < cold.report.iterations);
  CHECK(warm.report.certificate.primal == Approx(cold.report.certificate.primal).epsilon(1e-6));
}

TEST_CASE("stops when told to and keeps what it has", "[convex/gated_relu_solver]") {
  const auto problem = random_problem(2);
  for (const auto method : {ConvexMethod::WorkingSet, ConvexMethod::ProximalGradient}) {
    const auto stopped = GatedReluSolver({.lambda_ratio = 1e-3,
                                          .method = method,
                                          .observer =
                                              [](const mgdl::Progress& progress) {
                                                return progress.iteration >= 3
                                                           ? mgdl::Action::Stop
                                                           : mgdl::Action::Continue;
                                              }})
                             .solve(problem.data, problem.gates);
    CHECK(stopped.report.termination == Termination::StoppedByObserver);
    const auto truth = mgdl::test::gated_bounds(problem.data, problem.gates, stopped.solution);
    CHECK(stopped.report.certificate.relative_gap() > 1e-6);
    CHECK(std::abs(stopped.report.certificate.primal - truth.primal) <= 1e-12L * truth.primal);
    const auto limited =
        GatedReluSolver({.lambda_ratio = 1e-3, .max_iterations = 2, .method = method})
            .solve(problem.data, problem.gates);
    CHECK(limited.report.termination == Termination::MaxIterations);
    const auto late =
        GatedReluSolver({.lambda_ratio = 1e-3, .time_limit_seconds = 1e-9, .method = method})
            .solve(problem.data, problem.gates);
    CHECK(late.report.termination == Termination::TimeLimit);
  }
}

TEST_CASE("samples in float give GatedReluSolver the solution of the same in double",
          "[convex/gated_relu_solver]") {
  RandomStream random(mgdl::test::seed(), 58);
  const auto X = normal_matrix<RowMatrix<float>>(40, 3, random);
  const auto Y = normal_matrix<RowMatrix<float>>(40, 2, random);
  const Dataset<float> single(X, Y);
  const Dataset<double> same(X.cast<double>(), Y.cast<double>(), single.weights().cast<double>());
  const Gates gates(X, normal_matrix<RowMatrix<float>>(20, 4, random));
  const auto a = GatedReluSolver<float>().solve(single, gates);
  const auto b = GatedReluSolver().solve(same, gates);
  CHECK(a.solution.active == b.solution.active);
  CHECK(a.solution.coefficients == b.solution.coefficients);
  CHECK(a.report.certificate.dual == b.report.certificate.dual);
  CHECK(GatedReluSolver<float>().lambda_max(single, gates) ==
        GatedReluSolver().lambda_max(same, gates));
  CHECK(mgdl::predict(a.solution, gates, X) ==
        mgdl::predict(b.solution, gates, X.cast<double>().eval()));
}

TEST_CASE("bad input to GatedReluSolver is refused", "[convex/gated_relu_solver]") {
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(error_of([] { GatedReluSolver({.lambda = -1}); }),
             ContainsSubstring("ConvexOptions.lambda"));
  CHECK_THAT(
      error_of([] { GatedReluSolver({.lambda_ratio = std::numeric_limits<double>::quiet_NaN()}); }),
      ContainsSubstring("ConvexOptions.lambda_ratio"));
  CHECK_THAT(error_of([] { GatedReluSolver({.relative_tolerance = -1}); }),
             ContainsSubstring("relative_tolerance"));
  const auto problem = random_problem(0);
  const auto other = random_problem(3);
  CHECK_THAT(error_of([&] { GatedReluSolver().solve(problem.data, other.gates); }),
             ContainsSubstring("X: expected"));
  GatedSolution start;
  start.active = {0, 1};
  start.coefficients = Matrix<double>::Zero(3, 1);
  CHECK_THAT(error_of([&] { GatedReluSolver().solve(problem.data, problem.gates, &start); }),
             ContainsSubstring("start.coefficients"));
  start.active = {problem.gates.size()};
  start.coefficients =
      Matrix<double>::Zero(problem.gates.dimension(), problem.data.targets().cols());
  CHECK_THAT(error_of([&] { GatedReluSolver().solve(problem.data, problem.gates, &start); }),
             ContainsSubstring("start.active"));
}
