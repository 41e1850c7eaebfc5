#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

/// \file
/// .npy files, byte for byte.

namespace mgdl::test {

/// A file of a header and what is behind it.
inline std::string npy_file(const std::string& header, const std::string& data, int version = 1) {
  std::string result = "\x93NUMPY";
  result += {static_cast<char>(version), '\0'};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    result += static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  return result + header + data;
}

/// A header that says this.
inline std::string npy_header(const std::string& descr, const std::string& order,
                              const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

/// Bytes of `value` in the given order ('<' or '>').
template <class Stored>
std::string bytes_of(Stored value, char order) {
  std::string result(sizeof(Stored), '\0');
  std::memcpy(result.data(), &value, sizeof(Stored));
  const bool little = std::endian::native == std::endian::little;
  if (sizeof(Stored) > 1 && little != (order == '<')) std::reverse(result.begin(), result.end());
  return result;
}

}  // namespace mgdl::test
