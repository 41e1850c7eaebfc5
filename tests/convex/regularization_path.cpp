// Paths of penalties against single solves and against formulas, and predictions of solutions.

#include "mgdl/convex/regularization_path.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "mgdl/convex/solution.hpp"
#include "mgdl/core/dataset.hpp"
#include "mgdl/core/observer.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;
using mgdl::Action;
using mgdl::Dataset;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::PathOptions;
using mgdl::PathPoint;
using mgdl::PathReport;
using mgdl::RandomStream;
using mgdl::RegularizationPath;
using mgdl::ReluSolution;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;

namespace {

constexpr double kPathTolerance = 1e-7;

/// n noisy samples of c kinked functions of d inputs, with weights.
Dataset<double> kinked_samples(Index n, Index d, Index c, RandomStream& random) {
  const auto X = normal_matrix<RowMatrix<double>>(n, d, random);
  RowMatrix<double> Y(n, c);
  for (Index i = 0; i < n; ++i) {
    for (Index o = 0; o < c; ++o) {
      const double kink = std::abs(X(i, o % d) - 0.3) + std::max(0.0, X.row(i).sum());
      Y(i, o) = 0.5 + kink + 0.3 * random.normal();
    }
  }
  Vector<double> weights(n);
  for (double& weight : weights) weight = random.uniform(0.5, 2);
  return {X, Y, weights};
}

/// What all cases have in common.
struct PathProblem {
  explicit PathProblem(Index outputs)
      : random(mgdl::test::seed()),
        train(kinked_samples(60, 2, outputs, random)),
        validation(kinked_samples(40, 2, outputs, random)),
        gates(mgdl::sample_gaussian_gates(train.inputs(), 25, mgdl::test::seed())) {}

  RandomStream random;
  Dataset<double> train;
  Dataset<double> validation;
  Gates gates;
};

PathOptions options(Index count, double ratio) {
  PathOptions result;
  result.count = count;
  result.solver.lambda_ratio = ratio;
  result.solver.relative_tolerance = kPathTolerance;
  return result;
}

double weighted_squares(const RowMatrix<double>& values, const Vector<double>& weights) {
  double sum = 0;
  for (Index i = 0; i < values.rows(); ++i) sum += weights[i] * values.row(i).squaredNorm();
  return sum;
}

/// The grid, the certificates, and what follows for the fit from two solutions that are optimal up
/// to their gaps: L_2 - L_1 <= (lambda_2 gap_1 + lambda_1 gap_2) / (lambda_1 - lambda_2) for their
/// losses L (multiply each one's inequality by the other's penalty and add).
void check_path(const PathReport& report, const Dataset<double>& data, Index count, double last) {
  CHECK(report.termination == Termination::ToleranceReached);
  REQUIRE(std::ssize(report.points) == count);
  const double largest = report.points.front().report.certificate.lambda;
  CHECK(report.points.front().report.active_groups == 0);
  CHECK(report.points.back().report.certificate.lambda == last);
  const double step = std::pow(last / largest, 1 / static_cast<double>(count - 1));
  const double half_targets = 0.5 * weighted_squares(data.targets(), data.weights());
  for (std::size_t k = 0; k < report.points.size(); ++k) {
    const PathPoint& point = report.points[k];
    const mgdl::Certificate& certificate = point.report.certificate;
    CHECK_THAT(certificate.lambda_max, WithinRel(largest, 1e-9));
    CHECK(certificate.relative_gap() <= 1.01 * kPathTolerance);
    CHECK(point.report.termination == Termination::ToleranceReached);
    if (k == 0) continue;
    const PathPoint& before = report.points[k - 1];
    const double lambda = certificate.lambda;
    const double lambda_before = before.report.certificate.lambda;
    CHECK_THAT(lambda, WithinRel(step * lambda_before, 1e-12));
    const double slack = lambda * std::max(0.0, before.report.certificate.gap()) +
                         lambda_before * std::max(0.0, certificate.gap());
    CHECK(point.train_rse - before.train_rse <=
          slack / (lambda_before - lambda) / half_targets + 1e-12);
  }
  CHECK(report.points.back().train_rse < 0.9 * report.points.front().train_rse);
}

}  // namespace

