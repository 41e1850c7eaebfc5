#include "mgdl/network/relu_network.hpp"

#include <limits>
#include <string>
#include <vector>

#include "support/networks.hpp"

using mgdl::DenseLayer;
using mgdl::Index;
using mgdl::ReluNetwork;
using mgdl::RowMatrix;
using mgdl::RowVector;
using mgdl::test::error_of;
using mgdl::test::normal_matrix;
using mgdl::test::plain_grade;
using mgdl::test::random_grouped_layers;
using mgdl::test::random_layers;
using mgdl::test::relative_difference;
using mgdl::test::sum_tolerance;

TEMPLATE_TEST_CASE("networks agree with plain Eigen", "[network/relu_network]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed());
  for (const auto& sizes : std::vector<std::vector<Index>>{
           {1, 1, 2}, {3, 5, 2}, {2, 17, 33, 4}, {7, 66, 3, 129, 1}, {300, 20, 10}}) {
    const ReluNetwork<TestType> network(random_layers<TestType>(sizes, random));
    CAPTURE(sizes);
    CHECK(network.inputs() == sizes.front());
    CHECK(network.outputs() == sizes.back());
    CHECK(network.width() == sizes[sizes.size() - 2]);
    CHECK(network.hidden_layers() == static_cast<Index>(sizes.size()) - 2);
    for (const Index n : {1, 5, 65, 66, 67, 500}) {
      CAPTURE(n);
      const auto X = normal_matrix<RowMatrix<TestType>>(n, sizes.front(), random);
      const auto expected = plain_grade(network.layers(), X.template cast<double>());
      const auto output = network.predict(X, 2);
      const auto features = network.features(X, 2);
      CHECK(relative_difference(output, expected.output) < sum_tolerance<TestType>);
      CHECK(relative_difference(features, expected.features) < sum_tolerance<TestType>);
      CHECK(features.minCoeff() >= 0);
      CHECK(network.predict(X, 1) == output);
      CHECK(network.predict(X, 3) == output);
      CHECK(network.features(X) == features);
      // One row alone has the same bits.
      CHECK(network.predict(X.bottomRows(1)) == output.bottomRows(1));
    }
    CHECK(network.predict(RowMatrix<TestType>(0, sizes.front())).rows() == 0);
  }
}

// Groups of whole registers, of less and of more than one, of several panels and blocks of terms,
// and a readout with groups.
TEMPLATE_TEST_CASE("groups of networks agree with plain Eigen", "[network/relu_network]", float,
                   double) {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  struct Shape {
    std::vector<Index> sizes, groups;
  };
  for (const auto& [sizes, groups] : std::vector<Shape>{{{3, 15, 15, 2}, {1, 3, 1}},
                                                        {{6, 6, 6}, {6, 3, 3}},
                                                        {{8, 320, 320, 1}, {1, 5, 1}},
                                                        {{10, 35, 70, 10, 4}, {5, 5, 2, 2}},
                                                        {{602, 6, 198, 3}, {2, 6, 3}}}) {
    const ReluNetwork<TestType> network(random_grouped_layers<TestType>(sizes, groups, random));
    CAPTURE(sizes, groups);
    CHECK(network.width() == sizes[sizes.size() - 2]);
    for (const Index n : {1, 5, 67, 200}) {
      CAPTURE(n);
      const auto X = normal_matrix<RowMatrix<TestType>>(n, sizes.front(), random);
      const auto expected = plain_grade(network.layers(), X.template cast<double>());
      const auto output = network.predict(X, 2);
      const auto features = network.features(X, 2);
      CHECK(relative_difference(output, expected.output) < sum_tolerance<TestType>);
      CHECK(relative_difference(features, expected.features) < sum_tolerance<TestType>);
      CHECK(network.predict(X, 1) == output);
      CHECK(network.predict(X.bottomRows(1)) == output.bottomRows(1));
      CHECK(network.scaled(2).predict(X) == 2 * output);
    }
    CHECK(mgdl::detail::PanelNetwork<TestType>(network.layers()).to_layers() == network.layers());
  }
}

