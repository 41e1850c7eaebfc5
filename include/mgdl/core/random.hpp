#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// Deterministic stream of random numbers: the counter-based generator Philox4x32-10.
///
/// A pair (seed, stream) fixes every value on every platform, compiler and thread count: the
/// integers come from exact 32-bit arithmetic, and the real-valued distributions use only
/// operations that IEEE 754 rounds exactly (+, *, /, sqrt, fma), never the platform's log or cos.
/// Different streams of one seed are independent, so parallel or repeated work draws from streams
/// of its own instead of sharing one.
///
/// Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
class RandomStream {
 public:
  /// \param seed    what a user chooses
  /// \param stream  what the seed is used for; any number
  explicit RandomStream(std::uint64_t seed, std::uint64_t stream = 0) noexcept
      : m_key{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        m_stream{static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)} {}

  /// 32 uniformly distributed bits.
  std::uint32_t next_bits() noexcept {
    if (m_used == 4) refill();
    return m_block[m_used++];
  }

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform() noexcept {
    const std::uint64_t high = next_bits() >> 5;
    const std::uint64_t low = next_bits() >> 6;
    return static_cast<double>((high << 26) | low) * 0x1p-53;
  }

  /// Uniform between low and high; high itself only by rounding.
  double uniform(double low, double high) noexcept { return std::fma(high - low, uniform(), low); }

  /// Uniform integer in [0, bound), without bias. Requires bound >= 1.
  std::uint64_t below(std::uint64_t bound) noexcept {
    const std::uint64_t limit = bound * ((~std::uint64_t{0}) / bound);
    while (true) {
      const std::uint64_t high = next_bits();
      const std::uint64_t value = (high << 32) | next_bits();
      if (value < limit) return value % bound;
    }
  }

  /// Standard normal: the inverse distribution function at a uniform number, relative accuracy
  /// about 1e-15. Source: Wichura, "Algorithm AS 241" (Applied Statistics 37, 1988), routine
  /// PPND16.
  double normal() noexcept {
    // Centre the 53-bit grid so that 0 cannot occur, and mirror its upper half, where the centres
    // would not be representable and the last of them would round to 1.
    const double u = uniform();
    return u < 0.5 ? normal_quantile(u + 0x1p-54) : -normal_quantile((1 - u) - 0x1p-54);
  }

  /// Random permutation of the elements, each with equal probability (Fisher-Yates).
  template <class Container>
  void shuffle(Container& values) noexcept {
    using std::swap;
    for (auto i = static_cast<std::uint64_t>(values.size()); i > 1; --i) {
      const auto a = static_cast<Index>(i - 1);
      const auto b = static_cast<Index>(below(i));
      if (a != b) swap(element(values, a), element(values, b));
    }
  }

  /// Quantile function of the standard normal distribution, 0 < probability < 1.
  [[gnu::noinline]] static double normal_quantile(double probability) noexcept {
    const double q = probability - 0.5;
    if (std::abs(q) <= 0.425) {
      const double r = std::fma(-q, q, 0.180625);
      return q * ratio(r, kCentralNumerator, kCentralDenominator);
    }
    const double tail = q < 0 ? probability : 1 - probability;
    const double r = std::sqrt(-natural_log(tail));
    const double value = r <= 5 ? ratio(r - 1.6, kMiddleNumerator, kMiddleDenominator)
                                : ratio(r - 5, kFarNumerator, kFarDenominator);
    return q < 0 ? -value : value;
  }

 private:
  using Coefficients = std::array<double, 8>;

  template <class Container>
  static auto& element(Container& values, Index i) noexcept {
    return values[static_cast<decltype(values.size())>(i)];
  }

