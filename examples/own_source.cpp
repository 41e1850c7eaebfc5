// Samples that are in no file and in no memory: a source of your own makes the rows when they are
// asked for. Row i comes from the random stream number i, so it is the same whoever asks, in
// whatever order.

#include <cmath>
#include <iostream>

#include "mgdl/mgdl.hpp"

/// Points in the unit square and a wave there, measured with noise.
class WaveSource final : public mgdl::SampleSource<double> {
 public:
  WaveSource(mgdl::Index size, std::uint64_t seed) : m_size(size), m_seed(seed) {}

  mgdl::Index size() const override { return m_size; }
  mgdl::Index inputs() const override { return 2; }
  mgdl::Index outputs() const override { return 1; }

  mgdl::SampleView<double> read(mgdl::Index first, mgdl::Index count,
                                mgdl::SampleBuffer<double>& buffer) const override {
    buffer.resize(count, inputs(), outputs());
    for (mgdl::Index i = 0; i < count; ++i) {
      mgdl::RandomStream random(m_seed, static_cast<std::uint64_t>(first + i));
      const double x = random.uniform(), y = random.uniform();
      buffer.inputs.row(i) << x, y;
      buffer.targets(i, 0) = std::sin(7 * x + 3 * y) + 0.1 * random.normal();
    }
    buffer.weights.setOnes();
    return buffer.view();
  }

 private:
  mgdl::Index m_size;
  std::uint64_t m_seed;
};

int main() {
  const WaveSource source(100'000, 7);
  const mgdl::SampledTrainer<double> trainer({.width = 100});
  // Two megabytes of features and residuals at most; the others are computed when they are needed.
  mgdl::MultigradeOptions options{.max_grades = 2, .memory_limit_bytes = 2e6};
  const auto [model, report] = mgdl::MultigradeTrainer<double>(trainer, options).fit(source);
  std::cout << report;
  options.memory_limit_bytes = 1e9;
  const bool same = mgdl::MultigradeTrainer<double>(trainer, options).fit(source).model == model;
  const double error = report.grades.back().train_output_rmse.front();
  std::cout << "error " << error << ", the noise is 0.1; with all in memory "
            << (same ? "the same bits\n" : "others\n");
  return same && error < 0.11 ? 0 : 1;
}
