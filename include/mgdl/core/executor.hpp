#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

/// \file
/// The one place that knows about threads.
///
/// Work is always cut into tasks whose borders do not depend on the number of threads, and every
/// number is computed by one task in a fixed order; which thread runs a task therefore never
/// changes a bit of any result.

namespace mgdl::detail {

/// Threads of the machine.
inline int available_threads() noexcept {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// Threads to ask for at most: for each of the machine's so many. Every one takes memory, and what
/// is beyond the machine's own only stands in the way.
inline constexpr int kThreadsForEach = 16;

/// Threads to use for a request: all of the machine's for 0.
inline int thread_count(int requested) noexcept {
  return requested > 0 ? std::min(requested, kThreadsForEach * available_threads())
                       : available_threads();
}

/// Threads that share the tasks of one caller, who works along.
///
/// Made for jobs of some ten microseconds in quick succession: idle workers look for the next job
/// for a while before they sleep. The caller never waits for a worker to start, only for tasks that
/// a worker has begun; on a busy machine, where workers come late or not at all, the caller does
/// the tasks itself. (The barriers of OpenMP make a training step wait for a time slice of every
/// thread, which costs a factor of 30 as soon as another process wants the processors.)
///
/// Threads start with the first job that has more than one task. They serve one caller at a time:
/// whoever comes while they are busy, from another thread or from within a task, does its tasks
/// alone.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : m_threads(std::max(1, threads)) {}

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  ~ThreadPool() {
    m_stop.store(true);
    m_generation.fetch_add(1);
    m_generation.notify_all();
    for (auto& worker : m_workers) worker.join();
  }

  /// Threads that may work, the caller among them.
  int size() const noexcept { return m_threads; }

  /// Runs task(i, thread) for i = 0..tasks-1, thread in [0, size()); returns when all are done.
  /// What a task throws is thrown here, of several tasks what came first; the others are done.
  void parallel_for(Index tasks, FunctionRef<void(Index, int)> task) {
    if (m_threads == 1 || tasks <= 1 || m_busy.exchange(true, std::memory_order_acquire)) {
      for (Index i = 0; i < tasks; ++i) task(i, 0);
      return;
    }
    start_workers();
    const std::uint32_t generation = m_generation.load(std::memory_order_relaxed) + 1;
    // A worker that is late for the last job must not mix that job's ticket with this job's task:
    // the ticket is closed before anything else changes.
    m_ticket.store(std::uint64_t{generation} << 32 | kClosed, std::memory_order_release);
    m_done.store(0, std::memory_order_release);
    m_tasks.store(tasks, std::memory_order_release);
    m_task.store(&task, std::memory_order_release);
    m_ticket.store(std::uint64_t{generation} << 32, std::memory_order_release);
    m_generation.store(generation);
    if (m_sleepers.load() > 0) m_generation.notify_all();
    work(0);
    for (int spin = 0; m_done.load(std::memory_order_acquire) < tasks; ++spin) pause(spin);
    const bool failed = m_failed.exchange(false);
    const std::exception_ptr error = failed ? std::exchange(m_error, nullptr) : nullptr;
    m_busy.store(false, std::memory_order_release);
    if (failed) std::rethrow_exception(error);
  }

 private:
  using Task = FunctionRef<void(Index, int)>;

  /// Low half of a ticket from which no task can be taken.
  static constexpr std::uint64_t kClosed = 0xFFFFFFFFu;

  /// Looks before it sleeps: about as long as the serial part between two training steps.
  static constexpr int kIdleSpins = 2000;

  void start_workers() {
    while (static_cast<int>(m_workers.size()) < m_threads - 1) {
      const int thread = static_cast<int>(m_workers.size()) + 1;
      try {
        m_workers.emplace_back([this, thread] { serve(thread); });
      } catch (const std::system_error&) {
        return;  // no thread to be had: those that are there do the work
      }
    }
  }

  static void pause(int spin) {
    if (spin < 64) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }

  void serve(int thread) {
    std::uint32_t seen = 0;
    while (true) {
      for (int spin = 0; spin < kIdleSpins; ++spin) {
        if (m_generation.load(std::memory_order_acquire) != seen) break;
        pause(spin);
      }
      if (m_generation.load() == seen) {
        m_sleepers.fetch_add(1);
        m_generation.wait(seen);
        m_sleepers.fetch_sub(1);
      }
      if (m_stop.load()) return;
      seen = m_generation.load(std::memory_order_acquire);
      work(thread);
    }
  }

  /// Takes tasks of the current job until none is left. The ticket holds the job's number and the
  /// next task, so a worker that comes late can never take a task of a job that it has not seen
  /// whole.
  void work(int thread) {
    std::uint64_t ticket = m_ticket.load(std::memory_order_acquire);
    while (true) {
      const Index tasks = m_tasks.load(std::memory_order_acquire);
      const Task* task = m_task.load(std::memory_order_acquire);
      const auto i = static_cast<Index>(ticket & kClosed);
      if (i >= tasks) return;
      if (!m_ticket.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                          std::memory_order_acquire)) {
        continue;
      }
      try {
        (*task)(i, thread);
      } catch (...) {
        if (!m_failed.exchange(true)) m_error = std::current_exception();
      }
      m_done.fetch_add(1, std::memory_order_acq_rel);
      ticket = m_ticket.load(std::memory_order_acquire);
    }
  }

