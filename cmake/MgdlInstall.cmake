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

# --- pkg-config -----------------------------------------------------------------------------------
#
# mgdl, and mgdl-compiled. Paths are relative to the file, so that an install can be moved.

# mgdl_install_pc(<name> <folder>): cmake/<name>.pc.in to <folder>/pkgconfig.
function(mgdl_install_pc name folder)
  string(REGEX REPLACE "[^/]+" ".." pc_prefix ${folder}/pkgconfig)
  if(IS_ABSOLUTE ${folder})
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  endif()
  foreach(dir IN ITEMS INCLUDEDIR LIBDIR)
    string(TOLOWER pc_${dir} variable)
    set(${variable} "\${prefix}/${CMAKE_INSTALL_${dir}}")
    if(IS_ABSOLUTE ${CMAKE_INSTALL_${dir}})
      set(${variable} ${CMAKE_INSTALL_${dir}})
    endif()
  endforeach()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${folder}/pkgconfig)
endfunction()

mgdl_install_pc(mgdl ${CMAKE_INSTALL_DATADIR})
if(MGDL_INSTALL_COMPILED)
  get_target_property(definitions mgdl_compiled INTERFACE_COMPILE_DEFINITIONS)
  list(TRANSFORM definitions PREPEND -D)
  list(JOIN definitions " " pc_definitions)
  mgdl_install_pc(mgdl-compiled ${CMAKE_INSTALL_LIBDIR})
endif()
