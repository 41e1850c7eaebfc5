// Several processes train one model, each on its part of the samples:
//
//   mpirun -n 4 ranks
//
// The model has the same bits for any number of them.

#include <cmath>
#include <iostream>
#include <memory>

#include "mgdl/mgdl.hpp"
#include "mgdl/parallel/mpi.hpp"

/// A wave on the unit square. Every rank could make every row, and is asked for its own only.
class WaveSource final : public mgdl::SampleSource<float> {
 public:
  mgdl::Index size() const override { return 200'000; }
  mgdl::Index inputs() const override { return 2; }
  mgdl::Index outputs() const override { return 1; }

  mgdl::SampleView<float> read(mgdl::Index first, mgdl::Index count,
                               mgdl::SampleBuffer<float>& buffer) const override {
    buffer.resize(count, inputs(), outputs());
    for (mgdl::Index i = 0; i < count; ++i) {
      mgdl::RandomStream random(7, static_cast<std::uint64_t>(first + i));
      const double x = random.uniform(), y = random.uniform();
      buffer.inputs.row(i) << static_cast<float>(x), static_cast<float>(y);
      buffer.targets(i, 0) = static_cast<float>(std::sin(7 * x + 3 * y));
    }
    buffer.weights.setOnes();
    return buffer.view();
  }
};

int main() {
  const auto ranks = std::make_shared<mgdl::MpiCommunicator>();
  const WaveSource source;
  const mgdl::SampledTrainer<float> trainer({.width = 100});
  mgdl::MultigradeOptions options{.max_grades = 2, .threads = 1, .ranks = ranks};
  const auto [model, report] = mgdl::MultigradeTrainer<float>(trainer, options).fit(source);
  if (ranks->rank() == 0) std::cout << ranks->size() << " ranks\n" << report;
  // For comparison every rank does all of it, too.
  options.ranks = nullptr;
  const bool same = mgdl::MultigradeTrainer<float>(trainer, options).fit(source).model == model;
  if (ranks->rank() == 0) std::cout << (same ? "the same bits as alone\n" : "other bits\n");
  return same ? 0 : 1;
}
