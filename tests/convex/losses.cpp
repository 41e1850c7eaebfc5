// Huber's loss and that of a quantile: the gated problem, its certificate and its path.

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/loss.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "mgdl/convex/relu_solver.hpp"
#include "reference/loss_problems.hpp"
#include "support/convex_problems.hpp"
#include "support/samples.hpp"

using mgdl::Certificate;
using mgdl::ConvexOptions;
using mgdl::Dataset;
using mgdl::GatedReluSolver;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Loss;
using mgdl::LossKind;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::random_problem;

namespace {

using Wide = long double;

RowMatrix<double> matrix(const std::vector<double>& values, Index rows) {
  const Index cols = static_cast<Index>(values.size()) / rows;
  return Eigen::Map<const RowMatrix<double>>(values.data(), rows, cols);
}

Wide cost(const Loss& loss, Wide r) {
  const Wide t = loss.parameter;
  if (loss.kind == LossKind::Quantile) return r > 0 ? t * r : (t - 1) * r;
  return std::abs(r) <= t ? r * r / 2 : t * std::abs(r) - t * t / 2;
}

struct Bounds {
  Wide primal = 0;
  Wide dual = 0;
};

/// Objective of a solution, and the bound of a dual point, from the formulas. The point is scaled
/// into all of its constraints; that it sums to zero is required.
Bounds bounds(const Dataset<double>& data, const Gates& gates, const GatedSolution& solution,
              const RowMatrix<double>& N) {
  const auto X = mgdl::test::extended_inputs(data, gates);
  mgdl::test::Extended R = data.targets().cast<Wide>();
  Bounds result;
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    const mgdl::test::Extended U = solution.block(k).cast<Wide>();
    R -= mgdl::test::masked(X, gates, solution.active[static_cast<std::size_t>(k)]) * U;
    result.primal += solution.lambda * U.norm();
  }
  R.rowwise() -= solution.bias.cast<Wide>();
  const bool quantile = solution.loss.kind == LossKind::Quantile;
  const Wide upper = solution.loss.parameter;
  const Wide lower = quantile ? upper - 1 : -upper;
  Wide s = 1, inner = 0, squares = 0;
  for (Index i = 0; i < data.size(); ++i) {
    const Wide w = data.weights()[i];
    for (Index o = 0; o < N.cols(); ++o) {
      result.primal += w * cost(solution.loss, R(i, o));
      if (N(i, o) == 0) continue;
      REQUIRE(w > 0);
      const Wide slope = N(i, o) / w;
      s = std::min(s, (slope > 0 ? upper : lower) / slope);
      inner += static_cast<Wide>(N(i, o)) * data.targets()(i, o);
      squares += quantile ? 0 : N(i, o) * slope;
    }
  }
  const mgdl::test::Extended wide = N.cast<Wide>();
  if (solution.output_bias) {
    REQUIRE(wide.colwise().sum().cwiseAbs().maxCoeff() <= 1e-12 * wide.cwiseAbs().sum());
  }
  for (Index j = 0; j < gates.size(); ++j) {
    const Wide length = (mgdl::test::masked(X, gates, j).transpose() * wide).norm();
    if (length > 0) s = std::min(s, solution.lambda / length);
  }
  if (squares > 0) s = std::min(s, std::max<Wide>(0, inner / squares));
  result.dual = s * inner - s * s * squares / 2;
  return result;
}

/// w_i L'(r_i) of a solution with Huber's loss.
RowMatrix<double> huber_dual(const Dataset<double>& data, const Gates& gates,
                             const GatedSolution& solution) {
  RowMatrix<double> N = data.targets() - predict(solution, gates, data.inputs());
  const double delta = solution.loss.parameter;
  N = N.cwiseMax(-delta).cwiseMin(delta);
  return data.weights().asDiagonal() * N;
}

/// Samples of a smooth function of two inputs, number k of a series.
double teacher(int k, double x, double y) {
  switch (k) {
    case 0: return std::sin(2 * x) + y;
    case 1: return std::abs(x) - std::abs(y);
    case 2: return x * y;
    case 3: return std::exp(-x * x - y * y) * 3;
    case 4: return std::max(0.0, x + y) - std::max(0.0, x - 2 * y);
    default: return std::cos(x + y) + x;
  }
}

}  // namespace

