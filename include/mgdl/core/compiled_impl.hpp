#pragma once

#include "mgdl/core/compiled.hpp"

#ifdef MGDL_COMPILED

namespace mgdl::detail {

template <int alignment, int vector_size, int registers, int eigen, int mgdl>
const char
    LibraryCompiledFor<alignment, vector_size, registers, eigen, mgdl>::same_instruction_set = 1;

template struct LibraryCompiledFor<
    EIGEN_MAX_ALIGN_BYTES, Eigen::internal::packet_traits<float>::size,
    EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS,
    EIGEN_WORLD_VERSION * 10000 + EIGEN_MAJOR_VERSION * 100 + EIGEN_MINOR_VERSION,
    MGDL_VERSION_MAJOR * 10000 + MGDL_VERSION_MINOR * 100 + MGDL_VERSION_PATCH>;

}  // namespace mgdl::detail

#endif