TEST_CASE("a gated path falls from lambda_max to the wanted penalty",
          "[convex/regularization_path]") {
  for (const Index outputs : {1, 3}) {
    PathProblem problem(outputs);
    for (const bool output_bias : {false, true}) {
      PathOptions o = options(9, 1e-3);
      o.solver.output_bias = output_bias;
      const auto by_ratio = RegularizationPath(o).solve_gated(problem.train, problem.gates);
      const double largest =
          mgdl::GatedReluSolver(o.solver).lambda_max(problem.train, problem.gates);
      CHECK(by_ratio.report.points.front().report.certificate.lambda == largest);
      check_path(by_ratio.report, problem.train, 9, 1e-3 * largest);
      o.solver.lambda = 0.07 * largest;
      const auto by_value = RegularizationPath(o).solve_gated(problem.train, problem.gates);
      check_path(by_value.report, problem.train, 9, 0.07 * largest);
      CHECK(by_value.solutions.size() == 9);
      CHECK(by_value.solutions.back().lambda == 0.07 * largest);
    }
  }
}

TEST_CASE("a ReLU path falls from lambda_max to the wanted penalty",
          "[convex/regularization_path]") {
  PathProblem problem(1);
  const RegularizationPath path(options(6, 1e-2));
  const auto sampled = path.solve_relu(problem.train, problem.gates);
  check_path(sampled.report, problem.train, 6,
             1e-2 * sampled.report.points.front().report.certificate.lambda);
  CHECK(sampled.report.points.back().report.certificate.scope ==
        mgdl::PatternScope::SampledPatterns);

  const Dataset<double> line = kinked_samples(40, 1, 2, problem.random);
  const auto all = path.solve_all_patterns(line);
  check_path(all.report, line, 6, 1e-2 * all.report.points.front().report.certificate.lambda);
  CHECK(all.report.points.back().report.certificate.scope == mgdl::PatternScope::AllPatterns);
}

TEST_CASE("every point is the solution of its problem, and warm starts save factorisations",
          "[convex/regularization_path]") {
  PathProblem problem(2);
  const auto path = RegularizationPath(options(12, 1e-3)).solve_gated(problem.train, problem.gates);
  Index with_start = 0;
  Index alone = 0;
  for (std::size_t k = 0; k < path.solutions.size(); ++k) {
    const PathPoint& point = path.report.points[k];
    mgdl::ConvexOptions single = options(1, 1).solver;
    single.lambda = point.report.certificate.lambda;
    const auto cold = mgdl::GatedReluSolver(single).solve(problem.train, problem.gates);
    CHECK_THAT(point.report.certificate.primal,
               WithinRel(cold.report.certificate.primal, 2 * kPathTolerance));
    // The objective is strictly convex in the predictions: |f - g|^2 <= 4 (gap_f + gap_g).
    const auto f = mgdl::predict(path.solutions[k], problem.gates, problem.train.inputs());
    const auto g = mgdl::predict(cold.solution, problem.gates, problem.train.inputs());
    CHECK(weighted_squares(f - g, problem.train.weights()) <=
          8 * kPathTolerance * point.report.certificate.primal);
    with_start += point.report.factorisations;
    alone += cold.report.factorisations;
  }
  CHECK(with_start < alone);
}

TEST_CASE("warm starts save factorisations on a path of many penalties",
          "[convex/regularization_path]") {
  PathProblem problem(2);
  PathOptions o = options(40, 1e-3);
  o.solver.relative_tolerance = 1e-3;
  const auto path = RegularizationPath(o).solve_gated(problem.train, problem.gates);
  Index with_start = 0;
  Index alone = 0;
  for (const PathPoint& point : path.report.points) {
    mgdl::ConvexOptions single = o.solver;
    single.lambda = point.report.certificate.lambda;
    with_start += point.report.factorisations;
    alone +=
        mgdl::GatedReluSolver(single).solve(problem.train, problem.gates).report.factorisations;
  }
  CHECK(3 * with_start < 2 * alone);
}

