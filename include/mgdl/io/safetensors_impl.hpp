#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "mgdl/core/compiled.hpp"
#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"
#include "mgdl/io/safetensors.hpp"

namespace mgdl::detail {

inline constexpr std::uint64_t kMaxHeader = 100'000'000;  // as the reference implementation
inline constexpr const char* kMetadataKey = "__metadata__";

inline std::uint64_t little_endian_length(std::span<const std::byte, 8> bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}

/// Bytes of a tensor; none if they are too many to be counted.
inline std::optional<std::size_t> byte_count(TensorType type, const std::vector<Index>& shape) {
  std::size_t count = size_of(type);
  for (const Index size : shape) {
    if (size < 0) return {};
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && count > std::numeric_limits<std::size_t>::max() / factor) return {};
    count *= factor;
  }
  return count;
}

/// Reads the JSON header event by event, as it accepts one structure only: there is never more in
/// memory than the header says, no number of levels, and every key occurs once.
class SafetensorsHeader {
 public:
  struct Entry {
    TensorType type = TensorType::F32;
    std::vector<Index> shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

  explicit SafetensorsHeader(const std::string& file) : m_file(file) {}

  void parse(std::span<const std::byte> header) {
    const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
    if (text.empty() || text.front() != '{') {
      throw FormatError(m_file, "a JSON object",
                        text.empty() ? "nothing" : excerpt(text.substr(0, 1)), "byte 8");
    }
    // Which the parser would take for the end.
    if (const auto zero = text.find('\0'); zero != text.npos) {
      throw FormatError(m_file, "a JSON object", "a byte 0", "byte " + std::to_string(zero + 8));
    }
    nlohmann::json::sax_parse(text.begin(), text.end(), this);
  }

  // --- Called by the parser
  // -----------------------------------------------------------------------

  bool null() { return fail("null"); }
  bool boolean(bool value) { return fail(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return fail(std::to_string(value)); }
  bool number_float(double, const std::string& text) { return fail(excerpt(text)); }
  template <class Binary>
  bool binary(Binary&) {
    return fail("bytes");
  }

  bool number_unsigned(std::uint64_t value) {
    if (!m_in_list) return fail(std::to_string(value));
    if (m_field == "shape") {
      constexpr std::size_t max_dimensions = 32;  // as NumPy
      if (m_entry.shape.size() == max_dimensions) return fail("more than 32 sizes");
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
        return fail(std::to_string(value));
      }
      m_entry.shape.push_back(static_cast<Index>(value));
    } else {
      if (m_offsets == 2) return fail("more than two offsets");
      (m_offsets == 0 ? m_entry.begin : m_entry.end) = value;
      ++m_offsets;
    }
    return true;
  }

  bool string(std::string& text) {
    if (m_depth == 2 && m_name == kMetadataKey) {
      metadata[m_field] = std::move(text);
      return true;
    }
    if (m_depth != 2 || m_field != "dtype") return fail(excerpt(text));
    const auto type = tensor_type(text);
    if (!type) return fail(excerpt(text));
    m_entry.type = *type;
    return true;
  }

  bool start_object(std::size_t) {
    if (m_depth == 2) return fail("an object");
    if (++m_depth == 2) {
      m_entry = {};
      m_fields = 0;
      m_offsets = 0;
      m_field.clear();
    }
    return true;
  }

  bool key(std::string& name) {
    if (m_depth == 1) {
      m_name = std::move(name);
      if (entries.contains(m_name) || (m_name == kMetadataKey && m_has_metadata)) {
        throw FormatError(m_file, "every name once", "twice", place());
      }
      m_has_metadata = m_has_metadata || m_name == kMetadataKey;
      return true;
    }
    m_field = std::move(name);
    if (m_name == kMetadataKey) {
      if (metadata.contains(m_field)) {
        throw FormatError(m_file, "every key once", "twice", "metadata " + printable(m_field));
      }
      return true;
    }
    const int bit = m_field == "dtype"          ? 1
                    : m_field == "shape"        ? 2
                    : m_field == "data_offsets" ? 4
                                                : 0;
    if (bit == 0 || (m_fields & bit) != 0) {
      throw FormatError(m_file, "dtype, shape and data_offsets, each once", excerpt(m_field),
                        place());
    }
    m_fields |= bit;
    return true;
  }

  bool end_object() {
    if (m_depth-- == 2 && m_name != kMetadataKey) {
      if (m_fields != 7 || m_offsets != 2) {
        throw FormatError(m_file, "dtype, shape and two data_offsets", "less", place());
      }
      entries.emplace(m_name, std::move(m_entry));
    }
    return true;
  }

  bool start_array(std::size_t) {
    const bool list =
        m_depth == 2 && m_name != kMetadataKey && (m_field == "shape" || m_field == "data_offsets");
    if (m_in_list || !list) return fail("a list");
    return m_in_list = true;
  }

