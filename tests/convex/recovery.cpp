#include "mgdl/convex/recovery.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "mgdl/convex/certificate/samples.hpp"
#include "mgdl/convex/certify.hpp"
#include "mgdl/convex/cone/decomposition.hpp"
#include "support/networks.hpp"
#include "support/samples.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::certify;
using mgdl::ConeDecomposition;
using mgdl::Dataset;
using mgdl::GatedSolution;
using mgdl::Gates;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::ReluNetwork;
using mgdl::ReluSolution;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::to_network;
using mgdl::to_relu;
using mgdl::to_solution;
using mgdl::Vector;
using mgdl::test::error_of;
using mgdl::test::near;
using mgdl::test::normal_matrix;
using mgdl::test::relative_difference;

namespace {

/// sum_k max(0, x~ hidden_k) output_k + bias
Matrix<double> evaluate(const ReluSolution& solution, const RowMatrix<double>& X) {
  const Index p = solution.hidden.cols();
  Matrix<double> augmented = Matrix<double>::Ones(X.rows(), p);
  augmented.leftCols(X.cols()) = X;
  const Matrix<double> hidden = (augmented * solution.hidden.transpose()).cwiseMax(0);
  return (hidden * solution.output).rowwise() + solution.bias;
}

/// sum_j D_j X~ U_j + bias
Matrix<double> evaluate(const GatedSolution& solution, const Gates& gates,
                        const RowMatrix<double>& X) {
  Matrix<double> augmented = Matrix<double>::Ones(X.rows(), gates.dimension());
  augmented.leftCols(X.cols()) = X;
  Matrix<double> result = Matrix<double>::Zero(X.rows(), solution.bias.cols());
  for (Index k = 0; k < std::ssize(solution.active); ++k) {
    const Matrix<double> linear = augmented * solution.block(k);
    for (Index i = 0; i < X.rows(); ++i) {
      if (gates.active(i, solution.active[static_cast<std::size_t>(k)])) {
        result.row(i) += linear.row(i);
      }
    }
  }
  return result.rowwise() + solution.bias;
}

ReluSolution random_solution(Index neurons, Index d, Index c, bool bias, RandomStream& random) {
  ReluSolution solution;
  solution.lambda = 0.1;
  solution.hidden = normal_matrix<RowMatrix<double>>(neurons, d + (bias ? 1 : 0), random);
  solution.output = normal_matrix<RowMatrix<double>>(neurons, c, random);
  solution.gates.assign(static_cast<std::size_t>(neurons), -1);
  solution.bias = normal_matrix<RowVector<double>>(1, c, random);
  solution.output_bias = true;
  return solution;
}

GatedSolution random_gated_of(const Gates& gates, Index c, RandomStream& random) {
  GatedSolution solution;
  solution.lambda = 0.05;
  for (Index j = 0; j < gates.size(); j += 2) solution.active.push_back(j);
  solution.coefficients =
      normal_matrix<Matrix<double>>(std::ssize(solution.active) * gates.dimension(), c, random);
  solution.bias = normal_matrix<RowVector<double>>(1, c, random);
  solution.output_bias = true;
  return solution;
}

}  // namespace

TEMPLATE_TEST_CASE("a solution becomes a network with the same values", "[convex/recovery]", float,
                   double) {
  RandomStream random(mgdl::test::seed());
  for (const bool bias : {true, false}) {
    const auto solution = random_solution(20, 3, 2, bias, random);
    const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(50, 3, random);
    const ReluNetwork<TestType> network = to_network<TestType>(solution, bias);
    CHECK(network.inputs() == 3);
    CHECK(network.width() == 20);
    CHECK(network.outputs() == 2);
    CHECK(network.hidden_layers() == 1);
    const double tolerance = 20 * static_cast<double>(std::numeric_limits<TestType>::epsilon());
    CHECK(relative_difference(network.predict(X.template cast<TestType>()),
                              evaluate(solution, X)) <= tolerance);
    // Balanced, and in the same order.
    const auto& hidden = network.layers()[0];
    for (Index k = 0; k < 20; ++k) {
      const double in = std::hypot(hidden.weights().col(k).template cast<double>().norm(),
                                   static_cast<double>(hidden.bias()[k]));
      const double out = network.readout().weights().row(k).template cast<double>().norm();
      CHECK(near(in, out, tolerance));
      CHECK(
          near(in * out, solution.hidden.row(k).norm() * solution.output.row(k).norm(), tolerance));
      CHECK(near(static_cast<double>(hidden.weights()(0, k)) / in,
                 solution.hidden(k, 0) / solution.hidden.row(k).norm(), 100 * tolerance));
    }
    if (!bias) CHECK((hidden.bias().array() == 0).all());
  }
}

