#pragma once

/// \file
/// The two ways to use mgdl. By itself every header is complete. With MGDL_COMPILED defined (CMake
/// target mgdl::compiled does that), X.hpp leaves out what X_impl.hpp defines, and a library has it
/// for float and double: a source file then compiles in a fraction of the time.
///
/// The library and whoever uses it have to be compiled for the same instruction set, because types
/// of Eigen and packed weights are laid out by it. If they are not, linking fails, with the two
/// sets in the name of the symbol that is missing: alignment, float values in a vector, registers,
/// Eigen.

#ifdef MGDL_COMPILED

#include <Eigen/Core>

#include "mgdl/version.hpp"

namespace mgdl::detail {

/// There is one of these in the library, for its own instruction set.
template <int alignment, int vector_size, int registers, int eigen, int mgdl>
struct LibraryCompiledFor {
  static const char same_instruction_set;
};

using CompiledForThis =
    LibraryCompiledFor<EIGEN_MAX_ALIGN_BYTES, Eigen::internal::packet_traits<float>::size,
                       EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS,
                       EIGEN_WORLD_VERSION * 10000 + EIGEN_MAJOR_VERSION * 100 +
                           EIGEN_MINOR_VERSION,
                       MGDL_VERSION_MAJOR * 10000 + MGDL_VERSION_MINOR * 100 + MGDL_VERSION_PATCH>;

extern template struct LibraryCompiledFor<
    EIGEN_MAX_ALIGN_BYTES, Eigen::internal::packet_traits<float>::size,
    EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS,
    EIGEN_WORLD_VERSION * 10000 + EIGEN_MAJOR_VERSION * 100 + EIGEN_MINOR_VERSION,
    MGDL_VERSION_MAJOR * 10000 + MGDL_VERSION_MINOR * 100 + MGDL_VERSION_PATCH>;

[[gnu::used]] static const char* const library_check = &CompiledForThis::same_instruction_set;

}  // namespace mgdl::detail

#endif
