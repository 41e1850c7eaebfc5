#pragma once

#include <optional>

#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::detail {

inline constexpr Index kSelfTests = 16;

/// Inputs in the range of the samples and what every prefix makes of them. Fewer than kSelfTests,
/// or none, where values are not finite.
template <class Scalar>
struct SelfTest {
  RowMatrix<Scalar> inputs;   ///< s x d
  RowMatrix<Scalar> outputs;  ///< K s x c, those of the first grade first
};

template <class Scalar>
SelfTest<Scalar> make_self_test(const MultigradeModel<Scalar>& model);

template <class Scalar>
struct SelfTestFailure {
  Scalar expected;
  Scalar found;
};

/// An output that is not the model's: on another machine it may differ by rounding, for which there
/// is a proven bound, but by no more.
template <class Scalar>
std::optional<SelfTestFailure<Scalar>> failure_of(const SelfTest<Scalar>& test,
                                                  const MultigradeModel<Scalar>& model);

#ifdef MGDL_COMPILED
extern template SelfTest<float> make_self_test(const MultigradeModel<float>&);
extern template std::optional<SelfTestFailure<float>> failure_of(const SelfTest<float>&,
                                                                 const MultigradeModel<float>&);
extern template SelfTest<double> make_self_test(const MultigradeModel<double>&);
extern template std::optional<SelfTestFailure<double>> failure_of(const SelfTest<double>&,
                                                                  const MultigradeModel<double>&);
#endif

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/io/model/self_test_impl.hpp"  // IWYU pragma: export
#endif