TEST_CASE("other losses agree with an independent solver", "[convex/losses]") {
  const auto& references = mgdl::test::loss_references();
  REQUIRE(references.size() == 30);
  for (const auto& [loss, problem] : references) {
    std::ostringstream name;
    name << loss;
    CAPTURE(name.str(), problem.n, problem.ratio);
    REQUIRE(problem.lower_bound <= problem.optimum * (1 + 1e-9));
    REQUIRE(problem.optimum <= problem.lower_bound * (1 + 1e-8));
    const Dataset<double> data(matrix(problem.X, problem.n), matrix(problem.Y, problem.n),
                               matrix(problem.weights, problem.n).col(0));
    const Gates gates(matrix(problem.X, problem.n), matrix(problem.gates, problem.patterns),
                      problem.input_bias);
    ConvexOptions options{.lambda_ratio = problem.ratio,
                          .relative_tolerance = 1e-8,
                          .loss = loss,
                          .output_bias = problem.output_bias};
    const auto result = GatedReluSolver(options).solve(data, gates);
    const Certificate& certificate = result.report.certificate;
    CHECK(result.report.termination == Termination::ToleranceReached);
    CHECK(certificate.loss == loss);
    CHECK(certificate.lambda == Approx(problem.lambda).epsilon(1e-9));
    CHECK(certificate.lambda_max == Approx(problem.lambda / problem.ratio).epsilon(1e-9));
    CHECK(certificate.relative_gap() <= 1.1e-8);
    CHECK(certificate.primal == Approx(problem.optimum).epsilon(2e-8));
    CHECK(certificate.dual <= problem.optimum * (1 + 1e-9));
    CHECK(certificate.primal >= problem.lower_bound * (1 - 1e-9));
  }
}

TEST_CASE("gaps of other losses are true, on random problems", "[convex/losses]") {
  const std::vector<double> ratios{0.5, 0.1, 0.03};
  Index solved = 0, problems = 0;
  for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(mgdl::test::draws(60, 1000)); ++k) {
    const auto problem = random_problem(k);
    const double size = problem.data.targets().cwiseAbs().maxCoeff();
    const Loss loss =
        k % 2 == 0 ? Loss::huber(0.3 * size) : Loss::quantile(k % 4 == 1 ? 0.8 : 0.35);
    const ConvexOptions options{
        .lambda_ratio = ratios[k % 3], .loss = loss, .output_bias = k % 8 >= 4};
    std::ostringstream name;
    name << loss;
    CAPTURE(problem.what, name.str(), options.output_bias, options.lambda_ratio);
    const auto [solution, report] = GatedReluSolver(options).solve(problem.data, problem.gates);
    const Certificate& certificate = report.certificate;
    CAPTURE(report.message);
    ++problems;
    solved += report.termination == Termination::ToleranceReached ? 1 : 0;
    const bool quantile = loss.kind == LossKind::Quantile;
    if (quantile && solution.dual.size() == 0) {  // nothing to explain
      CHECK(certificate.lambda >= certificate.lambda_max * (1 - 1e-9));
      continue;
    }
    CHECK(solution.dual.size() == (quantile ? problem.data.targets().size() : 0));
    const auto truth =
        bounds(problem.data, problem.gates, solution,
               quantile ? solution.dual : huber_dual(problem.data, problem.gates, solution));
    const Wide tolerance = 1e-10L * (std::abs(truth.primal) + certificate.rounding);
    CHECK(std::abs(certificate.primal - truth.primal) <= tolerance);
    // Of two dual points the certificate takes the better one.
    CHECK(certificate.dual >= truth.dual - tolerance);
    CHECK(certificate.dual <= certificate.primal + tolerance);
  }
  CHECK(solved == problems);
}

TEST_CASE("lambda_max of other losses: zero at it, not below", "[convex/losses]") {
  for (std::uint64_t k = 0; k < 16; ++k) {
    const auto problem = random_problem(k);
    const Loss loss = k % 2 == 0 ? Loss::huber(0.5) : Loss::quantile(0.7);
    ConvexOptions options{.loss = loss, .output_bias = k % 4 < 2};
    const double largest = GatedReluSolver(options).lambda_max(problem.data, problem.gates);
    std::ostringstream name;
    name << loss;
    CAPTURE(problem.what, name.str(), largest);
    if (largest <= 1e-10) continue;  // constant targets with a bias
    options.lambda = 1.0001 * largest;
    const auto above = GatedReluSolver(options).solve(problem.data, problem.gates);
    CHECK(above.solution.active.empty());
    CHECK(above.report.certificate.relative_gap() <= 1e-6);
    CHECK(above.report.certificate.lambda_max == Approx(largest).epsilon(1e-9));
    options.lambda = 0.99 * largest;
    options.relative_tolerance = loss.kind == LossKind::Quantile ? 1e-6 : 1e-9;
    const auto below = GatedReluSolver(options).solve(problem.data, problem.gates);
    CHECK_FALSE(below.solution.active.empty());
  }
}

