// Training on samples that are not in memory: the bits are those of the same samples in memory.

#include "mgdl/core/sample_source.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/auto_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/gradient/shuffled_windows.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/block_trainers.hpp"
#include "support/catch.hpp"
#include "support/made_source.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Dataset;
using mgdl::Index;
using mgdl::MultigradeOptions;
using mgdl::MultigradeTrainer;
using mgdl::RandomStream;
using mgdl::SampleBuffer;
using mgdl::Samples;
using mgdl::SampleSource;
using mgdl::SampleView;
using mgdl::detail::kBlockRows;
using mgdl::test::in_memory;
using mgdl::test::MadeSource;

TEMPLATE_TEST_CASE("samples in memory, read, or read again and again: the same bits",
                   "[training/sample_source]", double, float) {
  const Index n = 2 * kBlockRows + 777;
  for (const bool weighted : {false, true}) {
    const MadeSource<TestType> source(n, weighted);
    const MadeSource<TestType> held_out(4000, weighted);
    const mgdl::DataSplit<TestType> data{in_memory<TestType>(source),
                                         in_memory<TestType>(held_out)};
    for (const auto link : {mgdl::FeatureLink::LastHidden, mgdl::FeatureLink::LastHiddenAndInput}) {
      for (const auto& [name, trainer] : mgdl::test::block_trainers<TestType>(1, 250)) {
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
  const mgdl::GradientTrainer<double> trainer(
      mgdl::test::small_gradient(mgdl::Optimizer::Adam, 1, 250));
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
                    ContainsSubstring("reads samples in blocks"));
  CHECK_THROWS_WITH(
      MultigradeTrainer<double>(
          mgdl::AutoTrainer<double>({mgdl::AffineTrainer<double>(), constructive}), options)
          .fit(source),
      ContainsSubstring("reads samples in blocks"));
  options.memory_limit_bytes = 1e9;
  CHECK(MultigradeTrainer<double>(constructive, options).fit(source).model.grades() == 1);
}

TEST_CASE("what is wrong with a source is named", "[training/sample_source]") {
  MultigradeTrainer<double> trainer(mgdl::AffineTrainer<double>{}, {.memory_limit_bytes = 1});
  MadeSource<double> source(2 * kBlockRows);
  source.wrong = kBlockRows + 123;
  CHECK_THROWS_WITH(trainer.fit(source), ContainsSubstring("X") &&
                                             ContainsSubstring("row 16507, column 1") &&
                                             ContainsSubstring("finite"));
  CHECK_THROWS_WITH(trainer.fit(MadeSource<double>(0)), ContainsSubstring("at least one sample"));
  class Short : public MadeSource<double> {
   public:
    Short() : MadeSource<double>(100) {}
    SampleView<double> read(Index first, Index count, SampleBuffer<double>& buffer) const override {
      return MadeSource<double>::read(first, count - 1, buffer);
    }
  };
  CHECK_THROWS_WITH(trainer.fit(Short()), ContainsSubstring("100 rows"));
  CHECK_THROWS_WITH(
      MultigradeTrainer<double>(mgdl::AffineTrainer<double>{}, {.memory_limit_bytes = 0}),
      ContainsSubstring("memory_limit_bytes"));
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
      read.for_each(random, 64,
                    [&](const SampleView<double>& window, const std::vector<Index>& rows) {
                      ++windows;
                      CHECK(std::ssize(rows) == window.size());
                      for (const Index row : rows) values.push_back(window.inputs(row, 0));
                      return true;
                    });
      order = values;
      seen.for_each(same, 64,
                    [&](const SampleView<double>& window, const std::vector<Index>& rows) {
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

TEST_CASE("what a source throws in the midst of a race ends the training",
          "[training/sample_source]") {
  class Failing : public MadeSource<double> {
   public:
    Failing() : MadeSource<double>(2000) {}
    SampleView<double> read(Index first, Index count, SampleBuffer<double>& buffer) const override {
      if (++m_reads > 40) throw mgdl::InvalidArgument("file", "data", "an error", "block");
      return MadeSource<double>::read(first, count, buffer);
    }

   private:
    mutable std::atomic<int> m_reads{0};
  };
  const MadeSource<double> held_out(500);
  mgdl::GradientOptions options;
  options.width = 8;
  for (const int threads : {1, 2}) {
    MultigradeTrainer<double> trainer(mgdl::GradientTrainer<double>(options),
                                      {.memory_limit_bytes = 1, .threads = threads});
    CHECK_THROWS_WITH(trainer.fit(Failing(), &held_out), ContainsSubstring("an error"));
  }
}
