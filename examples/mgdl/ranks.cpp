#include "ranks.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "mgdl/core/error.hpp"
#include "mgdl/core/executor.hpp"
#include "mgdl/parallel/launcher.hpp"

#ifdef MGDL_MPI
#include "mgdl/parallel/mpi.hpp"
#endif

namespace mgdl::command {
namespace {

std::shared_ptr<Communicator> joined;

}  // namespace

void join_ranks() {
  const int launched = launched_processes();
  if (launched <= 1) return;
#ifdef MGDL_MPI
  joined = std::make_shared<MpiCommunicator>();
#else
  throw InvalidArgument("mgdl", "one process: this command was built without MPI (MGDL_MPI)",
                        std::to_string(launched) + ", as the launcher says");
#endif
}

void leave_ranks() { joined.reset(); }

const std::shared_ptr<Communicator>& ranks() { return joined; }

bool speaks() { return !joined || joined->rank() == 0; }

std::string wait_to_fail() {
  if (speaks()) return "";
  std::this_thread::sleep_for(std::chrono::seconds(3));
  return "rank " + std::to_string(joined->rank()) + ": ";
}

void end_ranks([[maybe_unused]] int exit_code) {
#ifdef MGDL_MPI
  if (!joined) return;
  static_cast<MpiCommunicator&>(*joined).abort(exit_code);
#endif
}

int threads_of_rank() {
#ifdef MGDL_MPI
  if (joined) {
    const int others = static_cast<MpiCommunicator&>(*joined).size_of_machine();
    return std::max(1, detail::available_threads() / others);
  }
#endif
  return 0;
}

}  // namespace mgdl::command
