#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <istream>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "mgdl/core/error.hpp"
#include "mgdl/core/types.hpp"
#include "mgdl/io/file.hpp"

namespace mgdl::detail {

/// What the header of a .npy file says, checked against the size of the file.
struct NpyHeader {
  char kind = 'f';            ///< 'f' float, 'i' signed, 'u' unsigned, 'b' bool
  std::size_t item_size = 0;  ///< bytes of one element
  bool swap_bytes = false;    ///< the file's byte order is not this machine's
  bool fortran_order = false;
  std::vector<Index> shape;
  std::size_t count = 1;          ///< elements, the product of the shape
  std::uint64_t data_offset = 0;  ///< byte position of the first element
};

/// The shape as NumPy writes it: (), (3,), (3, 4).
inline std::string npy_shape_text(const std::vector<Index>& shape) {
  std::string text = "(";
  text += sizes_text(shape);
  text += shape.size() == 1 ? ",)" : ")";
  return text;
}

/// Product of the shape; `limit + 1` if it, or the product of the non-zero sizes, is above `limit`
/// or a size is negative, which as an unsigned number is above every limit.
inline std::uint64_t npy_count(const std::vector<Index>& shape, std::uint64_t limit) {
  std::uint64_t product = 1;
  bool empty = false;
  for (const Index size : shape) {
    if (size == 0) {
      empty = true;
    } else if (product > limit / static_cast<std::uint64_t>(size)) {
      return limit + 1;
    } else {
      product *= static_cast<std::uint64_t>(size);
    }
  }
  return empty ? 0 : product;
}

/// Parser of the Python dictionary in a .npy header. It accepts exactly the three keys 'descr',
/// 'fortran_order' and 'shape', each once, in any order, and nothing but white space behind them.
class NpyDictionary {
 public:
  /// \param text    the header, without magic, version and length
  /// \param offset  position of `text` in the file, for errors
  /// \param name    the file, for errors
  NpyDictionary(std::string_view text, std::size_t offset, const std::string& name)
      : m_text(text), m_offset(offset), m_name(name) {}

  /// Sets kind, item_size, swap_bytes, fortran_order and shape.
  void parse_into(NpyHeader& header) {
    std::array<bool, 3> seen{};
    constexpr std::array<std::string_view, 3> keys{"descr", "fortran_order", "shape"};
    expect('{');
    while (!accept('}')) {
      const std::size_t start = m_at;
      const std::string_view key = string("a key in quotes");
      const auto which = static_cast<std::size_t>(std::ranges::find(keys, key) - keys.begin());
      if (which == keys.size() || seen[which]) {
        fail("the keys 'descr', 'fortran_order' and 'shape', each once", excerpt(key), start);
      }
      seen[which] = true;
      expect(':');
      skip_space();
      if (which == 0) parse_descr(header);
      if (which == 1) header.fortran_order = parse_bool();
      if (which == 2) header.shape = parse_shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (m_at != m_text.size()) fail("only spaces behind the header's dictionary", rest(), m_at);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (seen[i]) continue;
      throw InvalidArgument(m_name, "header key '" + std::string(keys[i]) + "'", "none",
                            "byte " + std::to_string(m_offset));
    }
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found,
                         std::size_t at) const {
    throw InvalidArgument(m_name, expected, found, "byte " + std::to_string(m_offset + at));
  }

  std::string rest() const {
    return m_at == m_text.size() ? "the end of the header" : excerpt(m_text.substr(m_at));
  }

  void skip_space() { m_at = std::min(m_text.find_first_not_of(" \t\n\r", m_at), m_text.size()); }

  bool accept(char c) {
    skip_space();
    if (m_at == m_text.size() || m_text[m_at] != c) return false;
    ++m_at;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("'").append(1, c).append("' in the header"), rest(), m_at);
  }

  std::string_view string(const std::string& expected) {
    skip_space();
    const char quote = m_at < m_text.size() ? m_text[m_at] : '\0';
    if (quote != '\'' && quote != '"') fail(expected, rest(), m_at);
    const std::size_t end = m_text.find(quote, m_at + 1);
    if (end == std::string_view::npos) fail("a closing quote in the header", rest(), m_at);
    const std::string_view result = m_text.substr(m_at + 1, end - m_at - 1);
    m_at = end + 1;
    return result;
  }

