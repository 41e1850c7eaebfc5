#include "mgdl/core/executor.hpp"

#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/samples.hpp"

using mgdl::Index;
using mgdl::detail::ThreadPool;

namespace {

/// Runs one job and says whether every task ran once, with a thread number that no other task used
/// at the same time, and with results that the caller sees.
bool runs_once(ThreadPool& pool, Index tasks) {
  std::vector<int> runs(static_cast<std::size_t>(tasks), 0);  // not atomic: one task, one writer
  std::vector<std::atomic<bool>> busy(static_cast<std::size_t>(pool.size()));
  std::atomic<bool> right{true};
  pool.parallel_for(tasks, [&](Index i, int thread) {
    if (thread < 0 || thread >= pool.size() || i < 0 || i >= tasks) {
      right = false;
      return;
    }
    auto& mine = busy[static_cast<std::size_t>(thread)];
    if (mine.exchange(true)) right = false;
    runs[static_cast<std::size_t>(i)] += 1;
    mine = false;
  });
  for (const int count : runs) right = right && count == 1;
  return right;
}

/// A job that only ends if two threads are at work at the same time, of which one is slow. False
/// if that does not happen within a minute, or if the caller did not wait for the slow one.
bool runs_in_parallel(ThreadPool& pool) {
  using namespace std::chrono;
  std::atomic<int> started{0};
  std::atomic<bool> right{true};
  int threads[2] = {-1, -1};
  pool.parallel_for(2, [&](Index i, int thread) {
    const auto begin = steady_clock::now();
    ++started;
    while (started < 2) {
      std::this_thread::yield();
      if (steady_clock::now() - begin > minutes(1)) {
        right = false;
        return;
      }
    }
    if (thread != 0) std::this_thread::sleep_for(milliseconds(20));
    threads[i] = thread;
  });
  return right && threads[0] + threads[1] == 1 && threads[0] * threads[1] == 0;
}

}  // namespace

TEST_CASE("every task of many jobs runs once", "[core/executor]") {
  for (int threads = 1; threads <= 4; ++threads) {
    CAPTURE(threads);
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    bool right = true;
    for (int job = 0; job < 5000 && right; ++job) right = runs_once(pool, job % 9);
    CHECK(right);
    CHECK(runs_once(pool, 10000));
  }
}

// A worker that is late for one job must not take a task of the next one for its own.
TEST_CASE("jobs of changing size do not mix", "[core/executor]") {
  ThreadPool pool(3);
  std::vector<int> runs(40, 0);
  std::vector<int> expected(40, 0);
  const auto begin = std::chrono::steady_clock::now();
  int jobs = 0;
  while (std::chrono::steady_clock::now() - begin < std::chrono::seconds(2)) {
    const auto tasks = static_cast<std::size_t>(2 + jobs++ % 5 * 9);
    pool.parallel_for(static_cast<Index>(tasks),
                      [&](Index i, int) { runs[static_cast<std::size_t>(i)] += 1; });
    for (std::size_t i = 0; i < tasks; ++i) expected[i] += 1;
    if (runs != expected) break;
  }
  CHECK(runs == expected);
}

TEST_CASE("a job sees the results of the one before", "[core/executor]") {
  ThreadPool pool(3);
  std::vector<Index> values(17, 0);
  for (int job = 0; job < 3000; ++job) {
    const std::vector<Index> before = values;
    pool.parallel_for(17, [&](Index i, int) {
      values[static_cast<std::size_t>(i)] += before[static_cast<std::size_t>((i + 1) % 17)] + i + 1;
      values[static_cast<std::size_t>(i)] %= 1000003;
    });
  }
  std::vector<Index> expected(17, 0);
  for (int job = 0; job < 3000; ++job) {
    const std::vector<Index> before = expected;
    for (std::size_t i = 0; i < 17; ++i) {
      expected[i] = (expected[i] + before[(i + 1) % 17] + static_cast<Index>(i) + 1) % 1000003;
    }
  }
  CHECK(values == expected);
}

TEST_CASE("threads work at the same time, also after a rest", "[core/executor]") {
  ThreadPool pool(2);
  for (int round = 0; round < 4; ++round) {
    CHECK(runs_in_parallel(pool));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));  // workers fall asleep
  }
}

