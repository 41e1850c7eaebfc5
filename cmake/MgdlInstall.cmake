include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(config_dir ${CMAKE_INSTALL_DATADIR}/cmake/mgdl)

install(TARGETS mgdl EXPORT mgdlTargets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILE_SET json_headers DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT mgdlTargets NAMESPACE mgdl:: DESTINATION ${config_dir})

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/mgdlConfig.cmake.in ${PROJECT_BINARY_DIR}/mgdlConfig.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mgdlConfigVersion.cmake
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(
  FILES ${PROJECT_BINARY_DIR}/mgdlConfig.cmake ${PROJECT_BINARY_DIR}/mgdlConfigVersion.cmake
  DESTINATION ${config_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
