#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/simd.hpp"

namespace mgdl::detail {

/// Signs of Gates::gate_value for many samples and gates, in bits.
///
/// Where one sample is a chain of dependent operations, many are not: a block of 64 samples is
/// transposed, and every step of the chain is taken for a few registers of samples at once. The
/// values are those of gate_value() to the last bit. Without fused multiply-adds in the instruction
/// set (-mfma, -march=native) they are calls of the mathematical library, 20 times slower.
class GateSigns {
 public:
  /// \param d     columns of the inputs
  /// \param bias  whether gates have a value more than that
  GateSigns(Index d, bool bias)
      : m_d(d), m_bias(bias), m_columns(static_cast<std::size_t>(d * kBlock)) {}

  /// Takes rows first, first + 1, ... of `inputs`, at most 64 and at least one.
  void load(const ConstRowMatrixRef<double>& inputs, Index first) noexcept {
    const Index count = std::min(kBlock, inputs.rows() - first);
    for (Index i = 0; i < count; ++i) {
      const double* input = inputs.data() + (first + i) * inputs.outerStride();
      for (Index k = 0; k < m_d; ++k) column(k)[i] = input[k];
    }
    m_used = ~std::uint64_t{0} >> (kBlock - count);
  }

  /// Bit i: whether gate_value() of row first + i and the gate is >= 0.
  std::uint64_t bits(const double* gate) noexcept {
    std::uint64_t word = 0;
    for (Index first = 0; first < kBlock; first += kRun) word |= run(gate, first) << first;
    return word & m_used;
  }

 private:
  static constexpr Index kBlock = 64;
  // As many sums as cover the latency of a multiply-add and fit into 16 registers.
  static constexpr Index kRun = 8 * kLanes<double>;
  static_assert(kBlock % kRun == 0);

  double* column(Index k) noexcept { return m_columns.data() + k * kBlock; }

  std::uint64_t run(const double* gate, Index first) noexcept {
    double value[kRun] = {};
    for (Index k = 0; k < m_d; ++k) {
      const double* x = column(k) + first;
      for (Index i = 0; i < kRun; ++i) value[i] = std::fma(x[i], gate[k], value[i]);
    }
    if (m_bias) {
      for (Index i = 0; i < kRun; ++i) value[i] += gate[m_d];
    }
    std::uint64_t word = 0;
    for (Index i = 0; i < kRun; ++i) word |= std::uint64_t{value[i] >= 0} << i;
    return word;
  }

  Index m_d;
  bool m_bias;
  std::vector<double> m_columns;  // of the loaded block, kBlock each
  std::uint64_t m_used = 0;       // bits of the rows that are there
};

/// Different bit patterns of one length, numbered in the order they came: a hash table with linear
/// probing.
class PatternSet {
 public:
  /// \param words  64-bit words of a pattern
  explicit PatternSet(Index words) : m_words(static_cast<std::size_t>(words)), m_slots(64, -1) {}

  /// Number of patterns.
  Index size() const noexcept { return m_size; }
  /// The words of pattern j.
  const std::uint64_t* pattern(Index j) const noexcept {
    return m_bits.data() + static_cast<std::size_t>(j) * m_words;
  }

  /// The number of the pattern `bits`, and whether it is new.
  std::pair<Index, bool> insert(const std::uint64_t* bits) {
    const std::size_t slot = find(bits);
    if (m_slots[slot] >= 0) return {m_slots[slot], false};
    m_slots[slot] = m_size;
    m_bits.insert(m_bits.end(), bits, bits + m_words);
    ++m_size;
    if (2 * static_cast<std::size_t>(m_size) > m_slots.size()) grow();
    return {m_size - 1, true};
  }

  /// The words of all patterns, one pattern after the other. Leaves the set unusable.
  std::vector<std::uint64_t> release() noexcept { return std::move(m_bits); }