TEST_CASE("a task may use a pool of its own", "[core/executor]") {
  ThreadPool outer(3);
  std::vector<std::unique_ptr<ThreadPool>> inner;
  for (int i = 0; i < outer.size(); ++i) inner.push_back(std::make_unique<ThreadPool>(2));
  std::vector<Index> sums(7, 0);
  for (int job = 0; job < 200; ++job) {
    outer.parallel_for(7, [&](Index i, int thread) {
      std::vector<Index> parts(5, 0);
      inner[static_cast<std::size_t>(thread)]->parallel_for(
          5, [&](Index j, int) { parts[static_cast<std::size_t>(j)] = 10 * i + j; });
      for (const Index part : parts) sums[static_cast<std::size_t>(i)] += part;
    });
  }
  for (Index i = 0; i < 7; ++i) CHECK(sums[static_cast<std::size_t>(i)] == 200 * (50 * i + 10));
}

TEST_CASE("what a task throws is thrown where the job was given", "[core/executor]") {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int job = 0; job < 200; ++job) {
      CHECK_THROWS_WITH(pool.parallel_for(50,
                                          [&](Index i, int) {
                                            if (i % 7 == 3) throw std::runtime_error("no");
                                          }),
                        "no");
      CHECK(runs_once(pool, 30));
    }
  }
}

TEST_CASE("pools come and go", "[core/executor]") {
  bool right = true;
  for (int round = 0; round < 300; ++round) {
    ThreadPool pool(1 + round % 4);
    for (int job = 0; job < round % 3; ++job) right = right && runs_once(pool, 5);
    if (round % 50 == 7) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(right);
}

TEST_CASE("numbers of threads", "[core/executor]") {
  CHECK(ThreadPool(0).size() == 1);
  CHECK(mgdl::detail::thread_count(5) == 5);
  CHECK(mgdl::detail::thread_count(0) >= 1);
  mgdl::detail::require_threads("threads", 0);
  mgdl::detail::require_threads("threads", 3);
  CHECK(mgdl::test::error_of([] { mgdl::detail::require_threads("threads", -1); }) ==
        "threads: expected a value >= 0 (0: all available), found -1");
}

TEST_CASE("more threads than make sense are refused", "[core/executor]") {
  const int most = 16 * mgdl::detail::thread_count(0);
  mgdl::detail::require_threads("threads", most);
  for (const int threads : {most + 1, 2 * most, 100000, 1 << 30, std::numeric_limits<int>::max()}) {
    const mgdl::Executor executor = threads;
    CHECK(executor.requested() == threads);
    CHECK(executor.pool().size() == most);
    CHECK(mgdl::test::error_of([&] { mgdl::detail::require_threads("threads", executor); }) ==
          "threads: expected at most " + std::to_string(most) +
              ", 16 for each thread of the machine, found " + std::to_string(threads));
  }
}

TEST_CASE("an executor is made of a number, and its copies share its threads", "[core/executor]") {
  const mgdl::Executor executor = 3;
  CHECK(executor.requested() == 3);
  CHECK(executor.pool().size() == 3);
  const mgdl::Executor copy = executor;
  CHECK(&copy.pool() == &executor.pool());
  CHECK(&mgdl::Executor(3).pool() != &executor.pool());
  mgdl::Executor assigned;
  assigned = copy;
  CHECK(&assigned.pool() == &executor.pool());
  CHECK(mgdl::Executor().requested() == 0);
  CHECK(mgdl::Executor().pool().size() == mgdl::detail::thread_count(0));
}

TEST_CASE("threads outlive the executor they were made by", "[core/executor]") {
  std::optional<mgdl::Executor> first(2);
  CHECK(runs_once(first->pool(), 40));
  const mgdl::Executor second = *first;
  first.reset();
  CHECK(runs_once(second.pool(), 40));
}

TEST_CASE("a task may use the executor that it runs on", "[core/executor]") {
  const mgdl::Executor executor = 3;
  std::vector<Index> sums(7, 0);
  for (int job = 0; job < 200; ++job) {
    executor.pool().parallel_for(7, [&](Index i, int) {
      const mgdl::Executor same = executor;
      std::vector<Index> parts(5, 0);
      same.pool().parallel_for(
          5, [&](Index j, int) { parts[static_cast<std::size_t>(j)] = 10 * i + j; });
      for (const Index part : parts) sums[static_cast<std::size_t>(i)] += part;
    });
  }
  for (Index i = 0; i < 7; ++i) CHECK(sums[static_cast<std::size_t>(i)] == 200 * (50 * i + 10));
}

TEST_CASE("several callers may use one executor at a time", "[core/executor]") {
  const mgdl::Executor executor = 2;
  std::vector<int> right(4, 0);
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < right.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int job = 0; job < 300; ++job) right[caller] += runs_once(executor.pool(), 9) ? 1 : 0;
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(right == std::vector<int>(4, 300));
}
