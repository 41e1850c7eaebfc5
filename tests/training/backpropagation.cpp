#include "mgdl/training/gradient/backpropagation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "mgdl/training/chain/readout.hpp"
#include "support/networks.hpp"

using mgdl::Index;
using mgdl::RowMatrix;
using mgdl::SampleView;
using mgdl::Vector;
using mgdl::detail::Backpropagation;
using mgdl::detail::Batch;
using mgdl::detail::PanelNetwork;
using mgdl::detail::ThreadPool;
using mgdl::test::normal_matrix;

namespace {

constexpr auto no_update = [](Index, Index) {};

template <class Scalar>
struct GradientSamples {
  GradientSamples(Index n, Index d, Index c, mgdl::RandomStream& random)
      : inputs(normal_matrix<RowMatrix<Scalar>>(n, d, random)),
        targets(normal_matrix<RowMatrix<Scalar>>(n, c, random)),
        weights(normal_matrix<Vector<Scalar>>(n, 1, random).cwiseAbs() / static_cast<Scalar>(n)) {}

  SampleView<Scalar> view() const { return {inputs, targets, weights}; }

  RowMatrix<Scalar> inputs;
  RowMatrix<Scalar> targets;
  Vector<Scalar> weights;
};

template <class Scalar>
PanelNetwork<Scalar> random_panels(const std::vector<Index>& sizes, mgdl::RandomStream& random) {
  return PanelNetwork<Scalar>(mgdl::test::random_layers<Scalar>(sizes, random));
}

/// sum_i w_i |g(x_i) - y_i|^2 by plain Eigen in double, and which units are active.
template <class Scalar>
double plain_loss(const PanelNetwork<double>& network, const GradientSamples<Scalar>& samples,
                  std::vector<bool>* active = nullptr) {
  auto grade = mgdl::test::plain_grade(network.to_layers(), samples.inputs.template cast<double>());
  if (active != nullptr) *active = std::move(grade.active);
  const Eigen::MatrixXd error = grade.output - samples.targets.template cast<double>();
  return error.rowwise().squaredNorm().dot(samples.weights.template cast<double>());
}

template <class Scalar>
PanelNetwork<double> in_double(const PanelNetwork<Scalar>& network) {
  std::vector<Index> sizes{network.inputs()};
  for (const auto& layer : network.layers()) sizes.push_back(layer.outputs());
  PanelNetwork<double> result(sizes);
  for (std::size_t l = 0; l < network.layers().size(); ++l) {
    for (Index j = 0; j < sizes[l + 1]; ++j) {
      result.bias(l)[j] = static_cast<double>(network.bias(l)[j]);
      for (Index i = 0; i < sizes[l]; ++i) {
        result.weight(l, i, j) = static_cast<double>(network.weight(l, i, j));
      }
    }
  }
  return result;
}

/// Compares about `count` components of the gradient with central differences of the loss in
/// double. As long as no unit changes sides the loss is a quadratic function of each parameter, for
/// which they are exact; parameters that move a unit over its kink are skipped.
template <class Scalar>
void check_gradient(const std::vector<Index>& sizes, Index n, double step, Index count,
                    mgdl::RandomStream& random) {
  const GradientSamples<Scalar> samples(n, sizes.front(), sizes.back(), random);
  auto network = random_panels<Scalar>(sizes, random);
  ThreadPool pool(2);
  Backpropagation<Scalar> pass(network, n, pool);
  const double loss = pass.run(samples.view(), {nullptr, 0, n}, Scalar(1), false, no_update);
  auto reference = in_double(network);
  std::vector<bool> active, low_active, high_active;
  const double expected_loss = plain_loss(reference, samples, &active);
  CHECK(std::abs(loss - expected_loss) < mgdl::test::sum_tolerance<Scalar> * expected_loss);

  const double scale = pass.gradient().template cast<double>().cwiseAbs().maxCoeff();
  Index total = 0;
  Index compared = 0;
  double worst = 0;
  const auto compare = [&](double& parameter, Scalar derivative) {
    ++total;
    const double value = parameter;
    parameter = value + step;
    const double high = plain_loss(reference, samples, &high_active);
    parameter = value - step;
    const double low = plain_loss(reference, samples, &low_active);
    parameter = value;
    if (high_active != active || low_active != active) return;
    ++compared;
    const double difference = (high - low) / (2 * step);
    worst = std::max(worst, std::abs(static_cast<double>(derivative) - difference) / scale);
  };
  for (std::size_t l = 0; l < network.layers().size(); ++l) {
    const auto& layer = network.layers()[l];
    const Index stride = std::max<Index>(1, layer.shape.rows * layer.outputs() / count);
    for (Index k = 0; k < layer.inputs() * layer.outputs(); k += stride) {
      const Index i = k / layer.outputs();
      const Index j = k % layer.outputs();
      compare(reference.weight(l, i, j), pass.gradient()[layer.weights + layer.shape.at(i, j)]);
    }
    for (Index j = 0; j < layer.outputs(); j += std::max<Index>(1, layer.outputs() / count)) {
      compare(reference.bias(l)[j], pass.gradient()[layer.bias + j]);
    }
  }
  CAPTURE(sizes, total, compared);
  CHECK(compared > total / 2);
  CHECK(worst < mgdl::test::sum_tolerance<Scalar> + 1e-14 * loss / step / scale + 1e-11);
}

}  // namespace

