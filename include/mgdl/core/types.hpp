#pragma once

#include <Eigen/Core>

#include "mgdl/core/compiled.hpp"

/// \file
/// Aliases that every part shares. One row is one sample, one column one input, feature or output.

namespace mgdl {

/// Signed size and index type, the same as Eigen's.
using Index = Eigen::Index;

/// Column-major matrix: the type users pass in and get back.
template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

/// Row-major matrix: the type samples, features and weights are held in while computing, so that
/// one sample is contiguous in memory.
template <class Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Column vector.
template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

/// Row vector, e.g. a bias or the mean of each column.
template <class Scalar>
using RowVector = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;

/// Read-only view of column-major data; an argument in another layout or an expression is copied by
/// Eigen when the call is made.
template <class Scalar>
using ConstMatrixRef = Eigen::Ref<const Matrix<Scalar>>;

/// Read-only view of row-major data.
template <class Scalar>
using ConstRowMatrixRef = Eigen::Ref<const RowMatrix<Scalar>>;

/// Read-only view of a column vector.
template <class Scalar>
using ConstVectorRef = Eigen::Ref<const Vector<Scalar>>;

}  // namespace mgdl
