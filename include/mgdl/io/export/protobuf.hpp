#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace mgdl::detail {

/// A message in the encoding of Protocol Buffers, field by field in any order. Source:
/// protobuf.dev/programming-guides/encoding.
class Protobuf {
 public:
  Protobuf& integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  /// A string, bytes or, from another message's bytes(), a message.
  Protobuf& text(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    m_bytes += value;
    return *this;
  }
  Protobuf& message(int field, const Protobuf& value) { return text(field, value.m_bytes); }

  const std::string& bytes() const noexcept { return m_bytes; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) m_bytes += static_cast<char>((value & 127) | 128);
    m_bytes += static_cast<char>(value);
  }

  std::string m_bytes;
};

/// Appends a number's bytes, the lowest first.
template <class Number>
void append_little_endian(std::string& bytes, Number value) {
  using Bits = std::conditional_t<sizeof(Number) == 4, std::uint32_t, std::uint64_t>;
  const auto bits = std::bit_cast<Bits>(value);
  for (std::size_t i = 0; i < sizeof(Bits); ++i) bytes += static_cast<char>(bits >> (8 * i) & 255);
}

}  // namespace mgdl::detail
