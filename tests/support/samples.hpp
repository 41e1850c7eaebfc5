#pragma once

#include <cmath>
#include <string>

#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "support/catch.hpp"

namespace mgdl::test {

/// rows x cols standard normal values of type MatrixType.
template <class MatrixType>
MatrixType normal_matrix(Index rows, Index cols, RandomStream& random) {
  MatrixType values(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < cols; ++j) {
      values(i, j) = static_cast<typename MatrixType::Scalar>(random.normal());
    }
  }
  return values;
}

/// Whether `found` differs from `expected` by a relative error of at most `tolerance`.
inline bool near(double found, double expected, double tolerance = 1e-12) {
  return std::abs(found - expected) <= tolerance * std::abs(expected);
}

/// The message of the InvalidArgument that `call` must end in; anything else fails the test.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

}  // namespace mgdl::test