TEST_CASE("Huber's loss without outliers is the squared loss", "[convex/losses]") {
  const auto problem = random_problem(3);
  const double far = 100 * problem.data.targets().cwiseAbs().maxCoeff();
  ConvexOptions options{.lambda_ratio = 0.1, .relative_tolerance = 1e-9, .output_bias = true};
  const auto squared = GatedReluSolver(options).solve(problem.data, problem.gates);
  options.loss = Loss::huber(far);
  const auto huber = GatedReluSolver(options).solve(problem.data, problem.gates);
  CHECK(huber.report.certificate.primal == Approx(squared.report.certificate.primal).epsilon(2e-9));
  CHECK(huber.report.certificate.lambda_max ==
        Approx(squared.report.certificate.lambda_max).epsilon(1e-12));
}

TEST_CASE("units of the targets change nothing but units", "[convex/losses]") {
  const auto problem = random_problem(6);
  for (const double unit : {0x1p-300, 0x1p300}) {
    const Dataset<double> data(problem.data.inputs(), unit * problem.data.targets(),
                               problem.data.weights());
    for (const bool quantile : {false, true}) {
      const Loss loss = quantile ? Loss::quantile(0.6) : Loss::huber(0.4);
      const auto usual = GatedReluSolver({.lambda_ratio = 0.1, .loss = loss})
                             .solve(problem.data, problem.gates)
                             .report.certificate;
      const auto other = GatedReluSolver({.lambda_ratio = 0.1, .loss = loss.in_unit(1 / unit)})
                             .solve(data, problem.gates)
                             .report.certificate;
      const double factor = quantile ? 1 : unit;
      CHECK(other.lambda / factor == Approx(usual.lambda).epsilon(1e-9));
      CHECK(other.lambda_max / factor == Approx(usual.lambda_max).epsilon(1e-9));
      CHECK(other.primal / factor / unit == Approx(usual.primal).epsilon(2e-6));
      CHECK(other.relative_gap() <= 1e-6);
    }
  }
}

TEST_CASE("a certificate says which loss it is about", "[convex/losses]") {
  const auto problem = random_problem(4);
  for (const Loss& loss : {Loss::huber(0.5), Loss::quantile(0.8)}) {
    const auto [solution, report] =
        GatedReluSolver({.lambda_ratio = 0.1, .loss = loss}).solve(problem.data, problem.gates);
    Certificate stated = report.certificate;
    CHECK(verify(stated, problem.data, problem.gates, solution).valid);
    std::ostringstream text;
    text << stated;
    CHECK(text.str().find(to_string(loss.kind)) != std::string::npos);
    stated.loss.parameter *= 1.01;
    const auto wrong = verify(stated, problem.data, problem.gates, solution);
    CHECK_FALSE(wrong.valid);
    CHECK(wrong.message.find("loss") == 0);
    // A dual point outside of its bounds is clipped before it proves anything.
    if (loss.kind == LossKind::Quantile) {
      GatedSolution forged = solution;
      forged.dual *= 1e3;
      const Certificate found = certify(problem.data, problem.gates, forged);
      CHECK(found.dual <= report.certificate.primal * (1 + 1e-12));
    }
  }
}

TEST_CASE("a path with another loss, by folds and by held out samples", "[convex/losses]") {
  RandomStream random(mgdl::test::seed());
  const auto X = normal_matrix<RowMatrix<double>>(150, 3, random);
  RowMatrix<double> Y =
      X.col(0).cwiseAbs() + 0.3 * normal_matrix<RowMatrix<double>>(150, 1, random);
  const Dataset<double> data(X, Y);
  const Gates gates = mgdl::sample_gaussian_gates(X, 40, mgdl::test::seed());
  for (const Loss& loss : {Loss::huber(0.3), Loss::quantile(0.9)}) {
    mgdl::PathOptions options;
    options.solver = {.lambda_ratio = 0.02, .loss = loss, .output_bias = true};
    options.count = 6;
    options.folds = 4;
    const auto [solutions, report] = mgdl::RegularizationPath(options).solve_gated(data, gates);
    CHECK(report.termination == Termination::ToleranceReached);
    REQUIRE(report.points.size() == 6);
    REQUIRE(report.best);
    double last = -1;
    for (std::size_t k = 0; k < solutions.size(); ++k) {
      const auto& point = report.points[k];
      CHECK(point.report.certificate.relative_gap() <= 1e-6);
      const auto alone =
          GatedReluSolver(
              {.lambda = point.report.certificate.lambda, .loss = loss, .output_bias = true})
              .solve(data, gates)
              .report.certificate;
      CHECK(point.report.certificate.primal == Approx(alone.primal).epsilon(2e-6));
      // The loss that is explained rises along the path.
      CHECK(point.explained >= last - 1e-6);
      last = point.explained;
    }
    CHECK(report.points.front().explained == Approx(0).margin(1e-6));
  }
}