 private:
  /// The slot that holds these bits, or else the free one where they belong.
  std::size_t find(const std::uint64_t* bits) const noexcept {
    const std::size_t mask = m_slots.size() - 1;
    // The upper bits: after a multiplication, they depend on all others.
    auto slot = static_cast<std::size_t>(hash(bits) >> (64 - std::bit_width(mask)));
    while (m_slots[slot] >= 0 && !std::equal(bits, bits + m_words, pattern(m_slots[slot]))) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  void grow() {
    m_slots.assign(2 * m_slots.size(), -1);
    for (Index j = 0; j < m_size; ++j) m_slots[find(pattern(j))] = j;
  }

  std::uint64_t hash(const std::uint64_t* bits) const noexcept {
    std::uint64_t value = 0x9E3779B97F4A7C15u;
    for (std::size_t w = 0; w < m_words; ++w) {
      value = (std::rotl(value, 23) ^ bits[w]) * 0xBF58476D1CE4E5B9u;
      value ^= value >> 29;
    }
    return value;
  }

  std::size_t m_words;
  Index m_size = 0;
  std::vector<std::uint64_t> m_bits;
  std::vector<Index> m_slots;  // numbers of patterns, -1: free; at most half are taken
};

}  // namespace mgdl::detail

namespace mgdl {

/// Which activation patterns a set of gates holds, and so what a certificate over it proves.
enum class PatternScope {
  /// Some of the patterns that the samples admit.
  SampledPatterns,
  /// Every pattern that the samples admit (enumerate_gates): a ReLU optimum over them is the global
  /// optimum of the non-convex training problem.
  AllPatterns
};

/// The enumerator's name.
constexpr const char* to_string(PatternScope scope) noexcept {
  return scope == PatternScope::AllPatterns ? "AllPatterns" : "SampledPatterns";
}

/// Activation patterns of n samples, stored as bits, with the gate vectors that make them.
///
/// Gate g (p values) has the pattern 1[x~_i . g >= 0], i = 1..n, with x~ = [x 1] (p = d + 1), or
/// x~ = x (p = d) without bias. The product is summed in the order of the columns with fused
/// multiply-adds in double, gate_value(), so that a pattern is the same on every machine.
///
/// Patterns without an active sample and repeated patterns are dropped; of equal ones the first is
/// kept. Several threads may use const Gates at a time; those that were moved from are empty.
class Gates {
 public:
  /// \param inputs   X, n x d, of any type of number
  /// \param vectors  one gate a row, P x (d + 1), the last column for the bias; without bias P x d
  /// \param bias     whether x~ has the additional 1
  /// \throws InvalidArgument for no gates, a wrong number of columns, non-finite values, or if no
  ///         gate has an active sample
  template <class Inputs, class Vectors>
  Gates(const Eigen::MatrixBase<Inputs>& inputs, const Eigen::MatrixBase<Vectors>& vectors,
        bool bias = true, PatternScope scope = PatternScope::SampledPatterns)
      : m_samples(inputs.rows()),
        m_words((inputs.rows() + 63) / 64),
        m_given(vectors.rows()),
        m_bias(bias),
        m_scope(scope) {
    make<double>(inputs.derived().template cast<double>(),
                 vectors.derived().template cast<double>());
  }

  /// Number of distinct patterns P that were kept.
  Index size() const noexcept { return static_cast<Index>(m_sources.size()); }
  /// Number of samples n.
  Index samples() const noexcept { return m_samples; }
  /// Values of a gate vector, p.
  Index dimension() const noexcept { return m_vectors.cols(); }
  /// Whether the last value of a gate vector belongs to the constant input 1.
  bool bias() const noexcept { return m_bias; }
  /// What the set is known to hold.
  PatternScope scope() const noexcept { return m_scope; }

