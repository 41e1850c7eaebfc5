// Training on samples that are not in memory: the bits are those of the same samples in memory.

#include "mgdl/core/sample_source.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/split_source.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/gradient/shuffled_windows.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using mgdl::Dataset;
using mgdl::Index;
using mgdl::MultigradeOptions;
using mgdl::MultigradeTrainer;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::SampleBuffer;
using mgdl::Samples;
using mgdl::SampleSource;
using mgdl::SampleView;
using mgdl::SplitSource;
using mgdl::Vector;
using mgdl::detail::kBlockRows;

namespace {

/// Samples that are made when they are asked for.
template <class Scalar>
class MadeSource : public SampleSource<Scalar> {
 public:
  explicit MadeSource(Index n, bool weighted = false) : m_n(n), m_weighted(weighted) {}

  Index size() const override { return m_n; }
  Index inputs() const override { return 3; }
  Index outputs() const override { return 2; }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    buffer.resize(count, 3, 2);
    for (Index i = 0; i < count; ++i) {
      RandomStream random(mgdl::test::seed(), static_cast<std::uint64_t>(first + i));
      for (Index j = 0; j < 3; ++j) {
        buffer.inputs(i, j) = static_cast<Scalar>(10 + random.uniform(-1, 1));
      }
      const auto x = buffer.inputs.row(i).template cast<double>();
      buffer.targets(i, 0) = static_cast<Scalar>(std::sin(2 * x[0]) + x[1] * x[2]);
      buffer.targets(i, 1) = static_cast<Scalar>(1e-3 * std::abs(x[0] - x[1]));
      buffer.weights[i] = m_weighted ? static_cast<Scalar>((first + i) % 5) : Scalar(1);
      if (first + i == wrong) buffer.inputs(i, 1) = std::numeric_limits<Scalar>::quiet_NaN();
    }
    return buffer.view();
  }

  Index wrong = -1;  // a row with NaN

 private:
  Index m_n;
  bool m_weighted;
};

template <class Scalar>
Dataset<Scalar> in_memory(const SampleSource<Scalar>& source) {
  SampleBuffer<Scalar> buffer;
  const SampleView<Scalar> all = source.read(0, source.size(), buffer);
  return {all.inputs, all.targets, all.weights};
}

mgdl::GradientOptions gradient(mgdl::Optimizer optimizer, Index epochs) {
  mgdl::GradientOptions options;
  options.width = 8;
  options.optimizer = optimizer;
  options.epochs = epochs;
  options.batch_size = 250;
  return options;
}

template <class Scalar>
std::vector<std::pair<std::string, mgdl::AnyGradeTrainer<Scalar>>> trainers() {
  const mgdl::SampledTrainer<Scalar> sampled({.width = 12});
  const mgdl::GradientTrainer<Scalar> adam(gradient(mgdl::Optimizer::Adam, 1));
  const mgdl::GradientTrainer<Scalar> lbfgs(gradient(mgdl::Optimizer::Lbfgs, 4));
  return {{"affine", mgdl::AffineTrainer<Scalar>()},
          {"sampled", sampled},
          {"Adam", adam},
          {"L-BFGS", lbfgs},
          {"auto", mgdl::AutoTrainer<Scalar>({mgdl::AffineTrainer<Scalar>(), sampled, adam})}};
}

}  // namespace

TEMPLATE_TEST_CASE("samples in memory, read, or read again and again: the same bits",
                   "[training/sample_source]", double, float) {
  const Index n = 2 * kBlockRows + 777;
  for (const bool weighted : {false, true}) {
    const MadeSource<TestType> source(n, weighted);
    const MadeSource<TestType> held_out(4000, weighted);
    const mgdl::DataSplit<TestType> data{in_memory<TestType>(source),
                                         in_memory<TestType>(held_out)};
    for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
      for (const auto& [name, trainer] : trainers<TestType>()) {
        if (weighted != (link == mgdl::FeatureLink::LastHidden) && name != "sampled") continue;
        CAPTURE(name, weighted);
        MultigradeOptions options{.max_grades = 2, .link = link, .seed = 5, .threads = 2};
        options.minimum_progress = 0;
        options.patience = 2;
        const auto expected = MultigradeTrainer<TestType>({trainer}, options).fit(data);
        CHECK(expected.report.grades.size() >= (name == "affine" ? 1 : 2));
        const auto same = [&](const mgdl::MultigradeFit<TestType>& fit) {
          bool equal = fit.model == expected.model && fit.report.message == expected.report.message;
          for (std::size_t k = 0; k < fit.report.grades.size(); ++k) {
            const auto& a = fit.report.grades[k];
            const auto& b = expected.report.grades[k];
            equal = equal && a.train_rse == b.train_rse && a.validation_rse == b.validation_rse &&
                    a.pointwise_growth == b.pointwise_growth &&
                    a.validation_gain_error == b.validation_gain_error;
          }
          return equal;
        };
        for (const double memory : {std::numeric_limits<double>::infinity(), 4e6, 1.0}) {
          CAPTURE(memory);
          options.memory_limit_bytes = memory;
          options.threads = memory > 1 ? 1 : 2;
          MultigradeTrainer<TestType> limited({trainer}, options);
          CHECK(same(limited.fit(source, &held_out)));
          CHECK(same(limited.fit(data)));
        }
      }
    }
  }
}

