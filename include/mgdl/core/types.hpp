#pragma once

#include <Eigen/Core>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

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

namespace mgdl::detail {

/// The type of sums and of whatever else is done in double, for values in Scalar. As it depends on
/// Scalar, expressions of it are compiled where they are used, not wherever they are included.
template <class Scalar>
struct Wide {
  using Real = double;
};

template <class Signature>
class FunctionRef;

/// A callable that is borrowed for the length of a call: what takes one is compiled once, not for
/// every callable.
template <class Result, class... Arguments>
class FunctionRef<Result(Arguments...)> {
 public:
  template <class Function>
  requires(!std::same_as<std::remove_cvref_t<Function>, FunctionRef>)
      FunctionRef(Function&& function)
  noexcept  // NOLINT(google-explicit-constructor): made at the call
      : m_function(std::addressof(function)),
        m_call([](const void* f, Arguments... arguments) -> Result {
          using Callable = std::add_const_t<std::remove_reference_t<Function>>;
          return (*static_cast<Callable*>(f))(std::forward<Arguments>(arguments)...);
        }) {}

  Result operator()(Arguments... arguments) const {
    return m_call(m_function, std::forward<Arguments>(arguments)...);
  }

 private:
  const void* m_function;
  Result (*m_call)(const void*, Arguments...);
};

}  // namespace mgdl::detail
