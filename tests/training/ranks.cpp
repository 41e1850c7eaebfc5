// Several processes train one model: the bits are those of one.

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mgdl/core/fingerprint.hpp"
#include "mgdl/core/sample_source.hpp"
#include "mgdl/core/split_source.hpp"
#include "mgdl/training/affine_trainer.hpp"
#include "mgdl/training/constructive_trainer.hpp"
#include "mgdl/training/gradient/drawn_problem.hpp"
#include "mgdl/training/gradient/shuffled_windows.hpp"
#include "mgdl/training/gradient_trainer.hpp"
#include "mgdl/training/multigrade_trainer.hpp"
#include "mgdl/training/sampled_trainer.hpp"
#include "support/block_trainers.hpp"
#include "support/catch.hpp"
#include "support/made_source.hpp"
#include "support/thread_ranks.hpp"

using Catch::Matchers::ContainsSubstring;
using mgdl::Communicator;
using mgdl::Index;
using mgdl::MultigradeFit;
using mgdl::MultigradeOptions;
using mgdl::MultigradeTrainer;
using mgdl::RandomStream;
using mgdl::SampleBuffer;
using mgdl::SampleSource;
using mgdl::SampleView;
using mgdl::detail::kBlockRows;
using mgdl::test::in_memory;
using mgdl::test::MadeSource;
using mgdl::test::ThreadRanks;

namespace {

// So many that a race draws some of them.
constexpr Index kVeryMany = 2 * mgdl::detail::DrawnProblem<float>::kTrain + 3 * kBlockRows + 5;

/// Somebody else's communicator.
std::shared_ptr<Communicator> borrow(Communicator& ranks) {
  return {std::shared_ptr<void>(), &ranks};
}

template <class Scalar>
bool same_fits(const MultigradeFit<Scalar>& a, const MultigradeFit<Scalar>& b) {
  bool equal = a.model == b.model && a.report.message == b.report.message &&
               a.report.grades.size() == b.report.grades.size();
  for (std::size_t k = 0; equal && k < a.report.grades.size(); ++k) {
    const auto& one = a.report.grades[k];
    const auto& other = b.report.grades[k];
    equal = one.train_rse == other.train_rse && one.validation_rse == other.validation_rse &&
            one.train_max_error == other.train_max_error &&
            one.pointwise_growth == other.pointwise_growth &&
            one.validation_gain == other.validation_gain &&
            one.validation_gain_error == other.validation_gain_error &&
            std::ranges::equal(one.fit.trials, other.fit.trials, {}, &mgdl::GradeTrial::objective,
                               &mgdl::GradeTrial::objective);
  }
  return equal;
}

/// Bytes that the first rank sends for all windows, in which it must find its rows.
double measure_windows(const MadeSource<double>& source, int size, Index batch,
                       const std::vector<double>& expected) {
  std::uint64_t sent = 0;
  ThreadRanks::run(size, [&](Communicator& ranks) {
    RandomStream random(1);
    mgdl::detail::ShuffledWindows<double> windows{mgdl::Samples<double>(source, &ranks),
                                                  2 * 5 * kBlockRows};
    std::size_t seen = 0;
    bool fine = true;
    windows.for_each(random, batch, [&](const auto& window, const std::vector<Index>& order) {
      const Index all = std::ssize(order);
      for (Index i = 0; i < all; ++i) {
        const Index row = order[static_cast<std::size_t>(i)];
        const Index rows = std::min(batch, all - i / batch * batch);
        const bool own = mgdl::detail::Batch::owner(i % batch, rows, size) == ranks.rank();
        fine = fine && own == (row >= 0) &&
               (!own || window.inputs(row, 0) + window.targets(row, 1) == expected[seen]);
        ++seen;
      }
      return true;
    });
    if (!fine || seen != expected.size()) throw std::logic_error("other rows");
    if (ranks.rank() == 0) sent = ranks.bytes_sent();
  });
  return static_cast<double>(sent);
}

}  // namespace

