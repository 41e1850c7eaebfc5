#pragma once

/// \file
/// Where the definitions that take long to compile are, the convex solvers and the trainers for
/// float and double: in the headers, unless MGDL_COMPILED is defined. Then they are in a library
/// (CMake target mgdl::compiled), which saves every source file up to half a minute.

#ifdef MGDL_COMPILED
#define MGDL_INLINE
#else
#define MGDL_INLINE inline
#endif
