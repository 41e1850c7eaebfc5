# Checks the #include lines of all headers under INCLUDE_DIR:
#   - mgdl.hpp includes every header of its parts, and nothing of io; convex.hpp all of convex and of
#     the trainer that needs it;
#   - outside of io, headers include only the standard library, Eigen and mgdl;
#   - a part includes only itself and the parts below it, also by way of detail;
#   - all headers include core/types.hpp, but for those in WITHOUT_TYPES (separated by commas). What is
#     left to mgdl::compiled does not count: tests/headers precompiles types.hpp for the others.

cmake_minimum_required(VERSION 3.23)

set(umbrella_parts core network training)

# The parts that each part may include. `.` are the headers directly in mgdl/.
set(allowed_in_core . core detail)
set(allowed_in_network ${allowed_in_core} network)
set(allowed_in_convex ${allowed_in_network} convex)
set(allowed_in_training ${allowed_in_convex} training)
set(allowed_in_convex_training ${allowed_in_training})
set(allowed_in_io ${allowed_in_training} io)
set(allowed_in_detail ${allowed_in_training})
set(allowed_in_. ${allowed_in_training})

# <vector>, <Eigen/Dense>, "mgdl/...".
set(allowed "^(<[a-z0-9_]+>|<Eigen/[A-Za-z]+>|\"mgdl/[a-z0-9_/]+\\.hpp\")$")

set(errors "")

# The name of the folder that a header is in, relative to mgdl/.
function(get_part header result)
  string(REGEX MATCH "^[^/]+/" part ${header})
  string(REPLACE "/" "" part "${part}")
  if(part STREQUAL "")
    set(part .)
  endif()
  set(${result} ${part} PARENT_SCOPE)
endfunction()

# What a header includes, each as "mgdl/..." or <...>.
function(get_includes header result)
  file(STRINGS ${INCLUDE_DIR}/mgdl/${header} lines REGEX "^[ \t]*#[ \t]*include")
  list(TRANSFORM lines REPLACE "^[^<\"]*(<[^>]*>|\"[^\"]*\").*$" "\\1")
  set(${result} ${lines} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR}/mgdl ${INCLUDE_DIR}/mgdl/*.hpp)
if(NOT headers)
  message(FATAL_ERROR "no headers found in ${INCLUDE_DIR}/mgdl")
endif()

get_includes(mgdl.hpp umbrella_includes)
get_includes(convex.hpp convex_includes)
foreach(header IN LISTS headers)
  get_part(${header} part)
  if(header MATCHES "^training/convex_")
    set(part convex_training)
  endif()
  if(part IN_LIST umbrella_parts AND NOT "\"mgdl/${header}\"" IN_LIST umbrella_includes)
    list(APPEND errors "mgdl/mgdl.hpp does not include mgdl/${header}")
  endif()
  if(part MATCHES "^convex" AND NOT "\"mgdl/${header}\"" IN_LIST convex_includes)
    list(APPEND errors "mgdl/convex.hpp does not include mgdl/${header}")
  endif()

  get_includes(${header} includes)
  foreach(included IN LISTS includes)
    if(NOT included MATCHES "${allowed}" AND NOT part STREQUAL "io")
      list(APPEND errors "mgdl/${header} includes ${included}, which is neither std, Eigen nor mgdl")
    endif()
  endforeach()

  # Headers in detail belong to no level: what they include counts as included by those who use them.
  set(open ${includes})
  set(seen "")
  while(open)
    list(POP_FRONT open included)
    if(included IN_LIST seen)
      continue()
    endif()
    list(APPEND seen ${included})
    if(NOT included MATCHES "^\"mgdl/(.*)\"$")
      continue()
    endif()
    set(included_header ${CMAKE_MATCH_1})
    get_part(${included_header} included_part)
    if(NOT included_part IN_LIST allowed_in_${part})
      list(APPEND errors "mgdl/${header} must not depend on ${included}")
    elseif(included_part STREQUAL "detail")
      get_includes(${included_header} more)
      list(APPEND open ${more})
    endif()
  endwhile()
endforeach()

# Those that include types.hpp, by way of others.
string(REPLACE "," ";" without_types "${WITHOUT_TYPES}")
set(with_types core/types.hpp)
set(found core/types.hpp)
while(found)
  set(found "")
  foreach(header IN LISTS headers)
    if(header IN_LIST with_types)
      continue()
    endif()
    get_includes(${header} includes)
    list(FILTER includes EXCLUDE REGEX "_impl\\.hpp\"$")
    foreach(included IN LISTS with_types)
      if("\"mgdl/${included}\"" IN_LIST includes)
        list(APPEND found ${header})
        break()
      endif()
    endforeach()
  endforeach()
  list(APPEND with_types ${found})
endwhile()
foreach(header IN LISTS headers)
  if(NOT header IN_LIST with_types AND NOT header IN_LIST without_types)
    list(APPEND errors "mgdl/${header} does not include mgdl/core/types.hpp, and tests/headers does not say so")
  endif()
endforeach()

if(errors)
  list(JOIN errors "\n  " text)
  message(FATAL_ERROR "\n  ${text}")
endif()
list(LENGTH headers count)
message(STATUS "${count} headers checked")