TEST_CASE("errors of a path are those of its solutions", "[convex/regularization_path]") {
  PathProblem problem(2);
  PathOptions o = options(5, 1e-2);
  const auto check = [&](const auto& result, const auto& predict) {
    REQUIRE(result.solutions.size() == result.report.points.size());
    for (std::size_t k = 0; k < result.solutions.size(); ++k) {
      const PathPoint& point = result.report.points[k];
      for (const bool train : {true, false}) {
        const Dataset<double>& data = train ? problem.train : problem.validation;
        const RowMatrix<double> error =
            data.targets() - predict(result.solutions[k], data.inputs());
        const double scale = weighted_squares(data.targets(), data.weights());
        CHECK_THAT(train ? point.train_rse : point.validation_rse,
                   WithinRel(weighted_squares(error, data.weights()) / scale, 1e-10));
      }
    }
    CHECK(result.report.best.has_value());
    CHECK(result.report.one_standard_error.has_value());
  };
  const RegularizationPath path(o);
  check(path.solve_gated(problem.train, problem.gates, &problem.validation),
        [&](const GatedSolution& solution, const RowMatrix<double>& X) {
          return mgdl::predict(solution, problem.gates, X);
        });
  check(path.solve_relu(problem.train, problem.gates, &problem.validation),
        [](const ReluSolution& solution, const RowMatrix<double>& X) {
          return mgdl::predict(solution, X);
        });
  const auto without = path.solve_gated(problem.train, problem.gates).report;
  CHECK(!without.best.has_value());
  CHECK(std::isnan(without.points.back().validation_rse));
  CHECK(std::isnan(without.points.back().standard_error));
}

TEST_CASE("the standard error of a mean of squared errors", "[convex/regularization_path]") {
  // A penalty that makes the solution zero: the errors are the squared targets.
  PathProblem problem(1);
  PathOptions o = options(1, 2);
  const auto point_of = [&](const Vector<double>& targets, const Vector<double>& weights) {
    const Dataset<double> validation(problem.validation.inputs().topRows(targets.size()), targets,
                                     weights);
    return RegularizationPath(o).solve_gated(problem.train, problem.gates, &validation).report;
  };
  // Errors 1, 4, 9: mean 14/3, variance 49/3 (n - 1), of the mean 49/9.
  const auto equal = point_of(Vector<double>{{1, -2, 3}}, {});
  CHECK(equal.points[0].validation_rse == 1);
  CHECK_THAT(equal.points[0].standard_error, WithinRel(7.0 / 3 / (14.0 / 3), 1e-12));
  // Weights 1/2, 1/4, 1/4: mean 15/4, sum of w^2 (e - mean)^2 = 121/64 + 1/256 + 441/256, and
  // 1 - sum of w^2 = 5/8.
  const auto weighted = point_of(Vector<double>{{1, -2, 3}}, Vector<double>{{4, 2, 2}});
  const double variance = (121.0 / 64 + 442.0 / 256) / (5.0 / 8);
  CHECK_THAT(weighted.points[0].standard_error, WithinRel(std::sqrt(variance) / (15.0 / 4), 1e-12));
  const auto single = point_of(Vector<double>{{2}}, {});
  CHECK(std::isnan(single.points[0].standard_error));
  CHECK(single.best == 0);
  CHECK(single.one_standard_error == 0);
}

TEST_CASE("the one-standard-error rule", "[convex/regularization_path]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto report_of = [](const std::vector<double>& errors, const std::vector<double>& spread) {
    PathReport report;
    for (std::size_t k = 0; k < errors.size(); ++k) {
      PathPoint point;
      point.validation_rse = errors[k];
      point.standard_error = spread[k];
      point.report.termination = Termination::ToleranceReached;
      report.points.push_back(point);
    }
    return report;
  };
  // The spread that counts is that of the best point.
  auto report = report_of({1, 0.5, 0.375, 0.25, 0.5}, {9, 9, 9, 0.125, 9});
  report.choose();
  CHECK(report.best == 3);
  CHECK(report.one_standard_error == 2);
  // Worse again in between.
  report = report_of({1, 0.3, 0.5, 0.25}, {0, 0, 0, 0.125});
  report.choose();
  CHECK(report.best == 3);
  CHECK(report.one_standard_error == 1);
  // Of equal ones the largest penalty; without a known spread the best itself.
  report = report_of({1, 0.5, 0.5}, {1, nan, 1});
  report.choose();
  CHECK(report.best == 1);
  CHECK(report.one_standard_error == 1);
  // What cannot be used is neither.
  report = report_of({1, 0.25, 0.5, nan}, {0.1, 0.1, 0.1, 0.1});
  report.points[1].report.termination = Termination::NumericalFailure;
  report.choose();
  CHECK(report.best == 2);
  CHECK(report.one_standard_error == 2);
  report = report_of({nan, nan}, {nan, nan});
  report.choose();
  CHECK(!report.best.has_value());
  CHECK(!report.one_standard_error.has_value());
}

