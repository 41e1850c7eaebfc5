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
  const WaveSource source(1'000'000'000'000, 7);  // 24 TB, if they were in a file
  const mgdl::Index first = 123'456'789'000, count = 1000;
  mgdl::SampleBuffer<double> whole, part;
  const auto block = source.read(first, count, whole);
  bool same = true;
  // Again, in other blocks and from the last one to the first.
  for (mgdl::Index at = count - 8; at >= 0; at -= 8) {
    const auto rows = source.read(first + at, 8, part);
    same = same && rows.inputs == block.inputs.middleRows(at, 8) &&
           rows.targets == block.targets.middleRows(at, 8);
  }
  const double mean = block.inputs.mean();
  std::cout << "rows " << first << " to " << first + count << ": mean of the inputs " << mean
            << (same ? ", the same again\n" : ", others at the second time\n");
  return same && std::abs(mean - 0.5) < 0.05 ? 0 : 1;
}
