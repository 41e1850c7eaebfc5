#pragma once

#include <array>
#include <cstdlib>

#include "mgdl/core/types.hpp"

namespace mgdl {

/// Processes that a launcher (mpirun, srun) says it has started together with this one; 0: it was
/// started alone. From the environment: OMPI_COMM_WORLD_SIZE of Open MPI, PMI_SIZE of MPICH and
/// those that descend from it, SLURM_STEP_NUM_TASKS of srun.
inline int launched_processes() {
  constexpr std::array names{"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
  for (const char* name : names) {
    const char* text = std::getenv(name);
    const int count = text == nullptr ? 0 : std::atoi(text);
    if (count > 0) return count;
  }
  return 0;
}

}  // namespace mgdl
