# mgdl_add_numpy_test(<name> <script> [<argument>...])
#
# A test that is a script in Python, where there is NumPy; elsewhere, one that CTest shows as skipped.

include_guard(GLOBAL)

function(mgdl_add_numpy_test name script)
  # Not the first python3 only: that may be another than the one that has NumPy.
  foreach(python IN ITEMS python3 /usr/bin/python3)
    execute_process(COMMAND ${python} -c "import numpy" RESULT_VARIABLE without_numpy
      OUTPUT_QUIET ERROR_QUIET)
    if(without_numpy STREQUAL "0")
      add_test(NAME ${name} COMMAND ${python} ${script} ${ARGN})
      return()
    endif()
  endforeach()
  message(STATUS "mgdl: NumPy not found; test ${name} is skipped")
  add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: no python3 with NumPy")
  set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: no python3")
endfunction()
