# What a package has beside the library and the command: manual pages and completion, both made from what the
# command says of itself, and the description for CPack:
#
#   cmake --preset package && cmake --build --preset package --target package     a .deb in build/package
#
# Recipes for vcpkg and Conan are in cmake/packaging.

# --- Manual pages and completion ------------------------------------------------------------------

if(TARGET mgdl_command AND NOT CMAKE_CROSSCOMPILING)
  set(folder ${PROJECT_BINARY_DIR}/command)
  file(MAKE_DIRECTORY ${folder})
  set(completion ${folder}/mgdl.bash)
  add_custom_command(OUTPUT ${completion}
    COMMAND mgdl_command --completion > ${completion}
    DEPENDS mgdl_command
    VERBATIM)
  set(made ${completion})
  install(FILES ${completion}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mgdl)

  find_program(MGDL_HELP2MAN help2man)
  if(MGDL_HELP2MAN)
    set(script ${PROJECT_SOURCE_DIR}/cmake/packaging/man_page)
    set(pages "")
    foreach(command IN ITEMS "" fit convex predict inspect verify export convert)
      set(name mgdl)
      if(command)
        set(name mgdl-${command})
      endif()
      set(page ${folder}/${name}.1)
      add_custom_command(OUTPUT ${page}
        COMMAND ${script} ${MGDL_HELP2MAN} $<TARGET_FILE:mgdl_command> ${PROJECT_VERSION} ${name}
          ${command} > ${page}
        DEPENDS mgdl_command ${script}
        VERBATIM)
      list(APPEND pages ${page})
    endforeach()
    list(APPEND made ${pages})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  else()
    message(STATUS "mgdl: help2man not found; without manual pages")
  endif()
  add_custom_target(mgdl_command_pages ALL DEPENDS ${made})
endif()

# --- CPack ----------------------------------------------------------------------------------------

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mgdl)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
if(NOT CPACK_PACKAGE_CONTACT)
  set(CPACK_PACKAGE_CONTACT "mgdl contributors <contributors@mgdl.invalid>")  # whoever builds it says otherwise
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_DESCRIPTION "Learns a function from samples by shallow networks, one after another, each fitted \
to what the ones before it left; and by convex fits of one hidden layer, with duality gaps. Headers, the compiled \
library and the command mgdl.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
# What the headers include, and what the command was linked to.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS nlohmann-json3-dev)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS gnuplot-nox)
find_program(MGDL_DPKG_SHLIBDEPS dpkg-shlibdeps)
if(MGDL_DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)

# The recipes have the version too. That of Conan reads it.
file(READ cmake/packaging/vcpkg/mgdl/vcpkg.json recipe)
string(JSON recipe_version GET "${recipe}" version)
if(NOT recipe_version VERSION_EQUAL PROJECT_VERSION)
  message(FATAL_ERROR "mgdl: cmake/packaging/vcpkg/mgdl/vcpkg.json is of version ${recipe_version}, "
    "include/mgdl/version.hpp of ${PROJECT_VERSION}")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cmake/packaging/vcpkg/mgdl/vcpkg.json)