TEMPLATE_TEST_CASE("1, 2 and 3 ranks: the same bits, in memory, read, or read again and again",
                   "[training/ranks]", double, float) {
  const MadeSource<TestType> source(2 * kBlockRows + 777, /*weighted=*/true);
  // A single block: two of three ranks have nothing of it.
  const MadeSource<TestType> held_out(3000, /*weighted=*/true);
  const mgdl::DataSplit<TestType> data{in_memory<TestType>(source), in_memory<TestType>(held_out)};
  auto trainers = mgdl::test::block_trainers<TestType>(2, 700);
  if (std::is_same_v<TestType, double>) {
    mgdl::GradientOptions race;
    race.width = 4;
    race.epochs = 3;
    trainers.emplace_back("race", mgdl::GradientTrainer<TestType>(race));
  }
  for (const auto& [name, trainer] : trainers) {
    MultigradeOptions options{.max_grades = 2, .seed = 5, .threads = 1};
    options.minimum_progress = 0;
    options.patience = 2;
    const auto expected = MultigradeTrainer<TestType>({trainer}, options).fit(data);
    CHECK(expected.report.grades.size() >= (name == "affine" ? 1 : 2));
    for (const int size : {1, 2, 3}) {
      if (size == 1 && name != "Adam") continue;
      CAPTURE(name, size);
      ThreadRanks::run(size, [&](Communicator& ranks) {
        MultigradeOptions shared = options;
        shared.ranks = borrow(ranks);
        shared.threads = size == 2 ? 2 : 1;
        auto limits = {std::numeric_limits<double>::infinity(), 2e6, 1.0};
        for (const double memory : limits) {
          if (memory == 2e6 && name != "sampled" && name != "Adam") continue;
          shared.memory_limit_bytes = memory;
          MultigradeTrainer<TestType> fitter({trainer}, shared);
          if (!same_fits(fitter.fit(source, &held_out), expected) ||
              (memory > 1e9 && size == 3 && !same_fits(fitter.fit(data), expected))) {
            throw std::logic_error("other bits with a limit of " + mgdl::detail::to_text(memory));
          }
        }
      });
    }
  }
}

TEST_CASE("Of very many samples a race is run on some: the same bits wherever they are",
          "[training/ranks]") {
  class Counted : public MadeSource<float> {
   public:
    Counted() : MadeSource<float>(kVeryMany, /*weighted=*/true) {}
    SampleView<float> read(Index first, Index count, SampleBuffer<float>& buffer) const override {
      rows += count;
      return MadeSource<float>::read(first, count, buffer);
    }
    mutable Index rows = 0;
  };
  const Counted source;
  const MadeSource<float> held_out(2 * kBlockRows, /*weighted=*/true);
  mgdl::GradientOptions race;
  race.width = 4;
  race.hidden_layers = 1;
  race.optimizer = mgdl::Optimizer::Adam;
  race.epochs = 3;
  MultigradeOptions options{.max_grades = 1, .seed = 5, .threads = 2};
  const mgdl::GradientTrainer<float> trainer(race);
  const mgdl::DataSplit<float> data{in_memory<float>(source), in_memory<float>(held_out)};
  Index last = 0;
  options.observer = [&](const mgdl::Progress& progress) {
    if (progress.event == mgdl::Progress::Event::Iteration) last = progress.iteration;
    return mgdl::Action::Continue;
  };
  const auto expected = MultigradeTrainer<float>({trainer}, options).fit(data);
  options.observer = {};
  const auto& fit = expected.report.grades.front().fit;
  REQUIRE(fit.trials.size() >= 4);
  // An epoch of all samples counts for two of the race, in which the winner had three, too.
  Index work = 2 * 3;
  for (const auto& trial : fit.trials) work += trial.iterations;
  CHECK(last == work);
  CHECK(fit.iterations == 3);
  CHECK(fit.trials.back().iterations == 1);
  CHECK(expected.report.grades.front().validation_rse < 0.5 * expected.report.initial_rse);

  options.memory_limit_bytes = 1;
  options.threads = 1;
  source.rows = 0;
  CHECK(same_fits(MultigradeTrainer<float>({trainer}, options).fit(source, &held_out), expected));
  // Three epochs, and what comes before and after them; candidates read nothing.
  CHECK(source.rows < 30 * kVeryMany);
  for (const int size : {2, 3}) {
    CAPTURE(size);
    ThreadRanks::run(size, [&](Communicator& ranks) {
      MultigradeOptions shared = options;
      shared.ranks = borrow(ranks);
      shared.memory_limit_bytes = size == 2 ? 1e9 : 1;
      const MadeSource<float> own(kVeryMany, /*weighted=*/true);
      MultigradeTrainer<float> fitter({trainer}, shared);
      if (!same_fits(fitter.fit(own, &held_out), expected)) throw std::logic_error("other bits");
    });
  }

  // Stopped while the race goes on: what there is of it is kept.
  options.memory_limit_bytes = std::numeric_limits<double>::infinity();
  Index calls = 0;
  options.observer = [&](const mgdl::Progress& progress) {
    if (progress.event == mgdl::Progress::Event::Grade) return mgdl::Action::Continue;
    CHECK(progress.iteration <= progress.max_iterations);
    return ++calls == 3 ? mgdl::Action::Stop : mgdl::Action::Continue;
  };
  const auto stopped = MultigradeTrainer<float>({trainer}, options).fit(data);
  CHECK(stopped.report.termination == mgdl::Termination::StoppedByObserver);
  REQUIRE(stopped.model.grades() == 1);
  CHECK(stopped.report.grades.front().validation_rse < 0.9 * stopped.report.initial_rse);
}

