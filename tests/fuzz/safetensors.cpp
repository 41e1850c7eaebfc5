// Any bytes as a safetensors file: refused, or written again with the same content.

#include "mgdl/io/safetensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sstream>
#include <string>

#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using mgdl::fuzz::require;
  mgdl::SafeTensors content;
  try {
    content = mgdl::parse_safetensors(std::as_bytes(std::span(data, size)));
  } catch (const mgdl::FormatError&) {
    return 0;
  }
  std::size_t total = 0;
  for (const auto& [name, tensor] : content.tensors) total += tensor.data.size();
  require(total <= size, "more data than bytes");
  std::ostringstream out;
  mgdl::write_safetensors(out, content);
  const std::string bytes = out.str();
  const auto again = mgdl::parse_safetensors(std::as_bytes(std::span(bytes)));
  require(again.metadata == content.metadata, "other metadata");
  require(again.tensors.size() == content.tensors.size(), "another number of tensors");
  for (const auto& [name, tensor] : content.tensors) {
    const auto& other = again.tensors.at(name);
    require(other.type == tensor.type && other.shape == tensor.shape, "another tensor");
    require(std::ranges::equal(other.data, tensor.data), "other data");
  }
  return 0;
}