TEST_CASE("cross-validation along a path", "[convex/regularization_path]") {
  PathProblem problem(2);
  PathOptions o = options(6, 1e-3);
  o.folds = 4;
  o.seed = 5;
  const auto check = [&](const auto& path, const auto& solve, const auto& predict) {
    const auto parts = mgdl::folds(problem.train, o.folds, o.seed);
    const double all = weighted_squares(problem.train.targets(), problem.train.weights());
    std::vector<double> mean(path.report.points.size());
    for (std::size_t k = 0; k < path.report.points.size(); ++k) {
      const PathPoint& point = path.report.points[k];
      double squares = 0;
      for (std::size_t f = 0; f < parts.folds.size(); ++f) {
        const auto& [train, held_out] = parts.folds[f];
        mgdl::ConvexOptions single = o.solver;
        single.lambda = point.report.certificate.lambda;
        const Gates gates(train.inputs(), problem.gates.vectors(), problem.gates.bias());
        const auto solved = solve(single, train, gates);
        const RowMatrix<double> rest =
            held_out->targets() - predict(solved.solution, gates, held_out->inputs());
        for (Index i = 0; i < rest.rows(); ++i) {
          const double weight =
              problem.train.weights()[parts.held_out[f][static_cast<std::size_t>(i)]];
          squares += weight * rest.row(i).squaredNorm();
          mean[k] += weight * rest.row(i).squaredNorm();
        }
      }
      CHECK_THAT(point.validation_rse, WithinRel(squares / all, 2e-3));
      CHECK(point.standard_error > 0);
      CHECK(point.standard_error < point.validation_rse);
    }
    const auto least = std::min_element(mean.begin(), mean.end()) - mean.begin();
    REQUIRE(path.report.best);
    CHECK(*path.report.best == least);
    CHECK(*path.report.one_standard_error <= least);
    // The solutions have seen all samples: they are those without folds.
    PathOptions without = o;
    without.folds = 0;
    return RegularizationPath(without);
  };
  const auto gated = RegularizationPath(o).solve_gated(problem.train, problem.gates);
  const auto plain = check(
      gated,
      [](const auto& single, const auto& train, const auto& gates) {
        return mgdl::GatedReluSolver(single).solve(train, gates);
      },
      [](const auto& solution, const Gates& gates, const auto& X) {
        return mgdl::predict(solution, gates, X);
      });
  const auto same = plain.solve_gated(problem.train, problem.gates);
  CHECK(same.solutions.back().coefficients == gated.solutions.back().coefficients);
  CHECK_FALSE(same.report.best);
  check(
      RegularizationPath(o).solve_relu(problem.train, problem.gates),
      [](const auto& single, const auto& train, const auto& gates) {
        return mgdl::ReluSolver(single).solve(train, gates);
      },
      [](const auto& solution, const Gates&, const auto& X) { return mgdl::predict(solution, X); });
  CHECK_THAT(error_of([&] {
               RegularizationPath(o).solve_gated(problem.train, problem.gates, &problem.validation);
             }),
             ContainsSubstring("PathOptions.folds") && ContainsSubstring("validation part"));
}