TEMPLATE_TEST_CASE("gradients agree with central differences",
                   "[training/gradient/backpropagation]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed());
  check_gradient<TestType>({3, 7, 2}, 70, 1e-4, 1000, random);
  check_gradient<TestType>({2, 5, 9, 3}, 65, 1e-4, 1000, random);
  check_gradient<TestType>({4, 6, 5, 8, 1}, 70, 1e-4, 1000, random);
  // Several panels, chunks and blocks of samples.
  check_gradient<TestType>({5, 150, 131, 3}, 130, 1e-6, 6, random);
}

TEMPLATE_TEST_CASE("gradients have the same bits for any number of threads",
                   "[training/gradient/backpropagation]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 1);
  const GradientSamples<TestType> samples(333, 5, 3, random);
  const auto start = random_panels<TestType>({5, 140, 70, 3}, random);
  Vector<TestType> first;
  double first_loss = 0;
  for (int threads = 1; threads <= 3; ++threads) {
    auto network = start;
    ThreadPool pool(threads);
    Backpropagation<TestType> pass(network, 333, pool);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const double loss = pass.run(samples.view(), {nullptr, 0, 333}, 1, false, no_update);
      if (first.size() == 0) {
        first = pass.gradient();
        first_loss = loss;
      }
      if (pass.gradient() != first || loss != first_loss) FAIL("differs with " << threads);
    }
  }
  CHECK(first.cwiseAbs().maxCoeff() > 0);
}

TEMPLATE_TEST_CASE("a batch is chosen by rows or by range", "[training/gradient/backpropagation]",
                   float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 2);
  const GradientSamples<TestType> samples(150, 4, 2, random);
  auto network = random_panels<TestType>({4, 33, 17, 2}, random);
  ThreadPool pool(2);
  Backpropagation<TestType> pass(network, 100, pool);
  const auto gradient = [&](const SampleView<TestType>& view, Batch batch, TestType factor) {
    const double loss = pass.run(view, batch, factor, false, no_update);
    Vector<TestType> result = pass.gradient();
    return std::pair(loss, result);
  };
  const auto by_range = gradient(samples.view(), {nullptr, 31, 97}, 1);

  std::vector<Index> rows(97);
  for (Index i = 0; i < 97; ++i) rows[static_cast<std::size_t>(i)] = 31 + i;
  CHECK(gradient(samples.view(), {rows.data(), 0, 97}, 1) == by_range);

  random.shuffle(rows);
  GradientSamples<TestType> gathered(97, 4, 2, random);
  gathered.inputs = samples.inputs(rows, mgdl::detail::kAll);
  gathered.targets = samples.targets(rows, mgdl::detail::kAll);
  gathered.weights = samples.weights(rows);
  const auto shuffled = gradient(samples.view(), {rows.data(), 0, 97}, 1);
  CHECK(gradient(gathered.view(), {nullptr, 0, 97}, 1) == shuffled);
  CHECK(shuffled.second != by_range.second);
  CHECK(shuffled.second.isApprox(by_range.second, TestType(1e-4)));

  // A power of two as factor is exact.
  const auto scaled = gradient(gathered.view(), {nullptr, 0, 97}, 4);
  CHECK(scaled.first == 4 * shuffled.first);
  CHECK(scaled.second == 4 * shuffled.second);
}