  /// The kept gate vectors, P x p; of a temporary by value, as all that is returned by reference.
  /// \{
  const RowMatrix<double>& vectors() const& noexcept { return m_vectors; }
  RowMatrix<double> vectors() && { return std::move(m_vectors); }
  /// \}
  /// For every kept gate its row among the given ones.
  /// \{
  const std::vector<Index>& sources() const& noexcept { return m_sources; }
  std::vector<Index> sources() && { return std::move(m_sources); }
  /// \}
  /// Number of gates that were given.
  Index given() const noexcept { return m_given; }

  /// Whether sample i is active in pattern j.
  bool active(Index i, Index j) const noexcept {
    return (pattern(j)[i / 64] >> (i % 64) & 1u) != 0;
  }
  /// Bits of pattern j: sample i is bit i % 64 of word i / 64; unused bits are zero.
  const std::uint64_t* pattern(Index j) const noexcept {
    return m_bits.data() + static_cast<std::size_t>(j * m_words);
  }
  /// 64-bit words of a pattern.
  Index words() const noexcept { return m_words; }
  /// Number of active samples of pattern j.
  Index active_samples(Index j) const noexcept {
    Index count = 0;
    for (Index w = 0; w < m_words; ++w) count += std::popcount(pattern(j)[w]);
    return count;
  }

  /// x~ . g as patterns are defined by it. `input` and `gate` are indexable.
  template <class Input, class Gate>
  static double gate_value(const Input& input, const Gate& gate, Index d, bool bias) noexcept {
    double value = 0;
    for (Index k = 0; k < d; ++k) value = std::fma(input[k], gate[k], value);
    return bias ? value + gate[d] : value;
  }

 private:
  template <class Real>
  void make(const ConstRowMatrixRef<Real>& inputs, const ConstRowMatrixRef<Real>& vectors) {
    if (inputs.rows() == 0 || inputs.cols() == 0) {
      throw InvalidArgument("X", "at least one row and one column",
                            detail::shape_text(inputs.rows(), inputs.cols()));
    }
    if (vectors.rows() == 0) throw InvalidArgument("gates", "at least one gate", "none");
    detail::require_cols("gates", inputs.cols() + (m_bias ? 1 : 0), vectors.cols());
    detail::require_finite("X", inputs);
    detail::require_finite("gates", vectors);
    keep_distinct<Real>(inputs, vectors);
    if (m_sources.empty()) {
      throw InvalidArgument("gates", "a gate with an active sample",
                            "none among " + std::to_string(m_given));
    }
    m_vectors = vectors(m_sources, detail::kAll);
  }

  template <class Real>
  void keep_distinct(const ConstRowMatrixRef<Real>& inputs,
                     const ConstRowMatrixRef<Real>& vectors) {
    // So many gates at a time that loading a block of samples costs nothing, and so few that their
    // patterns need little memory besides those that are kept.
    constexpr Index kGates = 256;
    detail::GateSigns signs(inputs.cols(), m_bias);
    detail::PatternSet kept(m_words);
    std::vector<std::uint64_t> bits(static_cast<std::size_t>(kGates * m_words));
    for (Index first = 0; first < m_given; first += kGates) {
      const Index count = std::min(kGates, m_given - first);
      for (Index w = 0; w < m_words; ++w) {
        signs.load(inputs, 64 * w);
        for (Index j = 0; j < count; ++j) {
          bits[static_cast<std::size_t>(j * m_words + w)] =
              signs.bits(vectors.data() + (first + j) * vectors.outerStride());
        }
      }
      for (Index j = 0; j < count; ++j) {
        const std::uint64_t* pattern = bits.data() + j * m_words;
        const bool empty =
            std::all_of(pattern, pattern + m_words, [](std::uint64_t word) { return word == 0; });
        if (!empty && kept.insert(pattern).second) m_sources.push_back(first + j);
      }
    }
    m_bits = kept.release();
  }

  Index m_samples;
  Index m_words;
  Index m_given;
  bool m_bias;
  PatternScope m_scope;
  RowMatrix<double> m_vectors;
  std::vector<Index> m_sources;
  std::vector<std::uint64_t> m_bits;  // gate by gate, m_words each
};

}  // namespace mgdl
