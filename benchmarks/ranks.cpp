// Training by ranks and by threads: seconds of a grade of each kind, bytes that the first rank
// gives out, and a checksum of the model, which is the same for all.
//
//   [mpirun -n R] benchmark_ranks [--rows N] [--inputs D] [--width M] [--threads T] [--repeat K]
//
// One line for each kind: ranks, threads, kind, median of the seconds of the second grade (the
// first one, a sampled grade, is there so that features are computed), bytes of one fit, checksum.
// script/benchmark scale runs it in turns.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "measure.hpp"
#include "mgdl/mgdl.hpp"
#include "rows.hpp"
#ifdef MGDL_MPI
#include "mgdl/parallel/mpi.hpp"
#endif

namespace {

using mgdl::Index;

mgdl::GradientOptions gradient(Index width, mgdl::Optimizer optimizer, Index epochs, Index batch) {
  mgdl::GradientOptions options;
  options.width = width;
  options.hidden_layers = 2;
  options.optimizer = optimizer;
  options.epochs = epochs;
  options.batch_size = batch;
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Index rows = 200000, inputs = 8, width = 64;
  int threads = 1, repeat = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const double value = std::atof(argv[i + 1]);
    if (flag == "--rows") rows = static_cast<Index>(value);
    if (flag == "--inputs") inputs = static_cast<Index>(value);
    if (flag == "--width") width = static_cast<Index>(value);
    if (flag == "--threads") threads = static_cast<int>(value);
    if (flag == "--repeat") repeat = static_cast<int>(value);
  }
  std::shared_ptr<mgdl::Communicator> ranks;
#ifdef MGDL_MPI
  if (mgdl::launched_processes() > 0) ranks = std::make_shared<mgdl::MpiCommunicator>();
#endif
  const bool speaks = !ranks || ranks->rank() == 0;
  const mgdl::SampledTrainer<float> sampled({.width = width});
  const auto adam = [&](Index batch) {
    return mgdl::GradientTrainer<float>(gradient(width, mgdl::Optimizer::Adam, 2, batch));
  };
  const std::vector<std::pair<const char*, mgdl::AnyGradeTrainer<float>>> trainers{
      {"sampled", sampled},
      {"Adam, batch 256", adam(256)},
      {"Adam, batch 1024", adam(1024)},
      {"L-BFGS", mgdl::GradientTrainer<float>(gradient(width, mgdl::Optimizer::Lbfgs, 5, 1))}};
  const mgdl_benchmark::Rows source(rows, inputs);
  for (const auto& [name, trainer] : trainers) {
    mgdl::MultigradeOptions options{.max_grades = 2, .threads = threads, .ranks = ranks};
    options.minimum_progress = 0;
    std::vector<double> seconds;
    std::uint64_t bits = 0, sent = 0;
    for (int k = 0; k < repeat; ++k) {
      const std::uint64_t before = ranks ? ranks->bytes_sent() : 0;
      const auto [model, report] =
          mgdl::MultigradeTrainer<float>({sampled, trainer}, options).fit(source);
      seconds.push_back(report.grades.back().seconds);
      bits = mgdl_benchmark::bits_of(model);
      sent = (ranks ? ranks->bytes_sent() : 0) - before;
    }
    if (!speaks) continue;
    std::printf("%d;%d;%s;%.4f;%llu;%016llx\n", ranks ? ranks->size() : 1, threads, name,
                mgdl_benchmark::median(seconds), static_cast<unsigned long long>(sent),
                static_cast<unsigned long long>(bits));
    std::fflush(stdout);
  }
}
