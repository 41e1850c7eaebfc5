#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "mgdl/core/sample_source.hpp"
#include "mgdl/network/multigrade_model.hpp"

namespace mgdl_benchmark {

using mgdl::Index;
using mgdl::SampleBuffer;
using mgdl::SampleView;

/// Friedman's first function of five of the inputs, with noise; rows are made when they are asked
/// for.
class Rows : public mgdl::SampleSource<float> {
 public:
  Rows(Index n, Index d) : m_n(n), m_d(d) {}

  Index size() const override { return m_n; }
  Index inputs() const override { return m_d; }
  Index outputs() const override { return 1; }

  SampleView<float> read(Index first, Index count, SampleBuffer<float>& buffer) const override {
    m_read.fetch_add(count, std::memory_order_relaxed);
    buffer.resize(count, m_d, 1);
    buffer.weights.setOnes();
    for (Index i = 0; i < count; ++i) {
      std::uint64_t state = static_cast<std::uint64_t>(first + i) * 0x9E3779B97F4A7C15u;
      for (Index j = 0; j < m_d; ++j) buffer.inputs(i, j) = uniform(state);
      const auto x = buffer.inputs.row(i);
      const float noise = uniform(state) + uniform(state) + uniform(state) - 1.5f;
      const float centred = x[2] - 0.5f;
      buffer.targets(i, 0) = 10 * std::sin(3.14159265f * x[0] * x[1]) + 20 * centred * centred +
                             10 * x[3] + 5 * x[4] + 0.2f * noise;
    }
    return buffer.view();
  }

  /// Times that all samples were read.
  double passes() const { return static_cast<double>(m_read) / static_cast<double>(m_n); }

 private:
  /// The next number of splitmix64 (Steele, Lea & Flood, OOPSLA 2014), in [0, 1).
  static float uniform(std::uint64_t& state) {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-24f;
  }

  Index m_n;
  Index m_d;
  mutable std::atomic<Index> m_read{0};
};

/// A checksum of a model's weights and biases.
inline std::uint64_t bits_of(const mgdl::MultigradeModel<float>& model) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (Index k = 1; k <= model.grades(); ++k) {
    for (const auto& layer : model.grade(k).network.layers()) {
      const auto add = [&](const auto& values) {
        for (Index i = 0; i < values.size(); ++i) {
          hash = (hash ^ std::bit_cast<std::uint32_t>(values.data()[i])) * 1099511628211u;
        }
      };
      add(layer.weights());
      add(layer.bias());
    }
  }
  return hash;
}

}  // namespace mgdl_benchmark