TEST_CASE("neurons without effect are left out, parallel ones are merged", "[convex/recovery]") {
  ReluSolution solution;
  solution.hidden = RowMatrix<double>{{0, 0}, {3, 4}, {1, 1},     {6, 8}, {-3, -4},
                                      {1, 2}, {2, 4}, {0.3, 0.4}, {3, 4}, {0.1, 0.7}};
  solution.output = RowMatrix<double>{{5, 5}, {1, 0},     {0, 0},   {0, 2}, {1, 1},
                                      {2, 1}, {-1, -0.5}, {-10, 0}, {1, 1}, {1, 0}};
  solution.gates.assign(10, -1);
  solution.bias = RowVector<double>::Zero(2);
  const auto network = to_network(solution);
  // (3, 4) with outputs (1, 0) + 2 (0, 2) - (1, 0) + (1, 1) = (1, 5); (1, 2) cancels (2, 4).
  CHECK(network.width() == 3);
  const auto& hidden = network.layers()[0];
  const double length = std::sqrt(5 * std::sqrt(26.0));
  CHECK(near(hidden.weights()(0, 0), 0.6 * length));
  CHECK(near(hidden.bias()[0], 0.8 * length));
  CHECK(near(network.readout().weights()(0, 0), 5 / length));
  CHECK(near(network.readout().weights()(0, 1), 25 / length));
  CHECK(near(hidden.weights()(0, 1), -0.6 * std::sqrt(5 * std::sqrt(2.0))));
  CHECK(near(hidden.weights()(0, 2), 0.1 * std::pow(0.5, -0.25)));
  RandomStream random(mgdl::test::seed(), 1);
  const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(30, 1, random);
  CHECK(relative_difference(network.predict(X), evaluate(solution, X)) <= 1e-14);

  // A weight that overflows.
  solution.hidden = RowMatrix<double>{{1e300, 0}};
  solution.output = RowMatrix<double>{{1e300, 0}};
  solution.gates.assign(1, -1);
  const std::string overflow =
      "solution: expected weights in the range of the network, found an overflow";
  CHECK(error_of([&] { to_network(solution); }) == overflow);
  solution.output(0, 0) = 1;
  CHECK(to_network(solution).width() == 1);
  solution.output(0, 0) = 1e-220;  // weights of 1e40
  CHECK(error_of([&] { to_network<float>(solution); }) == overflow);

  // Nearly parallel is not parallel.
  solution.hidden = RowMatrix<double>{{1, 1}, {1, 1 + 1e-12}, {1 + 2e-16, 1}};
  solution.output = RowMatrix<double>{{1, 1}, {1, 1}, {1, 1}};
  solution.gates.assign(3, -1);
  CHECK(to_network(solution).width() == 2);
}