TEST_CASE("folds under a memory limit: the same bits", "[training/sample_source]") {
  const auto data = mgdl::folds(in_memory<double>(MadeSource<double>(kBlockRows + 900)), 3, 1);
  MultigradeOptions options{.max_grades = 2, .seed = 5, .threads = 2};
  const mgdl::GradientTrainer<double> trainer(gradient(mgdl::Optimizer::Adam, 1));
  const auto expected = MultigradeTrainer<double>(trainer, options).fit(data);
  options.memory_limit_bytes = 1;
  CHECK(MultigradeTrainer<double>(trainer, options).fit(data).model == expected.model);
}

TEST_CASE("a model is resumed under a memory limit with the same bits",
          "[training/sample_source]") {
  const auto data = in_memory<double>(MadeSource<double>(kBlockRows + 900));
  const mgdl::SampledTrainer<double> trainer({.width = 12});
  const auto fit = [&](Index grades, double memory) {
    return MultigradeTrainer<double>(
        trainer, {.max_grades = grades, .memory_limit_bytes = memory, .seed = 5});
  };
  const auto whole = fit(3, std::numeric_limits<double>::infinity()).fit({data, std::nullopt});
  auto half = fit(1, 1).fit({data, std::nullopt});
  const auto resumed = fit(2, 1).resume(half.model, {data, std::nullopt});
  CHECK(resumed.model == whole.model);
}

TEST_CASE("trainers that need all samples are not given blocks", "[training/sample_source]") {
  const MadeSource<double> source(500);
  MultigradeOptions options{.max_grades = 1, .memory_limit_bytes = 1};
  const mgdl::ConstructiveTrainer<double> constructive;
  CHECK_THROWS_WITH(MultigradeTrainer<double>(constructive, options).fit(source),
                    Contains("reads samples in blocks"));
  CHECK_THROWS_WITH(
      MultigradeTrainer<double>(
          mgdl::AutoTrainer<double>({mgdl::AffineTrainer<double>(), constructive}), options)
          .fit(source),
      Contains("reads samples in blocks"));
  options.memory_limit_bytes = 1e9;
  CHECK(MultigradeTrainer<double>(constructive, options).fit(source).model.grades() == 1);
}

TEST_CASE("what is wrong with a source is named", "[training/sample_source]") {
  MultigradeTrainer<double> trainer(mgdl::AffineTrainer<double>{}, {.memory_limit_bytes = 1});
  MadeSource<double> source(2 * kBlockRows);
  source.wrong = kBlockRows + 123;
  CHECK_THROWS_WITH(trainer.fit(source),
                    Contains("X") && Contains("row 16507, column 1") && Contains("finite"));
  CHECK_THROWS_WITH(trainer.fit(MadeSource<double>(0)), Contains("at least one sample"));
  class Short : public MadeSource<double> {
   public:
    Short() : MadeSource<double>(100) {}
    SampleView<double> read(Index first, Index count, SampleBuffer<double>& buffer) const override {
      return MadeSource<double>::read(first, count - 1, buffer);
    }
  };
  CHECK_THROWS_WITH(trainer.fit(Short()), Contains("100 rows"));
  CHECK_THROWS_WITH(
      MultigradeTrainer<double>(mgdl::AffineTrainer<double>{}, {.memory_limit_bytes = 0}),
      Contains("memory_limit_bytes"));
}

