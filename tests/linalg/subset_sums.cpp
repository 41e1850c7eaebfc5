#include "mgdl/linalg/subset_sums.hpp"

#include <cstdint>
#include <vector>

#include "support/samples.hpp"

using mgdl::Index;
using mgdl::Matrix;
using mgdl::RandomStream;
using mgdl::RowMatrix;
using mgdl::Vector;
using mgdl::detail::SubsetSums;

TEMPLATE_TEST_CASE("sums of vectors that bits choose", "[linalg/subset_sums]", float, double) {
  constexpr double kTolerance = std::is_same_v<TestType, float> ? 1e-5 : 1e-14;
  RandomStream random(mgdl::test::seed());
  // Around the borders of registers, chunks of registers, fours of vectors and words.
  for (const Index length : {1, 7, 8, 9, 31, 33, 64, 130}) {
    for (const Index count : {1, 3, 4, 5, 63, 64}) {
      CAPTURE(length, count);
      SubsetSums<TestType> sums(length);
      REQUIRE(sums.stride() >= length);
      RowMatrix<TestType> vectors = RowMatrix<TestType>::Zero(count, sums.stride());
      vectors.leftCols(length) =
          mgdl::test::normal_matrix<RowMatrix<TestType>>(count, length, random);
      // Tables of other vectors were there before.
      sums.build(RowMatrix<TestType>::Constant(64, sums.stride(), TestType(99)).eval().data(), 64);
      sums.build(vectors.data(), count);
      std::vector<std::uint64_t> words{0, ~std::uint64_t{0}, 1, std::uint64_t{1} << 63};
      for (int k = 0; k < 6; ++k) {
        words.push_back((std::uint64_t{random.next_bits()} << 32) | random.next_bits());
      }
      const Index results = std::ssize(words);
      RowMatrix<TestType> found = RowMatrix<TestType>::Constant(results, sums.stride(), 2);
      sums.add(
          results, [&](Index k) { return words[static_cast<std::size_t>(k)]; }, found.data());
      for (Index k = 0; k < results; ++k) {
        Vector<double> expected = Vector<double>::Constant(length, 2);
        double size = 2;
        for (Index i = 0; i < count; ++i) {
          if ((words[static_cast<std::size_t>(k)] >> i & 1u) == 0) continue;
          expected += vectors.row(i).head(length).transpose().template cast<double>();
          size += vectors.row(i).template lpNorm<Eigen::Infinity>();
        }
        const Vector<double> difference =
            found.row(k).head(length).transpose().template cast<double>() - expected;
        CHECK(difference.cwiseAbs().maxCoeff() <= kTolerance * size);
      }
    }
  }
}
