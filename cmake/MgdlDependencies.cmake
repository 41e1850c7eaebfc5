# mgdl_find_dependency(<name>)
#
# Looks for a package that is installed and, if there is none and MGDL_FETCH_DEPENDENCIES is ON,
# downloads the release named below, whose contents are pinned by their hash. Sets <name>_FOUND.

include_guard(GLOBAL)
include(FetchContent)

set(mgdl_Eigen3_url https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz)
set(mgdl_Eigen3_sha256 8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72)
set(mgdl_Catch2_url https://github.com/catchorg/Catch2/archive/refs/tags/v3.5.2.tar.gz)
set(mgdl_Catch2_sha256 269543a49eb76f40b3f93ff231d4c24c27a7e16c90e47d2e45bcc564de470c6e)
set(mgdl_nlohmann_json_url https://github.com/nlohmann/json/archive/refs/tags/v3.11.3.tar.gz)
set(mgdl_nlohmann_json_sha256 0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406)
set(mgdl_CLI11_url https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.3.2.tar.gz)
set(mgdl_CLI11_sha256 aac0ab42108131ac5d3344a9db0fdf25c4db652296641955720a4fbe52334e22)

# Where the headers of those that need no build are. An imported target makes them system headers,
# and leaves the package's own tests, options and install rules out of our build.
set(mgdl_Eigen3_headers .)
set(mgdl_Eigen3_target Eigen3::Eigen)
set(mgdl_nlohmann_json_headers include)
set(mgdl_nlohmann_json_target nlohmann_json::nlohmann_json)
set(mgdl_CLI11_headers include)
set(mgdl_CLI11_target CLI11::CLI11)

function(mgdl_fetch_dependency name)
  message(STATUS "mgdl: ${name} is not installed: using ${mgdl_${name}_url}")
  # A dependency's own tests, and warnings about its age, are not ours to see.
  set(CATCH_INSTALL_DOCS OFF)
  set(CATCH_INSTALL_EXTRAS OFF)
  set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
  set(CMAKE_UNITY_BUILD OFF)
  if(mgdl_${name}_headers)
    set(only_unpack SOURCE_SUBDIR no-such-folder)
  endif()
  FetchContent_Declare(${name}
    URL ${mgdl_${name}_url} URL_HASH SHA256=${mgdl_${name}_sha256} ${only_unpack})
  FetchContent_MakeAvailable(${name})
  if(mgdl_${name}_headers AND NOT TARGET ${mgdl_${name}_target})
    string(TOLOWER ${name} lower_name)
    add_library(${mgdl_${name}_target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${mgdl_${name}_target} SYSTEM
      INTERFACE ${${lower_name}_SOURCE_DIR}/${mgdl_${name}_headers})
  endif()
endfunction()

# A macro, because find_package sets variables that belong to the caller.
macro(mgdl_find_dependency name)
  if(mgdl_${name}_target AND TARGET ${mgdl_${name}_target})  # of the project around this one
    set(${name}_FOUND TRUE)
  else()
    find_package(${name} QUIET CONFIG)
  endif()
  if(NOT ${name}_FOUND AND MGDL_FETCH_DEPENDENCIES)
    mgdl_fetch_dependency(${name})
    set(${name}_FOUND TRUE)
  endif()
endmacro()