TEST_CASE("a path ends where enough is explained", "[convex/regularization_path]") {
  PathProblem problem(1);
  PathOptions o = options(30, 1e-4);
  o.solver.output_bias = true;
  const auto whole = RegularizationPath(o).solve_gated(problem.train, problem.gates);
  const auto means = (problem.train.weights().transpose() * problem.train.targets()).eval();
  const RowMatrix<double> around = problem.train.targets().rowwise() - means.row(0);
  for (std::size_t k = 0; k < whole.solutions.size(); ++k) {
    const auto fitted = mgdl::predict(whole.solutions[k], problem.gates, problem.train.inputs());
    const RowMatrix<double> rest = problem.train.targets() - fitted;
    CHECK(whole.report.points[k].explained ==
          Approx(1 - weighted_squares(rest, problem.train.weights()) /
                         weighted_squares(around, problem.train.weights()))
              .margin(1e-12));
  }
  o.enough_explained = 0.7;
  const auto part = RegularizationPath(o).solve_gated(problem.train, problem.gates);
  REQUIRE(part.report.points.size() < whole.report.points.size());
  REQUIRE(part.report.points.size() > 1);
  CHECK(part.report.points.back().explained >= 0.7);
  CHECK(part.report.points[part.report.points.size() - 2].explained < 0.7);
  CHECK(part.report.termination == Termination::ToleranceReached);
  CHECK_THAT(part.report.message, ContainsSubstring("of 30 penalties: the last one explains 0.7"));
}

TEST_CASE("a path that ends early keeps what it has", "[convex/regularization_path]") {
  PathProblem problem(1);
  const auto run = [&](const PathOptions& o) {
    const auto result =
        RegularizationPath(o).solve_gated(problem.train, problem.gates, &problem.validation);
    REQUIRE(!result.report.points.empty());
    CHECK(result.solutions.size() == result.report.points.size());
    CHECK(result.report.best.has_value());
    CHECK_THAT(result.report.message, ContainsSubstring("of 10"));
    return result.report;
  };
  SECTION("by the observer of the path") {
    PathOptions o = options(10, 1e-3);
    Index calls = 0;
    o.observer = [&](const PathPoint& point) {
      CHECK(point.report.termination == Termination::ToleranceReached);
      CHECK(!std::isnan(point.validation_rse));
      return ++calls == 3 ? Action::Stop : Action::Continue;
    };
    const PathReport report = run(o);
    CHECK(report.termination == Termination::StoppedByObserver);
    CHECK(report.points.size() == 3);
    CHECK(calls == 3);
  }
  SECTION("by the observer of the solver") {
    PathOptions o = options(10, 1e-3);
    Index solves = 0;
    o.solver.observer = [&](const mgdl::Progress& progress) {
      solves += progress.iteration == 1;
      return solves == 4 ? Action::Stop : Action::Continue;
    };
    const PathReport report = run(o);
    CHECK(report.termination == Termination::StoppedByObserver);
    CHECK(report.points.size() == 4);
    CHECK(report.points[2].report.termination == Termination::ToleranceReached);
    CHECK(report.points[3].report.termination == Termination::StoppedByObserver);
  }
  SECTION("by the number of iterations") {
    PathOptions o = options(10, 1e-3);
    o.solver.max_iterations = 1;
    const PathReport report = run(o);
    CHECK(report.termination == Termination::MaxIterations);
    CHECK(report.points.size() == 2);  // zero is known to be the first solution
    CHECK(report.points.back().report.certificate.relative_gap() > kPathTolerance);
  }
  SECTION("by the time limit, which is for all penalties together") {
    PathOptions o = options(10, 1e-3);
    o.solver.time_limit_seconds = 0.05;
    o.observer = [](const PathPoint&) {
      const mgdl::detail::Stopwatch watch;
      while (watch.seconds() < 0.02) {
      }
      return Action::Continue;
    };
    const PathReport report = run(o);
    CHECK(report.termination == Termination::TimeLimit);
    CHECK(report.points.size() < 5);
    CHECK(report.elapsed_seconds >= 0.05);
  }
  SECTION("by time that is over before it begins") {
    PathOptions o = options(10, 1e-3);
    o.solver.time_limit_seconds = 1e-12;
    const PathReport report = run(o);
    CHECK(report.termination == Termination::TimeLimit);
    CHECK(report.points.size() == 1);
  }
}

