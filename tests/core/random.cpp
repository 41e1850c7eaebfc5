#include "mgdl/core/random.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "support/catch.hpp"

using mgdl::RandomStream;

// Golden values were computed by an independent implementation in exact integer and rational
// arithmetic. They are the same on every platform: a changed one changes every seed's meaning.

namespace {

constexpr std::uint64_t golden_seed = 0x0123456789ABCDEF;
constexpr std::uint64_t golden_stream = 0xFEDCBA9876543210;

/// Five standard errors of the mean of `samples` values with the given variance.
double five_sigma(double variance, int samples) { return 5 * std::sqrt(variance / samples); }

}  // namespace

TEST_CASE("the bits are those of Philox4x32-10", "[core/random]") {
  // The first known answer of its authors' test vectors (Random123, kat_vectors).
  RandomStream zero(0);
  for (const std::uint32_t bits : {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}) {
    CHECK(zero.next_bits() == bits);
  }
  // Counter 0 and 1 of other keys, every half of seed and stream being distinct.
  RandomStream mixed(golden_seed, golden_stream);
  for (const std::uint32_t bits :
       {0xaef2adf7u, 0xf69b5950u, 0x3ceb44f4u, 0x89b6573au, 0xec2ab39fu, 0x4671fd85u}) {
    CHECK(mixed.next_bits() == bits);
  }
  RandomStream ones(~std::uint64_t{0}, ~std::uint64_t{0});
  for (const std::uint32_t bits :
       {0x3d3be307u, 0x716983d6u, 0x70094bedu, 0x36c3cf91u, 0x933684c8u}) {
    CHECK(ones.next_bits() == bits);
  }
  // Counter 70,000: more than 16 bits.
  RandomStream far(golden_seed, golden_stream);
  for (int i = 0; i < 4 * 70000; ++i) far.next_bits();
  for (const std::uint32_t bits : {0x45581744u, 0xc7d7b3b0u, 0x709f3e79u, 0xed9753b7u}) {
    CHECK(far.next_bits() == bits);
  }
}