  [[gnu::noinline]] void refill() noexcept {
    std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(m_counter),
                                   static_cast<std::uint32_t>(m_counter >> 32), m_stream[0],
                                   m_stream[1]};
    std::uint32_t k0 = m_key[0];
    std::uint32_t k1 = m_key[1];
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    m_block = c;
    m_used = 0;
    ++m_counter;
  }

  // Every multiplication that feeds an addition is an explicit fma, so that no compiler can choose
  // to contract it or not.
  static double polynomial(double x, const Coefficients& c) noexcept {
    double value = c[7];
    for (std::size_t i = 7; i-- > 0;) value = std::fma(value, x, c[i]);
    return value;
  }

  static double ratio(double x, const Coefficients& numerator,
                      const Coefficients& denominator) noexcept {
    return polynomial(x, numerator) / polynomial(x, denominator);
  }

  /// ln x for positive normal x: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
  /// ln m = 2 artanh s, s = (m - 1) / (m + 1), by its odd series (|s| < 0.172).
  static double natural_log(double x) noexcept {
    int exponent = 0;
    double m = std::frexp(x, &exponent);
    if (m < 0.70710678118654752440) {
      m *= 2;
      --exponent;
    }
    const double s = (m - 1) / (m + 1);
    const double s2 = s * s;
    double series = 1.0 / 21;
    for (int k = 19; k >= 1; k -= 2) series = std::fma(series, s2, 1.0 / k);
    return std::fma(static_cast<double>(exponent), 0.69314718055994530942, 2 * s * series);
  }

  static constexpr Coefficients kCentralNumerator{3.3871328727963666080e0, 1.3314166789178437745e2,
                                                  1.9715909503065514427e3, 1.3731693765509461125e4,
                                                  4.5921953931549871457e4, 6.7265770927008700853e4,
                                                  3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr Coefficients kCentralDenominator{1.0,
                                                    4.2313330701600911252e1,
                                                    6.8718700749205790830e2,
                                                    5.3941960214247511077e3,
                                                    2.1213794301586595867e4,
                                                    3.9307895800092710610e4,
                                                    2.8729085735721942674e4,
                                                    5.2264952788528545610e3};
  static constexpr Coefficients kMiddleNumerator{
      1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
      3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
      2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr Coefficients kMiddleDenominator{1.0,
                                                   2.05319162663775882187e0,
                                                   1.67638483018380384940e0,
                                                   6.89767334985100004550e-1,
                                                   1.48103976427480074590e-1,
                                                   1.51986665636164571966e-2,
                                                   5.47593808499534494600e-4,
                                                   1.05075007164441684324e-9};
  static constexpr Coefficients kFarNumerator{6.65790464350110377720e0,  5.46378491116411436990e0,
                                              1.78482653991729133580e0,  2.96560571828504891230e-1,
                                              2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                              2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr Coefficients kFarDenominator{1.0,
                                                5.99832206555887937690e-1,
                                                1.36929880922735805310e-1,
                                                1.48753612908506148525e-2,
                                                7.86869131145613259100e-4,
                                                1.84631831751005468180e-5,
                                                1.42151175831644588870e-7,
                                                2.04426310338993978564e-15};

  std::array<std::uint32_t, 2> m_key;
  std::array<std::uint32_t, 2> m_stream;
  std::uint64_t m_counter = 0;
  std::array<std::uint32_t, 4> m_block{};
  std::size_t m_used = 4;
};

}  // namespace mgdl

namespace mgdl::detail {

/// Draws numbers 0, 1, ... without replacement, each time with probabilities in proportion to the
/// weights of those that are left. Items of weight 0 come last, each with the same probability.
///
/// A binary tree of sums: a draw walks down and takes O(log size), and sums are added up again
/// rather than subtracted from, so that they are zero when nothing is left.
class WeightedDraw {
 public:
  /// \param weights  finite, >= 0, with a finite sum
  explicit WeightedDraw(const std::vector<double>& weights)
      : m_left(weights.size()), m_leaves(std::bit_ceil(weights.size())), m_drawn(weights.size()) {
    fill(weights);
  }

  /// Items that can still be drawn.
  Index left() const noexcept { return static_cast<Index>(m_left); }

  /// Requires left() > 0.
  Index draw(RandomStream& random) {
    if (!(m_sums[1] > 0)) {
      std::vector<double> equal(m_drawn.size());
      for (std::size_t i = 0; i < equal.size(); ++i) equal[i] = m_drawn[i] ? 0 : 1;
      fill(equal);
    }
    double rest = random.uniform() * m_sums[1];
    std::size_t node = 1;
    while (node < m_leaves) {
      node *= 2;
      // By rounding, `rest` can reach the sum of both sides: never go where nothing is.
      if (rest >= m_sums[node] && m_sums[node + 1] > 0) rest -= m_sums[node++];
    }
    const std::size_t item = node - m_leaves;
    m_drawn[item] = 1;
    --m_left;
    m_sums[node] = 0;
    while ((node /= 2) > 0) m_sums[node] = m_sums[2 * node] + m_sums[2 * node + 1];
    return static_cast<Index>(item);
  }

 private:
  void fill(const std::vector<double>& weights) {
    m_sums.assign(2 * m_leaves, 0);
    for (std::size_t i = 0; i < weights.size(); ++i) m_sums[m_leaves + i] = weights[i];
    for (std::size_t i = m_leaves; i-- > 1;) m_sums[i] = m_sums[2 * i] + m_sums[2 * i + 1];
  }

  std::size_t m_left;
  std::size_t m_leaves;
  std::vector<char> m_drawn;
  std::vector<double> m_sums;  // node i has children 2 i and 2 i + 1
};

}  // namespace mgdl::detail
