#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/linalg/gemm.hpp"
#include "mgdl/linalg/simd.hpp"

/// \file
/// Cholesky factorisation and triangular solves on the library's own matrix product, in tiles that
/// the threads of a pool share. Tiles do not depend on the number of threads, so neither do the
/// bits.

namespace mgdl::detail {

/// Calls task(i, j) for all tiles i >= j of a symmetric matrix of `tiles` x `tiles` tiles.
template <class Task>
void for_each_lower_tile(ThreadPool& pool, Index tiles, const Task& task) {
  pool.parallel_for(tiles * (tiles + 1) / 2, [&](Index k, int) {
    Index i = 0;
    while ((i + 1) * (i + 2) / 2 <= k) ++i;
    task(i, k - i * (i + 1) / 2);
  });
}

/// A matrix (n x m) in panels of columns: the columns of a panel row by row.
template <class Real>
class PanelMatrix {
 public:
  PanelMatrix(Index rows, Index cols)
      : m_shape{rows, cols}, m_data(AlignedVector<Real>::Zero(m_shape.size())) {}

  /// A copy of a matrix, in this precision.
  template <class Values>
  explicit PanelMatrix(const Values& values) : PanelMatrix(values.rows(), values.cols()) {
    for (Index i = 0; i < rows(); ++i) {
      for (Index j = 0; j < cols(); ++j) (*this)(i, j) = static_cast<Real>(values(i, j));
    }
  }

  Index rows() const noexcept { return m_shape.rows; }
  Index cols() const noexcept { return m_shape.cols; }
  const PanelShape<Real>& shape() const noexcept { return m_shape; }
  Real* row(Index panel, Index i) noexcept { return m_data.data() + m_shape.offset(panel, i); }
  const Real* row(Index panel, Index i) const noexcept {
    return m_data.data() + m_shape.offset(panel, i);
  }

  /// Element (i, j).
  /// \{
  Real& operator()(Index i, Index j) noexcept { return m_data[m_shape.at(i, j)]; }
  Real operator()(Index i, Index j) const noexcept { return m_data[m_shape.at(i, j)]; }
  /// \}

  /// gram += lower triangle of A'A for this matrix A; gram is m x m.
  void add_gram(ThreadPool& pool, Matrix<double>& gram, double factor) const;

 private:
  Index cols_from(Index first) const noexcept { return m_shape.cols - first; }

  PanelShape<Real> m_shape;
  AlignedVector<Real> m_data;
};

/// L L' = A for a symmetric positive definite matrix.
template <class Real>
class TiledCholesky {
 public:
  /// Row-major storage of an n x n matrix whose rows are whole registers.
  static RowMatrix<Real> storage(Index n) { return RowMatrix<Real>(n, padded<Real>(n)); }

  Index size() const noexcept { return m_factor.rows(); }

  /// Factorises A (in storage(n)), of which only the lower triangle is read.
  /// \returns false if A is not positive definite in this arithmetic
  bool compute(ThreadPool& pool, RowMatrix<Real>&& A);

  /// B = L^-1 B for many columns, which the threads share.
  void solve_lower(ThreadPool& pool, PanelMatrix<Real>& B) const;

  /// B = A^-1 B for few columns, of which the threads share the rows.
  void solve(ThreadPool& pool, PanelMatrix<Real>& B) const;

  /// b = A^-1 b: as fast as L can be read, twice.
  void solve(ThreadPool& pool, Vector<Real>& b) const;

 private:
  static constexpr Index kTile = 128;

  static std::size_t index(Index k) noexcept { return static_cast<std::size_t>(k); }
  Index extent(Index k) const noexcept { return std::min(kTile, size() - k * kTile); }
  Real* at(Index i, Index j) noexcept {
    return m_factor.data() + i * kTile * m_factor.cols() + j * kTile;
  }
  const Real* at(Index i, Index j) const noexcept {
    return m_factor.data() + i * kTile * m_factor.cols() + j * kTile;
  }

  /// inverse = L^-1 for L L' = A of the size of a tile. Loops along rows, which compilers make
  /// vectors of.
  static bool invert_factor(const RowMatrix<Real>& A, RowMatrix<Real>& inverse);

  /// Rows of tile k of B are multiplied by the inverse of its diagonal tile (or the transposed of
  /// that). `negative` is minus the result.
  void divide(Index k, bool transposed, Index panel, PanelMatrix<Real>& B,
              AlignedVector<Real>& negative) const;