TEST_CASE("ranks read their own rows, and tell each other what Adam needs", "[training/ranks]") {
  class Counted : public MadeSource<double> {
   public:
    Counted() : MadeSource<double>(4 * kBlockRows) {}
    SampleView<double> read(Index first, Index count, SampleBuffer<double>& buffer) const override {
      m_first = std::min(m_first, first);
      m_last = std::max(m_last, first + count);
      return MadeSource<double>::read(first, count, buffer);
    }
    mutable Index m_first = std::numeric_limits<Index>::max();
    mutable Index m_last = 0;
  };
  // One grade of 3 x 8 x 8 x 2: so many numbers, and the loss.
  const Index epochs = 3, batch = 1024, slots = 8;
  std::vector<std::uint64_t> sent;
  for (const Index count : {epochs, 2 * epochs}) {
    ThreadRanks::run(2, [&](Communicator& ranks) {
      const Counted source;
      MultigradeTrainer<double> trainer(
          mgdl::GradientTrainer<double>(
              mgdl::test::small_gradient(mgdl::Optimizer::Adam, count, batch)),
          {.max_grades = 1, .memory_limit_bytes = 1, .ranks = borrow(ranks)});
      trainer.fit(source);
      if (source.m_last - source.m_first != 2 * kBlockRows) throw std::logic_error("others' rows");
      if (ranks.rank() == 0) sent.push_back(ranks.bytes_sent());
    });
  }
  // docs/scale.md: of each epoch half of the slots' gradients for each batch.
  mgdl::detail::PanelNetwork<double> network({3, 8, 8, 2});
  const double gradient_size = static_cast<double>(network.parameters().size() + 8) * 8;
  const double batches = 4 * kBlockRows / batch;
  const double each = batches * slots / 2 * gradient_size;
  const double measured = static_cast<double>(sent[1] - sent[0]) / epochs;
  CHECK(measured == Approx(each).epsilon(0.02));
}

TEST_CASE("ranks: a time limit and an observer end all of them together", "[training/ranks]") {
  const MadeSource<double> source(2 * kBlockRows);
  const mgdl::GradientTrainer<double> trainer(
      mgdl::test::small_gradient(mgdl::Optimizer::Adam, 100000, 256));
  ThreadRanks::run(2, [&](Communicator& ranks) {
    MultigradeOptions options{.max_grades = 2, .time_limit_seconds = 0.5, .ranks = borrow(ranks)};
    const auto limited = MultigradeTrainer<double>(trainer, options).fit(source);
    options.time_limit_seconds = std::numeric_limits<double>::infinity();
    // Only one of them is asked to stop.
    options.observer = [&](const mgdl::Progress& progress) {
      const bool stop = ranks.rank() == 1 && progress.iteration == 2;
      return stop ? mgdl::Action::Stop : mgdl::Action::Continue;
    };
    const auto stopped = MultigradeTrainer<double>(trainer, options).fit(source);
    if (limited.report.termination != mgdl::Termination::TimeLimit ||
        stopped.report.termination != mgdl::Termination::StoppedByObserver ||
        stopped.report.grades.front().fit.iterations != 2) {
      throw std::logic_error("another end");
    }
    // All have the same model.
    const auto rse = mgdl::detail::gather_all(
        ranks, std::vector<double>{limited.report.grades.front().train_rse,
                                   stopped.report.grades.front().train_rse});
    if (rse[0] != rse[2] || rse[1] != rse[3]) throw std::logic_error("two models");
  });
}

