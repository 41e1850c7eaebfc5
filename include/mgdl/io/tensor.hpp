#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

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