TEST_CASE("distributions have the same bits everywhere", "[core/random]") {
  RandomStream uniform(golden_seed, golden_stream);
  for (const double value :
       {0x1.5de55bfda6d65p-1, 0x1.e75a2789b6570p-3, 0x1.d85567119c7f6p-1, 0x1.d37b2ba5bbf62p-2}) {
    CHECK(uniform.uniform() == value);
  }
  RandomStream range(golden_seed, golden_stream);
  for (const double value : {0x1.3bcab7fb4dacap+1, -0x1.18a5d87649a90p+0, 0x1.185567119c7f6p+2}) {
    CHECK(range.uniform(-3, 5) == value);
  }
  RandomStream normal(golden_seed, golden_stream);
  for (const double value :
       {0x1.e8a760870e8adp-2, -0x1.6cfc86520d95dp-1, 0x1.6c1a1e40ed80ap+0, -0x1.bf419561bd93bp-4,
        0x1.0170856c32972p+0, -0x1.e038607c6dc80p-2, 0x1.92b351a24bbb2p-3, -0x1.3f0483d5a5e8ep+0}) {
    CHECK(normal.normal() == value);
  }
  RandomStream below(golden_seed, 5);
  const std::vector<std::array<std::uint64_t, 2>> bounds = {
      {1, 0},
      {2, 1},
      {7, 6},
      {1000, 9},
      {1000000000000, 497350735952},
      {(std::uint64_t{1} << 63) + 1, 8555162710043903892},
      {~std::uint64_t{0}, 17427816921834415091u}};
  for (const auto& [bound, value] : bounds) CHECK(below.below(bound) == value);

  std::vector<int> order{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  RandomStream(golden_seed, 6).shuffle(order);
  CHECK(order == std::vector<int>{8, 7, 0, 2, 6, 10, 1, 9, 5, 4, 3, 11});
}

TEST_CASE("normal quantiles", "[core/random]") {
  // One of each of the three ranges of the approximation, as exact doubles.
  CHECK(RandomStream::normal_quantile(0.3) == -0x1.0c7e39582c5fbp-1);
  CHECK(RandomStream::normal_quantile(0.975) == 0x1.f5c0331eeff81p+0);
  CHECK(RandomStream::normal_quantile(1e-10) == -0x1.97203597a2155p+2);
  CHECK(RandomStream::normal_quantile(1e-300) == -0x1.286074064c26ep+5);

  const auto close = [](double found, double expected) {
    return std::abs(found - expected) <= 2e-15 * std::abs(expected);
  };
  CHECK(close(RandomStream::normal_quantile(0.975), 1.959963984540054));
  CHECK(close(RandomStream::normal_quantile(1e-10), -6.361340902404056));
  CHECK(RandomStream::normal_quantile(0.5) == 0);

  // Against the distribution function of the standard library.
  double worst = 0;
  for (double p = 1e-300; p < 0.5; p *= 1.5) {
    const double x = RandomStream::normal_quantile(p);
    // A relative change of x changes p by about x^2 times as much.
    worst = std::max(worst,
                     std::abs(0.5 * std::erfc(-x / std::sqrt(2.0)) / p - 1) / std::max(1.0, x * x));
  }
  CHECK(worst < 1e-15);
  for (int i = 1; i < 512; ++i) {  // dyadic, so that 1 - p is exact
    const double p = i / 1024.0;
    CHECK(RandomStream::normal_quantile(p) == -RandomStream::normal_quantile(1 - p));
  }
}

TEST_CASE("moments of the distributions", "[core/random]") {
  constexpr int n = 200000;
  RandomStream random(mgdl::test::seed(), 1);
  std::array<double, 5> sums{};  // of powers of normal values
  double uniform = 0;
  double uniform_square = 0;
  bool inside = true;
  for (int i = 0; i < n; ++i) {
    const double z = random.normal();
    double power = 1;
    for (double& sum : sums) sum += (power *= z);
    const double u = random.uniform();
    inside = inside && u >= 0 && u < 1;
    uniform += u;
    uniform_square += u * u;
  }
  // The moments of order 1 to 5 are 0, 1, 0, 3, 0; the variance of z^k is that of order 2k less
  // its square.
  CHECK(std::abs(sums[0] / n) < five_sigma(1, n));
  CHECK(std::abs(sums[1] / n - 1) < five_sigma(2, n));
  CHECK(std::abs(sums[2] / n) < five_sigma(15, n));
  CHECK(std::abs(sums[3] / n - 3) < five_sigma(96, n));
  CHECK(std::abs(sums[4] / n) < five_sigma(945, n));
  CHECK(inside);
  CHECK(std::abs(uniform / n - 0.5) < five_sigma(1.0 / 12, n));
  CHECK(std::abs(uniform_square / n - 1.0 / 3) < five_sigma(4.0 / 45, n));
}

TEST_CASE("streams and seeds are independent", "[core/random]") {
  constexpr int n = 50000;
  const std::uint64_t seed = mgdl::test::seed();
  const std::uint64_t high = std::uint64_t{1} << 32;
  RandomStream first(seed, 3);
  std::vector<double> values(n);
  for (double& value : values) value = first.normal();
  // Neighbours in each half of stream and seed.
  for (RandomStream other : {RandomStream(seed, 4), RandomStream(seed, 3 + high),
                             RandomStream(seed + 1, 3), RandomStream(seed + high, 3)}) {
    double correlation = 0;
    int equal = 0;
    for (const double value : values) {
      const double z = other.normal();
      correlation += value * z / n;
      equal += value == z ? 1 : 0;
    }
    CHECK(std::abs(correlation) < five_sigma(1, n));
    CHECK(equal == 0);
  }
  RandomStream again(seed, 3);
  CHECK(std::all_of(values.begin(), values.end(), [&](double v) { return v == again.normal(); }));
}

TEST_CASE("below has no bias", "[core/random]") {
  constexpr int n = 60000;
  RandomStream random(mgdl::test::seed(), 2);
  std::array<int, 6> counts{};
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(random.below(6))];
  for (const int count : counts) {
    CHECK(std::abs(count / double{n} - 1.0 / 6) < five_sigma(5.0 / 36, n));
  }
  // With a bound of three quarters of the range, a mere remainder would fall in the first third
  // half of the time.
  const std::uint64_t quarter = std::uint64_t{1} << 62;
  int low = 0;
  bool inside = true;
  for (int i = 0; i < n; ++i) {
    const std::uint64_t value = random.below(3 * quarter);
    inside = inside && value < 3 * quarter;
    low += value < quarter ? 1 : 0;
  }
  CHECK(inside);
  CHECK(std::abs(low / double{n} - 1.0 / 3) < five_sigma(2.0 / 9, n));
}

TEST_CASE("a shuffle is a random permutation", "[core/random]") {
  RandomStream random(mgdl::test::seed(), 3);
  std::vector<int> many(1000);
  for (int i = 0; i < 1000; ++i) many[static_cast<std::size_t>(i)] = i;
  const std::vector<int> sorted = many;
  random.shuffle(many);
  CHECK(many != sorted);
  CHECK(std::is_permutation(many.begin(), many.end(), sorted.begin()));

  constexpr int n = 60000;
  std::map<std::vector<int>, int> counts;
  for (int i = 0; i < n; ++i) {
    std::vector<int> three{0, 1, 2};
    random.shuffle(three);
    ++counts[three];
  }
  CHECK(counts.size() == 6);
  for (const auto& entry : counts) {
    CHECK(std::abs(entry.second / double{n} - 1.0 / 6) < five_sigma(5.0 / 36, n));
  }

  Eigen::VectorXi vector = Eigen::VectorXi::LinSpaced(12, 0, 11);  // any container with []
  RandomStream(golden_seed, 6).shuffle(vector);
  CHECK(vector.head(4) == Eigen::Vector4i(8, 7, 0, 2));
  std::vector<int> none;
  std::vector<int> one{7};
  random.shuffle(none);
  random.shuffle(one);
  CHECK((none.empty() && one == std::vector<int>{7}));
}
