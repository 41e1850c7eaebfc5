#pragma once

#include <optional>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/bounds.hpp"
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


/// What the prefixes of 1, ..., K grades make of the inputs.
template <class Scalar>
RowMatrix<Scalar> prefix_outputs(const MultigradeModel<Scalar>& model, const Matrix<Scalar>& X) {
  RowMatrix<Scalar> outputs(model.grades() * X.rows(), model.outputs());
  auto predictor = model.predictor(/*threads=*/1);
  Matrix<Scalar> Y(X.rows(), model.outputs());
  for (Index k = 1; k <= model.grades(); ++k) {
    predictor.predict_into(X, Y, k);
    outputs.middleRows((k - 1) * X.rows(), X.rows()) = Y;
  }
  return outputs;
}

template <class Scalar>
SelfTest<Scalar> make_self_test(const MultigradeModel<Scalar>& model) {
  RandomStream random(/*seed=*/0, /*stream=*/0x5E1F);
  Matrix<Scalar> X(model.grades() > 0 ? kSelfTests : 0, model.inputs());
  for (Index i = 0; i < X.rows(); ++i) {
    for (Index j = 0; j < X.cols(); ++j) {
      X(i, j) = model.input_standardizer().mean()[j] +
                model.input_standardizer().scale()[j] * static_cast<Scalar>(random.normal());
    }
  }
  const auto keep = [&](const auto& is_finite) {
    std::vector<Index> rows;
    for (Index i = 0; i < X.rows(); ++i) {
      if (is_finite(i)) rows.push_back(i);
    }
    X = Matrix<Scalar>(X(rows, Eigen::all));
  };
  keep([&](Index i) { return all_finite(X.row(i)); });
  const RowMatrix<Scalar> outputs = prefix_outputs(model, X);
  const Index count = X.rows();
  keep([&](Index i) {
    return all_finite(outputs(Eigen::seqN(i, model.grades(), count), Eigen::all));
  });
  return {X, prefix_outputs(model, X)};
}

template <class Scalar>
std::optional<SelfTestFailure<Scalar>> failure_of(const SelfTest<Scalar>& test,
                                                  const MultigradeModel<Scalar>& model) {
  const Matrix<Scalar> X = test.inputs;
  const RowMatrix<Scalar> outputs = prefix_outputs(model, X);
  for (Index row = 0; row < outputs.rows(); ++row) {
    if (outputs.row(row) == test.outputs.row(row)) continue;
    const Vector<Scalar> x = X.row(row % X.rows()).transpose();
    const OutputBounds bounds = output_bounds(model, x, x, row / X.rows() + 1);
    for (Index j = 0; j < outputs.cols(); ++j) {
      const auto value = static_cast<double>(test.outputs(row, j));
      if (bounds.lower[j] <= value && value <= bounds.upper[j]) continue;
      return SelfTestFailure<Scalar>{outputs(row, j), test.outputs(row, j)};
    }
  }
  return {};
}

}  // namespace mgdl::detail

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template SelfTest<float> make_self_test(const MultigradeModel<float>&);
extern template std::optional<SelfTestFailure<float>> failure_of(const SelfTest<float>&,
                                                                 const MultigradeModel<float>&);
extern template SelfTest<double> make_self_test(const MultigradeModel<double>&);
extern template std::optional<SelfTestFailure<double>> failure_of(const SelfTest<double>&,
                                                                  const MultigradeModel<double>&);
}  // namespace mgdl::detail
#endif