TEST_CASE("a solution without neurons is a network of zeros", "[convex/recovery]") {
  ReluSolution solution;
  solution.hidden.resize(0, 4);
  solution.output.resize(0, 2);
  solution.bias = RowVector<double>{{3, -1}};
  solution.output_bias = true;
  for (const bool bias : {true, false}) {
    const auto network = to_network(solution, bias);
    CHECK(network.inputs() == (bias ? 3 : 4));
    CHECK(network.width() == 1);
    CHECK((network.layers()[0].weights().array() == 0).all());
    CHECK((network.readout().weights().array() == 0).all());
    CHECK(network.readout().bias() == solution.bias);
  }
  solution.hidden.resize(0, 1);
  CHECK(error_of([&] { to_network(solution); }) ==
        "ReluSolution.hidden: expected at least 2 columns, found 1");
  CHECK(to_network(solution, false).inputs() == 1);
  solution.hidden.resize(0, 0);
  CHECK(error_of([&] { to_network(solution, false); }) ==
        "ReluSolution.hidden: expected at least 1 column, found 0");
  solution.hidden = RowMatrix<double>{{1, std::numeric_limits<double>::quiet_NaN()}};
  solution.output = RowMatrix<double>{{1, 2}};
  CHECK(error_of([&] { to_network(solution); }) ==
        "ReluSolution.hidden: expected finite values, found nan at row 0, column 1");
  solution.output.resize(2, 2);
  CHECK_THAT(error_of([&] { to_network(solution); }),
             ContainsSubstring("ReluSolution.output: expected 1 rows"));
}

TEST_CASE("a network becomes a solution that can be certified", "[convex/recovery]") {
  RandomStream random(mgdl::test::seed(), 2);
  const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(40, 1, random);
  const Dataset<double> data(X, normal_matrix<Matrix<double>>(40, 2, random));
  for (const bool separate : {true, false}) {
    auto original = random_solution(7, 1, 2, true, random);
    original.separate_outputs = separate;
    const auto network = to_network(original);
    const ReluSolution solution =
        to_solution(network, {.lambda = 0.1, .output_bias = true, .separate_outputs = separate});
    CHECK(solution.lambda == 0.1);
    CHECK(solution.output_bias);
    CHECK(solution.separate_outputs == separate);
    CHECK(solution.gates == std::vector<Index>(7, -1));
    CHECK(relative_difference(evaluate(solution, X), evaluate(original, X)) <= 1e-14);
    const auto before = mgdl::certify_all_patterns(data, original);
    const auto after = mgdl::certify_all_patterns(data, solution);
    CHECK(near(after.primal, before.primal));
    CHECK(near(after.dual, before.dual));
    // And back: the same network, up to rounding.
    const auto again = to_network(solution);
    CHECK(relative_difference(again.layers()[0].weights(), network.layers()[0].weights()) <= 1e-14);
    CHECK(relative_difference(again.readout().weights(), network.readout().weights()) <= 1e-14);
  }

  // Weights of type float, no biases.
  auto layers = mgdl::test::random_layers<float>({3, 5, 2}, random);
  CHECK(error_of([&] { to_solution(ReluNetwork<float>(layers), {.bias = false}); }) ==
        "network: expected a hidden layer without bias, found a bias");
  CHECK_THAT(error_of([&] { to_solution(ReluNetwork<float>(layers), {}); }),
             ContainsSubstring("ReluSolution.bias: expected zeros"));
  CHECK_THAT(error_of([&] {
               to_solution(ReluNetwork<float>(layers), {.lambda = -1, .output_bias = true});
             }),
             ContainsSubstring("ReluSolution.lambda"));
  layers[0] = {layers[0].weights(), RowVector<float>::Zero(5)};
  layers[1] = {layers[1].weights(), RowVector<float>::Zero(2)};
  const ReluNetwork<float> plain(layers);
  const ReluSolution solution = to_solution(plain, {.lambda = 1, .bias = false});
  CHECK(solution.hidden.cols() == 3);
  const RowMatrix<double> Z = normal_matrix<RowMatrix<double>>(20, 3, random);
  CHECK(relative_difference(plain.predict(Z.cast<float>()), evaluate(solution, Z)) <= 1e-5);
  // Groups.
  const auto grouped = mgdl::test::random_grouped_layers<double>({6, 4, 2}, {2, 2}, random);
  std::vector<mgdl::DenseLayer<double>> full;
  for (const auto& layer : grouped) full.emplace_back(layer.dense_weights(), layer.bias());
  const auto of = [](const auto& some) {
    return to_solution(ReluNetwork<double>(some), {.lambda = 1, .output_bias = true});
  };
  CHECK(of(grouped).hidden == of(full).hidden);
  CHECK(of(grouped).output == of(full).output);
  const ReluNetwork<double> deep(mgdl::test::random_layers<double>({3, 5, 4, 2}, random));
  CHECK(error_of([&] { to_solution(deep, {}); }) == "network: expected one hidden layer, found 2");
}

