// Newton's method for the gated problem in both of the spaces that it can compute in.

#include <memory>
#include <vector>

#include "mgdl/convex/convex_options.hpp"
#include "mgdl/convex/gate_sampling.hpp"
#include "mgdl/convex/gated_relu_solver.hpp"
#include "mgdl/convex/group_lasso/covariance_space.hpp"
#include "mgdl/convex/group_lasso/newton.hpp"
#include "mgdl/convex/group_lasso/sample_space.hpp"
#include "mgdl/convex/regularization_path.hpp"
#include "support/convex_problems.hpp"
#include "support/samples.hpp"

using mgdl::Dataset;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::Termination;
using mgdl::Vector;
using mgdl::detail::CovarianceSpace;
using mgdl::detail::GroupLassoNewton;
using mgdl::detail::GroupLassoPoint;
using mgdl::detail::GroupLassoProblem;
using mgdl::detail::NewtonSpace;
using mgdl::detail::SampleSpace;
using mgdl::detail::ThreadPool;

namespace {

/// Many samples for the gates, some of them without weight.
Dataset<double> weighted_samples(Index n, Index d, Index c, RandomStream& random) {
  const auto X = mgdl::test::normal_matrix<RowMatrix<double>>(n, d, random);
  const auto A = mgdl::test::normal_matrix<RowMatrix<double>>(d, c, random);
  RowMatrix<double> Y = (X * A).cwiseAbs();
  Y += 0.3 * mgdl::test::normal_matrix<RowMatrix<double>>(n, c, random);
  Y.array() += 2;
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = i % 7 == 3 ? 0 : random.uniform(0.5, 2);
  return {X, Y, weights};
}

}  // namespace

TEST_CASE("points of both spaces are the same", "[convex/group_lasso/covariance_space]") {
  RandomStream random(mgdl::test::seed());
  for (const bool bias : {false, true}) {
    for (const Index c : {1, 3}) {
      CAPTURE(bias, c);
      const auto data = weighted_samples(300, 3, c, random);
      const Gates gates = mgdl::sample_gaussian_gates(data.inputs(), 9, mgdl::test::seed());
      const GroupLassoProblem<double> problem(data, gates, bias);
      ThreadPool pool(2);
      SampleSpace<double> sample_space(pool, problem, false);
      CovarianceSpace<double> covariance(pool, problem);
      GroupLassoPoint<double> first, second;
      first.eta = Vector<double>::Zero(gates.size());
      for (Index j = 0; j < gates.size(); j += 2) first.eta[j] = random.uniform(0.1, 50);
      second.eta = first.eta;
      REQUIRE(sample_space.move_to(1e-12, 0.1, 1, first));
      REQUIRE(covariance.move_to(1e-12, 0.1, 1, second));
      CHECK(second.coefficients.gates == first.coefficients.gates);
      CHECK((second.coefficients.values - first.coefficients.values).norm() <=
            1e-9 * first.coefficients.values.norm());
      CHECK((second.correlation - first.correlation).norm() <= 1e-9 * first.correlation.norm());
      CHECK(second.squares == Approx(first.squares).epsilon(1e-9));
      CHECK(second.inner == Approx(first.inner).epsilon(1e-9));
      CHECK(second.primal == Approx(first.primal).epsilon(1e-9));
      CHECK(second.dual == Approx(first.dual).epsilon(1e-9));

      const std::vector<Index> some{0, 1, 4, 5};
      RowMatrix<double> directions = first.correlation(some, mgdl::detail::kAll);
      directions.rowwise().normalize();
      REQUIRE(sample_space.factor(first.eta));
      REQUIRE(covariance.factor(first.eta));
      Matrix<double> H = sample_space.hessian(some, directions);
      Matrix<double> G = covariance.hessian(some, directions);
      H = H.triangularView<Eigen::Lower>();
      G = G.triangularView<Eigen::Lower>();
      CHECK((G - H).norm() <= 1e-9 * H.norm());

      // What is wrong with U is mended.
      const RowMatrix<double> right = second.coefficients.values;
      const auto mended = [&](NewtonSpace<double>& space, GroupLassoPoint<double> point) {
        point.coefficients.values *= 1.001;
        space.refine(0.1, point);
        return (point.coefficients.values - right).norm() <= 1e-9 * right.norm();
      };
      CHECK(mended(sample_space, first));
      CHECK(mended(covariance, second));
    }
  }
}

