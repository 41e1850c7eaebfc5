#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/detail/safetensors_header.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/tensor.hpp"

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

static_assert(std::endian::native == std::endian::little,
              "values would have to be turned on a machine of this kind");

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
inline SafeTensors parse_safetensors(std::span<const std::byte> bytes,
                                     const std::string& file = "safetensors") {
  constexpr std::size_t prefix = sizeof(std::uint64_t);
  if (bytes.size() < prefix) {
    throw FormatError(file, "8 bytes, the length of the header", std::to_string(bytes.size()));
  }
  const std::uint64_t length = detail::little_endian_length(bytes.first<prefix>());
  if (length > detail::kMaxHeader) {
    throw FormatError(file, "a header of at most " + std::to_string(detail::kMaxHeader) + " bytes",
                      std::to_string(length), "byte 0");
  }
  if (length > bytes.size() - prefix) {
    throw FormatError(file, "a header of " + std::to_string(length) + " bytes",
                      std::to_string(bytes.size() - prefix), "byte 8");
  }
  const auto header = bytes.subspan(prefix, static_cast<std::size_t>(length));
  const auto data = bytes.subspan(prefix + static_cast<std::size_t>(length));

  detail::SafetensorsHeader parser(file);
  parser.parse(header);
  SafeTensors content;
  content.metadata = std::move(parser.metadata);
  for (const auto& [name, begin, end] : detail::checked_order(parser.entries, data.size(), file)) {
    auto& entry = parser.entries[name];
    content.tensors.emplace(
        name, Tensor{entry.type, std::move(entry.shape), data.subspan(begin, end - begin)});
  }
  return content;
}

/// Writes a safetensors file: the same content, the same bytes. Wider types come first, so that
/// every tensor is aligned in the file.
///
/// \throws InvalidArgument, before anything is written, for a tensor whose values are not as many
///         as its shape says, for a name "__metadata__", for texts that are no UTF-8, and for a
///         header that is too long
inline void write_safetensors(std::ostream& out, const SafeTensors& content) {
  std::vector<std::pair<const std::string*, const Tensor*>> order;
  for (const auto& [name, tensor] : content.tensors) {
    if (name == detail::kMetadataKey) throw InvalidArgument("tensor", "another name", name);
    const auto expected = detail::byte_count(tensor.type, tensor.shape);
    if (!expected || *expected != tensor.data.size()) {
      throw InvalidArgument("tensor " + name,
                            expected ? std::to_string(*expected) + " bytes" : "a smaller shape",
                            std::to_string(tensor.data.size()) + " bytes");
    }
    order.emplace_back(&name, &tensor);
  }
  std::ranges::stable_sort(order, [](const auto& a, const auto& b) {
    return size_of(a.second->type) > size_of(b.second->type);
  });

  using Json = nlohmann::ordered_json;
  Json json = Json::object();
  if (!content.metadata.empty()) {
    Json& metadata = json[detail::kMetadataKey] = Json::object();
    for (const auto& [key, text] : content.metadata) metadata[key] = text;
  }
  std::size_t begin = 0;
  for (const auto& [name, tensor] : order) {
    const std::size_t end = begin + tensor->data.size();
    json[*name] = {{"dtype", to_string(tensor->type)},
                   {"shape", tensor->shape},
                   {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string header;
  try {
    header = json.dump();
  } catch (const Json::exception&) {
    throw InvalidArgument("names and metadata", "UTF-8", "other bytes");
  }
  header.resize((header.size() + 7) / 8 * 8, ' ');  // the first tensor is aligned, too
  if (header.size() > detail::kMaxHeader) {
    throw InvalidArgument("names and metadata",
                          "a header of at most " + std::to_string(detail::kMaxHeader) + " bytes",
                          std::to_string(header.size()));
  }
  const std::uint64_t length = header.size();
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const auto& [name, tensor] : order) {
    out.write(reinterpret_cast<const char*>(tensor->data.data()),
              static_cast<std::streamsize>(tensor->data.size()));
  }
}

/// Creates or replaces a safetensors file, completely or not at all (see write_file).
///
/// \throws InvalidArgument as above, and if it cannot be written
inline void write_safetensors(const std::filesystem::path& path, const SafeTensors& content) {
  write_file(path, [&](std::ostream& out) { write_safetensors(out, content); });
}

}  // namespace mgdl