TEST_CASE("decompositions by hand", "[convex/recovery]") {
  // The cone is the quadrant u >= 0, where D = I, and 1 / 2 |y - X u|^2 is what it is.
  const RowMatrix<double> X{{1, 0}, {0, 1}};
  const Gates gates(X, RowMatrix<double>{{1, 1}}, false);
  const Dataset<double> data(X, Matrix<double>{{3}, {-4}});
  GatedSolution gated;
  gated.lambda = 0.5;
  gated.active = {0};
  gated.bias = RowVector<double>::Zero(1);

  // (3, -4) = (3, 0) - (0, 4), exact and nearest.
  gated.coefficients = Matrix<double>{{3}, {-4}};
  for (const auto method : {ConeDecomposition::Exact, ConeDecomposition::Approximate}) {
    const auto [relu, report] = to_relu(data, gates, gated, method);
    REQUIRE(relu.hidden.rows() == 2);
    CHECK(relative_difference(relu.hidden, Matrix<double>{{std::sqrt(3), 0}, {0, 2}}) <= 1e-12);
    CHECK(relative_difference(relu.output, Matrix<double>{{std::sqrt(3)}, {-2}}) <= 1e-12);
    CHECK(relu.gates == std::vector<Index>{0, 0});
    CHECK(relu.lambda == 0.5);
    CHECK(relu.separate_outputs);
    CHECK(near(report.penalty_gated, 5));
    CHECK(near(report.penalty_relu, 7));
    CHECK(near(report.objective_gated, 2.5));
    CHECK(near(report.objective_relu, 3.5));
    CHECK(report.difference <= 1e-12);
    CHECK(report.violation <= 1e-15);
    CHECK(report.approximated == 0);
  }
  // In the cone, or its negative: one neuron.
  gated.coefficients = Matrix<double>{{3}, {4}};
  auto inside = to_relu(data, gates, gated);
  CHECK(inside.solution.hidden.rows() == 1);
  CHECK(inside.solution.output(0, 0) > 0);
  CHECK(near(inside.report.penalty_relu, 5));
  gated.coefficients = Matrix<double>{{0}, {-4}};
  inside = to_relu(data, gates, gated);
  CHECK(inside.solution.hidden.rows() == 1);
  CHECK(inside.solution.output(0, 0) == -2);
  // Nothing.
  gated.active.clear();
  gated.coefficients.resize(0, 1);
  CHECK(to_relu(data, gates, gated).solution.hidden.rows() == 0);
  CHECK(to_relu(data, gates, gated).report.objective_relu == 6.25);

  // A narrow cone, |v_1| <= tan v_2 about the second axis: u = (1, 0) = v - w with v, w = (+-1/2,
  // h), h = 1 / (2 tan), which is longer than u by any factor; the nearest points are much shorter.
  for (const double tangent : {0.5, 1e-3, 1e-6}) {
    const RowMatrix<double> wedge{{1, tangent}, {-1, tangent}};
    const Gates axis(wedge, RowMatrix<double>{{0, 1}}, false);
    gated.active = {0};
    gated.coefficients = Matrix<double>{{1}, {0}};
    const Dataset<double> two(wedge, Matrix<double>{{1}, {1}});
    const auto exact = to_relu(two, axis, gated);
    // A rounding error of h violates the cone by tan times as much, and mending that takes 1 / tan.
    CHECK(near(exact.report.penalty_relu, 2 * std::hypot(0.5, 0.5 / tangent),
               1e-12 + 1e-15 / (tangent * tangent)));
    CHECK(exact.report.violation <= 1e-15);
    CHECK(exact.report.difference <= 1e-14 / tangent);
    const auto nearest = to_relu(two, axis, gated, ConeDecomposition::Approximate);
    CHECK(near(nearest.report.penalty_relu, 2 * std::sin(std::atan(tangent)), 1e-9));
    CHECK(nearest.report.difference > 0.1);
    CHECK(nearest.report.violation <= 1e-9);
  }
}