TEST_CASE("a wanted penalty that leaves no path is solved alone", "[convex/regularization_path]") {
  PathProblem problem(1);
  const double largest = mgdl::GatedReluSolver().lambda_max(problem.train, problem.gates);
  PathOptions o = options(10, 1e-3);
  o.solver.lambda = 3 * largest;
  const auto above = RegularizationPath(o).solve_gated(problem.train, problem.gates).report;
  REQUIRE(above.points.size() == 1);
  CHECK(above.points[0].report.certificate.lambda == 3 * largest);
  CHECK(above.points[0].report.active_groups == 0);
  CHECK(above.termination == Termination::ToleranceReached);

  const Dataset<double> zero(problem.train.inputs(), Vector<double>::Zero(60));
  const RegularizationPath path(options(10, 1e-3));
  for (const PathReport& report : {path.solve_gated(zero, problem.gates).report,
                                   path.solve_relu(zero, problem.gates).report}) {
    REQUIRE(report.points.size() == 1);
    CHECK(report.points[0].train_rse == 0);
    CHECK(report.points[0].report.active_groups == 0);
  }

  const RegularizationPath single(options(1, 0.1));
  const auto one = single.solve_gated(problem.train, problem.gates).report;
  REQUIRE(one.points.size() == 1);
  CHECK_THAT(one.points[0].report.certificate.lambda, WithinRel(0.1 * largest, 1e-14));
  CHECK(one.message == one.points[0].report.message);
}

TEST_CASE("a path has the same bits for any number of threads", "[convex/regularization_path]") {
  PathProblem problem(2);
  PathOptions o = options(5, 1e-2);
  o.solver.threads = 1;
  const auto one =
      RegularizationPath(o).solve_gated(problem.train, problem.gates, &problem.validation);
  o.solver.threads = 3;
  const auto three =
      RegularizationPath(o).solve_gated(problem.train, problem.gates, &problem.validation);
  for (std::size_t k = 0; k < 5; ++k) {
    CHECK(one.solutions[k].active == three.solutions[k].active);
    CHECK(one.solutions[k].coefficients == three.solutions[k].coefficients);
    CHECK(one.report.points[k].validation_rse == three.report.points[k].validation_rse);
  }
}

TEST_CASE("bad options and data of a path", "[convex/regularization_path]") {
  PathProblem problem(1);
  PathOptions o = options(0, 1e-2);
  CHECK_THAT(error_of([&] { RegularizationPath{o}; }), ContainsSubstring("PathOptions.count"));
  CHECK_THAT(error_of([&] { RegularizationPath(options(2, 0)); }),
             ContainsSubstring("ConvexOptions.lambda_ratio"));
  o = options(2, 0.1);
  o.solver.lambda = 0;
  CHECK_THAT(error_of([&] { RegularizationPath{o}; }),
             ContainsSubstring("ConvexOptions.lambda: expected a value > 0 for a path"));
  o.solver.lambda = -1;
  CHECK_THAT(error_of([&] { RegularizationPath{o}; }), ContainsSubstring("ConvexOptions.lambda"));

  const RegularizationPath path(options(2, 0.1));
  const Dataset<double> wide = kinked_samples(10, 3, 1, problem.random);
  const Dataset<double> deep = kinked_samples(10, 2, 2, problem.random);
  for (const Dataset<double>* bad : {&wide, &deep}) {
    CHECK_THAT(error_of([&] { path.solve_gated(problem.train, problem.gates, bad); }),
               ContainsSubstring("validation"));
    CHECK_THAT(error_of([&] { path.solve_relu(problem.train, problem.gates, bad); }),
               ContainsSubstring("validation"));
  }
  CHECK_THAT(error_of([&] { path.solve_all_patterns(problem.train); }),
             ContainsSubstring("one column"));
}

TEST_CASE("the report of a path is a table", "[convex/regularization_path]") {
  PathProblem problem(1);
  const auto report = RegularizationPath(options(4, 1e-2))
                          .solve_gated(problem.train, problem.gates, &problem.validation)
                          .report;
  std::ostringstream text;
  text << report;
  std::istringstream lines(text.str());
  std::vector<std::string> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(line);
  REQUIRE(rows.size() == 6);
  CHECK_THAT(rows[0], ContainsSubstring("lambda"));
  CHECK_THAT(rows[static_cast<std::size_t>(*report.best) + 1], ContainsSubstring(" (best)"));
  CHECK_THAT(rows[static_cast<std::size_t>(*report.one_standard_error) + 1],
             ContainsSubstring(" (one standard error)"));
  CHECK_THAT(rows[5], ContainsSubstring("ToleranceReached after"));
  for (std::size_t k = 1; k < 5; ++k) CHECK_THAT(rows[k], ContainsSubstring("ToleranceReached"));
}