TEMPLATE_TEST_CASE("gradients of parts add up", "[training/gradient/backpropagation]", float,
                   double) {
  mgdl::RandomStream random(mgdl::test::seed(), 3);
  const GradientSamples<TestType> samples(150, 4, 2, random);
  auto network = random_panels<TestType>({4, 33, 17, 2}, random);
  ThreadPool pool(2);
  Backpropagation<TestType> pass(network, 150, pool);
  const double loss = pass.run(samples.view(), {nullptr, 0, 150}, 1, false, no_update);
  const Vector<TestType> whole = pass.gradient();
  double parts = pass.run(samples.view(), {nullptr, 0, 70}, 1, false, no_update);
  parts += pass.run(samples.view(), {nullptr, 70, 1}, 1, true, no_update);
  parts += pass.run(samples.view(), {nullptr, 71, 79}, 1, true, no_update);
  CHECK(std::abs(parts - loss) < mgdl::test::sum_tolerance<TestType> * loss);
  CHECK(mgdl::test::relative_difference(pass.gradient(), whole.template cast<double>()) <
        mgdl::test::sum_tolerance<TestType>);
}

// A pass deals groups of 128 rows to 8 slots, so from 1025 rows on a slot takes several groups.
TEMPLATE_TEST_CASE("gradients of large batches are those of their parts",
                   "[training/gradient/backpropagation]", float, double) {
  constexpr Index n = 2500;
  mgdl::RandomStream random(mgdl::test::seed(), 7);
  const GradientSamples<TestType> samples(n, 3, 2, random);
  auto network = random_panels<TestType>({3, 21, 10, 2}, random);
  ThreadPool pool(2);
  Backpropagation<TestType> pass(network, n, pool);
  const double loss = pass.run(samples.view(), {nullptr, 0, n}, 1, false, no_update);
  const Vector<TestType> whole = pass.gradient();
  double parts = 0;
  for (Index first = 0; first < n; first += 100) {  // each part is one group of one slot
    parts += pass.run(samples.view(), {nullptr, first, 100}, 1, first > 0, no_update);
  }
  CHECK(std::abs(parts - loss) < mgdl::test::sum_tolerance<TestType> * loss);
  CHECK(mgdl::test::relative_difference(pass.gradient(), whole.template cast<double>()) <
        mgdl::test::sum_tolerance<TestType>);
}

TEMPLATE_TEST_CASE("updates get every piece once and are seen by the next pass",
                   "[training/gradient/backpropagation]", float, double) {
  mgdl::RandomStream random(mgdl::test::seed(), 4);
  const GradientSamples<TestType> samples(80, 3, 2, random);
  auto network = random_panels<TestType>({3, 140, 37, 2}, random);
  ThreadPool pool(3);
  Backpropagation<TestType> pass(network, 80, pool);
  Eigen::VectorXi visits = Eigen::VectorXi::Zero(network.parameters().size());
  const auto before = network.parameters();
  pass.run(samples.view(), {nullptr, 0, 80}, 1, false, [&](Index offset, Index count) {
    visits.segment(offset, count).array() += 1;
    network.parameters().segment(offset, count) -=
        TestType(0.125) * pass.gradient().segment(offset, count);
  });
  CHECK((visits.array() == 1).all());
  CHECK(network.parameters() == before - TestType(0.125) * pass.gradient());

  pass.run(samples.view(), {nullptr, 0, 80}, 1, false, no_update);
  const Vector<TestType> updated = pass.gradient();
  auto copy = network;
  Backpropagation<TestType> fresh(copy, 80, pool);
  fresh.run(samples.view(), {nullptr, 0, 80}, 1, false, no_update);
  CHECK(updated == fresh.gradient());

  // Changed behind the pass's back: refresh.
  network.parameters() = before;
  pass.refresh();
  pass.run(samples.view(), {nullptr, 0, 80}, 1, false, no_update);
  copy.parameters() = before;
  Backpropagation<TestType> again(copy, 80, pool);
  again.run(samples.view(), {nullptr, 0, 80}, 1, false, no_update);
  CHECK(pass.gradient() == again.gradient());
}

TEMPLATE_TEST_CASE("the loss over all samples", "[training/gradient/backpropagation]", float,
                   double) {
  mgdl::RandomStream random(mgdl::test::seed(), 5);
  const GradientSamples<TestType> samples(500, 3, 2, random);
  const auto network = random_panels<TestType>({3, 21, 13, 2}, random);
  const double expected = plain_loss(in_double(network), samples);
  double first = 0;
  for (int threads = 1; threads <= 3; ++threads) {
    ThreadPool pool(threads);
    mgdl::detail::SampleLoss<TestType> loss_of(network, pool);
    const double loss = loss_of(network, samples.view());
    CHECK(std::abs(loss - expected) < mgdl::test::sum_tolerance<TestType> * expected);
    if (threads == 1) first = loss;
    CHECK(loss == first);
  }
}