TEST_CASE("a cone without interior has no exact decomposition", "[convex/recovery]") {
  // x and -x are both active only where x.u = 0.
  const RowMatrix<double> X{{1, 0}, {-1, 0}, {0, 1}};
  const Gates gates(X, RowMatrix<double>{{0, 1}}, false);
  REQUIRE(gates.active_samples(0) == 3);
  const Dataset<double> data(X, Matrix<double>{{1}, {2}, {3}});
  GatedSolution gated;
  gated.active = {0};
  gated.bias = RowVector<double>::Zero(1);
  gated.coefficients = Matrix<double>{{1}, {-2}};
  const auto mixed = to_relu(data, gates, gated);
  CHECK(mixed.report.approximated == 1);
  CHECK(near(mixed.report.penalty_relu, 2));
  CHECK(mixed.report.violation <= 1e-12);
  CHECK(near(mixed.report.difference, 0.5));
  gated.coefficients = Matrix<double>{{0}, {-2}};
  const auto on_it = to_relu(data, gates, gated);
  CHECK(on_it.report.approximated == 0);
  CHECK(on_it.report.difference == 0);
}

TEST_CASE("gated models become networks with the same values at the samples", "[convex/recovery]") {
  RandomStream random(mgdl::test::seed(), 3);
  for (const Index n : {5, 40, 300}) {
    for (const Index d : {1, 2, 5}) {
      for (const Index c : {1, 2}) {
        const bool bias = d != 2;
        const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, d, random);
        const Gates gates(X, normal_matrix<RowMatrix<double>>(8, d + (bias ? 1 : 0), random), bias);
        const Dataset<double> data(X, normal_matrix<Matrix<double>>(n, c, random),
                                   normal_matrix<Vector<double>>(n, 1, random).cwiseAbs());
        const auto gated = random_gated_of(gates, c, random);
        CAPTURE(n, d, c);
        const auto [relu, report] = to_relu(data, gates, gated);
        const Matrix<double> before = evaluate(gated, gates, X);
        const Matrix<double> after = evaluate(relu, X);
        CHECK(report.approximated == 0);
        CHECK(relative_difference(after, before) <= 1e-12 * (1 + report.penalty_relu));
        CHECK(report.difference <= 1e-12 * (1 + report.penalty_relu));
        CHECK(report.violation <= 1e-15);
        CHECK(relu.hidden.rows() <= 2 * c * std::ssize(gated.active));
        // The report against certificates of both.
        CHECK(near(report.objective_gated, certify(data, gates, gated).primal));
        const auto certificate = certify(data, gates, relu);
        CHECK(near(report.objective_relu, certificate.primal));
        CHECK(certificate.cone_violation == report.violation);
        // Same bits with any number of threads.
        const auto serial = to_relu(data, gates, gated, ConeDecomposition::Exact, 1);
        CHECK(serial.solution.hidden == relu.hidden);
        CHECK(serial.solution.output == relu.output);
        // With the network of the library, as well.
        CHECK(relative_difference(to_network(relu, bias).predict(X), before) <=
              1e-12 * (1 + report.penalty_relu));

        const auto nearest = to_relu(data, gates, gated, ConeDecomposition::Approximate);
        CHECK(nearest.report.penalty_gated == report.penalty_gated);
        CHECK(nearest.report.objective_gated == report.objective_gated);
        CHECK(nearest.report.violation <= 1e-8);
        CHECK(near(nearest.report.objective_relu, certify(data, gates, nearest.solution).primal));
        double columns = 0;
        for (Index k = 0; k < std::ssize(gated.active); ++k) {
          columns += gated.block(k).colwise().norm().sum();
        }
        CHECK(nearest.report.penalty_relu <= 2 * columns * (1 + 1e-12));
        CHECK(report.penalty_relu >= columns * (1 - 1e-12));
        const double difference = relative_difference(
            evaluate(nearest.solution, X).rowwise() - gated.bias, before.rowwise() - gated.bias);
        CHECK(near(nearest.report.difference, difference, 1e-9));
      }
    }
  }
}

