#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/detail/gate_signs.hpp"
#include "mgdl/detail/pattern_set.hpp"

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
/// kept.
class Gates {
 public:
  /// \param inputs   X, n x d
  /// \param vectors  one gate a row, P x (d + 1), the last column for the bias; without bias P x d
  /// \param bias     whether x~ has the additional 1
  /// \throws InvalidArgument for no gates, a wrong number of columns, non-finite values, or if no
  ///         gate has an active sample
  Gates(const ConstRowMatrixRef<double>& inputs, const ConstRowMatrixRef<double>& vectors,
        bool bias = true, PatternScope scope = PatternScope::SampledPatterns)
      : m_samples(inputs.rows()),
        m_words((inputs.rows() + 63) / 64),
        m_given(vectors.rows()),
        m_bias(bias),
        m_scope(scope) {
    if (inputs.rows() == 0 || inputs.cols() == 0) {
      throw InvalidArgument("X", "at least one row and one column",
                            detail::shape_text(inputs.rows(), inputs.cols()));
    }
    if (vectors.rows() == 0) throw InvalidArgument("gates", "at least one gate", "none");
    detail::require_cols("gates", inputs.cols() + (bias ? 1 : 0), vectors.cols());
    detail::require_finite("X", inputs);
    detail::require_finite("gates", vectors);
    keep_distinct(inputs, vectors);
    if (m_sources.empty()) {
      throw InvalidArgument("gates", "a gate with an active sample",
                            "none among " + std::to_string(m_given));
    }
    m_vectors = vectors(m_sources, Eigen::all);
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

  /// The kept gate vectors, P x p.
  const RowMatrix<double>& vectors() const noexcept { return m_vectors; }
  /// For every kept gate its row among the given ones.
  const std::vector<Index>& sources() const noexcept { return m_sources; }
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
  void keep_distinct(const ConstRowMatrixRef<double>& inputs,
                     const ConstRowMatrixRef<double>& vectors) {
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
