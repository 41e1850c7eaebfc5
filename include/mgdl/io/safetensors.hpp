#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"

namespace mgdl {

/// Types of a tensor's values in a safetensors file.
enum class TensorType { Bool, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64 };

namespace detail {

struct TensorTypeTraits {
  const char* name;
  std::size_t size;
};

/// In the order of TensorType.
inline constexpr std::array<TensorTypeTraits, 13> kTensorTypes{{{"BOOL", 1},
                                                                {"U8", 1},
                                                                {"I8", 1},
                                                                {"U16", 2},
                                                                {"I16", 2},
                                                                {"F16", 2},
                                                                {"BF16", 2},
                                                                {"U32", 4},
                                                                {"I32", 4},
                                                                {"F32", 4},
                                                                {"U64", 8},
                                                                {"I64", 8},
                                                                {"F64", 8}}};

inline std::optional<TensorType> tensor_type(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kTensorTypes.size(); ++i) {
    if (name == kTensorTypes[i].name) return static_cast<TensorType>(i);
  }
  return {};
}

}  // namespace detail

/// The name in the file, e.g. "F32".
constexpr const char* to_string(TensorType type) noexcept {
  return detail::kTensorTypes[static_cast<std::size_t>(type)].name;
}

/// Bytes of one value.
constexpr std::size_t size_of(TensorType type) noexcept {
  return detail::kTensorTypes[static_cast<std::size_t>(type)].size;
}

/// A tensor whose values are held elsewhere.
struct Tensor {
  TensorType type = TensorType::F32;  ///< of every value
  std::vector<Index> shape;           ///< sizes >= 0; none: a single value
  std::span<const std::byte> data;    ///< row-major, little-endian, not aligned
};

}  // namespace mgdl

/// \file
/// The safetensors format: named tensors and texts. Needs nlohmann_json.
///
///     8 bytes                 length N of the header, little-endian, at most 100,000,000
///     N bytes                 JSON: {"__metadata__": {"key": "text", ...},
///                                    "name": {"dtype": "F32", "shape": [3, 5],
///                                             "data_offsets": [begin, end]}, ...}
///     the rest                the tensors, row-major and little-endian, one after the other
///
/// Source: https://huggingface.co/docs/safetensors, and its reference implementation, whose checks
/// these are: offsets leave no gap, do not overlap, fit shape and type, and end where the file
/// ends. Beyond those, keys that the format does not have and keys that occur twice are refused.

namespace mgdl {

/// Tensors and texts by their names. The tensors' values are borrowed.
struct SafeTensors {
  std::map<std::string, Tensor> tensors;        ///< by name, which is not "__metadata__"
  std::map<std::string, std::string> metadata;  ///< UTF-8
};

/// What is in a file that is held in memory. The values stay in `bytes`, which must outlive the
/// result. Memory beside them is in proportion to the header that is there, whatever it claims.
///
/// \param file  its name, for errors
/// \throws FormatError for anything but a complete safetensors file
SafeTensors parse_safetensors(std::span<const std::byte> bytes,
                              const std::string& file = "safetensors");

/// Writes a safetensors file: the same content, the same bytes. Wider types come first, so that
/// every tensor is aligned in the file.
///
/// \throws InvalidArgument, before anything is written, for a tensor whose values are not as many
///         as its shape says, for a name "__metadata__", for texts that are no UTF-8, and for a
///         header that is too long
void write_safetensors(std::ostream& out, const SafeTensors& content);

/// Creates or replaces a safetensors file, completely or not at all (see write_file).
///
/// \throws InvalidArgument as above, and if it cannot be written
void write_safetensors(const std::filesystem::path& path, const SafeTensors& content);

}  // namespace mgdl

#ifndef MGDL_COMPILED
#include "mgdl/io/safetensors_impl.hpp"  // IWYU pragma: export
#endif
