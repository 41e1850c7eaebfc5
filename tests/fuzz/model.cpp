// Any bytes as a model file, whose checksum is taken for granted: refused, or saved and loaded
// again with the same bytes.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <variant>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "mgdl/io/model/reader.hpp"
#include "mgdl/io/model_file.hpp"
#include "mgdl/io/safetensors.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    mgdl::load_any_model(bytes);
  } catch (const mgdl::FormatError&) {
  }
  try {
    const mgdl::SafeTensors content = mgdl::parse_safetensors(bytes);
    const std::string file = "model";
    const auto any = mgdl::detail::read_model(content, file, /*with_checksum=*/false);
    std::visit(
        [](const auto& saved) {
          const auto* report = saved.report ? &*saved.report : nullptr;
          const auto first = mgdl::save_model(saved.model, report);
          using Saved = std::remove_cvref_t<decltype(saved)>;
          const auto again = mgdl::load_model<typename Saved::Scalar>(first);
          const auto* same = again.report ? &*again.report : nullptr;
          mgdl::fuzz::require(mgdl::save_model(again.model, same) == first, "other bytes");
        },
        any);
  } catch (const mgdl::FormatError&) {
  }
  return 0;
}
