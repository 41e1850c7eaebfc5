// Ranks of MPI train the same model as one process. With the argument `fail`, one of them throws.

#include "mgdl/parallel/mpi.hpp"

#include <iostream>
#include <memory>
#include <stdexcept>

#include "mgdl/mgdl.hpp"
#include "support/block_trainers.hpp"
#include "support/made_source.hpp"

namespace {

using mgdl::test::MadeSource;

template <class Scalar>
bool check(const std::shared_ptr<mgdl::MpiCommunicator>& ranks, double memory) {
  const MadeSource<Scalar> source(2 * mgdl::detail::kBlockRows + 99, /*weighted=*/true);
  const MadeSource<Scalar> held_out(mgdl::detail::kBlockRows + 99);
  bool all = true;
  for (const auto& [name, trainer] : mgdl::test::block_trainers<Scalar>(3, 1000)) {
    mgdl::MultigradeOptions options{.max_grades = 2, .seed = 3, .threads = 1};
    options.minimum_progress = 0;
    options.patience = 2;
    const auto alone = mgdl::MultigradeTrainer<Scalar>({trainer}, options).fit(source, &held_out);
    options.ranks = ranks;
    options.memory_limit_bytes = memory;
    const auto shared = mgdl::MultigradeTrainer<Scalar>({trainer}, options).fit(source, &held_out);
    const bool same = shared.model == alone.model && alone.model.grades() > 0;
    if (!same) std::cout << name << " has other bits on rank " << ranks->rank() << std::endl;
    all = all && same;
  }
  return all;
}

}  // namespace

int main(int argc, char**) {
  const auto ranks = std::make_shared<mgdl::MpiCommunicator>();
  if (argc > 1) {
    try {
      const mgdl::MpiCommunicator others;
      if (others.rank() == 1) throw std::runtime_error("one has failed");
      for (int i = 0; i < 100; ++i) mgdl::detail::largest_of(ranks.get(), i);  // waits for it
    } catch (const std::exception&) {
    }
    return 0;
  }
  const bool single = check<float>(ranks, 1);
  const bool all = check<double>(ranks, 1e12) && single;
  const bool everywhere = mgdl::detail::largest_of(ranks.get(), all ? 0 : 1) == 0;
  if (ranks->rank() == 0 && everywhere) {
    std::cout << ranks->size() << " ranks: the bits of one" << std::endl;
  }
  return everywhere ? 0 : 1;
}
