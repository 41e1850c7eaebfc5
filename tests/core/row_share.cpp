// Sums over blocks that several ranks have: the bits of one.

#include "mgdl/core/row_share.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "mgdl/core/random.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using mgdl::Communicator;
using mgdl::Index;
using mgdl::RandomStream;
using mgdl::detail::kBlockRows;
using mgdl::detail::RowShare;
using mgdl::test::ThreadRanks;

namespace {

/// What a block adds, of any size.
double term(Index first) { return RandomStream(7, static_cast<std::uint64_t>(first)).normal(); }

}  // namespace

TEST_CASE("every row has one owner, and no rank has much more than its part", "[core/row_share]") {
  for (const Index blocks : {1, 2, 3, 7, 16, 100, 1000}) {
    for (const int size : {1, 2, 3, 5, 8, 64}) {
      CAPTURE(blocks, size);
      const Index n = blocks * kBlockRows - 5;
      ThreadRanks::run(size, [&](Communicator& ranks) {
        const RowShare share(n, &ranks);
        std::vector<Index> firsts{share.first()}, counts{share.count()};
        firsts = mgdl::detail::gather_all(ranks, firsts);
        counts = mgdl::detail::gather_all(ranks, counts);
        bool fine = share.rows() == n;
        Index row = 0;
        for (std::size_t r = 0; r < firsts.size(); ++r) {
          fine = fine && (counts[r] == 0 || firsts[r] == row);
          for (Index i = row; i < row + counts[r]; i += kBlockRows) {
            fine = fine && share.owner(i) == static_cast<int>(r);
            fine = fine && share.has(i) == (static_cast<int>(r) == ranks.rank());
          }
          row += counts[r];
          fine = fine && counts[r] <= (17 * blocks / (16 * size) + 1) * kBlockRows;
        }
        if (!fine || row != n) throw std::logic_error("not every row has one owner");
      });
    }
  }
}

TEST_CASE("the bits of a sum do not depend on the number of ranks", "[core/row_share]") {
  for (const Index blocks : {0, 1, 2, 3, 5, 11, 16, 31, 100, 257}) {
    const Index n = blocks * kBlockRows - (blocks > 0 ? 3 : 0);
    const double expected = RowShare(n).sum(0.0, [](Index first, Index) { return term(first); });
    for (const int size : {1, 2, 3, 4, 7, 12}) {
      CAPTURE(blocks, size);
      ThreadRanks::run(size, [&](Communicator& ranks) {
        const RowShare share(n, &ranks);
        const double sum = share.sum(0.0, [](Index first, Index) { return term(first); });
        using Vector = mgdl::RowVector<double>;
        const Vector sums = share.sum(Vector(Vector::Zero(3)), [](Index first, Index) {
          return Vector(Vector::Constant(3, term(first)));
        });
        if (sum != expected || sums != Vector::Constant(3, expected)) {
          throw std::logic_error("another sum");
        }
      });
    }
  }
}

TEST_CASE("what is gathered lies in the order of the ranks", "[core/communicator]") {
  ThreadRanks::run(3, [](Communicator& ranks) {
    // Rank 1 has nothing.
    std::vector<int> own;
    for (int i = 0; ranks.rank() != 1 && i <= ranks.rank(); ++i)
      own.push_back(10 * ranks.rank() + i);
    const bool fine = mgdl::detail::gather_all(ranks, own) == std::vector<int>{0, 20, 21, 22} &&
                      mgdl::detail::largest_of(&ranks, -ranks.rank()) == 0;
    const auto before = ranks.bytes_sent();
    const auto mine = static_cast<std::byte>(ranks.rank());
    std::vector<std::byte> in;
    std::vector<std::size_t> counts;
    ranks.exchange(std::vector<std::byte>(3, mine), {1, 2, 0}, in, counts);
    const std::size_t sent = ranks.rank() == 0 ? 2 : ranks.rank() == 1 ? 1 : 3;
    const std::size_t each = ranks.rank() == 0 ? 1 : ranks.rank() == 1 ? 2 : 0;
    std::vector<std::byte> expected;
    for (int r = 0; r < 3; ++r) expected.insert(expected.end(), each, static_cast<std::byte>(r));
    if (!fine || ranks.bytes_sent() - before != sent || in != expected ||
        counts != std::vector<std::size_t>(3, each)) {
      throw std::logic_error("another order");
    }
  });
}

TEST_CASE("a rank that fails ends the others", "[core/communicator]") {
  CHECK_THROWS_WITH(ThreadRanks::run(3,
                                     [](Communicator& ranks) {
                                       if (ranks.rank() == 1) throw std::logic_error("failed");
                                       mgdl::detail::largest_of(&ranks, 1);
                                     }),
                    "failed");
}
