#pragma once

#include <Eigen/Core>
#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "mgdl/core/compiled.hpp"

/// \file
/// Aliases that every part shares. One row is one sample, one column one input, feature or output.

#if !EIGEN_VERSION_AT_LEAST(3, 4, 0)
#error "mgdl needs Eigen 3.4 or 5"
#endif

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

/// All rows or all columns, as an index. (`all` itself is in another namespace in Eigen 5 than in
/// Eigen 3.4.)
inline const Eigen::placeholders::all_t kAll{};

/// The types of numbers that mgdl computes in.
template <class Scalar>
inline constexpr bool is_scalar = std::same_as<Scalar, float> || std::same_as<Scalar, double>;

template <class Values>
typename Values::Scalar number_of(const Eigen::EigenBase<Values>& values);

/// A matrix or an expression of Eigen, of another type of number than Scalar.
template <class Values, class Scalar>
concept OtherNumbers = requires(const Values& values) {
  number_of(values);
  requires !std::same_as<decltype(number_of(values)), Scalar>;
};

/// Instantiated for what is given in other types of numbers, so that the error names all of them;
/// else it would be that no function of so many takes such arguments.
template <class Scalar, class... Given>
struct RefuseOtherNumbers {
  static_assert(
      !(OtherNumbers<Given, Scalar> || ...),
      "these values have another type of number than Scalar: write values.cast<double>(), "
      "say, or use the classes of mgdl for the type that the values have");
};

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
