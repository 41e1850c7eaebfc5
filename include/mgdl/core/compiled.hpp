#pragma once

/// \file
/// The two ways to use mgdl. By itself every header is complete. With MGDL_COMPILED defined (CMake
/// target mgdl::compiled does that), headers leave out what is in their X_impl.hpp, or do not
/// instantiate what they list at their end: a library has it for float and double, and a source
/// file compiles in a fraction of the time.
///
/// The library and whoever uses it have to be compiled for the same instruction set, because types
/// of Eigen and packed weights are laid out by it. If they are not, linking fails, with the set
/// that is asked for in the name of the symbol that is missing: alignment, floats in a vector,
/// registers, versions of Eigen and mgdl.

#ifdef MGDL_COMPILED
#include <Eigen/Core>

#include "mgdl/version.hpp"

/// Before functions that are no templates and defined in an X_impl.hpp.
#define MGDL_INLINE

namespace mgdl::detail {

inline constexpr int kEigenVersion =
    EIGEN_WORLD_VERSION * 10000 + EIGEN_MAJOR_VERSION * 100 + EIGEN_MINOR_VERSION;
inline constexpr int kVersion =
    MGDL_VERSION_MAJOR * 10000 + MGDL_VERSION_MINOR * 100 + MGDL_VERSION_PATCH;
inline constexpr int kVectorSize = Eigen::internal::packet_traits<float>::size;
inline constexpr int kRegisters = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS;

/// There is one of these in the library, for its own instruction set.
template <int alignment, int vector_size, int registers, int eigen, int mgdl>
struct LibraryCompiledFor {
  static const char same_instruction_set;
};

template <int alignment, int vector_size, int registers, int eigen, int mgdl>
const char
    LibraryCompiledFor<alignment, vector_size, registers, eigen, mgdl>::same_instruction_set = 1;

}  // namespace mgdl::detail
#else
#define MGDL_INLINE inline
#endif

#ifdef MGDL_COMPILED
namespace mgdl::detail {
extern template struct LibraryCompiledFor<EIGEN_MAX_ALIGN_BYTES, kVectorSize, kRegisters,
                                          kEigenVersion, kVersion>;
}  // namespace mgdl::detail
#endif

// After the list, so that it asks for the library's instead of making its own.
#ifdef MGDL_COMPILED
namespace mgdl::detail {
/// Every source file asks for it.
[[gnu::used]] static const char* const library_check =
    &LibraryCompiledFor<EIGEN_MAX_ALIGN_BYTES, kVectorSize, kRegisters, kEigenVersion,
                        kVersion>::same_instruction_set;
}  // namespace mgdl::detail
#endif
