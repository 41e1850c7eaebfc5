#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/simd.hpp"

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

}  // namespace mgdl::detail
