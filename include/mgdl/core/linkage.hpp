#pragma once

/// \file
/// Where the definitions that take long to compile are: what mgdl/convex.hpp declares, and the
/// trainers and predictions for float and double. They are in headers detail/<name>_impl.hpp, which
/// the public ones include, unless MGDL_COMPILED is defined. Then only a library (CMake target
/// mgdl::compiled) compiles them, which saves every source file up to a minute.

#ifdef MGDL_COMPILED
#define MGDL_INLINE
#else
#define MGDL_INLINE inline
#endif