  const int m_threads;
  std::vector<std::thread> m_workers;
  std::atomic<bool> m_busy{false};
  std::atomic<bool> m_stop{false};
  std::atomic<std::uint32_t> m_generation{0};  // number of the current job
  std::atomic<int> m_sleepers{0};
  std::atomic<std::uint64_t> m_ticket{0};  // job number << 32 | next task
  std::atomic<Index> m_tasks{0};
  std::atomic<const Task*> m_task{nullptr};
  std::atomic<Index> m_done{0};
  std::atomic<bool> m_failed{false};  // a task of the current job
  std::exception_ptr m_error;         // what it has thrown
};

}  // namespace mgdl::detail

namespace mgdl {

/// Threads to work with: a number of them, or those of somebody else. Copies share their threads,
/// so that what runs inside of something else does not start its own; they start with the first
/// work that can be shared. Never changes a bit of any result. May be used by several callers at
/// once: the threads then serve one of them, and the others work alone.
class Executor {
 public:
  /// \param threads  at most so many, the caller's among them; 0: all available. Values below 0,
  ///                 and above 16 for each thread of the machine, are refused by whatever the
  ///                 executor is given to.
  Executor(
      int threads = 0)  // NOLINT(google-explicit-constructor): `.threads = 2` is how it is used
      : m_requested(threads),
        m_pool(std::make_shared<detail::ThreadPool>(detail::thread_count(threads))) {}

  /// Share the threads. There is no moving: whoever was moved from can still be used.
  /// \{
  Executor(const Executor&) = default;
  Executor& operator=(const Executor&) = default;
  /// \}

  /// The number it was made with.
  int requested() const noexcept { return m_requested; }

  /// The threads themselves.
  detail::ThreadPool& pool() const noexcept { return *m_pool; }

 private:
  int m_requested;
  std::shared_ptr<detail::ThreadPool> m_pool;
};

namespace detail {

/// Throws InvalidArgument naming the field unless the number of threads is one.
inline void require_threads(const char* field, const Executor& executor) {
  require_option(executor.requested() >= 0, field, "a value >= 0 (0: all available)",
                 executor.requested());
  const int most = kThreadsForEach * available_threads();
  if (executor.requested() <= most) return;
  throw InvalidArgument(field,
                        "at most " + std::to_string(most) + ", " + std::to_string(kThreadsForEach) +
                            " for each thread of the machine",
                        std::to_string(executor.requested()));
}

}  // namespace detail
}  // namespace mgdl
