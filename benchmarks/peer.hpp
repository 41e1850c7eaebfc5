#pragma once

#include <cstdio>

#ifdef MGDL_HAVE_TORCH
#include "torch/torch_peer.hpp"
#endif

namespace mgdl_benchmark {

/// Says which libtorch is on the other side, and what keeps it from its best.
inline void announce_peer() {
#ifdef MGDL_HAVE_TORCH
  std::printf("libtorch on %s\n", torch_blas().c_str());
  if (!torch_blas_is_fastest()) {
    std::printf("WARNING: not the fastest BLAS for libtorch; install OpenBLAS with OpenMP\n");
  }
  if (!torch_environment_is_clean()) {
    std::printf("WARNING: OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE slows libtorch down; unset both\n");
  }
#else
  std::printf("built without libtorch: our side only\n");
#endif
}

}  // namespace mgdl_benchmark
