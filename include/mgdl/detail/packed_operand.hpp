#pragma once

#include <algorithm>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/gemm.hpp"
#include "mgdl/detail/simd.hpp"

namespace mgdl::detail {

/// Right operand of a product, copied into the panels that gemm_panel() reads.
template <class Real>
class PackedOperand {
 public:
  /// The k x n matrix B times `factor`.
  void pack(Index rows, Index cols, Strided<Real> B, Real factor = Real(1)) {
    m_shape = {rows, cols};
    if (m_data.size() < m_shape.size()) m_data.resize(m_shape.size());
    for (Index p = 0; p < m_shape.panels(); ++p) {
      const Index width = m_shape.width(p);
      const Index first = p * kPanelWidth<Real>;
      const Index used = std::min(width, cols - first);
      for (Index i = 0; i < rows; ++i) {
        Real* to = m_data.data() + m_shape.offset(p, i);
        const Real* from = B.data + i * B.row_stride + first * B.col_stride;
        for (Index j = 0; j < used; ++j) to[j] = factor * from[j * B.col_stride];
        std::fill(to + used, to + width, Real(0));
      }
    }
  }

  /// C = or += A B for A (m x k) and row-major C with c_stride >= padded(n).
  void multiply(Index m, Strided<Real> A, Real* c, Index c_stride, bool accumulate) const {
    for (Index p = 0; p < m_shape.panels(); ++p) {
      if (m_shape.rows == 0 && !accumulate) {
        for (Index i = 0; i < m; ++i) {
          std::fill_n(c + i * c_stride + p * kPanelWidth<Real>, m_shape.width(p), Real(0));
        }
      }
      for (Index k = 0; k < m_shape.rows; k += kDepth) {
        const Strided<Real> a{A.data + k * A.col_stride, A.row_stride, A.col_stride};
        gemm_panel(m, m_shape.width(p), std::min(kDepth, m_shape.rows - k), a,
                   m_data.data() + m_shape.offset(p, k), c + p * kPanelWidth<Real>, c_stride,
                   accumulate || k > 0, [](Real*, Index, Index) {});
      }
    }
  }

 private:
  PanelShape<Real> m_shape;
  AlignedVector<Real> m_data;
};

}  // namespace mgdl::detail
