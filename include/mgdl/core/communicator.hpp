#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// What processes, called ranks, need to work on one problem: each runs the same program with the
/// same arguments and has a part of the samples. MpiCommunicator is one; deriving from this class
/// brings the library to another transport.
///
/// All ranks call the same functions in the same order, from one thread each. What a function
/// throws, or a rank that ends, must end the others, too: they wait for it.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// Number of this process, from 0.
  virtual int rank() const noexcept = 0;
  /// Number of processes, >= 1.
  virtual int size() const noexcept = 0;

  /// Sends bytes to another rank, which receives as many.
  void send(int to, std::span<const std::byte> bytes) {
    m_sent += bytes.size();
    do_send(to, bytes);
  }

  /// Waits for bytes of another rank.
  void receive(int from, std::span<std::byte> bytes) { do_receive(from, bytes); }

  /// Gives all ranks the bytes of one of them.
  void broadcast(int from, std::span<std::byte> bytes) {
    if (rank() == from) m_sent += bytes.size();
    do_broadcast(from, bytes);
  }

  /// Gives all ranks the bytes of each: counts[r] of rank r, one rank behind the other. A rank's
  /// own ones are in their place.
  void gather(std::span<std::byte> bytes, const std::vector<std::size_t>& counts) {
    m_sent += counts[static_cast<std::size_t>(rank())];
    do_gather(bytes, counts);
  }

  /// Sends each rank its part of the bytes, counts[r] for rank r, one behind the other, and waits
  /// for what the others send: in `in`, and how much of it is whose in `in_counts`.
  void exchange(std::span<const std::byte> bytes, const std::vector<std::size_t>& counts,
                std::vector<std::byte>& in, std::vector<std::size_t>& in_counts) {
    m_sent += bytes.size() - counts[static_cast<std::size_t>(rank())];
    do_exchange(bytes, counts, in, in_counts);
  }

  /// Bytes that this rank has given out so far. One that goes to all counts once.
  std::uint64_t bytes_sent() const noexcept { return m_sent; }

 private:
  virtual void do_send(int to, std::span<const std::byte> bytes) = 0;
  virtual void do_receive(int from, std::span<std::byte> bytes) = 0;
  virtual void do_broadcast(int from, std::span<std::byte> bytes) = 0;
  virtual void do_gather(std::span<std::byte> bytes, const std::vector<std::size_t>& counts) = 0;
  virtual void do_exchange(std::span<const std::byte> bytes, const std::vector<std::size_t>& counts,
                           std::vector<std::byte>& in, std::vector<std::size_t>& in_counts) = 0;

  std::uint64_t m_sent = 0;
};

namespace detail {

/// Where numbers lie in memory.
/// \{
template <class Number>
requires std::is_arithmetic_v<Number> std::span<std::byte> bytes_of(Number& number) {
  return std::as_writable_bytes(std::span(&number, 1));
}
template <class Numbers>
requires requires(Numbers& numbers) { numbers.data(); }
std::span<std::byte> bytes_of(Numbers& numbers) {
  return std::as_writable_bytes(
      std::span(numbers.data(), static_cast<std::size_t>(numbers.size())));
}
/// \}

/// What all ranks have, one rank behind the other.
template <class Number>
std::vector<Number> gather_all(Communicator& ranks, const std::vector<Number>& own) {
  std::vector<std::size_t> counts(static_cast<std::size_t>(ranks.size()), sizeof(std::size_t));
  std::vector<std::size_t> sizes(counts.size());
  const auto me = static_cast<std::size_t>(ranks.rank());
  sizes[me] = own.size();
  ranks.gather(bytes_of(sizes), counts);
  std::size_t total = 0, before = 0;
  for (std::size_t r = 0; r < sizes.size(); ++r) {
    if (r == me) before = total;
    total += sizes[r];
    counts[r] = sizes[r] * sizeof(Number);
  }
  std::vector<Number> all(total);
  std::copy(own.begin(), own.end(), all.begin() + static_cast<std::ptrdiff_t>(before));
  ranks.gather(bytes_of(all), counts);
  return all;
}

/// The largest that any rank has, element by element; null: one rank.
template <class Numbers>
void take_largest(Communicator* ranks, Numbers& numbers) {
  if (ranks == nullptr) return;
  const auto count = static_cast<std::size_t>(numbers.size());
  const auto size = static_cast<std::size_t>(ranks->size());
  std::vector<double> all(size * count);
  std::copy_n(numbers.data(), count, all.data() + static_cast<std::size_t>(ranks->rank()) * count);
  ranks->gather(bytes_of(all), std::vector<std::size_t>(size, count * sizeof(double)));
  for (std::size_t i = 0; i < all.size(); ++i) {
    double& number = numbers.data()[i % count];
    number = std::max(number, all[i]);
  }
}

/// The same of a single number.
inline double largest_of(Communicator* ranks, double number) {
  if (ranks == nullptr) return number;
  std::vector<double> numbers{number};
  take_largest(ranks, numbers);
  return numbers.front();
}

}  // namespace detail
}  // namespace mgdl
