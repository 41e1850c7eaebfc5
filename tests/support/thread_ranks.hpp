#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "mgdl/core/communicator.hpp"

namespace mgdl::test {

/// Threads that play ranks. Checks that all call the same functions in the same order: every
/// message says which call it belongs to.
class ThreadRanks {
 public:
  /// Calls work(communicator) once for each rank. If one of them throws, the others are ended, and
  /// what it has thrown is thrown here.
  template <class Work>
  static void run(int size, const Work& work) {
    ThreadRanks ranks;
    std::vector<std::thread> threads;
    std::exception_ptr error;
    for (int r = 0; r < size; ++r) {
      threads.emplace_back([&, r] {
        try {
          Rank rank(ranks, r, size);
          work(rank);
        } catch (const Ended&) {
        } catch (...) {
          const std::lock_guard lock(ranks.m_mutex);
          if (!error) error = std::current_exception();
          ranks.m_ended = true;
          ranks.m_changed.notify_all();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
    for (const auto& [pair, messages] : ranks.m_messages) {
      if (!messages.empty()) throw std::logic_error("a message that nobody has received");
    }
  }

 private:
  struct Ended {};

  struct Message {
    char kind;
    std::vector<std::byte> bytes;
  };

  class Rank : public Communicator {
   public:
    Rank(ThreadRanks& ranks, int rank, int size) : m_ranks(ranks), m_rank(rank), m_size(size) {}

    int rank() const noexcept override { return m_rank; }
    int size() const noexcept override { return m_size; }

   private:
    void do_send(int to, std::span<const std::byte> bytes) override { put('s', to, bytes); }

    void do_receive(int from, std::span<std::byte> bytes) override { take('s', from, bytes); }

    void do_broadcast(int from, std::span<std::byte> bytes) override {
      if (from != m_rank) return take('b', from, bytes);
      for (int r = 0; r < m_size; ++r) {
        if (r != m_rank) put('b', r, bytes);
      }
    }

    void do_gather(std::span<std::byte> bytes, const std::vector<std::size_t>& counts) override {
      std::vector<std::span<std::byte>> parts;
      std::size_t first = 0;
      for (const std::size_t count : counts) {
        parts.push_back(bytes.subspan(first, count));
        first += count;
      }
      if (first != bytes.size()) throw std::logic_error("gather of another size");
      for (int r = 0; r < m_size; ++r) {
        if (r != m_rank) put('g', r, parts[static_cast<std::size_t>(m_rank)]);
      }
      for (int r = 0; r < m_size; ++r) {
        if (r != m_rank) take('g', r, parts[static_cast<std::size_t>(r)]);
      }
    }

    void do_exchange(std::span<const std::byte> bytes, const std::vector<std::size_t>& counts,
                     std::vector<std::byte>& in, std::vector<std::size_t>& in_counts) override {
      std::size_t first = 0;
      for (int r = 0; r < m_size; ++r) {
        const std::size_t count = counts[static_cast<std::size_t>(r)];
        put('e', r, bytes.subspan(first, count));
        first += count;
      }
      in.clear();
      in_counts.clear();
      for (int r = 0; r < m_size; ++r) {
        const auto part = next('e', r);
        in.insert(in.end(), part.begin(), part.end());
        in_counts.push_back(part.size());
      }
    }

    void put(char kind, int to, std::span<const std::byte> bytes) {
      const std::lock_guard lock(m_ranks.m_mutex);
      m_ranks.m_messages[{m_rank, to}].push_back({kind, {bytes.begin(), bytes.end()}});
      m_ranks.m_changed.notify_all();
    }

    std::vector<std::byte> next(char kind, int from) {
      std::unique_lock lock(m_ranks.m_mutex);
      auto& messages = m_ranks.m_messages[{from, m_rank}];
      m_ranks.m_changed.wait(lock, [&] { return m_ranks.m_ended || !messages.empty(); });
      if (messages.empty()) throw Ended{};
      Message message = std::move(messages.front());
      messages.pop_front();
      if (message.kind != kind) throw std::logic_error("ranks that do not call the same functions");
      return std::move(message.bytes);
    }

    void take(char kind, int from, std::span<std::byte> bytes) {
      const auto found = next(kind, from);
      if (found.size() != bytes.size()) throw std::logic_error("a message of another size");
      std::copy(found.begin(), found.end(), bytes.begin());
    }

    ThreadRanks& m_ranks;
    int m_rank;
    int m_size;
  };

  std::mutex m_mutex;
  std::condition_variable m_changed;
  bool m_ended = false;
  std::map<std::pair<int, int>, std::deque<Message>> m_messages;
};

}  // namespace mgdl::test
