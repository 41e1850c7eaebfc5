# An overlay port: it builds the source tree that it lies in.
#
#   vcpkg install mgdl --overlay-ports=<mgdl>/cmake/packaging/vcpkg

cmake_path(GET CURRENT_PORT_DIR PARENT_PATH SOURCE_PATH)  # vcpkg
cmake_path(GET SOURCE_PATH PARENT_PATH SOURCE_PATH)       # packaging
cmake_path(GET SOURCE_PATH PARENT_PATH SOURCE_PATH)       # cmake
cmake_path(GET SOURCE_PATH PARENT_PATH SOURCE_PATH)

vcpkg_check_features(OUT_FEATURE_OPTIONS options
  FEATURES
    compiled MGDL_INSTALL_COMPILED
    tools MGDL_BUILD_COMMAND)

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS
    ${options}
    -DMGDL_BUILD_TESTS=OFF -DMGDL_BUILD_EXAMPLES=OFF -DMGDL_BUILD_BENCHMARKS=OFF -DMGDL_BUILD_DOCS=OFF)
vcpkg_cmake_install()

if("compiled" IN_LIST FEATURES)
  vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/mgdl)
else()
  vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/mgdl)
  file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/lib")
endif()
vcpkg_fixup_pkgconfig()
if("tools" IN_LIST FEATURES)
  vcpkg_copy_tools(TOOL_NAMES mgdl AUTO_CLEAN)
endif()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
