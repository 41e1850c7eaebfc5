#pragma once

#include "mgdl/core/metrics.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl::test {

/// Metrics of the first k grades of a model, from the raw samples, in the units that its training
/// reports: every output in that of the model's scale.
template <class Scalar, class Inputs, class Targets>
Metrics metrics_of(const MultigradeModel<Scalar>& model, Index k, const Inputs& X, const Targets& Y,
                   const Vector<Scalar>& weights = {}) {
  return compute_metrics(model.predict(X, k), Y, weights, 1, model.output_standardizer().scale());
}

}  // namespace mgdl::test