TEST_CASE("windows show every sample once in each pass", "[training/gradient/shuffled_windows]") {
  const Index n = 5 * kBlockRows + 33;
  const MadeSource<double> source(n);
  const Dataset<double> data = in_memory<double>(source);
  for (const Index numbers : {Index{1}, 2 * 5 * kBlockRows, 6 * 5 * kBlockRows}) {
    CAPTURE(numbers);
    RandomStream random(1), same(1);
    mgdl::detail::ShuffledWindows<double> read{Samples<double>(source), numbers};
    mgdl::detail::ShuffledWindows<double> seen{Samples<double>(data), numbers};
    std::vector<double> first_order;
    for (int pass = 0; pass < 2; ++pass) {
      Index windows = 0;
      std::vector<double> values, order;
      read.for_each(random, [&](const SampleView<double>& window, const std::vector<Index>& rows) {
        ++windows;
        CHECK(std::ssize(rows) == window.size());
        for (const Index row : rows) values.push_back(window.inputs(row, 0));
        return true;
      });
      order = values;
      seen.for_each(same, [&](const SampleView<double>& window, const std::vector<Index>& rows) {
        for (const Index row : rows) values.push_back(window.inputs(row, 0));
        return true;
      });
      REQUIRE(std::ssize(values) == 2 * n);
      CHECK(std::equal(order.begin(), order.end(), values.begin() + n));
      CHECK(windows == (numbers == 1 ? 6 : numbers == 2 * 5 * kBlockRows ? 3 : 1));
      CHECK(order != first_order);
      first_order = order;
      std::sort(order.begin(), order.end());
      std::vector<double> all(data.inputs().col(0).begin(), data.inputs().col(0).end());
      std::sort(all.begin(), all.end());
      CHECK(order == all);
    }
  }
}

TEST_CASE("sums in pairs", "[core/pairwise_sum]") {
  for (const int terms : {0, 1, 2, 3, 7, 8, 1000}) {
    mgdl::detail::PairwiseSum<double> sum;
    std::vector<double> level;
    for (int i = 0; i < terms; ++i) {
      sum.add(1.0 / (i + 3));
      level.push_back(1.0 / (i + 3));
    }
    // Neighbours, and neighbours of these; one without a neighbour waits.
    double expected = 0;
    std::vector<double> rest;
    while (!level.empty()) {
      if (level.size() % 2 == 1) {
        rest.push_back(level.back());
        level.pop_back();
      }
      std::vector<double> next;
      for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(level[i] + level[i + 1]);
      level = std::move(next);
    }
    for (std::size_t i = 0; i < rest.size(); ++i) expected = i == 0 ? rest[0] : rest[i] + expected;
    CHECK(sum.total() == expected);
  }
}

TEST_CASE("a source in two parts", "[core/split_source]") {
  const Index n = 3 * kBlockRows + 100;
  const MadeSource<double> source(n);
  using Part = SplitSource<double>::Part;
  const SplitSource<double> train(source, 0.2, 7, Part::Train);
  const SplitSource<double> held_out(source, 0.2, 7, Part::HeldOut);
  CHECK(train.size() + held_out.size() == n);
  CHECK(std::abs(static_cast<double>(held_out.size()) - 0.2 * static_cast<double>(n)) <
        5 * std::sqrt(0.16 * static_cast<double>(n)));
  const auto a = in_memory<double>(train);
  const auto b = in_memory<double>(held_out);
  std::vector<double> both(a.inputs().col(0).begin(), a.inputs().col(0).end());
  both.insert(both.end(), b.inputs().col(0).begin(), b.inputs().col(0).end());
  const auto all = in_memory<double>(source);
  std::vector<double> expected(all.inputs().col(0).begin(), all.inputs().col(0).end());
  std::sort(both.begin(), both.end());
  std::sort(expected.begin(), expected.end());
  CHECK(both == expected);
  const auto parts = mgdl::split_by_row(all, 0.2, 7);
  CHECK(parts.train.inputs() == a.inputs());
  CHECK(parts.train.weights() == a.weights());
  CHECK(parts.validation->targets() == b.targets());
  const std::vector<Index> some{0, 30000, 17, 17, a.size() - 1};
  SampleBuffer<double> gathered;
  train.gather(some, gathered);
  for (Index i = 0; i < 5; ++i) {
    CHECK(gathered.inputs.row(i) == a.inputs().row(some[static_cast<std::size_t>(i)]));
  }
  // Whatever is asked for is the same.
  SampleBuffer<double> buffer;
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 1},
                                     {kBlockRows - 3000, 5000},
                                     {a.size() - 10, 10},
                                     {13000, 20000}}) {
    const auto view = train.read(first, count, buffer);
    CHECK(view.inputs == a.inputs().middleRows(first, count));
    CHECK(view.targets == a.targets().middleRows(first, count));
  }
  CHECK_THROWS_WITH(SplitSource<double>(source, 1, 7, Part::Train), Contains("(0, 1)"));
  CHECK_THROWS_WITH(SplitSource<double>(MadeSource<double>(2), 0.01, 7, Part::HeldOut),
                    Contains("a sample in each part"));
}