TEST_CASE("penalties are chosen by the loss of held out samples", "[convex/losses]") {
  RandomStream random(mgdl::test::seed(), 0x30);
  const auto sample = [&](Index n) {
    const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
    RowMatrix<double> Y(n, 2);
    for (Index i = 0; i < n; ++i) {
      Y(i, 0) = teacher(0, X(i, 0), X(i, 1)) + 0.4 * random.normal();
      Y(i, 1) = teacher(1, X(i, 0), X(i, 1)) + 0.2 * random.normal();
      if (i % 9 == 0) Y(i, 0) += 6;
    }
    Vector<double> weights(n);
    for (Index i = 0; i < n; ++i) weights[i] = i % 7 == 0 ? 0 : random.uniform(0.5, 2);
    return Dataset<double>(X, Y, weights);
  };
  const auto data = sample(120);
  const auto held_out = sample(60);
  const Gates gates = mgdl::sample_gaussian_gates(data.inputs(), 30, mgdl::test::seed());
  for (const Loss& loss : {Loss::huber(0.3), Loss::quantile(0.8)}) {
    const auto sum = [&](const RowMatrix<double>& residual, const Vector<double>& weights) {
      Wide result = 0;
      for (Index i = 0; i < residual.rows(); ++i) {
        for (Index o = 0; o < residual.cols(); ++o)
          result += weights[i] * cost(loss, residual(i, o));
      }
      return result;
    };
    const auto lowest = [](const std::vector<double>& errors) {
      return std::min_element(errors.begin(), errors.end()) - errors.begin();
    };
    mgdl::PathOptions options;
    options.solver = {.lambda_ratio = 2e-3, .loss = loss, .output_bias = true};
    options.count = 6;
    const auto by_part = mgdl::RegularizationPath(options).solve_gated(data, gates, &held_out);
    std::vector<double> errors;
    for (std::size_t k = 0; k < by_part.solutions.size(); ++k) {
      const RowMatrix<double> residual =
          held_out.targets() - predict(by_part.solutions[k], gates, held_out.inputs());
      errors.push_back(static_cast<double>(sum(residual, held_out.weights()) /
                                           sum(held_out.targets(), held_out.weights())));
      CHECK(by_part.report.points[k].validation_rse == Approx(errors.back()).epsilon(1e-10));
      CHECK(by_part.report.points[k].train_rse ==
            Approx(static_cast<double>(
                       sum(data.targets() - predict(by_part.solutions[k], gates, data.inputs()),
                           data.weights()) /
                       sum(data.targets(), data.weights())))
                .epsilon(1e-10));
    }
    CHECK(by_part.report.best == lowest(errors));

    options.folds = 3;
    options.seed = 5;
    const auto report = mgdl::RegularizationPath(options).solve_gated(data, gates).report;
    const auto parts = mgdl::folds(data, options.folds, options.seed);
    errors.clear();
    for (const auto& point : report.points) {
      ConvexOptions one = options.solver;
      one.lambda = point.report.certificate.lambda;
      one.relative_tolerance = 1e-8;
      Wide error = 0;
      for (std::size_t f = 0; f < parts.folds.size(); ++f) {
        const auto& train = parts.folds[f].train;
        const Gates of_train(train.inputs(), gates.vectors(), gates.bias());
        const auto solution = GatedReluSolver(one).solve(train, of_train).solution;
        const auto& out = *parts.folds[f].validation;
        const RowMatrix<double> residual =
            out.targets() - predict(solution, of_train, out.inputs());
        Vector<double> weights(out.size());
        for (Index i = 0; i < out.size(); ++i) {
          weights[i] = data.weights()[parts.held_out[f][static_cast<std::size_t>(i)]];
        }
        error += sum(residual, weights);
      }
      errors.push_back(static_cast<double>(error / sum(data.targets(), data.weights())));
      CHECK(point.validation_rse == Approx(errors.back()).epsilon(2e-3));
    }
    CHECK(report.best == lowest(errors));
  }
}

