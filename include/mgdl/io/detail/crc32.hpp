#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mgdl::detail {

/// The CRC-32 of zlib, gzip and PNG (polynomial 0xEDB88320, reflected).
class Crc32 {
 public:
  void add(std::span<const std::byte> bytes) noexcept {
    for (const std::byte byte : bytes) {
      m_state = kTable[(m_state ^ std::to_integer<std::uint32_t>(byte)) & 0xff] ^ m_state >> 8;
    }
  }
  void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }

  std::uint32_t value() const noexcept { return ~m_state; }

 private:
  static constexpr std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t entry = i;
      for (int bit = 0; bit < 8; ++bit) entry = entry >> 1 ^ (entry & 1 ? 0xEDB88320u : 0);
      table[i] = entry;
    }
    return table;
  }();

  std::uint32_t m_state = ~std::uint32_t{0};
};

}  // namespace mgdl::detail
