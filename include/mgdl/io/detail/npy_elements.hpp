#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <istream>
#include <limits>
#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/detail/npy_header.hpp"

namespace mgdl::detail {

/// True if `value` can be converted to Scalar without becoming infinite or another integer.
template <class Scalar, class Source>
bool fits(Source value) {
  if constexpr (std::is_floating_point_v<Source>) {
    return sizeof(Source) <= sizeof(Scalar) || !std::isfinite(value) ||
           std::abs(value) <= std::numeric_limits<Scalar>::max();
  } else if constexpr (std::numeric_limits<Source>::digits <= std::numeric_limits<Scalar>::digits) {
    return true;
  } else {
    std::uint64_t magnitude = static_cast<std::uint64_t>(value);
    if (std::is_signed_v<Source> && value < Source{0}) magnitude = 0 - magnitude;
    return static_cast<int>(std::bit_width(magnitude)) - std::countr_zero(magnitude) <=
           std::numeric_limits<Scalar>::digits;
  }
}

/// Converts `count` elements; stops before the first that does not fit, puts it into `misfit` and
/// returns how many did.
template <class Scalar, class Source>
std::size_t decode_npy(const unsigned char* bytes, std::size_t count, bool swap_bytes,
                       Scalar* result, std::string& misfit) {
  using Stored = std::conditional_t<std::is_same_v<Source, bool>, std::uint8_t, Source>;
  for (std::size_t i = 0; i < count; ++i) {
    unsigned char element[sizeof(Stored)];
    std::memcpy(element, bytes + i * sizeof(Stored), sizeof(Stored));
    if (swap_bytes) std::reverse(element, element + sizeof(Stored));
    Stored value;
    std::memcpy(&value, element, sizeof(Stored));
    if (std::is_same_v<Source, bool> ? value > Stored{1} : !fits<Scalar>(value)) {
      misfit = to_text(+value);
      return i;
    }
    result[i] = static_cast<Scalar>(value);
  }
  return count;
}

template <class Scalar>
using NpyDecoder = std::size_t (*)(const unsigned char*, std::size_t, bool, Scalar*, std::string&);

template <class Scalar>
NpyDecoder<Scalar> npy_decoder(const NpyHeader& header) {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>);
  const std::size_t size = header.item_size;
  switch (header.kind) {
    case 'f': return size == 4 ? decode_npy<Scalar, float> : decode_npy<Scalar, double>;
    case 'i':
      return size == 1   ? decode_npy<Scalar, std::int8_t>
             : size == 2 ? decode_npy<Scalar, std::int16_t>
             : size == 4 ? decode_npy<Scalar, std::int32_t>
                         : decode_npy<Scalar, std::int64_t>;
    case 'u':
      return size == 1   ? decode_npy<Scalar, std::uint8_t>
             : size == 2 ? decode_npy<Scalar, std::uint16_t>
             : size == 4 ? decode_npy<Scalar, std::uint32_t>
                         : decode_npy<Scalar, std::uint64_t>;
    default: return decode_npy<Scalar, bool>;
  }
}

/// The elements of a .npy file, one piece after the other, in the order of the file.
template <class Scalar>
class NpyElements {
 public:
  NpyElements(std::istream& in, const NpyHeader& header, const std::string& name)
      : m_in(in), m_header(header), m_name(name), m_decode(npy_decoder<Scalar>(header)) {}

  void read(Scalar* result, std::size_t count) {
    const std::size_t item_size = m_header.item_size;
    std::string misfit;
    for (std::size_t done = 0; done < count;) {
      const std::size_t piece = std::min(count - done, m_bytes.size() / item_size);
      m_in.read(reinterpret_cast<char*>(m_bytes.data()),
                static_cast<std::streamsize>(piece * item_size));
      const auto arrived = static_cast<std::size_t>(m_in.gcount());
      if (arrived != piece * item_size) {
        throw InvalidArgument(m_name, "readable data to the end", "an input/output error",
                              byte_text(m_position) + " or after");
      }
      const std::size_t good =
          m_decode(m_bytes.data(), piece, m_header.swap_bytes, result + done, misfit);
      if (good != piece) fail(m_position + good, misfit);
      m_position += piece;
      done += piece;
    }
  }

 private:
  std::string byte_text(std::size_t position) const {
    return "byte " + std::to_string(m_header.data_offset + position * m_header.item_size);
  }

  [[noreturn]] void fail(std::size_t position, const std::string& misfit) const {
    const bool is_float = m_header.kind == 'f';
    const bool is_bool = m_header.kind == 'b';
    const std::string type = std::is_same_v<Scalar, float> ? "float" : "double";
    throw InvalidArgument(m_name,
                          is_bool    ? std::string("bool elements of 0 or 1")
                          : is_float ? "values in the range of " + type
                                     : "integers that " + type + " holds exactly",
                          misfit,
                          "element " + std::to_string(position) + " (" + byte_text(position) + ")");
  }

  std::istream& m_in;
  const NpyHeader& m_header;
  const std::string& m_name;
  NpyDecoder<Scalar> m_decode;
  std::size_t m_position = 0;
  std::vector<unsigned char> m_bytes = std::vector<unsigned char>(std::size_t{1} << 16);
};

/// Elements converted or transposed at a time: half a level-2 cache of doubles.
inline constexpr Index npy_block = Index{1} << 15;

/// Calls `visit(row, col, height, width)` for blocks that cover a matrix in row-major order, each
/// contiguous in a C-ordered file: some whole rows, or a part of one row.
template <class Visit>
void for_each_npy_block(Index rows, Index cols, Visit visit) {
  if (rows == 0 || cols == 0) return;
  const Index width = std::min(cols, npy_block);
  const Index height = npy_block / width;  // 1 where a row has several parts
  for (Index i = 0; i < rows; i += height) {
    for (Index j = 0; j < cols; j += width) {
      visit(i, j, std::min(height, rows - i), std::min(width, cols - j));
    }
  }
}

template <class Scalar>
void write_npy_data(std::ostream& out, const Scalar* data, std::size_t count) {
  out.write(reinterpret_cast<const char*>(data),
            static_cast<std::streamsize>(count * sizeof(Scalar)));
}

}  // namespace mgdl::detail