  void parse_descr(NpyHeader& header) {
    const std::size_t start = m_at;
    const std::string expected = "'descr' to be one of f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 b1";
    constexpr std::array<std::string_view, 11> known{"f4", "f8", "i1", "i2", "i4", "i8",
                                                     "u1", "u2", "u4", "u8", "b1"};
    if (m_at < m_text.size() && m_text[m_at] == '[') {
      fail(expected, "a structured type " + rest(), start);
    }
    const std::string_view type = string(expected);
    if (type.ends_with('O')) {
      fail(expected, excerpt(type) + " (pickled Python objects, which are never loaded)", start);
    }
    const bool has_order = !type.empty() && std::string_view("<>=|").find(type[0]) != type.npos;
    if (!has_order || std::ranges::find(known, type.substr(1)) == known.end()) {
      const bool is_number =
          has_order && type.size() > 1 && std::string_view("fgciu").find(type[1]) != type.npos;
      fail(expected,
           excerpt(type) + (is_number ? " (x.astype('f8') in NumPy makes one of them)" : ""),
           start);
    }
    header.kind = type[1];
    header.item_size = static_cast<std::size_t>(type[2] - '0');
    constexpr char foreign = std::endian::native == std::endian::little ? '>' : '<';
    header.swap_bytes = type[0] == foreign;
  }

  bool parse_bool() {
    for (const std::string_view word : {"True", "False"}) {
      if (!m_text.substr(m_at).starts_with(word)) continue;
      m_at += word.size();
      return word == "True";
    }
    fail("'fortran_order' to be True or False", rest(), m_at);
  }

  std::vector<Index> parse_shape() {
    constexpr std::size_t max_dimensions = 64;  // NumPy's own limit
    const std::size_t start = m_at;
    std::vector<Index> shape;
    expect('(');
    while (!accept(')')) {
      if (shape.size() == max_dimensions)
        fail("'shape' to have at most 64 dimensions", "more", start);
      shape.push_back(parse_size());
      if (accept(',')) continue;
      if (shape.size() == 1) fail("',' in a 'shape' of one dimension", rest(), m_at);
      expect(')');
      break;
    }
    return shape;
  }

  Index parse_size() {
    constexpr Index max = std::numeric_limits<Index>::max();
    skip_space();
    const std::size_t start = m_at;
    Index size = 0;
    for (; m_at < m_text.size() && m_text[m_at] >= '0' && m_text[m_at] <= '9'; ++m_at) {
      const Index digit = m_text[m_at] - '0';
      if (size > (max - digit) / 10) {
        fail("sizes of at most " + std::to_string(max) + " in 'shape'",
             excerpt(m_text.substr(start)), start);
      }
      size = 10 * size + digit;
    }
    if (m_at == start) fail("sizes from 0 in 'shape'", rest(), start);
    if (m_at < m_text.size() && m_text[m_at] == 'L') ++m_at;  // written by Python 2
    return size;
  }

  std::string_view m_text;
  std::size_t m_offset;
  const std::string& m_name;
  std::size_t m_at = 0;
};

