#pragma once

#include <cmath>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// Thrown for input that cannot be used, before anything is changed.
///
/// The message names the argument, what was expected, what was found and where:
/// "X: expected finite values, found nan at row 3, column 2". Rows and columns of matrices count
/// from 0, lines and columns of text files from 1. Numerical outcomes are never exceptions: they
/// are a Termination in a report.
class InvalidArgument : public std::invalid_argument {
 public:
  /// \param argument  name of the argument, option ("GradientOptions.learning_rate") or file
  /// \param expected  the rule, without "expected"
  /// \param found     what was there instead
  /// \param where     position, e.g. "row 3, column 2"; may be empty
  InvalidArgument(std::string argument, std::string expected, std::string found,
                  std::string where = {})
      : std::invalid_argument(argument + ": expected " + expected + ", found " + found +
                              (where.empty() ? "" : " at " + where)),
        m_argument(std::move(argument)),
        m_expected(std::move(expected)),
        m_found(std::move(found)),
        m_where(std::move(where)) {}

  /// Name of the argument, option or file.
  const std::string& argument() const noexcept { return m_argument; }
  /// The rule that was broken.
  const std::string& expected() const noexcept { return m_expected; }
  /// What was there instead.
  const std::string& found() const noexcept { return m_found; }
  /// Position of what was found; empty if the argument has only one.
  const std::string& where() const noexcept { return m_where; }

 private:
  std::string m_argument;
  std::string m_expected;
  std::string m_found;
  std::string m_where;
};

/// Thrown for a file that is damaged, of another kind or of a version that is not known: what it
/// claims does not hold. argument() is the file, where() the part of it ("tensor input.mean").
class FormatError : public InvalidArgument {
 public:
  using InvalidArgument::InvalidArgument;
};

namespace detail {

template <class T>
std::string to_text(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

/// Throws InvalidArgument naming field, rule and value unless `ok`.
template <class T>
void require_option(bool ok, const char* field, const char* rule, const T& value) {
  if (!ok) throw InvalidArgument(field, rule, to_text(value));
}

inline std::string shape_text(Index rows, Index cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

/// True if none of `outer` runs of `inner` values, `stride` apart, is NaN or infinite. Zero times
/// such a value is NaN, and a sum keeps it: unlike comparisons one by one, sums are vectorised.
template <class Scalar>
bool all_finite(const Scalar* values, Index inner, Index outer, Index stride) noexcept {
  constexpr Index kSums = 16;
  Scalar sums[kSums] = {};
  for (Index j = 0; j < outer; ++j) {
    const Scalar* run = values + j * stride;
    Index i = 0;
    for (; i + kSums <= inner; i += kSums) {
      for (Index k = 0; k < kSums; ++k) sums[k] += run[i + k] * Scalar(0);
    }
    for (; i < inner; ++i) sums[0] += run[i] * Scalar(0);
  }
  Scalar sum = 0;
  for (const Scalar part : sums) sum += part;
  return sum == Scalar(0);
}

/// True if no coefficient is NaN or infinite.
template <class Derived>
bool all_finite(const Eigen::MatrixBase<Derived>& values) noexcept {
  const Derived& v = values.derived();
  // Not by Eigen's flags, which an indexed view has without the data.
  if constexpr (requires {
                  requires Derived::InnerStrideAtCompileTime == 1;
                  v.data();
                }) {
    return all_finite(v.data(), v.innerSize(), v.outerSize(), v.outerStride());
  } else {
    for (Index j = 0; j < v.cols(); ++j) {
      for (Index i = 0; i < v.rows(); ++i) {
        if (!std::isfinite(v.coeff(i, j))) return false;
      }
    }
    return true;
  }
}

/// Throws InvalidArgument at the first NaN or infinity of `values`, in row order. Allocates nothing
/// unless it throws.
/// \param first_row  number of the first row, where these are some of more
template <class Derived>
void require_finite(std::string_view name, const Eigen::MatrixBase<Derived>& values,
                    Index first_row = 0) {
  if (all_finite(values)) return;
  for (Index i = 0; i < values.rows(); ++i) {
    for (Index j = 0; j < values.cols(); ++j) {
      if (std::isfinite(values(i, j))) continue;
      throw InvalidArgument(
          std::string(name), "finite values", to_text(values(i, j)),
          "row " + std::to_string(first_row + i) + ", column " + std::to_string(j));
    }
  }
}

/// Throws InvalidArgument unless all weights are finite and >= 0 and one is positive.
template <class Derived>
void require_weights(const Eigen::MatrixBase<Derived>& weights) {
  require_finite("weights", weights);
  for (Index i = 0; i < weights.size(); ++i) {
    if (weights[i] >= 0) continue;
    throw InvalidArgument("weights", "values >= 0", to_text(weights[i]),
                          "row " + std::to_string(i));
  }
  if (!(weights.maxCoeff() > 0)) throw InvalidArgument("weights", "a positive sum", "all zero");
}

/// Throws InvalidArgument unless `actual == expected`.
inline void require_rows(std::string_view name, Index expected, Index actual) {
  if (expected == actual) return;
  throw InvalidArgument(std::string(name), std::to_string(expected) + " rows",
                        std::to_string(actual));
}

/// Throws InvalidArgument unless `actual == expected`.
inline void require_cols(std::string_view name, Index expected, Index actual) {
  if (expected == actual) return;
  throw InvalidArgument(std::string(name), std::to_string(expected) + " columns",
                        std::to_string(actual));
}

}  // namespace detail
}  // namespace mgdl