  bool end_array() {
    m_in_list = false;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& error) {
    constexpr int kOutOfRange = 406;  // a number that no type holds
    if (error.id == kOutOfRange) return fail(excerpt(token));
    throw FormatError(m_file, "a JSON object", "another text",
                      "byte " + std::to_string(position + 7));
  }

 private:
  std::string place() const {
    if (m_depth == 0) return "byte 8";
    if (m_name == kMetadataKey) {
      return "metadata" + (m_depth == 2 ? " " + printable(m_field) : std::string());
    }
    return "tensor " + printable(m_name);
  }

  /// A value that the format does not have here.
  [[noreturn]] bool fail(const std::string& found) const {
    std::string expected = "an object";
    if (m_depth == 2) {
      expected = m_name == kMetadataKey ? "a text"
                 : m_field == "dtype"   ? "a type that is known"
                 : m_field == "shape"   ? "a list of at most 32 sizes"
                                        : "a list of two offsets";
    }
    throw FormatError(m_file, expected, found, place());
  }

  const std::string& m_file;
  int m_depth = 0;  // of objects: 1 in the header, 2 in a tensor or the metadata
  bool m_in_list = false;
  bool m_has_metadata = false;
  std::string m_name;   // key of depth 1
  std::string m_field;  // key of depth 2
  Entry m_entry;
  int m_fields = 0;  // those that were there, a bit each
  int m_offsets = 0;
};

/// Where a tensor is in the data.
struct TensorRange {
  std::string name;
  std::size_t begin;
  std::size_t end;
};

/// The tensors in the order of the file, which they fill without a gap.
/// \throws FormatError if they do not
inline std::vector<TensorRange> checked_order(
    const std::map<std::string, SafetensorsHeader::Entry>& entries, std::size_t size,
    const std::string& file) {
  std::vector<std::tuple<std::uint64_t, std::uint64_t, const std::string*>> order;
  for (const auto& [name, entry] : entries) order.emplace_back(entry.begin, entry.end, &name);
  // Of equal places the first by name is first, as in `entries`.
  std::ranges::stable_sort(order, {}, [](const auto& tensor) {
    return std::pair(std::get<0>(tensor), std::get<1>(tensor));
  });
  std::vector<TensorRange> ranges;
  std::uint64_t last = 0;
  for (const auto& [begin, end, name] : order) {
    const std::string place = "tensor " + printable(*name);
    const auto& entry = entries.at(*name);
    if (begin != last || end < begin) {
      throw FormatError(file, "data from byte " + std::to_string(last),
                        std::to_string(begin) + " to " + std::to_string(end), place);
    }
    if (end > size) {
      throw FormatError(file, std::to_string(end) + " bytes of data", std::to_string(size), place);
    }
    const auto count = byte_count(entry.type, entry.shape);
    if (!count || *count != end - begin) {
      throw FormatError(
          file, count ? std::to_string(*count) + " bytes for its shape" : "a shape that fits",
          std::to_string(end - begin) + " bytes", place);
    }
    ranges.push_back({*name, static_cast<std::size_t>(begin), static_cast<std::size_t>(end)});
    last = end;
  }
  if (last != size) {
    throw FormatError(file, std::to_string(last) + " bytes of data, as the tensors have",
                      std::to_string(size));
  }
  return ranges;
}

}  // namespace mgdl::detail

namespace mgdl {

static_assert(std::endian::native == std::endian::little,
              "values would have to be turned on a machine of this kind");

MGDL_INLINE SafeTensors parse_safetensors(std::span<const std::byte> bytes,
                                          const std::string& file) {
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

MGDL_INLINE void write_safetensors(std::ostream& out, const SafeTensors& content) {
  for (const auto& [name, tensor] : content.tensors) {
    if (name == detail::kMetadataKey) throw InvalidArgument("tensor", "another name", name);
    const auto expected = detail::byte_count(tensor.type, tensor.shape);
    if (!expected || *expected != tensor.data.size()) {
      throw InvalidArgument("tensor " + name,
                            expected ? std::to_string(*expected) + " bytes" : "a smaller shape",
                            std::to_string(tensor.data.size()) + " bytes");
    }
  }
  std::vector<std::pair<const std::string*, const Tensor*>> order;
  for (const std::size_t size : {8u, 4u, 2u, 1u}) {
    for (const auto& [name, tensor] : content.tensors) {
      if (size_of(tensor.type) == size) order.emplace_back(&name, &tensor);
    }
  }

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

MGDL_INLINE void write_safetensors(const std::filesystem::path& path, const SafeTensors& content) {
  write_file(path, [&](std::ostream& out) { write_safetensors(out, content); });
}

}  // namespace mgdl