/// Reads the header and leaves `in` at the first element.
///
/// Nothing larger than 64 KiB is allocated, and what the header claims must be exactly the `size`
/// bytes that are there, so the caller may allocate `count` elements.
inline NpyHeader read_npy_header(std::istream& in, std::uint64_t size, const std::string& name) {
  constexpr std::string_view magic = "\x93NUMPY";
  constexpr std::uint64_t max_header = 65535;
  const auto require_size = [&](std::uint64_t needed) {
    if (size >= needed) return;
    throw InvalidArgument(name, "a .npy file of at least " + std::to_string(needed) + " bytes",
                          std::to_string(size) + " bytes");
  };
  const auto take = [&](std::size_t count) {
    std::string bytes(count, '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(count));
    if (static_cast<std::size_t>(in.gcount()) != count) {
      throw InvalidArgument(name, "a readable header of " + std::to_string(count) + " more bytes",
                            std::to_string(in.gcount()));
    }
    return bytes;
  };

  require_size(10);
  const std::string start = take(8);
  if (start.starts_with("PK\x03\x04") || start.starts_with("PK\x05\x06")) {
    throw InvalidArgument(name, "a .npy file, with a single array as numpy.save writes it",
                          "a zip file, as .npz files are", "byte 0");
  }
  if (!start.starts_with(magic)) {
    throw InvalidArgument(name, "a .npy file, which starts with " + excerpt(magic),
                          excerpt(start.substr(0, magic.size())), "byte 0");
  }
  const int major = static_cast<unsigned char>(start[6]);
  const int minor = static_cast<unsigned char>(start[7]);
  if (major < 1 || major > 3 || minor != 0) {
    throw InvalidArgument(name, "format version 1.0, 2.0 or 3.0",
                          std::to_string(major) + "." + std::to_string(minor), "byte 6");
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::uint64_t text_offset = 8 + length_bytes;
  require_size(text_offset);
  std::uint64_t length = 0;
  const std::string length_text = take(length_bytes);
  for (std::size_t i = length_bytes; i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(length_text[i]);
  }
  const std::uint64_t max_length = std::min(size - text_offset, max_header);
  if (length > max_length) {
    throw InvalidArgument(name, "a header of at most " + std::to_string(max_length) + " bytes",
                          std::to_string(length), "byte 8");
  }

  NpyHeader header;
  const std::string text = take(static_cast<std::size_t>(length));
  NpyDictionary(text, static_cast<std::size_t>(text_offset), name).parse_into(header);
  header.data_offset = text_offset + length;

  const std::uint64_t available = size - header.data_offset;
  constexpr std::uint64_t limit = std::numeric_limits<Index>::max() / 8;
  const std::uint64_t count = npy_count(header.shape, limit);
  if (count > limit) {
    throw InvalidArgument(name, "at most " + std::to_string(limit) + " elements",
                          "'shape' " + npy_shape_text(header.shape), "header key 'shape'");
  }
  if (count * header.item_size != available) {
    throw InvalidArgument(name,
                          std::to_string(count * header.item_size) + " bytes of data for 'shape' " +
                              npy_shape_text(header.shape) + " of " +
                              std::to_string(header.item_size) + "-byte elements",
                          std::to_string(available), "byte " + std::to_string(header.data_offset));
  }
  header.count = static_cast<std::size_t>(count);
  return header;
}

/// Writes a header of version 1.0 for C order, padded like NumPy's so that the data starts at a
/// multiple of 64 bytes.
template <class Scalar>
void write_npy_header(std::ostream& out, const std::vector<Index>& shape) {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>);
  const char order = std::endian::native == std::endian::little ? '<' : '>';
  std::string text = "{'descr': '";
  text += order;
  text += 'f';
  text += std::to_string(sizeof(Scalar));
  text += "', 'fortran_order': False, 'shape': ";
  text += npy_shape_text(shape);
  text += ", }";
  constexpr std::size_t start = 10;  // magic, version, length
  text.append(63 - (start + text.size()) % 64, ' ');
  text += '\n';
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(text.size() & 0xff)).put(static_cast<char>(text.size() >> 8));
  out << text;
}

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

inline std::string npy_byte_text(const NpyHeader& header, std::size_t position) {
  return "byte " + std::to_string(header.data_offset + position * header.item_size);
}

/// Throws for an element that a decoder has stopped at.
template <class Scalar>
[[noreturn]] void fail_npy_element(const NpyHeader& header, const std::string& name,
                                   std::size_t position, const std::string& misfit) {
  const std::string type = std::is_same_v<Scalar, float> ? "float" : "double";
  throw InvalidArgument(
      name,
      header.kind == 'b'   ? std::string("bool elements of 0 or 1")
      : header.kind == 'f' ? "values in the range of " + type
                           : "integers that " + type + " holds exactly",
      misfit, "element " + std::to_string(position) + " (" + npy_byte_text(header, position) + ")");
}

/// Rows and columns of an array of one or two dimensions; throws for any other.
struct NpyMatrixShape {
  Index rows, cols;
};
inline NpyMatrixShape npy_matrix_shape(const NpyHeader& header, const std::string& name) {
  const std::vector<Index>& shape = header.shape;
  if (shape.size() != 1 && shape.size() != 2) {
    throw InvalidArgument(name, "an array of 1 or 2 dimensions",
                          std::to_string(shape.size()) + " dimensions, " + npy_shape_text(shape),
                          "header key 'shape'");
  }
  return {shape[0], shape.size() == 2 ? shape[1] : 1};
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
                              npy_byte_text(m_header, m_position) + " or after");
      }
      const std::size_t good =
          m_decode(m_bytes.data(), piece, m_header.swap_bytes, result + done, misfit);
      if (good != piece) fail_npy_element<Scalar>(m_header, m_name, m_position + good, misfit);
      m_position += piece;
      done += piece;
    }
  }

 private:
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
