#include "mgdl/core/pairwise_sum.hpp"

#include <utility>
#include <vector>

#include "support/catch.hpp"

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
