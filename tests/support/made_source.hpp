#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "mgdl/core/dataset.hpp"
#include "mgdl/core/random.hpp"
#include "mgdl/core/sample_source.hpp"

namespace mgdl::test {

/// Samples that are made when they are asked for.
template <class Scalar>
class MadeSource : public SampleSource<Scalar> {
 public:
  explicit MadeSource(Index n, bool weighted = false) : m_n(n), m_weighted(weighted) {}

  Index size() const override { return m_n; }
  Index inputs() const override { return 3; }
  Index outputs() const override { return 2; }

  SampleView<Scalar> read(Index first, Index count, SampleBuffer<Scalar>& buffer) const override {
    buffer.resize(count, 3, 2);
    for (Index i = 0; i < count; ++i) {
      RandomStream random(seed, static_cast<std::uint64_t>(first + i));
      for (Index j = 0; j < 3; ++j) {
        buffer.inputs(i, j) = static_cast<Scalar>(10 + random.uniform(-1, 1));
      }
      const auto x = buffer.inputs.row(i).template cast<double>();
      buffer.targets(i, 0) = static_cast<Scalar>(std::sin(2 * x[0]) + x[1] * x[2]);
      buffer.targets(i, 1) = static_cast<Scalar>(1e-3 * std::abs(x[0] - x[1]));
      buffer.weights[i] = m_weighted ? static_cast<Scalar>((first + i) % 5) : Scalar(1);
      if (first + i == wrong) buffer.inputs(i, 1) = std::numeric_limits<Scalar>::quiet_NaN();
    }
    return buffer.view();
  }

  Index wrong = -1;  // a row with NaN
  std::uint64_t seed = 20260101;

 private:
  Index m_n;
  bool m_weighted;
};

template <class Scalar>
Dataset<Scalar> in_memory(const SampleSource<Scalar>& source) {
  SampleBuffer<Scalar> buffer;
  const SampleView<Scalar> all = source.read(0, source.size(), buffer);
  return {all.inputs, all.targets, all.weights};
}

}  // namespace mgdl::test