TEMPLATE_TEST_CASE("a NaN is passed on", "[network/relu_network]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  const ReluNetwork<TestType> network(random_layers<TestType>({3, 20, 10, 2}, random));
  auto X = normal_matrix<RowMatrix<TestType>>(9, 3, random);
  const auto before = network.predict(X);
  X(4, 1) = std::numeric_limits<TestType>::quiet_NaN();
  const auto after = network.predict(X);
  CHECK(after.row(4).array().isNaN().all());
  CHECK(after.topRows(4) == before.topRows(4));
  CHECK(after.bottomRows(4) == before.bottomRows(4));
}

TEMPLATE_TEST_CASE("counts, readout and scale", "[network/relu_network]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  const ReluNetwork<TestType> network(random_layers<TestType>({3, 5, 7, 2}, random));
  CHECK(network.parameters() == (3 + 1) * 5 + (5 + 1) * 7 + (7 + 1) * 2);
  CHECK(network.multiply_adds() == 3 * 5 + 5 * 7 + 7 * 2);
  CHECK(network.readout() == network.layers().back());

  const auto X = normal_matrix<RowMatrix<TestType>>(11, 3, random);
  const auto twice = network.scaled(2);
  CHECK(twice.predict(X) == 2 * network.predict(X));
  CHECK(twice.features(X) == network.features(X));
  CHECK_FALSE(twice == network);
  CHECK(network.scaled(1) == network);

  const DenseLayer<TestType> other = random_layers<TestType>({7, 4}, random).front();
  const auto changed = network.with_readout(other);
  CHECK(changed.outputs() == 4);
  CHECK(changed.readout() == other);
  CHECK(changed.features(X) == network.features(X));
  CHECK(network.outputs() == 2);
}

TEMPLATE_TEST_CASE("output and features in one pass", "[network/relu_network]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  const ReluNetwork<TestType> network(random_layers<TestType>({3, 9, 5, 2}, random));
  const auto X = normal_matrix<RowMatrix<TestType>>(400, 3, random);
  mgdl::detail::ThreadPool pool(2);
  RowMatrix<TestType> output(400, 2);
  RowMatrix<TestType> features = RowMatrix<TestType>::Constant(400, 8, TestType(-77));
  network.evaluate(X, pool, &output, &features);
  CHECK(output == network.predict(X));
  CHECK(features.leftCols(5) == network.features(X));
  CHECK((features.rightCols(3).array() == -77).all());  // only the leading columns
}

TEMPLATE_TEST_CASE("networks that cannot be", "[network/relu_network]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 4);
  auto layers = random_layers<TestType>({3, 5, 7, 2}, random);
  const auto message = [](const std::vector<DenseLayer<TestType>>& list) {
    return error_of([&] { ReluNetwork<TestType>{list}; });
  };
  CHECK(message({}) == "layers: expected a hidden layer and a readout, found 0 layers");
  CHECK(message({layers[0]}) == "layers: expected a hidden layer and a readout, found 1 layers");
  CHECK(message({layers[0], layers[2]}) == "layers: expected 5 inputs, found 7 at layer 1");
  CHECK(message({layers[0], layers[1], layers[0]}) ==
        "layers: expected 7 inputs, found 3 at layer 2");

  const ReluNetwork<TestType> network(layers);
  CHECK(error_of([&] { network.predict(RowMatrix<TestType>::Ones(2, 4)); }) ==
        "X: expected 3 columns, found 4");
  CHECK(error_of([&] { network.features(RowMatrix<TestType>::Ones(2, 3), -1); }) ==
        "threads: expected a value >= 0 (0: all available), found -1");
  CHECK(error_of([&] { network.with_readout(layers[1]); }) ==
        "layers: expected 7 inputs, found 5 at layer 2");
}
