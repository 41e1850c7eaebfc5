#pragma once

#include <algorithm>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/network/panel_network.hpp"
#include "mgdl/network/relu_network.hpp"

namespace mgdl {

template <class Scalar>
RowMatrix<Scalar> ReluNetwork<Scalar>::predict(const ConstRowMatrixRef<Scalar>& X,
                                               const Executor& threads) const {
  RowMatrix<Scalar> output(X.rows(), outputs());
  detail::require_threads("threads", threads);
  evaluate(X, threads.pool(), &output, nullptr);
  return output;
}

template <class Scalar>
RowMatrix<Scalar> ReluNetwork<Scalar>::features(const ConstRowMatrixRef<Scalar>& X,
                                                const Executor& threads) const {
  RowMatrix<Scalar> hidden(X.rows(), width());
  detail::require_threads("threads", threads);
  evaluate(X, threads.pool(), nullptr, &hidden);
  return hidden;
}

template <class Scalar>
void ReluNetwork<Scalar>::evaluate(const ConstRowMatrixRef<Scalar>& X, detail::ThreadPool& pool,
                                   RowMatrix<Scalar>* output, RowMatrix<Scalar>* features) const {
  require_layers();
  detail::require_cols("X", inputs(), X.cols());
  const detail::PanelNetwork<Scalar> network(m_layers);
  const Index n = X.rows();
  std::vector<detail::ForwardScratch<Scalar>> scratch(static_cast<std::size_t>(pool.size()));
  for (auto& s : scratch) network.reserve(s, detail::kForwardRows);
  const Index blocks = (n + detail::kForwardRows - 1) / detail::kForwardRows;
  pool.parallel_for(blocks, [&](Index block, int thread) {
    auto& s = scratch[static_cast<std::size_t>(thread)];
    const Index first = block * detail::kForwardRows;
    const Index rows = std::min(detail::kForwardRows, n - first);
    const Scalar* h =
        network.forward(rows, {X.data() + first * X.outerStride(), X.outerStride(), 1}, s);
    const Index output_stride = network.output_stride();
    for (Index i = 0; i < rows; ++i) {
      if (output != nullptr) {
        const Scalar* from = s.output.data() + i * output_stride;
        std::copy(from, from + outputs(), output->row(first + i).data());
      }
      if (features != nullptr) {
        const Scalar* from = h + i * s.stride;
        std::copy(from, from + width(), features->row(first + i).data());
      }
    }
  });
}

}  // namespace mgdl
