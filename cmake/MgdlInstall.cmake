include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# With the compiled library, the package is of this machine's kind and lies where libraries do.
if(MGDL_INSTALL_COMPILED)
  set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mgdl)
  set(any_machine "")
  install(TARGETS mgdl_compiled EXPORT mgdlCompiledTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT mgdlCompiledTargets NAMESPACE mgdl:: DESTINATION ${config_dir})
else()
  set(config_dir ${CMAKE_INSTALL_DATADIR}/cmake/mgdl)
  set(any_machine ARCH_INDEPENDENT)
endif()

install(TARGETS mgdl EXPORT mgdlTargets FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT mgdlTargets NAMESPACE mgdl:: DESTINATION ${config_dir})

configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/mgdlConfig.cmake.in ${PROJECT_BINARY_DIR}/mgdlConfig.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mgdlConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ${any_machine})
install(
  FILES ${PROJECT_BINARY_DIR}/mgdlConfig.cmake ${PROJECT_BINARY_DIR}/mgdlConfigVersion.cmake
    ${CMAKE_CURRENT_LIST_DIR}/MgdlEigen.cmake
  DESTINATION ${config_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