  /// Tiles first .. last of B += L_ik negative, or += L_ki' negative.
  void subtract(Index k, bool transposed, Index first, Index last, Index panel,
                const AlignedVector<Real>& negative, PanelMatrix<Real>& B) const;

  /// A tile times a vector takes a few microseconds: several make a task.
  template <class Task>
  static void parallel_chunks(ThreadPool& pool, Index first, Index last, const Task& task) {
    constexpr Index kChunk = 4;
    pool.parallel_for((last - first + kChunk - 1) / kChunk, [&](Index chunk, int) {
      task(first + chunk * kChunk, std::min(last, first + (chunk + 1) * kChunk));
    });
  }

  RowMatrix<Real> m_factor;                 // the tiles below the diagonal are those of L
  std::vector<RowMatrix<Real>> m_inverses;  // of the diagonal tiles of L
};

template <class Real>
void PanelMatrix<Real>::add_gram(ThreadPool& pool, Matrix<double>& gram, double factor) const {
  for_each_lower_tile(pool, m_shape.panels(), [&](Index a, Index b) {
    const Index rows = m_shape.width(a);
    const Index cols = m_shape.width(b);
    AlignedVector<Real> sum = AlignedVector<Real>::Zero(rows * cols);
    for (Index k = 0; k < m_shape.rows; k += kDepth) {
      gemm_panel(rows, cols, std::min(kDepth, m_shape.rows - k), Strided<Real>{row(a, k), 1, rows},
                 row(b, k), sum.data(), cols, true, [](Real*, Index, Index) {});
    }
    const Index first = a * kPanelWidth<Real>;
    const Index left = b * kPanelWidth<Real>;
    for (Index i = 0; i < std::min(rows, cols_from(first)); ++i) {
      for (Index j = 0; j < std::min(cols, cols_from(left)); ++j) {
        gram(first + i, left + j) += factor * static_cast<double>(sum[i * cols + j]);
      }
    }
  });
}

template <class Real>
bool TiledCholesky<Real>::compute(ThreadPool& pool, RowMatrix<Real>&& A) {
  m_factor = std::move(A);
  const Index n = size();
  const Index stride = m_factor.cols();
  const Index tiles = (n + kTile - 1) / kTile;
  m_inverses.assign(static_cast<std::size_t>(tiles), {});
  std::vector<PackedOperand<Real>> packed(static_cast<std::size_t>(tiles));
  PackedOperand<Real> inverse;
  for (Index k = 0; k < tiles; ++k) {
    const Index width = extent(k);
    RowMatrix<Real>& inverted = m_inverses[index(k)];
    if (!invert_factor(m_factor.block(k * kTile, k * kTile, width, width), inverted)) {
      return false;
    }
    inverse.pack(width, width, {inverted.data(), 1, width});
    pool.parallel_for(tiles - k - 1, [&](Index t, int) {
      const Index i = k + 1 + t;
      const Index rows = extent(i);
      Real* tile = at(i, k);
      RowMatrix<Real> solved(rows, padded<Real>(width));
      inverse.multiply(rows, {tile, stride, 1}, solved.data(), solved.cols(), false);
      m_factor.block(i * kTile, k * kTile, rows, width) = solved.leftCols(width);
      packed[static_cast<std::size_t>(i)].pack(width, rows, {solved.data(), 1, solved.cols()},
                                               Real(-1));
    });
    for_each_lower_tile(pool, tiles - k - 1, [&](Index i, Index j) {
      i += k + 1;
      j += k + 1;
      packed[static_cast<std::size_t>(j)].multiply(extent(i), {at(i, k), stride, 1}, at(i, j),
                                                   stride, true);
    });
  }
  return true;
}

template <class Real>
void TiledCholesky<Real>::solve_lower(ThreadPool& pool, PanelMatrix<Real>& B) const {
  pool.parallel_for(B.shape().panels(), [&](Index panel, int) {
    AlignedVector<Real> solved(kTile * B.shape().width(panel));
    for (Index k = 0; k < std::ssize(m_inverses); ++k) {
      divide(k, false, panel, B, solved);
      subtract(k, false, k + 1, std::ssize(m_inverses), panel, solved, B);
    }
  });
}

template <class Real>
void TiledCholesky<Real>::solve(ThreadPool& pool, PanelMatrix<Real>& B) const {
  const auto tiles = std::ssize(m_inverses);
  for (Index panel = 0; panel < B.shape().panels(); ++panel) {
    AlignedVector<Real> solved(kTile * B.shape().width(panel));
    for (Index k = 0; k < tiles; ++k) {
      divide(k, false, panel, B, solved);
      parallel_chunks(pool, k + 1, tiles, [&](Index first, Index last) {
        subtract(k, false, first, last, panel, solved, B);
      });
    }
    for (Index k = tiles - 1; k >= 0; --k) {
      divide(k, true, panel, B, solved);
      parallel_chunks(pool, 0, k, [&](Index first, Index last) {
        subtract(k, true, first, last, panel, solved, B);
      });
    }
  }
}

template <class Real>
void TiledCholesky<Real>::solve(ThreadPool& pool, Vector<Real>& b) const {
  const auto tiles = std::ssize(m_inverses);
  const auto rows = [&](Index first, Index last) {
    return b.segment(first * kTile, std::min(last * kTile, size()) - first * kTile);
  };
  const auto block = [&](Index first, Index last, Index col) {
    return m_factor.block(first * kTile, col * kTile,
                          std::min(last * kTile, size()) - first * kTile, extent(col));
  };
  Vector<Real> part;
  for (Index k = 0; k < tiles; ++k) {
    part.noalias() = m_inverses[index(k)] * rows(k, k + 1);
    rows(k, k + 1) = part;
    parallel_chunks(pool, k + 1, tiles, [&](Index first, Index last) {
      rows(first, last).noalias() -= block(first, last, k) * part;
    });
  }
  for (Index k = tiles - 1; k >= 0; --k) {
    part.noalias() = m_inverses[index(k)].transpose() * rows(k, k + 1);
    rows(k, k + 1) = part;
    parallel_chunks(pool, 0, k, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        rows(i, i + 1).noalias() -= block(k, k + 1, i).transpose() * part;
      }
    });
  }
}

