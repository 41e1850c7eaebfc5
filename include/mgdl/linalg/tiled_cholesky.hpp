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

#ifdef MGDL_COMPILED
extern template class PanelMatrix<float>;
extern template class PanelMatrix<double>;
extern template class TiledCholesky<float>;
extern template class TiledCholesky<double>;
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/linalg/tiled_cholesky_impl.hpp"  // IWYU pragma: export
#endif