TEST_CASE("predictions of gated solutions", "[convex/solution]") {
  RandomStream random(mgdl::test::seed());
  for (const bool bias : {true, false}) {
    for (const Index c : {1, 3}) {
      const Index d = 4;
      const Index p = d + (bias ? 1 : 0);
      const auto X = normal_matrix<RowMatrix<double>>(70, d, random);
      const auto vectors = normal_matrix<RowMatrix<double>>(9, p, random);
      const Gates gates(X, vectors, bias);
      GatedSolution solution;
      solution.active = {1, 2, 7};
      solution.coefficients = normal_matrix<mgdl::Matrix<double>>(3 * p, c, random);
      solution.bias = normal_matrix<RowVector<double>>(1, c, random);
      auto Z = normal_matrix<RowMatrix<double>>(133, d, random);
      Z.row(5).setZero();  // without bias every gate is zero here, and so active
      RowMatrix<double> expected = RowMatrix<double>::Zero(133, c);
      for (Index i = 0; i < Z.rows(); ++i) {
        RowVector<double> extended = RowVector<double>::Ones(p);
        extended.head(d) = Z.row(i);
        expected.row(i) += solution.bias;
        for (Index k = 0; k < 3; ++k) {
          const auto gate = gates.vectors().row(solution.active[static_cast<std::size_t>(k)]);
          if (Gates::gate_value(Z.row(i), gate, d, bias) < 0) continue;
          expected.row(i) += extended * solution.coefficients.middleRows(k * p, p);
        }
      }
      const auto predicted = mgdl::predict(solution, gates, Z, 1);
      CHECK((predicted - expected).cwiseAbs().maxCoeff() < 1e-13);
      CHECK(predicted == mgdl::predict(solution, gates, Z, 3));
      // A sample alone is what it is among others.
      CHECK(predicted.row(100) == mgdl::predict(solution, gates, Z.row(100)));

      GatedSolution zero;
      zero.bias = solution.bias;
      CHECK(mgdl::predict(zero, gates, Z) == solution.bias.replicate(133, 1));
      CHECK_THAT(error_of([&] { mgdl::predict(solution, gates, Z.leftCols(3)); }),
                 ContainsSubstring("X: expected 4 columns, found 3"));
      solution.active[2] = 9;
      CHECK_THAT(error_of([&] { mgdl::predict(solution, gates, Z); }),
                 ContainsSubstring("solution.active"));
      solution.active.pop_back();
      CHECK_THAT(error_of([&] { mgdl::predict(solution, gates, Z); }),
                 ContainsSubstring("solution.coefficients"));
    }
  }
}

TEST_CASE("predictions of ReLU solutions", "[convex/solution]") {
  RandomStream random(mgdl::test::seed());
  for (const bool bias : {true, false}) {
    const Index d = 3;
    ReluSolution solution;
    solution.hidden = normal_matrix<RowMatrix<double>>(5, d + (bias ? 1 : 0), random);
    solution.output = normal_matrix<RowMatrix<double>>(5, 2, random);
    solution.bias = normal_matrix<RowVector<double>>(1, 2, random);
    const auto X = normal_matrix<RowMatrix<double>>(20, d, random);
    const auto predicted = mgdl::predict(solution, X);
    for (Index i = 0; i < X.rows(); ++i) {
      RowVector<double> expected = solution.bias;
      for (Index k = 0; k < 5; ++k) {
        const double shift = bias ? solution.hidden(k, d) : 0;
        const double value = X.row(i).dot(solution.hidden.row(k).head(d)) + shift;
        if (value > 0) expected += value * solution.output.row(k);
      }
      CHECK((predicted.row(i) - expected).cwiseAbs().maxCoeff() < 1e-13);
    }
    CHECK_THAT(error_of([&] { mgdl::predict(solution, X.leftCols(d - 2)); }),
               ContainsSubstring("columns, found 1"));
    ReluSolution zero;
    zero.hidden.resize(0, d + 1);
    zero.bias = solution.bias;
    CHECK(mgdl::predict(zero, X) == solution.bias.replicate(20, 1));
  }
}
