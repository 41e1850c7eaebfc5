#pragma once

#include <Eigen/Cholesky>
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "mgdl/core/types.hpp"
#include "mgdl/detail/gemm.hpp"
#include "mgdl/detail/packed_operand.hpp"
#include "mgdl/detail/simd.hpp"
#include "mgdl/detail/thread_pool.hpp"

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
  void add_gram(ThreadPool& pool, Matrix<double>& gram, double factor) const {
    for_each_lower_tile(pool, m_shape.panels(), [&](Index a, Index b) {
      const Index rows = m_shape.width(a);
      const Index cols = m_shape.width(b);
      AlignedVector<Real> sum = AlignedVector<Real>::Zero(rows * cols);
      for (Index k = 0; k < m_shape.rows; k += kDepth) {
        gemm_panel(rows, cols, std::min(kDepth, m_shape.rows - k),
                   Strided<Real>{row(a, k), 1, rows}, row(b, k), sum.data(), cols, true,
                   [](Real*, Index, Index) {});
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
  bool compute(ThreadPool& pool, RowMatrix<Real>&& A) {
    m_factor = std::move(A);
    const Index n = size();
    const Index stride = m_factor.cols();
    const Index tiles = (n + kTile - 1) / kTile;
    m_inverses.assign(static_cast<std::size_t>(tiles), {});
    std::vector<PackedOperand<Real>> packed(static_cast<std::size_t>(tiles));
    PackedOperand<Real> inverse;
    for (Index k = 0; k < tiles; ++k) {
      const Index width = extent(k);
      Matrix<Real> diagonal = m_factor.block(k * kTile, k * kTile, width, width);
      Eigen::LLT<Eigen::Ref<Matrix<Real>>> llt(diagonal);
      if (llt.info() != Eigen::Success) return false;
      RowMatrix<Real>& inverted = m_inverses[static_cast<std::size_t>(k)];
      inverted = RowMatrix<Real>::Identity(width, width);
      diagonal.template triangularView<Eigen::Lower>().solveInPlace(inverted);
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

  /// B = L^-1 B for many columns.
  void solve_lower(ThreadPool& pool, PanelMatrix<Real>& B) const {
    const Index stride = m_factor.cols();
    pool.parallel_for(B.shape().panels(), [&](Index panel, int) {
      const Index width = B.shape().width(panel);
      AlignedVector<Real> solved(kTile * width);
      for (Index k = 0; k < std::ssize(m_inverses); ++k) {
        const Index depth = extent(k);
        gemm_panel(depth, width, depth, Strided<Real>{m_inverses[index(k)].data(), depth, 1},
                   B.row(panel, k * kTile), solved.data(), width, false,
                   [](Real*, Index, Index) {});
        std::copy(solved.data(), solved.data() + depth * width, B.row(panel, k * kTile));
        const Index below = (k + 1) * kTile;
        if (below >= size()) break;
        solved = -solved;
        gemm_panel(size() - below, width, depth, Strided<Real>{at(k + 1, k), stride, 1},
                   solved.data(), B.row(panel, below), width, true, [](Real*, Index, Index) {});
      }
    });
  }

  /// B = A^-1 B for few columns.
  void solve(ThreadPool& pool, Matrix<Real>& B) const {
    const auto tiles = std::ssize(m_inverses);
    const auto part = [&](Index k) { return B.middleRows(k * kTile, extent(k)); };
    const auto block = [&](Index i, Index k) {
      return m_factor.block(i * kTile, k * kTile, extent(i), extent(k));
    };
    for (Index k = 0; k < tiles; ++k) {
      part(k) = m_inverses[index(k)].template triangularView<Eigen::Lower>() * part(k).eval();
      parallel_chunks(pool, tiles - k - 1,
                      [&](Index t) { part(k + 1 + t).noalias() -= block(k + 1 + t, k) * part(k); });
    }
    for (Index k = tiles - 1; k >= 0; --k) {
      part(k) =
          m_inverses[index(k)].template triangularView<Eigen::Lower>().transpose() * part(k).eval();
      parallel_chunks(pool, k,
                      [&](Index t) { part(t).noalias() -= block(k, t).transpose() * part(k); });
    }
  }

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

  /// A tile times a vector takes a few microseconds: several make a task.
  template <class Task>
  static void parallel_chunks(ThreadPool& pool, Index count, const Task& task) {
    constexpr Index kChunk = 4;
    pool.parallel_for((count + kChunk - 1) / kChunk, [&](Index chunk, int) {
      for (Index t = chunk * kChunk; t < std::min(count, (chunk + 1) * kChunk); ++t) task(t);
    });
  }

  RowMatrix<Real> m_factor;                 // the tiles below the diagonal are those of L
  std::vector<RowMatrix<Real>> m_inverses;  // of the diagonal tiles of L
};

}  // namespace mgdl::detail