template <class Real>
bool TiledCholesky<Real>::invert_factor(const RowMatrix<Real>& A, RowMatrix<Real>& inverse) {
  const Index n = A.rows();
  RowMatrix<Real> L = A;
  AlignedVector<Real> column(n);
  for (Index k = 0; k < n; ++k) {
    const Real pivot = L(k, k);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const Real scale = Real(1) / std::sqrt(pivot);
    for (Index i = k; i < n; ++i) column[i] = L(i, k) *= scale;
    for (Index i = k + 1; i < n; ++i) {
      Real* row = &L(i, 0);
      for (Index j = k + 1; j <= i; ++j) row[j] -= column[i] * column[j];
    }
  }
  inverse = RowMatrix<Real>::Zero(n, n);
  for (Index i = 0; i < n; ++i) {
    Real* row = &inverse(i, 0);
    const Real scale = Real(1) / L(i, i);
    for (Index k = 0; k < i; ++k) {
      const Real* above = &inverse(k, 0);
      const Real factor = scale * L(i, k);
      for (Index j = 0; j <= k; ++j) row[j] -= factor * above[j];
    }
    row[i] = scale;
  }
  return true;
}

template <class Real>
void TiledCholesky<Real>::divide(Index k, bool transposed, Index panel, PanelMatrix<Real>& B,
                                 AlignedVector<Real>& negative) const {
  const Index depth = extent(k);
  const Index width = B.shape().width(panel);
  const Real* inverse = m_inverses[index(k)].data();
  Real* rows = B.row(panel, k * kTile);
  gemm_panel(depth, width, depth,
             transposed ? Strided<Real>{inverse, 1, depth} : Strided<Real>{inverse, depth, 1}, rows,
             negative.data(), width, false, [](Real*, Index, Index) {});
  std::copy_n(negative.data(), depth * width, rows);
  negative = -negative;
}

template <class Real>
void TiledCholesky<Real>::subtract(Index k, bool transposed, Index first, Index last, Index panel,
                                   const AlignedVector<Real>& negative,
                                   PanelMatrix<Real>& B) const {
  if (first >= last) return;
  const Index stride = m_factor.cols();
  const Index width = B.shape().width(panel);
  const Index rows = std::min(last * kTile, size()) - first * kTile;
  gemm_panel(
      rows, width, extent(k),
      transposed ? Strided<Real>{at(k, first), 1, stride} : Strided<Real>{at(first, k), stride, 1},
      negative.data(), B.row(panel, first * kTile), width, true, [](Real*, Index, Index) {});
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template class PanelMatrix<float>;
extern template class PanelMatrix<double>;
extern template class TiledCholesky<float>;
extern template class TiledCholesky<double>;
}  // namespace mgdl::detail
#endif
