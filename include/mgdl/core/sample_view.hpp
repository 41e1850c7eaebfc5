#pragma once

#include "mgdl/core/types.hpp"

namespace mgdl {

/// Borrowed weighted samples: inputs (n x d), targets (n x c), weights (n, >= 0, sum 1). The owner
/// of the data must outlive the view.
template <class Scalar_ = double>
struct SampleView {
  using Scalar = Scalar_;  ///< float or double

  ConstRowMatrixRef<Scalar> inputs;   ///< n x d
  ConstRowMatrixRef<Scalar> targets;  ///< n x c
  ConstVectorRef<Scalar> weights;     ///< n, >= 0, sum 1

  /// Number of samples n.
  Index size() const noexcept { return inputs.rows(); }
};

}  // namespace mgdl