TEST_CASE("a path in either space has the same solutions", "[convex/group_lasso/newton]") {
  RandomStream random(mgdl::test::seed());
  const auto data = weighted_samples(400, 3, 2, random);
  const Gates gates = mgdl::sample_gaussian_gates(data.inputs(), 12, mgdl::test::seed());
  const GroupLassoProblem<double> problem(data, gates, true);
  REQUIRE(CovarianceSpace<double>::pays(problem, 1));
  ThreadPool pool(1);
  const auto path = [&](std::unique_ptr<NewtonSpace<double>> space) {
    GroupLassoNewton<double> newton(pool, problem, std::move(space), true);
    GroupLassoPoint<double> point;
    point.coefficients.values.resize(0, gates.dimension() * 2);
    std::vector<GroupLassoPoint<double>> points;
    Index iterations = 0;
    for (const double lambda : {0.3, 0.1, 0.05, 0.02, 0.01, 1e-3}) {
      const mgdl::detail::SolveControl control(mgdl::ConvexOptions{.relative_tolerance = 1e-9});
      CHECK(newton.run(lambda, control, point, iterations) == Termination::ToleranceReached);
      CHECK(point.relative_gap() <= 1e-9);
      points.push_back(point);
    }
    return points;
  };
  const auto first = path(std::make_unique<SampleSpace<double>>(pool, problem, true));
  const auto second = path(std::make_unique<CovarianceSpace<double>>(pool, problem));
  for (std::size_t k = 0; k < first.size(); ++k) {
    CHECK(second[k].primal == Approx(first[k].primal).epsilon(2e-9));
    const double squares = (second[k].correlation - first[k].correlation).norm();
    CHECK(squares <= 1e-3 * first[k].norms.maxCoeff());
  }
}

TEST_CASE("residuals that are small beside the targets are not lost in products",
          "[convex/group_lasso/covariance_space]") {
  // The targets are what the gates can say, up to 1e-7.
  RandomStream random(mgdl::test::seed());
  const auto X = mgdl::test::normal_matrix<RowMatrix<double>>(500, 2, random);
  const Gates gates = mgdl::sample_gaussian_gates(X, 6, mgdl::test::seed());
  RowMatrix<double> Y = RowMatrix<double>::Zero(500, 1);
  for (Index i = 0; i < 500; ++i) {
    for (Index j = 0; j < gates.size(); ++j) Y(i, 0) += gates.active(i, j) ? 1 + X(i, 0) : 0;
    Y(i, 0) += 1e-7 * random.normal();
  }
  const Dataset<double> data(X, Y);
  REQUIRE(CovarianceSpace<double>::pays(GroupLassoProblem<double>(data, gates, false), 1));
  const auto solve = [&](double ratio, double tolerance) {
    const auto result =
        mgdl::GatedReluSolver({.lambda_ratio = ratio, .relative_tolerance = tolerance})
            .solve(data, gates);
    const auto truth = mgdl::test::gated_bounds(data, gates, result.solution);
    CHECK(truth.primal - truth.dual <= 1e-6 * truth.primal);
    return result.report;
  };
  for (const double ratio : {1e-6, 1e-9}) {
    CAPTURE(ratio);
    const auto report = solve(ratio, 1e-6);
    CHECK(report.termination == Termination::ToleranceReached);
    CHECK(report.covariance);
  }
  // More than products, or anything in double, can give: the samples have been asked.
  const auto report = solve(1e-8, 1e-13);
  CHECK(report.termination == Termination::NoProgress);
  CHECK_FALSE(report.covariance);
}