TEST_CASE("10 % gross outliers move Huber's fit far less than that of squares", "[convex/losses]") {
  for (int k = 0; k < 6; ++k) {
    RandomStream random(mgdl::test::seed(), 0x10 + static_cast<std::uint64_t>(k));
    const auto sample = [&](Index n) {
      const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
      RowMatrix<double> Y(n, 1);
      for (Index i = 0; i < n; ++i) Y(i, 0) = teacher(k, X(i, 0), X(i, 1));
      return Dataset<double>(X, Y);
    };
    const auto clean = sample(500);
    const auto test = sample(2000);
    RowMatrix<double> Y = clean.targets() + 0.1 * normal_matrix<RowMatrix<double>>(500, 1, random);
    const Dataset<double> noisy(clean.inputs(), Y);
    for (Index i = 0; i < 500; i += 10) Y(i, 0) += random.uniform(5, 20) * (i % 20 == 0 ? 1 : -1);
    const Dataset<double> outliers(clean.inputs(), Y);
    const Gates gates = mgdl::sample_gaussian_gates(clean.inputs(), 60, mgdl::test::seed());
    const auto error = [&](const Dataset<double>& data, const Loss& loss) {
      const auto result =
          GatedReluSolver({.lambda = 1e-3, .loss = loss, .output_bias = true}).solve(data, gates);
      CHECK(result.report.termination == Termination::ToleranceReached);
      return (predict(result.solution, gates, test.inputs()) - test.targets()).norm();
    };
    const double of_clean = error(noisy, {});
    const double of_huber = error(outliers, Loss::huber(0.2));
    const double of_squares = error(outliers, {});
    CAPTURE(k, of_clean, of_huber, of_squares);
    CHECK(of_huber <= 0.2 * of_squares);
    CHECK(of_squares >= 5 * of_clean);
  }
}

TEST_CASE("a 90 % quantile covers 88 to 92 % of other samples", "[convex/losses]") {
  for (int k = 0; k < 6; ++k) {
    RandomStream random(mgdl::test::seed(), 0x20 + static_cast<std::uint64_t>(k));
    const auto sample = [&](Index n) {
      const auto X = normal_matrix<RowMatrix<double>>(n, 2, random);
      RowMatrix<double> Y(n, 1);
      for (Index i = 0; i < n; ++i) {
        Y(i, 0) = teacher(k, X(i, 0), X(i, 1)) + (0.2 + 0.1 * std::abs(X(i, 0))) * random.normal();
      }
      return Dataset<double>(X, Y);
    };
    const auto data = sample(3000);
    const auto test = sample(20000);
    const Gates gates = mgdl::sample_gaussian_gates(data.inputs(), 40, mgdl::test::seed());
    const auto result =
        GatedReluSolver({.lambda_ratio = 0.02, .loss = Loss::quantile(0.9), .output_bias = true})
            .solve(data, gates);
    CHECK(result.report.termination == Termination::ToleranceReached);
    const RowMatrix<double> above = test.targets() - predict(result.solution, gates, test.inputs());
    const double covered = (above.array() <= 0).cast<double>().mean();
    CAPTURE(k, covered);
    CHECK(covered >= 0.88);
    CHECK(covered <= 0.92);
  }
}

TEST_CASE("bad losses are refused", "[convex/losses]") {
  const auto refused = [](const ConvexOptions& options) {
    return error_of([&] { GatedReluSolver solver(options); });
  };
  CHECK(refused({.loss = Loss::huber(0)}).find("ConvexOptions.loss.parameter") == 0);
  CHECK(refused({.loss = Loss::huber(-1)}).find("a finite value > 0") != std::string::npos);
  CHECK(refused({.loss = Loss::quantile(1)}).find("in (0, 1)") != std::string::npos);
  CHECK(refused({.loss = Loss::quantile(0)}).find("in (0, 1)") != std::string::npos);
  CHECK(refused({.loss = {LossKind::Squared, 1}}).find("0 for the squared loss") !=
        std::string::npos);
  CHECK(refused({.lambda = 0.0, .loss = Loss::huber(1)}).find("ConvexOptions.lambda") == 0);
  CHECK(refused({.loss = Loss::huber(1), .method = mgdl::ConvexMethod::ProximalGradient})
            .find("ConvexOptions.method") == 0);
  CHECK(error_of([] {
          mgdl::ReluSolver solver({.loss = Loss::huber(1)});
        }).find("ConvexOptions.loss") == 0);
  // Neither does a path of the ReLU problem take one.
  const auto problem = random_problem(2);
  mgdl::PathOptions path;
  path.solver.loss = Loss::quantile(0.5);
  const mgdl::RegularizationPath relu(path);
  const std::string expected =
      "ConvexOptions.loss: expected the squared loss for the ReLU problem, found Quantile";
  CHECK(error_of([&] { relu.solve_relu(problem.data, problem.gates); }) == expected);
  CHECK(error_of([&] { relu.solve_all_patterns(problem.data); }) == expected);
}