TEST_CASE("ranks: a model is resumed with the same bits", "[training/ranks]") {
  const MadeSource<double> source(2 * kBlockRows + 900);
  const mgdl::SampledTrainer<double> trainer({.width = 12});
  const auto whole =
      MultigradeTrainer<double>(trainer, MultigradeOptions{.max_grades = 2, .seed = 5}).fit(source);
  const auto half =
      MultigradeTrainer<double>(trainer, MultigradeOptions{.max_grades = 1, .seed = 5}).fit(source);
  ThreadRanks::run(3, [&](Communicator& ranks) {
    MultigradeTrainer<double> rest(
        trainer, MultigradeOptions{.max_grades = 1, .seed = 5, .ranks = borrow(ranks)});
    if (rest.resume(half.model, source).model != whole.model) throw std::logic_error("other bits");
  });
}

TEST_CASE("ranks: what cannot be shared is refused on all of them", "[training/ranks]") {
  const auto refused = [](const auto& fit, const std::string& text) {
    int count = 0;
    std::mutex mutex;
    ThreadRanks::run(3, [&](Communicator& ranks) {
      try {
        fit(borrow(ranks));
      } catch (const mgdl::InvalidArgument& error) {
        const std::lock_guard lock(mutex);
        count += std::string(error.what()).find(text) != std::string::npos ? 1 : 0;
      }
    });
    return count;
  };
  const MadeSource<double> source(3 * kBlockRows);
  const mgdl::AffineTrainer<double> affine;
  CHECK(refused(
            [&](auto ranks) {
              MultigradeTrainer<double>(mgdl::ConstructiveTrainer<double>(), {.ranks = ranks})
                  .fit(source);
            },
            "reads samples in blocks") == 3);
  CHECK(
      refused([&](auto ranks) { MultigradeTrainer<double>(affine, {.folds = 5, .ranks = ranks}); },
              "with several ranks") == 3);
  MadeSource<double> wrong(3 * kBlockRows);
  wrong.wrong = 2 * kBlockRows + 7;
  const auto fit = [&](auto ranks) {
    MultigradeTrainer<double>(affine, {.ranks = ranks}).fit(wrong);
  };
  CHECK(refused(fit, "finite values, found nan at row 32775, column 1") == 3);
  CHECK(refused(fit, "rank 2: X") == 2);
}

TEST_CASE("ranks have the rows of the batches that they take", "[training/ranks]") {
  // Two blocks a window, and one that is smaller.
  const Index n = 5 * kBlockRows + 33, batch = 700;
  const MadeSource<double> source(n);
  RandomStream random(1);
  std::vector<double> expected;  // of every sample in their order
  std::vector<std::size_t> begins;
  mgdl::detail::ShuffledWindows<double> alone{mgdl::Samples<double>(source), 2 * 5 * kBlockRows};
  alone.for_each(random, batch, [&](const auto& window, const std::vector<Index>& order) {
    begins.push_back(expected.size());
    for (const Index row : order)
      expected.push_back(window.inputs(row, 0) + window.targets(row, 1));
    return true;
  });
  REQUIRE(begins.size() == 3);
  for (const int size : {2, 3}) {
    const double sent = measure_windows(source, size, batch, expected);
    // Of its rows a rank gives those that others take: d + c + 1 numbers each.
    const double rows = static_cast<double>(n) / size * (size - 1) / size;
    CHECK(sent == Approx(rows * (3 + 2 + 1) * sizeof(double)).epsilon(0.15));
  }
}