TEST_CASE("decompositions are in the cone, approximate ones are projections", "[convex/recovery]") {
  // v is the point of a cone nearest to u if and only if u - v is orthogonal to v and at an obtuse
  // angle to every vector of the cone.
  RandomStream random(mgdl::test::seed(), 6);
  for (const Index p : {1, 2, 3, 6}) {
    const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(20, p, random);
    const mgdl::detail::CertifySamples samples(X, false);
    mgdl::detail::ConeDecomposer cone(samples);
    const RowVector<double> gate = normal_matrix<RowVector<double>>(1, p, random);
    cone.set_gate(gate.data());
    const Vector<double> signs = (X * gate.transpose()).array().sign();
    for (int trial = 0; trial < 30; ++trial) {
      const Vector<double> u = normal_matrix<Vector<double>>(p, 1, random);
      const auto near_to_it = cone.nearest(u);
      const auto exact = cone.shortest(normal_matrix<Vector<double>>(p, 1, random));
      CHECK(exact.exact);
      for (const int sign : {1, -1}) {
        const Vector<double>& v = sign > 0 ? near_to_it.v : near_to_it.w;
        CHECK((X * v).cwiseProduct(signs).minCoeff() >= -1e-13);
        const Vector<double> rest = sign * u - v;
        CHECK(std::abs(rest.dot(v)) <= 1e-12);
        CHECK(rest.dot(gate) <= 1e-12);
        CHECK(rest.dot(exact.v) <= 1e-12 * (1 + exact.v.norm()));
        CHECK(rest.dot(exact.w) <= 1e-12 * (1 + exact.w.norm()));
      }
      // Next to the negative of the cone: v is much shorter than w, but as exactly in the cone.
      const Vector<double> beside =
          1e-6 * normal_matrix<Vector<double>>(p, 1, random) - near_to_it.v;
      const auto [v, w, is_exact] = cone.shortest(beside);
      CHECK(is_exact);
      CHECK((X * v).cwiseProduct(signs).minCoeff() >= -1e-14 * v.norm());
      CHECK((X * w).cwiseProduct(signs).minCoeff() >= -1e-14 * w.norm());
      CHECK((v - w - beside).norm() <= 1e-15 * (1 + w.norm()));
    }
  }
}

TEST_CASE("exact decompositions are the shortest", "[convex/recovery]") {
  RandomStream random(mgdl::test::seed(), 4);
  for (int trial = 0; trial < 20; ++trial) {
    const Index n = 3 + trial % 5;
    const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(n, 2, random);
    // With its negative, for Gates leaves out a gate without an active sample.
    RowMatrix<double> G(2, 3);
    G.row(0) = normal_matrix<RowMatrix<double>>(1, 3, random);
    G.row(1) = -G.row(0);
    const Gates gates(X, G);
    const Dataset<double> data(X, normal_matrix<Matrix<double>>(n, 1, random));
    auto gated = random_gated_of(gates, 1, random);
    const double found = to_relu(data, gates, gated).report.penalty_relu;
    // Random steps towards a shorter one, from a feasible start, never succeed by much.
    const Vector<double> u = gated.coefficients.col(0);
    Matrix<double> A(n, 3);
    A << X, Vector<double>::Ones(n);
    for (Index i = 0; i < n; ++i) {
      if (!gates.active(i, 0)) A.row(i) *= -1;
    }
    const auto feasible = [&](const Vector<double>& w) {
      return (A * w).minCoeff() >= 0 && (A * (u + w)).minCoeff() >= 0;
    };
    const auto length = [&](const Vector<double>& w) { return (u + w).norm() + w.norm(); };
    Vector<double> w = gates.vectors().row(0).transpose();
    while (!feasible(w)) w *= 2;
    double size = w.norm();
    for (int step = 0; step < 20000; ++step, size *= 0.999) {
      const Vector<double> next = w + size * normal_matrix<Vector<double>>(3, 1, random);
      if (feasible(next) && length(next) < length(w)) w = next;
    }
    CHECK(length(w) >= found * (1 - 1e-9));
    CHECK(length(w) <= found * 1.05);
  }
}

