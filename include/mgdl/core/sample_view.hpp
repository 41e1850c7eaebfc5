#pragma once

#include "mgdl/core/types.hpp"

namespace mgdl {

/// Borrowed weighted samples: inputs (n x d), targets (n x c), weights (n, >= 0, sum 1). The owner
/// of the data must outlive the view.
template <class Scalar_ = double>
struct SampleView {
  using Scalar = Scalar_;

  ConstRowMatrixRef<Scalar> inputs;
  ConstRowMatrixRef<Scalar> targets;
  ConstVectorRef<Scalar> weights;

  Index size() const noexcept { return inputs.rows(); }
};

}  // namespace mgdl
