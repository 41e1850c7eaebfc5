#pragma once

#include <string>

#include "mgdl/core/types.hpp"
#include "mgdl/io/report_json.hpp"
#include "mgdl/io/safetensors.hpp"

namespace mgdl::detail {

/// The model that is in the content of a file.
///
/// \param file           its name, for errors
/// \param with_checksum  whether the checksum is checked, as everything else is
/// \throws FormatError that names the key
AnySavedModel read_model(const SafeTensors& content, const std::string& file,
                         bool with_checksum = true);

}  // namespace mgdl::detail

#ifndef MGDL_COMPILED
#include "mgdl/io/model/reader_impl.hpp"  // IWYU pragma: export
#endif
