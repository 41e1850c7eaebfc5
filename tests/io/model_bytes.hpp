#pragma once

#include <span>
#include <string>

#include "mgdl/io/model_file.hpp"

namespace mgdl::test {

/// The model in the bytes of a file that is called f.
inline AnySavedModel load(const std::string& bytes) {
  return load_any_model(std::as_bytes(std::span(bytes)), "f");
}

}  // namespace mgdl::test
