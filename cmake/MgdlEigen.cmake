# Eigen3::Eigen: that of the project around this one, or an installed Eigen 3.4 or 5. Sets Eigen3_FOUND, and
# mgdl_eigen_seen to what was found instead.
#
# This file is installed with mgdl's package, which needs the same.

set(mgdl_eigen_seen "none")
if(TARGET Eigen3::Eigen)
  set(Eigen3_FOUND TRUE)
else()
  # Eigen's own comparison of versions knows no "3.4 or 5", and what find_package has loaded once stays. Asked
  # for a version that does not exist, it loads nothing and lists what there is.
  find_package(Eigen3 99999 QUIET CONFIG)
  set(mgdl_eigen_configs "${Eigen3_CONSIDERED_CONFIGS}")
  set(mgdl_eigen_versions "${Eigen3_CONSIDERED_VERSIONS}")
  foreach(version config IN ZIP_LISTS mgdl_eigen_versions mgdl_eigen_configs)
    if(Eigen3_FOUND)
      break()
    elseif(version VERSION_GREATER_EQUAL 3.4 AND version VERSION_LESS 6)
      cmake_path(GET config PARENT_PATH mgdl_eigen_dir)
      find_package(Eigen3 QUIET CONFIG PATHS ${mgdl_eigen_dir} NO_DEFAULT_PATH)
    else()
      set(mgdl_eigen_seen "${version} in ${config}")
    endif()
  endforeach()
endif()
