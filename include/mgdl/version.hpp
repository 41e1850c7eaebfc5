#pragma once

/// \file
/// The version of mgdl. This is its only home: CMake reads the three numbers from here.

/// Changes when programs that use mgdl may have to be changed.
#define MGDL_VERSION_MAJOR 0
/// Changes when something is added.
#define MGDL_VERSION_MINOR 2
/// Changes when something is repaired.
#define MGDL_VERSION_PATCH 0

namespace mgdl {
namespace detail {

#define MGDL_DETAIL_TEXT(x) #x
#define MGDL_DETAIL_VERSION(major, minor, patch) \
  MGDL_DETAIL_TEXT(major) "." MGDL_DETAIL_TEXT(minor) "." MGDL_DETAIL_TEXT(patch)

inline constexpr const char* version_text =
    MGDL_DETAIL_VERSION(MGDL_VERSION_MAJOR, MGDL_VERSION_MINOR, MGDL_VERSION_PATCH);

#undef MGDL_DETAIL_VERSION
#undef MGDL_DETAIL_TEXT

}  // namespace detail

/// The version of mgdl that the program was compiled with, e.g. "0.2.0".
constexpr const char* version() noexcept { return detail::version_text; }

}  // namespace mgdl
