#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

/// \file
/// Timing shared by the benchmarks.

namespace mgdl_benchmark {

inline double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Middle value; of an even number of values the lower one of the two.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + (static_cast<std::ptrdiff_t>(values.size()) - 1) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// This machine's rate of single precision matrix products, in FLOP/s: Eigen's product, one on each
/// of `threads` threads at a time, at its best size.
inline double gemm_peak(int threads) {
  double best = 0;
  for (const Eigen::Index n : {256, 512, 1024}) {
    const double flops =
        2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
    const int repetitions = static_cast<int>(4e10 / flops) + 1;
    const double start = now_seconds();
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([n, repetitions] {
        const Eigen::MatrixXf a = Eigen::MatrixXf::Constant(n, n, 0.5F);
        Eigen::MatrixXf c(n, n);
        for (int i = 0; i < repetitions; ++i) c.noalias() = a * a;
      });
    }
    for (auto& worker : workers) worker.join();
    best = std::max(best, threads * repetitions * flops / (now_seconds() - start));
  }
  return best;
}

}  // namespace mgdl_benchmark
