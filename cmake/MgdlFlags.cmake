# Flags for our own programs. They are never part of mgdl::mgdl: users choose their flags themselves.
#
#   mgdl_warnings   what we want to be told
#   mgdl_tuning     what makes Eigen fast: the instruction set of this machine
#
# All programs of one build use the same tuning, because Eigen's memory alignment depends on it.

include(CheckCXXCompilerFlag)

add_library(mgdl_warnings INTERFACE)
target_compile_options(mgdl_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
# GCC 12 takes the undefined upper halves in its own AVX-512 header for mistakes (GCC bug 105593), and
# "text" + std::string for an overlapping copy (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(mgdl_warnings INTERFACE -Wno-uninitialized -Wno-maybe-uninitialized -Wno-restrict)
endif()
if(MGDL_WARNINGS_AS_ERRORS)
  target_compile_options(mgdl_warnings INTERFACE -Werror)
endif()

add_library(mgdl_tuning INTERFACE)
if(MGDL_NATIVE)
  check_cxx_compiler_flag(-march=native MGDL_HAS_MARCH_NATIVE)
  if(MGDL_HAS_MARCH_NATIVE)
    target_compile_options(mgdl_tuning INTERFACE -march=native)
  else()
    message(STATUS "mgdl: the compiler has no -march=native; programs are built for a generic machine")
  endif()
endif()

# Without a build type CMake does not optimise at all, which makes Eigen look a hundred times slower.
get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT multi_config)
  message(STATUS "mgdl: no CMAKE_BUILD_TYPE given; using Release")
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug, RelWithDebInfo or MinSizeRel" FORCE)
endif()

# For what is not timed: examples and tests spend their time in mgdl::compiled. (The command does not take
# these: of what it instantiates as well as the library, the linker takes the command's.)
set(mgdl_quick_to_compile "")
if(CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  # With what decides whether a * b + c is rounded once, so that bits are those of -O3.
  set(mgdl_quick_to_compile -O1 -fexpensive-optimizations)
endif()
