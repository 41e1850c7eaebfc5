#pragma once

/// \file
/// Where the definitions of the convex solvers are: in the headers, unless MGDL_CONVEX_LIBRARY is
/// defined. Then they are in a library (CMake target mgdl::convex), which saves every source file
/// the half minute that they take to compile.

#ifdef MGDL_CONVEX_LIBRARY
#define MGDL_CONVEX_INLINE
#else
#define MGDL_CONVEX_INLINE inline
#endif
