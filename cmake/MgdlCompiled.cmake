# mgdl::compiled: what takes long to compile, once instead of in every source file.
#
# The same headers. Where one ends with
#
#   #ifdef MGDL_COMPILED
#   namespace mgdl {
#   extern template class X<double>;
#   }  // namespace mgdl
#   #else                              // or nothing of this and the next line
#   #include "mgdl/<part>/x_impl.hpp"
#   #endif
#
# or includes an X_impl.hpp without such a list, the library has a unit with what it lists, for those who
# define MGDL_COMPILED. It is built only if something needs it, or if it is to be installed.

# By their names, the headers that need nlohmann_json. Without it the library is without them.
set(mgdl_json_headers "/io/.*(json|model|safetensors)")

set(sources "")
set(compiled_headers "")  # that have a unit
foreach(path IN LISTS headers)
  cmake_path(RELATIVE_PATH path BASE_DIRECTORY ${PROJECT_SOURCE_DIR}/include OUTPUT_VARIABLE header)
  string(REGEX REPLACE "\\.hpp$" "_impl.hpp" impl ${header})
  file(READ ${path} text)
  set(unit "")
  if(text MATCHES "\n#ifdef MGDL_COMPILED\n([^#]*extern template[^#]*)\n#")
    string(REPLACE "extern template" "template" unit "${CMAKE_MATCH_1}\n")
  endif()
  if(EXISTS ${PROJECT_SOURCE_DIR}/include/${impl})
    string(PREPEND unit "#include \"${impl}\"\n\n")
  endif()
  if(unit STREQUAL "" OR (NOT nlohmann_json_FOUND AND "/${header}" MATCHES "${mgdl_json_headers}"))
    continue()
  endif()
  string(REPLACE ".hpp" ".cpp" source ${PROJECT_BINARY_DIR}/compiled/${header})
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n${unit}" @ONLY)
  list(APPEND sources ${source})
  list(APPEND compiled_headers ${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
endforeach()

add_library(mgdl_compiled STATIC ${sources})
add_library(mgdl::compiled ALIAS mgdl_compiled)
# Not in unity: code is what takes its time here, not headers, and every unit shows that its header and
# X_impl.hpp compile alone (tests/headers).
set_target_properties(mgdl_compiled PROPERTIES EXPORT_NAME compiled UNITY_BUILD OFF)
if(NOT MGDL_INSTALL OR NOT MGDL_INSTALL_COMPILED)
  set_target_properties(mgdl_compiled PROPERTIES EXCLUDE_FROM_ALL TRUE)
endif()
target_compile_definitions(mgdl_compiled PUBLIC MGDL_COMPILED=1)
target_link_libraries(mgdl_compiled PUBLIC mgdl)
# Read once instead of by every unit; it shows a unit nothing that it would not see without it.
target_precompile_headers(mgdl_compiled PRIVATE [["mgdl/core/types.hpp"]])
# Files and the pieces of a model take their time to compile, not to run; what bounds boxes does both.
if(mgdl_quick_to_compile)
  set(quick ${sources})
  list(FILTER quick INCLUDE REGEX "/mgdl/(io/|network/bounds\\.)")
  set_source_files_properties(${quick} PROPERTIES COMPILE_OPTIONS "${mgdl_quick_to_compile}")
endif()
foreach(flags IN ITEMS mgdl_warnings mgdl_tuning)
  if(TARGET ${flags})
    target_compile_options(mgdl_compiled PRIVATE $<TARGET_PROPERTY:${flags},INTERFACE_COMPILE_OPTIONS>)
  endif()
endforeach()
if(nlohmann_json_FOUND)
  target_include_directories(mgdl_compiled SYSTEM PRIVATE
    $<TARGET_PROPERTY:nlohmann_json::nlohmann_json,INTERFACE_INCLUDE_DIRECTORIES>)
endif()

# Types of Eigen are aligned by the instruction set they are compiled for. That of the library is part
# of it: whoever links to it gets the same alignment. (That the rest agrees is checked when linking; see
# mgdl/core/compiled.hpp.)
function(mgdl_fix_alignment)
  set(flags "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${CMAKE_BUILD_TYPE}}")
  separate_arguments(flags)
  if(MGDL_NATIVE AND MGDL_HAS_MARCH_NATIVE)
    list(APPEND flags -march=native)
  endif()
  get_target_property(dirs Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
  # A project around this one may have Eigen's own target, whose folders depend on what is done with it.
  list(TRANSFORM dirs REPLACE "\\$<BUILD_INTERFACE:([^>]*)>" "\\1")
  list(FILTER dirs EXCLUDE REGEX "\\$<")
  list(TRANSFORM dirs PREPEND -I)
  set(source ${PROJECT_BINARY_DIR}/compiled/alignment.txt)
  file(WRITE ${source} "#include <Eigen/Core>\nalignment is EIGEN_MAX_ALIGN_BYTES\n")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${flags} ${dirs} -std=c++20 -E -P -x c++ ${source}
    OUTPUT_VARIABLE output ERROR_QUIET)
  if(output MATCHES "alignment is ([0-9]+)")
    target_compile_definitions(mgdl_compiled PUBLIC EIGEN_MAX_ALIGN_BYTES=${CMAKE_MATCH_1})
  else()
    message(FATAL_ERROR "mgdl: ${CMAKE_CXX_COMPILER} does not read <Eigen/Core> of ${dirs}")
  endif()
endfunction()
mgdl_fix_alignment()