TEST_CASE("arguments of to_relu that do not fit together", "[convex/recovery]") {
  RandomStream random(mgdl::test::seed(), 5);
  const RowMatrix<double> X = normal_matrix<RowMatrix<double>>(10, 2, random);
  const Gates gates(X, normal_matrix<RowMatrix<double>>(4, 3, random));
  const Dataset<double> data(X, normal_matrix<Matrix<double>>(10, 1, random));
  auto gated = random_gated_of(gates, 1, random);
  CHECK(error_of([&] {
          to_relu(data.subset({1, 2}), gates, gated);
        }) == "X: expected 10 rows, found 2");
  CHECK_THAT(error_of([&] { to_relu(data, gates, gated, ConeDecomposition::Exact, -1); }),
             ContainsSubstring("threads"));
  const auto error = [&](const auto& change) {
    GatedSolution changed = gated;
    change(changed);
    return error_of([&] { to_relu(data, gates, changed); });
  };
  CHECK_THAT(error([](auto& s) { s.active.back() = 99; }),
             ContainsSubstring("GatedSolution.active: expected gates from 0 to"));
  CHECK_THAT(error([](auto& s) { s.lambda = -1; }), ContainsSubstring("GatedSolution.lambda"));
  CHECK_THAT(error([](auto& s) { s.bias.resize(2); }), ContainsSubstring("GatedSolution.bias"));
  gated.coefficients(0, 0) = std::numeric_limits<double>::infinity();
  CHECK(error_of([&] { to_relu(data, gates, gated); }) ==
        "GatedSolution.coefficients: expected finite values, found inf at row 0, column 0");
}

TEST_CASE("a solution of one input is a spline", "[convex/recovery]") {
  ReluSolution solution;
  solution.hidden = RowMatrix<double>{{2, -1}, {-1, 3}, {1, 4}, {0, 2}};  // kinks 0.5, 3, -4, none
  solution.output = RowMatrix<double>{{1, 0}, {0.5, -2}, {-1, 1}, {3, 1}};
  solution.gates.assign(4, -1);
  solution.bias = RowVector<double>{{0.25, -1}};
  solution.output_bias = true;
  const auto spline = mgdl::to_spline(solution, -6, 5);
  REQUIRE(spline.knots() == 5);
  const Vector<double> expected_knots{{-6, -4, 0.5, 3, 5}};
  CHECK(relative_difference(spline.x, expected_knots) < 1e-14);
  CHECK(relative_difference(spline.values, evaluate(solution, expected_knots)) < 1e-13);
  // Without the column of biases, all kinks are at 0.
  solution.hidden = RowMatrix<double>{{2}, {-1}};
  solution.output = RowMatrix<double>{{1, 0}, {0.5, -2}};
  solution.gates.assign(2, -1);
  const auto fan = mgdl::to_spline(solution, -1, 2, false);
  REQUIRE(fan.knots() == 3);
  CHECK(std::abs(fan.x[1]) < 1e-15);
  CHECK(relative_difference(fan.values, evaluate(solution, Vector<double>{{-1, 0, 2}})) < 1e-14);
  // No neurons: a constant.
  solution.hidden.resize(0, 2);
  solution.output.resize(0, 2);
  solution.gates.clear();
  const auto flat = mgdl::to_spline(solution, 0, 1);
  CHECK(flat.knots() == 2);
  CHECK(relative_difference(flat.at(0.3), solution.bias) < 1e-15);

  solution.hidden.resize(0, 3);
  CHECK(error_of([&] { mgdl::to_spline(solution, 0, 1); }) == "model: expected 1 input, found 2");
  solution.hidden.resize(0, 2);
  CHECK(error_of([&] { mgdl::to_spline(solution, 1, 1); }) ==
        "upper: expected a value > 1, found 1");
}
